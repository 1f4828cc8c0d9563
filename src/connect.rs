//! Joins client and engine.
//!
//! With an address (`-H`, DOCKER_HOST) the client speaks to a daemon. Without, to the same server
//! in this process: each connection is a socket pair with a server thread of its own. The client
//! runs on a second thread, the engine's loop on the main thread: a container's parent must not end
//! before it, and a thread's end would be the container's.

use base::folders::Folders;
use base::{Error, OnError, Result};
use client::{Connect, CreateRequest, CreateResponse, Invocation};
use engine::Engine;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Signal;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

/// The socket of a daemon, which ordinary users speak to when they may.
pub(crate) const DEFAULT_SOCKET: &str = "/var/run/docker.sock";
/// docker's exit code for what went wrong before a container did anything.
const FAILED: u8 = 125;

/// What the client is told about. The others keep their default: a shell's ctrl-Z works.
const SIGNALS: [Signal; 8] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::TERM,
    Signal::USR1,
    Signal::USR2,
    Signal::WINCH,
    Signal::ALARM,
];

/// Where the server is.
enum Place {
    /// In this process.
    Here(Arc<Engine>),
    /// Behind a Unix socket.
    Socket(PathBuf),
}

impl Connect for Place {
    fn connect(&self) -> Result<UnixStream> {
        match self {
            Place::Here(engine) => {
                let (ours, theirs) = UnixStream::pair().on("socketpair", "engine")?;
                let engine = engine.clone();
                thread::Builder::new()
                    .stack_size(engine::STACK)
                    .spawn(move || engine::serve(&engine, theirs))
                    .on("start", "server thread")?;
                Ok(ours)
            }
            Place::Socket(path) => UnixStream::connect(path).on_path("connect to", path),
        }
    }

    fn in_process(&self) -> bool {
        matches!(self, Place::Here(_))
    }

    fn keep_foreground(&self) {
        if let Place::Here(engine) = self {
            engine.keep_foreground();
        }
    }

    fn pack(&self, source: &Path, name: &str, out: &mut dyn Write) -> Result<()> {
        let mut packer = imgstore::Packer::new(out);
        if name.is_empty() {
            let folder = base::files::open_folder(source)?;
            packer.folder(folder.as_fd(), b"")?;
        } else {
            let above = source.parent().filter(|path| !path.as_os_str().is_empty());
            let above = base::files::open_folder(above.unwrap_or(Path::new(".")))?;
            // The root, and what ends in dots, has no name in its parent.
            match source.file_name() {
                Some(own) => {
                    packer.entry(above.as_fd(), own.as_encoded_bytes(), name.as_bytes())?
                }
                None => {
                    let folder = base::files::open_folder(source)?;
                    packer.folder(folder.as_fd(), name.as_bytes())?;
                }
            }
        }
        packer.finish()
    }

    fn extract(
        &self,
        archive: &mut dyn Read,
        folder: &Path,
        name: Option<&str>,
        keep_owners: bool,
    ) -> Result<()> {
        let how = imgstore::Extract {
            name: name.map(|name| name.as_bytes().to_vec()),
            keep_owners,
            keep_kinds: true,
            ..imgstore::Extract::default()
        };
        imgstore::extract(archive, base::files::open_folder(folder)?, &how)
    }

    fn address(&self) -> String {
        match self {
            Place::Here(_) => "this process".to_string(),
            Place::Socket(path) => format!("unix://{}", path.display()),
        }
    }
}

/// The engine for a container that is run in place.
struct Here {
    engine: Arc<Engine>,
    created: Option<engine::InPlace>,
    begun: Option<engine::Begun>,
}

impl client::InPlace for Here {
    fn create(&mut self, name: &str, request: CreateRequest) -> Result<CreateResponse> {
        let created = engine::InPlace::create(&self.engine, name, request)?;
        let id = created.id().to_string();
        let warnings = created.warnings().to_vec();
        self.created = Some(created);
        Ok(CreateResponse { id, warnings })
    }

    fn start(&mut self) -> Result<()> {
        let created = self.created.take().ok_or_else(|| Error::other("nothing was created"))?;
        // Until here they end us; from here on they are the container's.
        self.begun = Some(created.start(signals()?)?);
        Ok(())
    }

    fn finish(&mut self) -> Result<i32> {
        let begun = self.begun.take().ok_or_else(|| Error::other("nothing was started"))?;
        begun.finish()
    }
}

fn signals() -> Result<OwnedFd> {
    base::sys::signal::descriptor(&SIGNALS.map(Signal::as_raw)).on("signalfd", "signals")
}

/// The client's command line, from argv[0] on.
pub(crate) fn main(words: Vec<OsString>) -> ExitCode {
    let invocation = match Invocation::parse(words.into_iter().skip(1).collect()) {
        Ok(invocation) => invocation,
        Err(usage) => {
            usage.print();
            return ExitCode::from(usage.code);
        }
    };
    match run(&invocation) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            base::log::warn(error.message());
            ExitCode::from(if invocation.name() == "run" { FAILED } else { 1 })
        }
    }
}

fn run(invocation: &Invocation) -> Result<u8> {
    let globals = invocation.globals();
    base::log::set_debug(globals.debug);
    let mut folders = Folders::find(globals.root.as_deref(), globals.run.as_deref())?;
    if !globals.base_stores.is_empty() {
        folders.set_base_stores(globals.base_stores.iter().cloned())?;
    }
    let socket = socket(invocation)?;
    if socket.is_none() && ["run", "start", "exec", "boot"].contains(&invocation.name()) {
        // Before anything is made in a run folder that is named by mistake.
        engine::check_run_folder(&folders)?;
        libcontainer::self_exe::protect(&folders.run)?;
    }
    if socket.is_none() && invocation.is_in_place() {
        let engine = Engine::new(folders.clone(), globals.driver.clone());
        let mut here = Here { engine: Arc::new(engine), created: None, begun: None };
        if let Some(code) = invocation.run_in_place(&mut here) {
            return Ok(code);
        }
    }
    let (engine, main_loop, finish) = Engine::with_main_loop(folders, globals.driver.clone())?;
    let place = socket.map_or_else(|| Place::Here(engine.clone()), Place::Socket);
    // Before any thread is there: each inherits what is blocked.
    let signals = signals()?;
    let (client_end, our_end) = pipe_with(PipeFlags::CLOEXEC).on("pipe", "signals")?;
    rustix::io::ioctl_fionbio(&our_end, true).on("pipe", "signals")?;
    let code = thread::scope(|scope| {
        let client =
            thread::Builder::new().stack_size(engine::STACK).spawn_scoped(scope, move || {
                let code = invocation.run(&place, client_end);
                drop(finish);
                code
            });
        let client = client.on("start", "client thread")?;
        main_loop.run(&engine, &signals, &our_end)?;
        client.join().map_err(|_| Error::other("the client thread panicked"))
    })?;
    Ok(code)
}

/// The daemon to speak to; None for the engine in this process.
fn socket(invocation: &Invocation) -> Result<Option<PathBuf>> {
    let globals = invocation.globals();
    match &globals.host {
        Some(host) => match host.strip_prefix("unix://") {
            Some(path) => Ok(Some(PathBuf::from(path))),
            None => Err(Error::unsupported(format!(
                "-H {host}: only unix:// addresses are supported yet"
            ))),
        },
        None if rustix::process::geteuid().is_root() || globals.root.is_some() => Ok(None),
        None => {
            let default = PathBuf::from(DEFAULT_SOCKET);
            Ok(UnixStream::connect(&default).is_ok().then_some(default))
        }
    }
}
