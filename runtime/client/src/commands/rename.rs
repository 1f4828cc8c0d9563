//! `rename`: another name for a container.

use super::Failure;
use crate::session::Session;
use base::flags::{Command, Matches, Operands};
use base_http::Method;

pub(super) static COMMAND: Command = Command {
    name: "rename",
    usage: "CONTAINER NEW_NAME",
    about: "Rename a container",
    aliases: &["container rename"],
    flags: &[],
    common: &[],
    operands: Operands::Exactly(2),
    stops: false,
};

pub(super) fn run(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    let name = |place: usize| matches.operands.get(place).map_or("", String::as_str);
    let target = session.target("/containers/", name(0), "/rename")?;
    session.done(Method::Post, &target.with("name", name(1)))?;
    Ok(0)
}
