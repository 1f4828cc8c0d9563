//! The command line: one request after another to the Engine API.
//!
//! The client knows HTTP and the Engine API, nothing else: where the server is, in this process or
//! behind a socket, is the caller's `Connect`. Read it in this order:
//!
//! * `commands`: one file a verb, each with its flag table; `mod.rs` is the list of them;
//! * `session`: requests; `signals`: what Ctrl-C means when; `wire`: a connection that heeds it;
//! * `create_request`: from the flags of `run` to the body of `create`, with `env_file`;
//! * `foreground`: the loop of `run`, `start -a` and `attach`: streams, signals, exit code; `typed`
//!   is its standard input;
//! * `terminal`, `progress`, `pretty`, `reference`: what their names say.
//!
//! There is one thread. What waits, waits in `poll` for the signals too, so that nothing outlives
//! the command and nothing has to be told to stop.
#![forbid(unsafe_code)]

mod commands;
mod create_request;
mod env_file;
mod foreground;
mod format;
mod mount_flag;
mod network_flags;
mod pretty;
mod progress;
mod reference;
mod session;
mod signals;
mod terminal;
mod typed;
mod wire;

pub use base::flags::Usage;
use base::flags::{Command, Matches};
use base::{Error, Result};
pub use base_http::api::{CreateRequest, CreateResponse};
pub use commands::ENGINE_FLAGS;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// The newest version of the API that this client speaks.
pub const API_VERSION: &str = "1.41";

/// Where the server is.
pub trait Connect: Sync {
    /// A fresh connection.
    fn connect(&self) -> Result<UnixStream>;
    /// The server is in this process: no version is negotiated, and paths carry none.
    fn in_process(&self) -> bool;
    /// This command itself is to be the monitor of the container that it starts next.
    fn keep_foreground(&self);
    /// Packs a file or a folder of this machine, under that name; an empty name packs what is in a folder.
    fn pack(&self, _source: &Path, _name: &str, _out: &mut dyn Write) -> Result<()> {
        Err(Error::unsupported("archives are not made here"))
    }
    /// Extracts an archive into a folder of this machine, with another first name where there is one;
    /// an empty one for none.
    fn extract(
        &self,
        _archive: &mut dyn Read,
        _folder: &Path,
        _name: Option<&str>,
        _keep_owners: bool,
    ) -> Result<()> {
        Err(Error::unsupported("archives are not extracted here"))
    }
    /// What `Cannot connect to ...` names.
    fn address(&self) -> String {
        String::from("unix:///var/run/docker.sock")
    }
}

/// The engine of this process, asked without HTTP: for one container that lives and goes with the
/// command.
pub trait InPlace {
    /// `POST /containers/create`.
    fn create(&mut self, name: &str, request: CreateRequest) -> Result<CreateResponse>;
    /// Starts what was created.
    fn start(&mut self) -> Result<()>;
    /// Waits until it is gone; the exit code. Signals are sent on to it.
    fn finish(&mut self) -> Result<i32>;
}

/// The flags before the command.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Globals {
    /// The daemon's address: `-H`, else DOCKER_HOST.
    pub host: Option<String>,
    /// The root folder.
    pub root: Option<PathBuf>,
    /// The run folder.
    pub run: Option<PathBuf>,
    /// Read-only stores below the root folder.
    pub base_stores: Vec<PathBuf>,
    /// The graphdriver.
    pub driver: Option<String>,
    /// Tell more.
    pub debug: bool,
}

/// A command line that was understood.
pub struct Invocation {
    globals: Globals,
    command: &'static Command,
    matches: Matches,
}

impl Invocation {
    /// Reads a command line, without the program's name.
    pub fn parse(args: Vec<OsString>) -> std::result::Result<Invocation, Usage> {
        let (globals, command, matches) =
            commands::PROGRAM.parse(args, terminal::width().unwrap_or(80))?;
        let path = |name| globals.text(name).map(PathBuf::from);
        let host = globals.text("host").map(String::from);
        let environment = || std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
        let globals = Globals {
            host: host.or_else(environment),
            root: path("root"),
            run: path("run"),
            base_stores: globals.list("base-store").map(PathBuf::from).collect(),
            driver: globals.text("driver").map(String::from),
            debug: globals.on("debug"),
        };
        Ok(Invocation { globals, command, matches })
    }

    /// The flags before the command.
    pub fn globals(&self) -> &Globals {
        &self.globals
    }

    /// The command's name.
    pub fn name(&self) -> &'static str {
        self.command.name
    }

    /// This command may run in place: it asks for a container in the foreground that is removed at
    /// its end, has no terminal and no log, and gets our signals.
    pub fn is_in_place(&self) -> bool {
        self.command.name == "run" && commands::run::is_in_place(&self.matches)
    }

    /// Does it in place; None when the image must be fetched first, which needs the whole client.
    pub fn run_in_place(&self, engine: &mut dyn InPlace) -> Option<u8> {
        match commands::run::in_place(&self.matches, engine) {
            Ok(code) => code,
            Err(failure) => {
                let text = commands::text(true, self.command, &failure) + "\n";
                // Nobody to tell when that fails.
                let _ = std::io::stderr().write_all(text.as_bytes());
                Some(failure.code)
            }
        }
    }

    /// Does it; the exit code. `signals` is a pipe with a byte for each signal that the process
    /// received.
    pub fn run(&self, connect: &dyn Connect, signals: OwnedFd) -> u8 {
        commands::run(self.command, &self.matches, connect, signals)
    }
}
