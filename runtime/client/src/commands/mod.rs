//! The commands: one file a verb, and the list of them.
//!
//! A verb is a table (`COMMAND`) and a function (`run`). To add one: a file, and a line in `VERBS`
//! and in the group of `PROGRAM` under which help shows it.

mod attach;
mod boot;
mod commit;
mod container_flags;
mod cp;
mod create;
mod events;
mod exec;
mod filters;
mod images;
mod import;
mod info;
mod inspect;
mod kill;
mod load;
mod login;
mod logs;
mod pause;
mod port;
mod ps;
mod pull;
mod push;
mod rename;
mod restart;
mod rm;
mod rmi;
pub(crate) mod run;
mod save;
mod search;
mod start;
mod stats;
mod stop;
mod top;
mod update;
mod usage;
mod version;
mod volume;
mod wait;

use crate::Connect;
use crate::session::Session;
use base::flags::{Command, Flag, Matches, Program};
use base::{Error, Result};
use std::os::fd::OwnedFd;

/// Where an engine keeps what it has, and how it does: flags of commands and of the daemon.
pub static ENGINE_FLAGS: &[Flag] = &[
    Flag::text("base-store", "list", "Read-only store below the root folder (more: again)"),
    Flag::switch("debug", "Enable debug mode").short(b'D'),
    Flag::text("driver", "string", "Graph driver (\"overlay\", \"btrfs\", \"vfs\")"),
    Flag::text("root", "string", "Folder of images and containers (default \"/var/lib/coracle\")"),
    Flag::text(
        "run",
        "string",
        "Folder of what does not survive a reboot (default \"/run/coracle\")",
    ),
];

/// All of it.
pub(crate) static PROGRAM: Program = Program {
    name: "coracle",
    about: "Containers on small devices",
    version: concat!("coracle version ", env!("CARGO_PKG_VERSION")),
    globals: &[
        Flag::text("completion", "string", "Print a completion script for this shell (\"bash\")"),
        Flag::text("host", "string", "Daemon socket to connect to").short(b'H'),
        Flag::switch("version", "Print version information and quit").short(b'v'),
    ],
    common: ENGINE_FLAGS,
    groups: &[
        (
            "Containers",
            &[
                &attach::COMMAND,
                &commit::COMMIT,
                &cp::COMMAND,
                &create::COMMAND,
                &commit::DIFF,
                &exec::COMMAND,
                &save::EXPORT,
                &inspect::COMMAND,
                &kill::COMMAND,
                &logs::COMMAND,
                &pause::PAUSE,
                &usage::PRUNE_CONTAINERS,
                &port::COMMAND,
                &ps::COMMAND,
                &rename::COMMAND,
                &restart::COMMAND,
                &rm::COMMAND,
                &run::COMMAND,
                &start::COMMAND,
                &stats::COMMAND,
                &stop::COMMAND,
                &top::COMMAND,
                &pause::UNPAUSE,
                &update::COMMAND,
                &wait::COMMAND,
            ],
        ),
        (
            "Images",
            &[
                &usage::PRUNE,
                &images::COMMAND,
                &import::COMMAND,
                &load::COMMAND,
                &pull::COMMAND,
                &rmi::COMMAND,
                &save::SAVE,
            ],
        ),
        (
            "Volumes",
            &[&volume::CREATE, &volume::INSPECT, &volume::LIST, &volume::PRUNE, &volume::REMOVE],
        ),
        (
            "Registries",
            &[&login::COMMAND, &login::LOGOUT, &push::COMMAND, &search::COMMAND, &search::TAGS],
        ),
        (
            "System",
            &[
                &boot::COMMAND,
                &events::COMMAND,
                &info::COMMAND,
                &usage::DF,
                &usage::PRUNE_SYSTEM,
                &version::COMMAND,
            ],
        ),
    ],
};

