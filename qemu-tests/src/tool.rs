//! The host's tools.

use base::{Error, OnError, Result};
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs one to its end; what it says first is why it failed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().on("start", &name)?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(Error::other(format!("{name}: {}", text.lines().next().unwrap_or("failed"))))
}

/// A program of the system's administrator, whose folder need not be in the path.
pub(crate) fn system_tool(name: &str) -> Command {
    let paths = ["/usr/sbin/", "/sbin/"].map(|folder| [folder, name].concat());
    let found = paths.iter().find(|path| Path::new(path).exists());
    Command::new(found.map_or(name, String::as_str))
}
