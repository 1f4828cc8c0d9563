//! `stop`: the stop signal, and after a while SIGKILL.

use super::{Failure, each};
use crate::session::{Session, Target};
use base::flags::{Command, Flag, Matches, Operands};
use base_http::Method;

pub(super) static COMMAND: Command = Command {
    name: "stop",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Stop one or more running containers",
    aliases: &["container stop"],
    flags: FLAGS,
    common: &[],
    operands: Operands::AtLeast(1),
    stops: false,
};

/// How a container is stopped, by `restart` too.
pub(super) const FLAGS: &[Flag] = &[
    Flag::text("signal", "string", "Signal to send to the container").short(b's'),
    Flag::number("timeout", "Seconds to wait before killing the container").short(b't'),
    Flag::alias("time", "timeout"),
];

/// What is asked for, with what the flags say.
pub(super) fn target(
    session: &Session<'_>,
    matches: &Matches,
    name: &str,
    action: &str,
) -> base::Result<Target> {
    let target = session.target("/containers/", name, action)?;
    let target = target.with_some("signal", matches.text("signal"));
    Ok(target.with_some("t", matches.text("timeout")))
}

pub(super) fn run(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    each(session, matches, &mut |name| {
        session.make_so(Method::Post, &target(session, matches, name, "/stop")?)
    })
}