/// What each of them does.
const VERBS: &[(&str, Verb)] = &[
    ("attach", attach::run),
    ("boot", boot::run),
    ("commit", commit::commit),
    ("container prune", usage::prune_containers),
    ("cp", cp::run),
    ("create", create::run),
    ("diff", commit::diff),
    ("events", events::run),
    ("exec", exec::run),
    ("export", save::export),
    ("image prune", usage::prune),
    ("images", images::run),
    ("import", import::run),
    ("info", info::run),
    ("inspect", inspect::run),
    ("kill", kill::run),
    ("load", load::run),
    ("login", login::run),
    ("logout", login::logout),
    ("logs", logs::run),
    ("pause", pause::pause),
    ("port", port::run),
    ("ps", ps::run),
    ("pull", pull::run),
    ("push", push::run),
    ("rename", rename::run),
    ("restart", restart::run),
    ("rm", rm::run),
    ("rmi", rmi::run),
    ("run", run::run),
    ("save", save::save),
    ("search", search::run),
    ("start", start::run),
    ("stats", stats::run),
    ("stop", stop::run),
    ("system df", usage::df),
    ("system prune", usage::prune_system),
    ("tags", search::tags),
    ("top", top::run),
    ("unpause", pause::unpause),
    ("update", update::run),
    ("version", version::run),
    ("volume create", volume::create),
    ("volume inspect", volume::inspect),
    ("volume ls", volume::list),
    ("volume prune", volume::prune),
    ("volume rm", volume::remove),
    ("wait", wait::run),
];

/// Does it; the exit code.
type Verb = fn(&Session<'_>, &Matches) -> std::result::Result<u8, Failure>;

/// Why it could not be done.
pub(crate) struct Failure {
    pub(crate) code: u8,
    pub(crate) error: Error,
    /// Say where help is.
    pub(crate) help: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { code: 1, error, help: false }
    }
}

/// Runs a command and prints its failure.
pub(crate) fn run(
    command: &Command,
    matches: &Matches,
    connect: &dyn Connect,
    signals: OwnedFd,
) -> u8 {
    let session = Session::new(connect, signals);
    let verb = VERBS.iter().find(|(name, _)| *name == command.name);
    let done = match verb {
        Some((_, verb)) => verb(&session, matches),
        None => Err(Error::unsupported("no such command").into()),
    };
    match done {
        Ok(code) => code,
        // docker's client dies of SIGPIPE here, without a word.
        Err(_) if session.deaf.get() => crate::foreground::DEAF,
        Err(failure) => match session.signals.exit_code() {
            Some(code) => code,
            None => {
                session.tell(&text(session.connect.in_process(), command, &failure));
                failure.code
            }
        },
    }
}

/// The failure as docker prints it: the daemon's words as they are, everything else after our name.
pub(crate) fn text(in_process: bool, command: &Command, failure: &Failure) -> String {
    let message = failure.error.message();
    let bare = !failure.help && !in_process;
    let name = if bare { "" } else { "coracle: " };
    match failure.help {
        true => {
            let verb = command.name;
            format!("{name}{message}\n\nRun 'coracle {verb} --help' for more information")
        }
        false => [name, message].concat(),
    }
}

/// Does one thing for each operand: prints the operand when it is done, all errors otherwise.
pub(crate) fn each(
    session: &Session<'_>,
    matches: &Matches,
    act: &mut dyn FnMut(&str) -> Result<()>,
) -> std::result::Result<u8, Failure> {
    let mut code = 0;
    for name in &matches.operands {
        match act(name) {
            Ok(()) => session.print_line(name)?,
            Err(error) if session.signals.exit_code().is_some() => return Err(error.into()),
            Err(error) => {
                complain(session, &error);
                code = 1;
            }
        }
    }
    Ok(code)
}

/// Prints an error; the command goes on.
pub(crate) fn complain(session: &Session<'_>, error: &Error) {
    let name = if session.connect.in_process() { "coracle: " } else { "" };
    session.tell(&[name, error.message()].concat());
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::flags::Takes;

    #[test]
    fn every_command_has_a_verb_and_each_flag_one_meaning() {
        let mut names: Vec<&str> = PROGRAM.commands().map(|command| command.name).collect();
        names.sort_unstable();
        let verbs: Vec<&str> = VERBS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, verbs);
        let tables =
            PROGRAM.commands().map(|command| (command.name, command.flags, command.common));
        for (name, flags, common) in tables.chain([("", PROGRAM.globals, PROGRAM.common)]) {
            let flags = [flags, common].concat();
            for (at, flag) in flags.iter().enumerate() {
                let same = |other: &Flag| flag.short != 0 && other.short == flag.short;
                let twin = |other: &Flag| same(other) || other.long == flag.long;
                assert!(!flags[..at].iter().any(twin), "{name} --{}", flag.long);
                let named = |other: &Flag| other.long == flag.help && other.takes != Takes::Alias;
                let dangling = flag.takes == Takes::Alias && !flags.iter().any(named);
                assert!(!dangling, "{name} --{}", flag.long);
            }
        }
    }
}
