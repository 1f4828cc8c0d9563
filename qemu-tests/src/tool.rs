//! The host's tools.

use base::{Error, OnError, Result};
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
