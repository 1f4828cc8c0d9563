//! `restart`: stop and start.

use super::{Failure, each, stop};
use crate::session::Session;
use base::flags::{Command, Matches};
use base_http::Method;

pub(super) static COMMAND: Command = Command {
    name: "restart",
    about: "Restart one or more containers",
    aliases: &["container restart"],
    ..stop::COMMAND
};

pub(super) fn run(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    each(session, matches, &mut |name| {
        session.done(Method::Post, &stop::target(session, matches, name, "/restart")?)
    })
}
