//! `load`: images from an archive, a file or standard input.

use super::Failure;
use crate::progress;
use crate::session::Session;
use crate::terminal;
use crate::wire::Source;
use base::flags::{Command, Flag, Matches, Operands};
use base::{Error, OnError};
use base_http::{Method, Payload};
use std::path::Path;

pub(super) static COMMAND: Command = Command {
    name: "load",
    usage: "[OPTIONS]",
    about: "Load an image from a tar archive or STDIN",
    aliases: &["image load"],
    flags: &[
        Flag::text("input", "string", "Read from tar archive file, instead of STDIN").short(b'i'),
        Flag::switch("quiet", "Suppress the load output").short(b'q'),
    ],
    common: &[],
    operands: Operands::None,
    stops: false,
};

pub(super) fn run(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    let file = match matches.text("input") {
        Some(path) => {
            let path = Path::new(path);
            let file = std::fs::File::open(path).on_path("open", path)?;
            let folder = file.metadata().on_path("stat", path)?.is_dir();
            if folder {
                let text = ["read ", &path.to_string_lossy(), ": Is a directory"].concat();
                return Err(Error::bad_input(text).into());
            }
            base::checksum::verify(path, &file)?;
            Some(file)
        }
        None if terminal::stdin_is_terminal() => {
            return Err(Error::bad_input("requested load from stdin, but stdin is empty").into());
        }
        None => None,
    };
    let stdin = rustix::stdio::stdin();
    let file = file.as_ref().map_or(stdin, std::os::fd::AsFd::as_fd);
    let mut source = Source { file, signals: &session.signals };
    // Bars are for people who look.
    let quiet = matches.on("quiet") || !rustix::termios::isatty(rustix::stdio::stdout());
    let target = session.target("/images/load", "", "")?;
    let target = target.with("quiet", if quiet { "1" } else { "0" });
    let payload = Payload::Stream("application/x-tar", &mut source);
    let (_, mut connection, head) = session.begin(Method::Post, &target, payload)?;
    let mut response = connection.answer(head);
    progress::show(session, &mut response, rustix::stdio::stdout(), &mut |_| true)?;
    Ok(0)
}
