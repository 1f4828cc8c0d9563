//! An ordinary user's subordinate ids: maps with more than his own id are written by newuidmap and
//! newgidmap, which check /etc/subuid and /etc/subgid.

use crate::spec::UserNamespace;
use base::program::Program;
use base::{Error, OnError, Result};
use std::fmt::Display;

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
        let pid = pid.to_string();
        let words: Vec<&str> = std::iter::once(&pid).chain(&words).map(String::as_str).collect();
        let done = find(program)?.hear(&words, 1000)?;
        if !done.success {
            let said = String::from_utf8_lossy(&done.said);
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
    let shell = find("sh")?;
    let helper = shell.waiting(&["-c", &script])?;
    let entered = base::sys::process::new_user_namespace();
    let success = helper.finish(entered.is_ok());
    entered.on("unshare", "user namespace")?;
    match success? {
        true => Ok(()),
        false => Err(Error::other("newuidmap: it failed")),
    }
}

fn find(program: &str) -> Result<Program> {
    let missing = || Error::other([program, ": executable file not found in $PATH"].concat());
    Program::find(program).ok_or_else(missing)
}
