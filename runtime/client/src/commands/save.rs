//! `save` and `export`: images, or the files of a container, as an archive.

use super::Failure;
use crate::session::{Session, Target};
use crate::wire;
use base::flags::{Command, Flag, Matches, Operands};
use base::{Error, OnError, Result, files};
use base_http::{Method, Payload};
use std::io::{Read, Write};
use std::path::Path;

pub(super) static SAVE: Command = Command {
    name: "save",
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Save one or more images to a tar archive (streamed to STDOUT by default)",
    aliases: &["image save"],
    flags: &[Flag::text("output", "string", "Write to a file, instead of STDOUT").short(b'o')],
    common: &[],
    operands: Operands::AtLeast(1),
    stops: false,
};

pub(super) static EXPORT: Command = Command {
    name: "export",
    usage: "[OPTIONS] CONTAINER",
    about: "Export a container's filesystem as a tar archive",
    aliases: &["container export"],
    flags: &[Flag::text("output", "string", "Write to a file, instead of STDOUT").short(b'o')],
    common: &[],
    operands: Operands::Exactly(1),
    stops: false,
};

pub(super) fn save(session: &Session<'_>, matches: &Matches) -> std::result::Result<u8, Failure> {
    let mut target = session.target("/images/get", "", "")?;
    for name in &matches.operands {
        target = target.with("names", name);
    }
    fetch(session, matches, &target, "save")
}

pub(super) fn export(session: &Session<'_>, matches: &Matches) -> std::result::Result<u8, Failure> {
    let name = matches.operands.first().map_or("", String::as_str);
    fetch(session, matches, &session.target("/containers/", name, "/export")?, "export")
}

/// Writes the answer to the file, whole or not at all, or to standard output.
fn fetch(
    session: &Session<'_>,
    matches: &Matches,
    target: &Target,
    what: &str,
) -> std::result::Result<u8, Failure> {
    let output = matches.text("output").map(Path::new);
    if output.is_none() && rustix::termios::isatty(rustix::stdio::stdout()) {
        let text =
            ["cowardly refusing to ", what, " to a terminal. Use the -o flag or redirect"].concat();
        return Err(Error::bad_input(text).into());
    }
    let (_, mut connection, head) = session.begin(Method::Get, target, Payload::None)?;
    let mut response = connection.answer(head);
    let mut block = vec![0; 64 << 10];
    let mut copy = |put: &mut dyn FnMut(&[u8]) -> std::io::Result<()>| -> Result<()> {
        loop {
            let n = response.body.read(&mut block).on("read", "the archive")?;
            if n == 0 {
                return Ok(());
            }
            put(&block[..n]).on("write", "the archive")?;
        }
    };
    match output {
        Some(path) => files::write_aside_then_rename(path, &mut |file| {
            copy(&mut |bytes| file.write_all(bytes))
        })?,
        None => copy(&mut |bytes| {
            let written = wire::write_all(&session.signals, rustix::stdio::stdout(), bytes);
            if let Err(error) = &written {
                session.deaf.set(error.kind() == std::io::ErrorKind::BrokenPipe);
            }
            written
        })?,
    }
    Ok(0)
}
