//! `restart`: stop and start.

use super::{Failure, each};
use crate::session::Session;
use base::flags::{Command, Flag, Matches, Operands};
use base_http::Method;

pub(super) static COMMAND: Command = Command {
    name: "restart",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Restart one or more containers",
    aliases: &["container restart"],
    flags: &[
        Flag::text("signal", "string", "Signal to send to the container").short(b's'),
        Flag::number("timeout", "Seconds to wait before killing the container")
            .short(b't')
            .alias("time"),
    ],
    operands: Operands::AtLeast(1),
    stops: false,
};

pub(super) fn run(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    each(session, matches, &mut |name| {
        let target = session.target("/containers/", name, "/restart")?;
        let target = target.with_some("signal", matches.text("signal"));
        session.done(Method::Post, &target.with_some("t", matches.text("timeout")))
    })
}
