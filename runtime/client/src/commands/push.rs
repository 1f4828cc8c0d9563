//! `push`: an image to a registry.

use super::{Failure, login};
use crate::session::Session;
use crate::{progress, reference};
use base::Error;
use base::flags::{Command, Flag, Matches, Operands};
use base_http::{Method, Payload};

pub(super) static COMMAND: Command = Command {
    name: "push",
    usage: "[OPTIONS] NAME[:TAG]",
    about: "Upload an image to a registry",
    aliases: &["image push"],
    flags: &[
        Flag::switch("all-tags", "Push all tags of an image to the repository").short(b'a'),
        Flag::switch("quiet", "Suppress verbose output").short(b'q'),
    ],
    common: &[],
    operands: Operands::Exactly(1),
    stops: false,
};

pub(super) fn run(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    let image = matches.operands.first().map_or("", String::as_str);
    let (all, quiet) = (matches.on("all-tags"), matches.on("quiet"));
    let (name, mut tag) = reference::split(image);
    let given = image.len() > name.len();
    if all && given {
        return Err(Error::bad_input("tag can't be used with --all-tags/-a").into());
    }
    if image.contains('@') {
        return Err(Error::bad_input("cannot push a digest reference").into());
    }
    if all {
        tag = "";
    } else if !given && !quiet {
        session.print_line("Using default tag: latest")?;
    }
    let target = session.target("/images/", name, "/push")?.with("tag", tag);
    // Docker's servers want the header, whoever we are.
    let auth = Some(login::header(name)?).filter(|text| !text.is_empty());
    let auth = auth.unwrap_or_else(|| base_http::api::auth::AuthConfig::default().header());
    let (_, mut connection, head) =
        session.begin_as(Method::Post, &target, Payload::None, &auth)?;
    let mut response = connection.answer(head);
    let stdout = rustix::stdio::stdout();
    progress::show(session, &mut response, stdout, &mut |_| !quiet)?;
    if quiet {
        session.print_line(&reference::canonical(image, all))?;
    }
    Ok(0)
}
