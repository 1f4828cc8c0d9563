//! `wait`: blocks until containers end, and prints their exit codes.

use super::{Failure, complain};
use crate::foreground::Waiting;
use crate::session::Session;
use base::flags::{Command, Matches, Operands};

pub(super) static COMMAND: Command = Command {
    name: "wait",
    usage: "CONTAINER [CONTAINER...]",
    about: "Block until one or more containers stop, then print their exit codes",
    aliases: &["container wait"],
    flags: &[],
    common: &[],
    operands: Operands::AtLeast(1),
    stops: false,
};

pub(super) fn run(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    let mut code = 0;
    for name in &matches.operands {
        let ended = Waiting::begin(session, name, None).and_then(Waiting::finish);
        match ended {
            Ok(code) => session.print_line(&code.to_string())?,
            Err(error) if session.signals.exit_code().is_some() => return Err(error.into()),
            Err(error) => {
                complain(session, &error);
                code = 1;
            }
        }
    }
    Ok(code)
}
