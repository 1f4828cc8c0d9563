//! `exec`: one more process in a running container.

use super::Failure;
use super::run::check_terminal;
use crate::foreground::{Attached, End, Foreground};
use crate::session::Session;
use crate::terminal::{self, Raw};
use crate::typed::{DETACH_KEYS, Keys};
use crate::{create_request, env_file};
use base::flags::{Command, Flag, Matches, Operands};
use base::{Error, json};
use base_http::api::{ExecConfig, ExecCreated, ExecInspect, ExecStart};
use base_http::{Method, Payload};

pub(super) static COMMAND: Command = Command {
    name: "exec",
    usage: "[OPTIONS] CONTAINER COMMAND [ARG...]",
    about: "Execute a command in a running container",
    aliases: &["container exec"],
    flags: &[
        Flag::switch("detach", "Detached mode: run command in the background").short(b'd'),
        DETACH_KEYS,
        Flag::text("env", "list", "Set environment variables").short(b'e').checked(env_file::check),
        Flag::text("env-file", "list", "Read in a file of environment variables"),
        Flag::switch("interactive", "Keep STDIN open even if not attached").short(b'i'),
        Flag::switch("privileged", "Give extended privileges to the command"),
        Flag::switch("tty", "Allocate a pseudo-TTY").short(b't'),
        Flag::text("user", "string", "Username or UID (format: \"<name|uid>[:<group|gid>]\")")
            .short(b'u'),
        Flag::text("workdir", "string", "Working directory inside the container").short(b'w'),
    ],
    common: &[],
    operands: Operands::AtLeast(2),
    stops: true,
};

pub(super) fn run(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    let detach = matches.on("detach");
    let tty = matches.on("tty");
    let stdin = matches.on("interactive") && !detach;
    if !detach {
        check_terminal(tty, stdin)?;
    }
    let text = |name| matches.text(name).unwrap_or_default().to_string();
    let size = terminal::size().filter(|_| tty && !detach);
    let console_size =
        size.map_or_else(Vec::new, |(rows, columns)| vec![i64::from(rows), i64::from(columns)]);
    let config = ExecConfig {
        attach_stdin: stdin,
        attach_stdout: !detach,
        attach_stderr: !detach,
        detach,
        tty,
        env: create_request::environment(matches, &env_file::ours)?,
        cmd: matches.operands.get(1..).map(<[String]>::to_vec),
        privileged: matches.on("privileged"),
        user: text("user"),
        working_dir: text("workdir"),
        console_size: console_size.clone(),
        ..ExecConfig::default()
    };
    let container = matches.operands.first().map_or("", String::as_str);
    let target = session.target("/containers/", container, "/exec")?;
    let body = json::to_string(&config);
    let created: ExecCreated = session.json(Method::Post, &target, Payload::Json(&body))?;
    let body = json::to_string(&ExecStart { detach, tty, console_size });
    let start = session.target("/exec/", &created.id, "/start")?;
    if detach {
        return match session.ask(Method::Post, &start, Payload::Json(&body)) {
            Ok(_) => Ok(0),
            Err(error) => Err(failure(session, &created.id, error)),
        };
    }
    let attached = match Attached::upgrade(session, &start, Payload::Json(&body), tty) {
        Ok(attached) => attached,
        Err(error) => return Err(failure(session, &created.id, error)),
    };
    session.signals.take_over();
    let foreground = Foreground {
        session,
        kind: "/exec/",
        id: &created.id,
        tty,
        proxy: false,
        keys: if tty { Keys::asked(matches) } else { Keys::none() },
        ours: false,
    };
    let raw = if tty && stdin { Raw::enter() } else { None };
    let end = foreground.run(None, Some(attached), stdin);
    drop(raw);
    match end? {
        End::Code(0) => Ok((inspect(session, &created.id)?.exit_code.unwrap_or(0) & 0xff) as u8),
        End::Code(code) => Ok(code),
        End::Detached => Ok(0),
    }
}

fn inspect(session: &Session<'_>, id: &str) -> Result<ExecInspect, Error> {
    session.json(Method::Get, &session.target("/exec/", id, "/json")?, Payload::None)
}

/// It did not start; the session knows docker's exit code for that.
fn failure(session: &Session<'_>, id: &str, error: Error) -> Failure {
    let code = inspect(session, id).ok().and_then(|found| found.exit_code);
    Failure { code: code.map_or(1, |code| (code & 0xff) as u8), error, help: false }
}
