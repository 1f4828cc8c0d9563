//! `start`: starts containers; with `-a` or `-i` one, in the foreground.

use super::run::{check_terminal, go, start};
use super::{Failure, complain};
use crate::foreground::{Foreground, Streams};
use crate::session::Session;
use crate::typed::{DETACH_KEYS, Keys};
use base::Error;
use base::flags::{Command, Flag, Matches, Operands};
use base_http::api::ContainerInspect;
use base_http::{Method, Payload};

pub(super) static COMMAND: Command = Command {
    name: "start",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Start one or more stopped containers",
    aliases: &["container start"],
    flags: &[
        Flag::switch("attach", "Attach STDOUT/STDERR and forward signals").short(b'a'),
        DETACH_KEYS,
        Flag::switch("interactive", "Attach container's STDIN").short(b'i'),
        Flag::switch("sig-proxy", "Proxy all received signals to the process (default true)"),
    ],
    common: &[],
    operands: Operands::AtLeast(1),
    stops: false,
};

pub(super) fn run(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    if matches.on("attach") || matches.on("interactive") {
        return in_foreground(session, matches);
    }
    let mut failed = Vec::new();
    for name in &matches.operands {
        match start(session, name) {
            Ok(()) => session.print_line(name)?,
            Err(error) if session.signals.exit_code().is_some() => return Err(error.into()),
            Err(error) => {
                complain(session, &error);
                failed.push(name.as_str());
            }
        }
    }
    match failed.is_empty() {
        true => Ok(0),
        false => {
            session.tell(&["Error: failed to start containers: ", &failed.join(", ")].concat());
            Ok(1)
        }
    }
}

fn in_foreground(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    let [name] = matches.operands.as_slice() else {
        return Err(
            Error::bad_input("you cannot start and attach multiple containers at once").into()
        );
    };
    let target = session.target("/containers/", name, "/json")?;
    let found: ContainerInspect = session.json(Method::Get, &target, Payload::None)?;
    let tty = found.config.tty;
    let stdin = matches.on("interactive") && found.config.open_stdin;
    check_terminal(tty, stdin)?;
    let removed = found.host_config.auto_remove;
    let again = !matches!(found.host_config.restart_policy.name.as_str(), "" | "no");
    let foreground = Foreground {
        session,
        kind: "/containers/",
        id: &found.id,
        tty,
        keys: if tty { Keys::asked(matches) } else { Keys::none() },
        proxy: !tty && matches.switch("sig-proxy", true),
        ours: session.connect.in_process() && !tty && !again,
    };
    let condition = if removed { "removed" } else { "next-exit" };
    // docker's `start -a` has 1 for every refusal.
    go(&foreground, condition, Some(Streams::output_and(stdin)), removed)
        .map_err(|failure| Failure { code: 1, help: false, ..failure })
}
