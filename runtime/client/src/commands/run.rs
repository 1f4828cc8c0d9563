//! `run`: create, attach, wait, start, and then the foreground.
//!
//! `wait` is sent, and the head of its answer read, before `start`: the container may end at once.
//! In this process, with `--rm`, without a terminal and without a word about the log, the container
//! gets our own descriptors: then nothing is attached and the log driver is `none`.

use super::container_flags::CONTAINER_FLAGS;
use super::{Failure, create};
use crate::InPlace;
use crate::create_request;
use crate::foreground::{Attached, End, Foreground, Streams, Waiting};
use crate::session::Session;
use crate::terminal::{self, Raw};
use crate::typed::Keys;
use base::flags::{Command, Flag, Matches, Operands};
use base::text::part::contains;
use base::{Error, Result};
use base_http::Method;

pub(super) static COMMAND: Command = Command {
    name: "run",
    usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    about: "Create and run a new container from an image",
    aliases: &["container run"],
    flags: &[
        Flag::switch("detach", "Run container in background and print container ID").short(b'd'),
        Flag::text(
            "pull",
            "string",
            "Pull image before running (\"always\", \"missing\", \"never\") (default \"missing\")",
        ),
        Flag::switch("sig-proxy", "Proxy received signals to the process (default true)"),
    ],
    common: CONTAINER_FLAGS,
    operands: Operands::AtLeast(1),
    stops: true,
};

pub(super) fn run(session: &Session<'_>, matches: &Matches) -> std::result::Result<u8, Failure> {
    let tty = matches.on("tty");
    let detach = matches.on("detach");
    let chosen = matches.list("attach").next().is_some();
    if detach && chosen {
        let error =
            Error::bad_input("conflicting options: cannot specify both --attach and --detach");
        return Err(Failure { code: 125, error, help: true });
    }
    let streams = create_request::streams(matches, detach);
    let stdin = streams.stdin;
    if !detach {
        check_terminal(tty, stdin)?;
    }
    let direct = session.connect.in_process()
        && !detach
        && !tty
        && !chosen
        && matches.on("rm")
        && matches.text("log-driver").is_none();
    let request = create::read_flags(matches, detach, direct)?;
    let direct = direct && request.options.host_config.log_config.kind == "none";
    let created = create::make(session, matches, &request).map_err(refused)?;
    let id = created.id.as_str();
    if detach {
        let started = start(session, id);
        // Also when it did not start: the container is there.
        session.print_line(id)?;
        return started.map(|()| 0).map_err(refused);
    }
    // What is started again needs a monitor that outlives us.
    let again = matches.text("restart").is_some_and(|policy| policy != "no");
    let ours = session.connect.in_process() && !tty && !again;
    let proxy = !tty && matches.switch("sig-proxy", true);
    let keys = if tty { Keys::asked(matches) } else { Keys::none() };
    let foreground = Foreground { session, kind: "/containers/", id, tty, proxy, keys, ours };
    let condition = if matches.on("rm") { "removed" } else { "next-exit" };
    go(&foreground, condition, (!direct).then_some(streams), matches.on("rm"))
}

/// Whether a command with these flags may run in place.
pub(crate) fn is_in_place(matches: &Matches) -> bool {
    matches.on("rm")
        && !matches.on("detach")
        && !matches.on("tty")
        && matches.list("attach").next().is_none()
        && matches.switch("sig-proxy", true)
        && matches.text("pull") != Some("always")
        && !matches.on("replace")
        && matches.text("log-driver").is_none()
        && matches.list("log-opt").next().is_none()
}

/// Runs in place; None when the image must be pulled first.
pub(crate) fn in_place(
    matches: &Matches,
    engine: &mut dyn InPlace,
) -> std::result::Result<Option<u8>, Failure> {
    let request = create::read_flags(matches, false, true)?;
    if create::make_in_place(matches, request, engine).map_err(refused)?.is_none() {
        return Ok(None);
    }
    engine.start().map_err(refused)?;
    match engine.finish() {
        Ok(code) => Ok(Some((code & 0xff) as u8)),
        Err(error) => Err(Failure { code: 125, error, help: false }),
    }
}

/// From the made container to its end.
pub(super) fn go(
    foreground: &Foreground<'_>,
    condition: &str,
    streams: Option<Streams>,
    removed: bool,
) -> std::result::Result<u8, Failure> {
    let (session, id, tty) = (foreground.session, foreground.id, foreground.tty);
    // From here on signals are the container's, also those that come before it has started.
    session.signals.take_over();
    if foreground.ours {
        session.connect.keep_foreground();
    }
    let stdin = streams.is_some_and(|streams| streams.stdin);
    let attached = streams
        .map(|streams| Attached::begin(session, id, tty, streams))
        .transpose()
        .map_err(refused)?;
    let waiting = Waiting::begin(session, id, Some(condition)).map_err(refused)?;
    let raw = if tty && stdin { Raw::enter() } else { None };
    if let Err(error) = start(session, id) {
        drop(raw);
        // Its removal is part of the failure; a command that ended earlier would cut it short.
        if removed {
            drop(attached);
            let _ = waiting.finish();
        }
        return Err(refused(error));
    }
    if tty {
        foreground.resize(0);
    }
    let end = foreground.run(Some(waiting), attached, stdin);
    drop(raw);
    match end {
        Ok(End::Code(code)) => Ok(code),
        Ok(End::Detached) => Ok(0),
        Err(error) => Err(Failure { code: 125, error, help: false }),
    }
}

/// A terminal was asked for, and standard input is to be it.
pub(super) fn check_terminal(tty: bool, stdin: bool) -> Result<()> {
    match tty && stdin && !terminal::stdin_is_terminal() {
        true => Err(Error::bad_input("the input device is not a TTY")),
        false => Ok(()),
    }
}

/// Starts it.
pub(super) fn start(session: &Session<'_>, id: &str) -> Result<()> {
    session.make_so(Method::Post, &session.target("/containers/", id, "/start")?)
}

/// docker's exit codes for a container that could not be made or started.
pub(super) fn refused(error: Error) -> Failure {
    let text = error.message().to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| contains(&text, word));
    let code = if says(&[
        "executable file not found",
        "no such file or directory",
        "system cannot find the file specified",
    ]) {
        127
    } else if says(&["permission denied", "is a directory"]) {
        126
    } else {
        125
    };
    Failure { code, error, help: true }
}
