//! `events`: what happened, and what happens.

use super::filters::{self, FILTER};
use super::{Failure, logs};
use crate::format;
use crate::session::Session;
use base::Error;
use base::flags::{Command, Flag, Matches, Operands};
use base::text::time::rfc3339;
use base_http::api::events::Event;
use base_http::{Method, Payload};
use std::io::{BufRead, BufReader};

pub(super) static COMMAND: Command = Command {
    name: "events",
    usage: "[OPTIONS]",
    about: "Get real time events from the server",
    aliases: &["system events"],
    flags: &[
        FILTER,
        Flag::text("format", "string", "Format output using a Go template"),
        Flag::text("since", "string", "Show all events created since timestamp"),
        Flag::text("until", "string", "Stream events until this timestamp"),
    ],
    common: &[],
    operands: Operands::None,
    stops: false,
};

pub(super) fn run(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    let target = session.target("/events", "", "")?;
    let target = target.with_some("since", logs::since(matches, "since")?.as_deref());
    let target = target.with_some("until", logs::since(matches, "until")?.as_deref());
    let target = target.with_some("filters", filters::query(matches).as_deref());
    let (_, mut connection, head) = session.begin(Method::Get, &target, Payload::None)?;
    let mut lines = BufReader::new(connection.answer(head).body);
    let mut line = String::new();
    loop {
        line.clear();
        let count = lines.read_line(&mut line).map_err(|e| Error::os("read", &"events", e))?;
        if count == 0 {
            return Ok(0);
        }
        if line.trim().is_empty() {
            continue;
        }
        match matches.text("format") {
            Some(template) => {
                session.print(&format::list(vec![line.trim().to_string()], template)?)?;
            }
            None => session.print_line(&shown(&base::json::parse(line.as_bytes())?))?,
        }
    }
}

/// `TIME TYPE ACTION ID (NAME=TEXT, …)`, as docker prints it.
fn shown(event: &Event) -> String {
    let (seconds, nanos) =
        (event.time_nano.div_euclid(1_000_000_000), event.time_nano.rem_euclid(1_000_000_000));
    // Always nine places, so that columns are columns.
    let whole = rfc3339(seconds, 0);
    let attributes: Vec<String> =
        event.actor.attributes.iter().map(|(name, text)| [name, "=", text].concat()).collect();
    format!(
        "{}.{nanos:09}Z {} {} {} ({})",
        whole.trim_end_matches('Z'),
        event.kind,
        event.action,
        event.actor.id,
        attributes.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_as_docker_prints_it() {
        let mut event = Event {
            kind: "container".into(),
            action: "die".into(),
            time_nano: 1_700_000_000_000_000_005,
            ..Event::default()
        };
        event.actor.id = "abc".into();
        event.actor.attributes.insert("exitCode".into(), "0".into());
        event.actor.attributes.insert("name".into(), "web".into());
        let want = "2023-11-14T22:13:20.000000005Z container die abc (exitCode=0, name=web)";
        assert_eq!(shown(&event), want);
    }
}
