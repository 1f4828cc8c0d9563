//! `rm`: removes containers.

use super::{Failure, each};
use crate::session::Session;
use base::Kind;
use base::flags::{Command, Flag, Matches, Operands};
use base_http::Method;

pub(super) static COMMAND: Command = Command {
    name: "rm",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Remove one or more containers",
    aliases: &["container rm", "container remove"],
    flags: &[
        Flag::switch("force", "Force the removal of a running container (uses SIGKILL)")
            .short(b'f'),
        Flag::switch("volumes", "Remove anonymous volumes associated with the container")
            .short(b'v'),
    ],
    common: &[],
    operands: Operands::AtLeast(1),
    stops: false,
};

pub(super) fn run(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    let force = matches.on("force");
    let (mut absent, mut failed) = (0, 0);
    let code = each(session, matches, &mut |name| {
        let target = session.target("/containers/", name.trim_start_matches('/'), "")?;
        let target = target.with_flag("force", force).with_flag("v", matches.on("volumes"));
        let done = session.done(Method::Delete, &target);
        if let Err(error) = &done {
            failed += 1;
            absent += usize::from(error.kind() == Kind::NotFound);
        }
        done
    })?;
    // What is not there is removed, if it was to be forced.
    Ok(if force && absent == failed { 0 } else { code })
}
