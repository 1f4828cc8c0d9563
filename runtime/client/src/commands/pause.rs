//! `pause` and `unpause`: a container's processes stop where they are, and go on.

use super::{Failure, each};
use crate::session::Session;
use base::flags::{Command, Matches, Operands};
use base_http::Method;

pub(super) static PAUSE: Command = Command {
    name: "pause",
    usage: "CONTAINER [CONTAINER...]",
    about: "Pause all processes within one or more containers",
    aliases: &["container pause"],
    flags: &[],
    common: &[],
    operands: Operands::AtLeast(1),
    stops: false,
};

pub(super) static UNPAUSE: Command = Command {
    name: "unpause",
    about: "Unpause all processes within one or more containers",
    aliases: &["container unpause"],
    ..PAUSE
};

pub(super) fn pause(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    each_to(session, matches, "/pause")
}

pub(super) fn unpause(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    each_to(session, matches, "/unpause")
}

fn each_to(session: &Session<'_>, matches: &Matches, action: &str) -> Result<u8, Failure> {
    each(session, matches, &mut |name| {
        session.done(Method::Post, &session.target("/containers/", name, action)?)
    })
}
