//! `kill`: a signal, SIGKILL if none is named.

use super::{Failure, each};
use crate::session::Session;
use base::flags::{Command, Flag, Matches, Operands};
use base_http::Method;

pub(super) static COMMAND: Command = Command {
    name: "kill",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Kill one or more running containers",
    aliases: &["container kill"],
    flags: &[Flag::text("signal", "string", "Signal to send to the container").short(b's')],
    common: &[],
    operands: Operands::AtLeast(1),
    stops: false,
};

pub(super) fn run(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    each(session, matches, &mut |name| {
        let target = session.target("/containers/", name, "/kill")?;
        session.done(Method::Post, &target.with_some("signal", matches.text("signal")))
    })
}
