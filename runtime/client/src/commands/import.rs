//! `import`: an image from the archive of a root file system.

use super::Failure;
use crate::progress;
use crate::session::Session;
use crate::wire::Source;
use base::OnError;
use base::flags::{Command, Flag, Matches, Operands};
use base_http::{Method, Payload};
use std::path::Path;

pub(super) static COMMAND: Command = Command {
    name: "import",
    usage: "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    about: "Import the contents from a tarball to create a filesystem image",
    aliases: &["image import"],
    flags: &[
        Flag::text("change", "list", "Apply Dockerfile instruction to the created image")
            .short(b'c'),
        Flag::text("message", "string", "Set commit message for imported image").short(b'm'),
    ],
    common: &[],
    operands: Operands::Between(1, 2),
    stops: false,
};

pub(super) fn run(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    let from = matches.operands.first().map_or("", String::as_str);
    let url = from.starts_with("http://") || from.starts_with("https://");
    let target = session.target("/images/create", "", "")?;
    let target = target.with("fromSrc", if url { from } else { "-" });
    let target = target.with_some("repo", matches.operands.get(1).map(String::as_str));
    let mut target = target.with_some("message", matches.text("message"));
    for change in matches.list("change") {
        target = target.with("changes", change);
    }
    let file = match from {
        "-" => None,
        _ if url => None,
        path => Some(std::fs::File::open(path).on_path("open", Path::new(path))?),
    };
    let stdin = rustix::stdio::stdin();
    let file = file.as_ref().map_or(stdin, std::os::fd::AsFd::as_fd);
    let mut source = Source { file, signals: &session.signals };
    let payload = match url {
        true => Payload::None,
        false => Payload::Stream("text/plain", &mut source),
    };
    let (_, mut connection, head) = session.begin(Method::Post, &target, payload)?;
    let mut response = connection.answer(head);
    progress::show(session, &mut response, rustix::stdio::stdout(), &mut |_| true)?;
    Ok(0)
}
