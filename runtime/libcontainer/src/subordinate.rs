//! An ordinary user's subordinate ids: maps with more than his own id are written by newuidmap and
//! newgidmap, which check /etc/subuid and /etc/subgid.

use crate::spec::UserNamespace;
use base::{Error, OnError, Result};
use std::fmt::Display;
use std::io::Write;
use std::process::{Command, Stdio};

/// The two programs, uids' first.
pub const PROGRAMS: [&str; 2] = ["newuidmap", "newgidmap"];

/// What a program is told: his own id is 0, the others follow.
fn words(own: u32, first: u32, ids: &UserNamespace) -> Vec<String> {
    ["0", &own.to_string(), "1", "1", &first.to_string(), &(ids.count - 1).to_string()]
        .map(String::from)
        .to_vec()
}

fn maps(ids: &UserNamespace, rest: (u32, u32)) -> [Vec<String>; 2] {
    [words(ids.uid, rest.0, ids), words(ids.gid, rest.1, ids)]
}

/// Writes the maps of another process.
pub(crate) fn write_maps(pid: &dyn Display, ids: &UserNamespace, rest: (u32, u32)) -> Result<()> {
    for (program, words) in PROGRAMS.into_iter().zip(maps(ids, rest)) {
        let mut command = Command::new(program);
        command.arg(pid.to_string()).args(words).stdin(Stdio::null());
        let done = command.output().on("start", program)?;
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr);
            let said = said.lines().next().unwrap_or("it failed");
            return Err(Error::other(format!("{program}: {said}")));
        }
    }
    Ok(())
}

/// From now on this process, which has one thread, is root over these ids: to remove what only the
/// containers' users may. Whoever helps must be outside, so he is there before.
pub fn become_root(ids: &UserNamespace) -> Result<()> {
    let Some(rest) = ids.rest else { return Ok(()) };
    let own = std::process::id();
    let lines = PROGRAMS.into_iter().zip(maps(ids, rest));
    let lines = lines.map(|(program, words)| format!("{program} {own} {}", words.join(" ")));
    let script = format!("read go && {}", lines.collect::<Vec<_>>().join(" && "));
    let mut helper = Command::new("/bin/sh")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .spawn()
        .on("start", "newuidmap")?;
    let entered = base::sys::process::new_user_namespace();
    let told = match helper.stdin.take() {
        Some(mut input) if entered.is_ok() => input.write_all(b"go\n").on("talk to", "newuidmap"),
        _ => Ok(()),
    };
    let ended = helper.wait().on("wait for", "newuidmap")?;
    entered.on("unshare", "user namespace").and(told)?;
    match ended.success() {
        true => Ok(()),
        false => Err(Error::other("newuidmap: it failed")),
    }
}
