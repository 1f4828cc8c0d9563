//! `pull`: images from a registry; `run` and `create` pull here too.

use super::Failure;
use crate::reference;
use crate::session::Session;
use base::flags::{Command, Flag, Matches, Operands};
use base::{Error, Result};
use base_http::{Method, Payload};
use std::os::fd::BorrowedFd;

pub(super) static COMMAND: Command = Command {
    name: "pull",
    usage: "[OPTIONS] NAME[:TAG|@DIGEST]",
    about: "Download an image from a registry",
    aliases: &["image pull"],
    flags: &[
        Flag::switch("all-tags", "Download all tagged images in the repository").short(b'a'),
        Flag::text("platform", "string", "Set platform if server is multi-platform capable"),
        Flag::switch("quiet", "Suppress verbose output").short(b'q'),
    ],
    common: &[],
    operands: Operands::Exactly(1),
    stops: false,
};

pub(super) fn run(session: &Session<'_>, matches: &Matches) -> std::result::Result<u8, Failure> {
    let image = matches.operands.first().map_or("", String::as_str);
    let (all, quiet) = (matches.on("all-tags"), matches.on("quiet"));
    let (name, mut tag) = reference::split(image);
    let given = image.len() > name.len();
    if all && given {
        return Err(Error::bad_input("tag can't be used with --all-tags/-a").into());
    }
    if all {
        tag = "";
    } else if !given && !quiet {
        session.print_line("Using default tag: latest")?;
    }
    let platform = matches.text("platform").unwrap_or_default();
    let stdout = rustix::stdio::stdout();
    fetch(session, name, tag, platform, stdout, quiet)?;
    session.print_line(&reference::canonical(image, all))?;
    Ok(0)
}

/// Pulls and shows how far it is, on standard error: standard output is the container's.
pub(super) fn pull(session: &Session<'_>, image: &str, quiet: bool) -> Result<()> {
    let (name, tag) = reference::split(image);
    let stderr = rustix::stdio::stderr();
    fetch(session, name, tag, "", stderr, quiet)
}

fn fetch(
    session: &Session<'_>,
    name: &str,
    tag: &str,
    platform: &str,
    to: BorrowedFd<'_>,
    quiet: bool,
) -> Result<()> {
    let target = session.target("/images/create", "", "")?;
    let target = target.with("fromImage", name).with("tag", tag);
    let target = target.with_some("platform", Some(platform).filter(|text| !text.is_empty()));
    let auth = super::login::header(name)?;
    let (_, mut connection, head) =
        session.begin_as(Method::Post, &target, Payload::None, &auth)?;
    let mut response = connection.answer(head);
    crate::progress::show(session, &mut response, to, &mut |_| !quiet)
}
