//! `attach`: standard streams of a running container.

use super::Failure;
use crate::foreground::{Attached, End, Foreground, Streams, Waiting};
use crate::session::Session;
use crate::terminal::Raw;
use crate::typed::{DETACH_KEYS, Keys};
use base::Error;
use base::flags::{Command, Flag, Matches, Operands};
use base_http::api::ContainerInspect;
use base_http::{Method, Payload};

pub(super) static COMMAND: Command = Command {
    name: "attach",
    usage: "[OPTIONS] CONTAINER",
    about: "Attach local standard input, output, and error streams to a running container",
    aliases: &["container attach"],
    flags: &[
        DETACH_KEYS,
        Flag::switch("no-stdin", "Do not attach STDIN"),
        Flag::switch("sig-proxy", "Proxy all received signals to the process (default true)"),
    ],
    common: &[],
    operands: Operands::Exactly(1),
    stops: false,
};

pub(super) fn run(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    let name = matches.operands.first().map_or("", String::as_str);
    let target = session.target("/containers/", name, "/json")?;
    let found: ContainerInspect = session.json(Method::Get, &target, Payload::None)?;
    let state = &found.state;
    let wrong = match (state.running, state.paused, state.restarting) {
        (false, _, _) => "You cannot attach to a stopped container, start it first",
        (_, true, _) => "You cannot attach to a paused container, unpause it first",
        (_, _, true) => "You cannot attach to a restarting container, wait until it is running",
        _ => "",
    };
    if !wrong.is_empty() {
        return Err(Error::conflict(wrong).into());
    }
    let tty = found.config.tty;
    let stdin = found.config.open_stdin && !matches.on("no-stdin");
    super::run::check_terminal(tty, stdin)?;
    let waiting = Waiting::begin(session, &found.id, None)?;
    let attached = Attached::begin(session, &found.id, tty, Streams::output_and(stdin))?;
    session.signals.take_over();
    let foreground = Foreground {
        session,
        kind: "/containers/",
        id: &found.id,
        tty,
        keys: if tty { Keys::asked(matches) } else { Keys::none() },
        proxy: !tty && matches.switch("sig-proxy", true),
        ours: false,
    };
    let raw = if tty && stdin { Raw::enter() } else { None };
    if tty {
        // A full-screen program draws itself again only when its size changes.
        foreground.resize(1);
        foreground.resize(0);
    }
    let end = foreground.run(Some(waiting), Some(attached), stdin);
    drop(raw);
    match end? {
        End::Code(code) => Ok(code),
        End::Detached => Ok(0),
    }
}
