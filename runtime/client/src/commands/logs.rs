//! `logs`: what a container wrote.

use super::Failure;
use crate::session::Session;
use crate::wire;
use base::flags::{Command, Flag, Matches, Operands};
use base::text::moment;
use base::{Error, Result};
use base_http::api::ContainerInspect;
use base_http::frames::{Channel, Frames};
use base_http::{Method, Payload};
use std::io::Read;

pub(super) static COMMAND: Command = Command {
    name: "logs",
    usage: "[OPTIONS] CONTAINER",
    about: "Fetch the logs of a container",
    aliases: &["container logs"],
    flags: &[
        Flag::switch("follow", "Follow log output").short(b'f'),
        Flag::text(
            "since",
            "string",
            "Show logs since timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" \
             for 42 minutes)",
        ),
        Flag::text(
            "tail",
            "string",
            "Number of lines to show from the end of the logs (default \"all\")",
        )
        .short(b'n'),
        Flag::switch("timestamps", "Show timestamps").short(b't'),
        Flag::text(
            "until",
            "string",
            "Show logs before a timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" \
             for 42 minutes)",
        ),
    ],
    common: &[],
    operands: Operands::Exactly(1),
    stops: false,
};

/// A moment as the API wants it.
pub(super) fn since(matches: &Matches, name: &str) -> Result<Option<String>> {
    let Some(text) = matches.text(name) else { return Ok(None) };
    let (seconds, nanos) = moment::parse(text, base::text::time::now()).map_err(|error| {
        Error::bad_input(["invalid value for \"", name, "\": ", error.message()].concat())
    })?;
    Ok(Some(format!("{seconds}.{nanos:09}")))
}

pub(super) fn run(session: &Session<'_>, matches: &Matches) -> std::result::Result<u8, Failure> {
    let name = matches.operands.first().map_or("", String::as_str);
    let target = session.target("/containers/", name, "/json")?;
    let found: ContainerInspect = session.json(Method::Get, &target, Payload::None)?;
    let target = session.target("/containers/", &found.id, "/logs")?;
    let target = target.with_flag("follow", matches.on("follow"));
    let target = target.with("stderr", "1").with("stdout", "1");
    let target = target.with("tail", matches.text("tail").unwrap_or("all"));
    let target = target.with_flag("timestamps", matches.on("timestamps"));
    let target = target.with_some("since", since(matches, "since")?.as_deref());
    let target = target.with_some("until", since(matches, "until")?.as_deref());
    let (_, mut connection, head) = session.begin(Method::Get, &target, Payload::None)?;
    let mut frames = (!found.config.tty).then(Frames::default);
    let mut response = connection.answer(head);
    let mut piece = [0; 16 * 1024];
    loop {
        let n = response.body.read(&mut piece).map_err(|e| Error::os("read", &"logs", e))?;
        if n == 0 {
            return Ok(0);
        }
        let mut put = |channel: Channel, bytes: &[u8]| -> Result<()> {
            let to = match channel {
                Channel::Stdout => rustix::stdio::stdout(),
                Channel::Stderr | Channel::Error => rustix::stdio::stderr(),
            };
            wire::write_all(&session.signals, to, bytes).map_err(|e| Error::os("write", &"logs", e))
        };
        match &mut frames {
            Some(frames) => frames.feed(&piece[..n], &mut put)?,
            None => put(Channel::Stdout, &piece[..n])?,
        }
    }
}
