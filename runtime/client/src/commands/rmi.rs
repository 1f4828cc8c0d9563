//! `rmi`: removes names of images, and images that have none left.

use super::{Failure, complain};
use crate::session::Session;
use base::Kind;
use base::flags::{Command, Flag, Matches, Operands};
use base_http::api::DeleteResponse;
use base_http::{Method, Payload};

pub(super) static COMMAND: Command = Command {
    name: "rmi",
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Remove one or more images",
    aliases: &["image rm", "image remove"],
    flags: &[
        Flag::switch("force", "Force removal of the image").short(b'f'),
        Flag::switch("no-prune", "Do not delete untagged parents"),
    ],
    common: &[],
    operands: Operands::AtLeast(1),
    stops: false,
};

pub(super) fn run(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    let force = matches.on("force");
    let mut code = 0;
    for name in &matches.operands {
        let target = session.target("/images/", name, "")?;
        let target = target.with_flag("force", force).with_flag("noprune", matches.on("no-prune"));
        match session.json::<Vec<DeleteResponse>>(Method::Delete, &target, Payload::None) {
            Ok(steps) => {
                for step in steps {
                    match step.deleted.is_empty() {
                        true => session.print_line(&["Untagged: ", &step.untagged].concat())?,
                        false => session.print_line(&["Deleted: ", &step.deleted].concat())?,
                    }
                }
            }
            Err(error) if session.signals.exit_code().is_some() => return Err(error.into()),
            Err(error) => {
                complain(session, &error);
                // What is not there is removed, if it was to be forced.
                if !(force && error.kind() == Kind::NotFound) {
                    code = 1;
                }
            }
        }
    }
    Ok(code)
}
