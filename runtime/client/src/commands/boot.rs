//! `boot`: for boot scripts, after the disks are mounted and before anything else uses containers.

use super::Failure;
use crate::session::Session;
use base::Error;
use base::flags::{Command, Matches, Operands};
use base_http::api::system::Restored;
use base_http::{Method, Payload};

pub(super) static COMMAND: Command = Command {
    name: "boot",
    usage: "",
    about: "Put away what the last boot left and start containers by their restart policies",
    aliases: &[],
    flags: &[],
    common: &[],
    operands: Operands::None,
    stops: false,
};

pub(super) fn run(session: &Session<'_>, _matches: &Matches) -> Result<u8, Failure> {
    if !session.connect.in_process() {
        return Err(Error::unsupported("a daemon does this itself when it starts").into());
    }
    let target = session.target("/coracle/", "boot", "")?;
    let restored: Restored = session.json(Method::Post, &target, Payload::None)?;
    for name in &restored.started {
        session.print_line(name)?;
    }
    for text in &restored.failed {
        session.tell(&["coracle: start ", text].concat());
    }
    Ok(u8::from(!restored.failed.is_empty()))
}
