//! `commit` and `diff`: what a container changed, as an image and as a list.

use super::Failure;
use crate::reference;
use crate::session::Session;
use base::flags::{Command, Flag, Matches, Operands};
use base_http::api::container::{CommitResponse, ContainerChange};
use base_http::{Method, Payload};

pub(super) static COMMIT: Command = Command {
    name: "commit",
    usage: "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    about: "Create a new image from a container's changes",
    aliases: &["container commit"],
    flags: &[
        Flag::text(
            "author",
            "string",
            "Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")",
        )
        .short(b'a'),
        Flag::text("change", "list", "Apply Dockerfile instruction to the created image")
            .short(b'c'),
        Flag::text("message", "string", "Commit message").short(b'm'),
        Flag::switch("pause", "Pause container during commit (default true)").short(b'p'),
    ],
    common: &[],
    operands: Operands::Between(1, 2),
    stops: false,
};

pub(super) static DIFF: Command = Command {
    name: "diff",
    usage: "CONTAINER",
    about: "Inspect changes to files or directories on a container's filesystem",
    aliases: &["container diff"],
    flags: &[],
    common: &[],
    operands: Operands::Exactly(1),
    stops: false,
};

pub(super) fn commit(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    let operand = |place: usize| matches.operands.get(place).map_or("", String::as_str);
    let mut target = session.target("/commit", "", "")?.with("container", operand(0));
    let (repository, tag) = reference::split(operand(1));
    target = target.with("repo", repository).with("tag", tag);
    target = target.with_some("author", matches.text("author"));
    target = target.with_some("comment", matches.text("message"));
    if matches.text("pause").is_some() {
        target = target.with("pause", if matches.switch("pause", true) { "1" } else { "0" });
    }
    for change in matches.list("change") {
        target = target.with("changes", change);
    }
    let made: CommitResponse = session.json(Method::Post, &target, Payload::None)?;
    session.print_line(&made.id)?;
    Ok(0)
}

pub(super) fn diff(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    let name = matches.operands.first().map_or("", String::as_str);
    let target = session.target("/containers/", name, "/changes")?;
    let changes: Vec<ContainerChange> = session.json(Method::Get, &target, Payload::None)?;
    let mut text = String::new();
    for change in changes {
        text.push_str(["C ", "A ", "D "].get(change.kind as usize).copied().unwrap_or("? "));
        text.push_str(&change.path);
        text.push('\n');
    }
    session.print(&text)?;
    Ok(0)
}
