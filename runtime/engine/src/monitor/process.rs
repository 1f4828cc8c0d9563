//! The monitor as a process of its own, and the workers that it starts: this same binary under
//! other names.

use super::control::{self, Message};
use super::{Monitor, Probe, Start, Work};
use crate::Engine;
use crate::container::{State, Status, Wish};
use base::sys::{pass, spawn};
use base::text::quote::quoted;
use base::{Error, OnError, Result};
use libcontainer::KeptRoot;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use std::ffi::{CString, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// argv[0] of a monitor.
pub(crate) const MONITOR: &str = "coracle-monitor";
/// argv[0] of a worker.
pub(crate) const WORKER: &str = "coracle-job";

/// The descriptor on which a monitor says that it listens, and a worker how it went.
const REPORT: i32 = 3;
/// The container's standard input, given to a worker that starts it.
const STDIN: i32 = 4;
/// The root of the container's last life, given to a worker that starts it again: see
/// [`KeptRoot`].
const ROOT: [i32; 2] = [5, 6];

fn start(engine: &Engine, name: &str, words: &[&str], extra: &[BorrowedFd<'_>]) -> Result<Pid> {
    let null = open_null()?;
    let mut descriptors = vec![null.as_fd(), null.as_fd(), null.as_fd()];
    descriptors.extend_from_slice(extra);
    let folders = engine.folders();
    let bases = std::env::join_paths(&folders.base_stores).map_err(std::io::Error::other);
    let bases = bases.on("name", "the base stores")?;
    let texts =
        [name.as_bytes(), folders.root.as_os_str().as_bytes(), folders.run.as_os_str().as_bytes()]
            .into_iter()
            .chain([engine.driver_name().as_bytes(), bases.as_bytes()])
            .chain(words.iter().map(|word| word.as_bytes()));
    let arguments = texts
        .map(|text| CString::new(text).map_err(std::io::Error::from))
        .collect::<std::result::Result<Vec<_>, _>>()
        .on("start", name)?;
    spawn::start(&spawn::Program {
        path: c"/proc/self/exe",
        arguments: &arguments,
        environment: &[],
        descriptors: &descriptors,
        new_session: true,
    })
    .on("start", name)
}

pub(crate) fn open_null() -> Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags};
    base::paths::open(Path::new("/dev/null"), OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .on("open", "/dev/null")
}

/// Starts a container's monitor and waits until it listens. The caller holds the container's lock.
pub(crate) fn spawn_monitor(engine: &Engine, id: &str) -> Result<()> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).on("pipe", "monitor")?;
    // It outlives us, and its own parent shall wait for it: init, once we are gone.
    engine.children().left(start(engine, MONITOR, &[id], &[write.as_fd()])?);
    drop(write);
    let mut text = Vec::new();
    base::read::to_end(&mut std::fs::File::from(read), &mut text).on("read from", "monitor")?;
    match text.split_first() {
        Some((b'+', _)) => Ok(()),
        Some((_, message)) => Err(Error::other(String::from_utf8_lossy(message))),
        // Whoever wants one makes another.
        None => Err(Error::not_found("start monitor: it was killed")),
    }
}

/// Removes an upper folder in a process that nobody waits for; it holds the folder's flock.
pub(crate) fn spawn_reaper(engine: &Engine, id: &str, driver: &str) -> Result<()> {
    start(engine, WORKER, &["reap", id, driver], &[]).map(|pid| engine.children().left(pid))
}

/// Puts away volumes that are out of sight, in a process that nobody waits for.
pub(crate) fn spawn_sweeper(engine: &Engine) -> Result<()> {
    start(engine, WORKER, &["sweep"], &[]).map(|pid| engine.children().left(pid))
}

/// Starts a worker that probes a container's health.
pub(crate) fn spawn_probe(engine: &Engine, id: &str) -> Result<Probe> {
    let (report, write) = pipe_with(PipeFlags::CLOEXEC).on("pipe", "worker")?;
    let pid = start(engine, WORKER, &["probe", id], &[write.as_fd()])?;
    Ok(Probe { pid, report })
}

/// root, run, driver, base stores, and what follows them.
fn engine_of(mut words: impl Iterator<Item = OsString>) -> Result<(Arc<Engine>, Vec<String>)> {
    let mut word =
        || words.next().ok_or_else(|| Error::bad_input("this name is for coracle's own use"));
    let (root, run, driver, bases) = (word()?, word()?, word()?, word()?);
    let mut folders = base::folders::Folders::find(Some(Path::new(&root)), Some(Path::new(&run)))?;
    folders.set_base_stores(std::env::split_paths(&bases))?;
    let driver = driver.to_string_lossy().into_owned();
    let engine = Engine::new(folders, Some(driver).filter(|driver| !driver.is_empty()));
    Ok((Arc::new(engine), words.map(|word| word.to_string_lossy().into_owned()).collect()))
}

/// `coracle-monitor ROOT RUN DRIVER BASES ID`: watches one container until nothing is left to do.
pub fn monitor_main(words: Vec<OsString>) -> ExitCode {
    let report = spawn::inherited(REPORT);
    let monitor = engine_of(words.into_iter().skip(1)).and_then(|(engine, words)| {
        let id = words.into_iter().next().unwrap_or_default();
        let container = engine.containers().find(&id)?;
        let config = crate::local::monitor_config(&container, false);
        let work = ProcessWork { engine, id: id.clone(), worker: None };
        Monitor::new(&id, &container.run, config, Box::new(work))
    });
    let mut monitor = match monitor {
        Ok(monitor) => monitor,
        Err(error) => {
            tell(report.as_ref(), b"-", error.message().as_bytes());
            return ExitCode::FAILURE;
        }
    };
    tell(report.as_ref(), b"+", b"");
    // Its end is what says that we listen.
    drop(report);
    while !monitor.is_over() {
        if let Err(error) = monitor.turn(&[]) {
            base::log::warn(error.message());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn tell(report: Option<&OwnedFd>, sign: &[u8], text: &[u8]) {
    if let Some(report) = report {
        let _ = rustix::io::write(report, &[sign, text].concat());
    }
}

/// `coracle-job ROOT RUN DRIVER BASES JOB ID`: one piece of heavy work.
pub fn worker_main(words: Vec<OsString>) -> ExitCode {
    let (report, stdin) = (spawn::inherited(REPORT), spawn::inherited(STDIN));
    let root = ROOT.map(spawn::inherited);
    let done = engine_of(words.into_iter().skip(1)).and_then(|(engine, words)| {
        let mut words = words.into_iter();
        let mut word = || words.next().unwrap_or_default();
        let (job, id) = (word(), word());
        match job.as_str() {
            "start" => start_and_report(&engine, &id, stdin, report.as_ref(), None),
            "restart" => start_and_report(&engine, &id, stdin, report.as_ref(), Some(root)),
            "release" => engine.release(&id, word().parse().ok()),
            "reap" => engine.reap(&id, &word()),
            "sweep" => engine.volumes().sweep().or_else(|error| {
                engine.become_root(error)?;
                engine.volumes().sweep()
            }),
            "probe" => crate::health::probe(&engine, &id).map(|healthy| {
                tell(report.as_ref(), if healthy { b"+" } else { b"-" }, b"");
            }),
            _ => Err(Error::bad_input(["unknown job ", &quoted(&job)].concat())),
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(report) = report {
                let _ = control::send_failure(report.as_fd(), &error);
            }
            base::log::warn(error.message());
            ExitCode::FAILURE
        }
    }
}

fn start_and_report(
    engine: &Engine,
    id: &str,
    stdin: Option<OwnedFd>,
    report: Option<&OwnedFd>,
    again: Option<[Option<OwnedFd>; 2]>,
) -> Result<()> {
    let report = report.ok_or_else(|| Error::other("no monitor to report to"))?;
    let container = engine.containers().find(id)?;
    let _lock = container.lock()?;
    let state = State::read(&container.run).unwrap_or_default();
    if state.status == Status::Running && state.is_alive() {
        return Err(Error::conflict(format!("Container {id} is already running")));
    }
    if again.is_some() && container.wish() == Wish::Stopped {
        return Err(Error::other(format!("container {id} was stopped")));
    }
    if has_ended(report) {
        return Err(Error::other(format!("start container {id}: its monitor was killed")));
    }
    let streams = crate::execdriver::monitored_stdio(&container, stdin)?;
    let image = engine.store()?.find(&container.record.image)?;
    let kept = match again {
        Some([Some(namespace), Some(mount)]) => Some(KeptRoot { namespace, mount }),
        _ => None,
    };
    let started = crate::execdriver::launch(engine, &container, &image, streams, false, kept)?;
    let mut descriptors = vec![started.process.descriptor()];
    if let Some(root) = &started.root {
        descriptors.extend([root.namespace.as_fd(), root.mount.as_fd()]);
    }
    descriptors.extend(started.terminal.as_ref().map(AsFd::as_fd));
    let sent = pass::send(report.as_fd(), &Message::Done.to_bytes(), &descriptors);
    if sent.is_err() {
        // The monitor was killed meanwhile: nobody would wait for what was started.
        let _ = started.process.signal(Signal::KILL);
        let _ = {
            let group = container.record.cgroup();
            libcontainer::cgroup::kill(&group).and(libcontainer::cgroup::remove(&group))
        };
        let _ = state.write(&container.run);
    }
    // Before the container's lock: whoever has that one next may start it.
    engine.leave_upper(id);
    sent.on("write to", "monitor")
}

/// Whether the other end of a socket is closed.
fn has_ended(socket: &OwnedFd) -> bool {
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut waiting = [PollFd::new(socket, PollFlags::empty())];
    let _ = poll(&mut waiting, Some(&at_once));
    waiting[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
}

/// The heavy work of a monitor process, done by workers.
struct ProcessWork {
    engine: Arc<Engine>,
    id: String,
    worker: Option<Pid>,
}

impl Work for ProcessWork {
    fn start(
        &mut self,
        stdin: Option<OwnedFd>,
        again: bool,
        root: Option<KeptRoot>,
    ) -> Result<Start> {
        let job = if again { "restart" } else { "start" };
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .on("socketpair", "worker")?;
        let mut extra = vec![theirs.as_fd()];
        // Descriptors have their numbers by their order.
        let stdin = match stdin {
            None if root.is_some() => Some(open_null()?),
            stdin => stdin,
        };
        extra.extend(stdin.as_ref().map(AsFd::as_fd));
        if let Some(root) = &root {
            extra.extend([root.namespace.as_fd(), root.mount.as_fd()]);
        }
        self.worker = Some(start(&self.engine, WORKER, &[job, &self.id], &extra)?);
        Ok(Start::Worker(ours))
    }

    fn started(&mut self) {
        if let Some(worker) = self.worker.take() {
            let _ = waitpid(Some(worker), WaitOptions::empty());
        }
    }

    fn may_restart(&self) -> bool {
        let found = self.engine.containers().open(&self.id);
        found.ok().flatten().is_some_and(|container| container.wish() != Wish::Stopped)
    }

    fn is_spent(&mut self) {
        let found = self.engine.containers().open(&self.id).ok().flatten();
        if let Some(container) = found.filter(|container| container.wish() == Wish::Running)
            && let Err(error) = container.set_wish(Wish::Ended)
        {
            base::log::warn(error.message());
        }
    }

    fn abandon(&mut self) {
        // A killed worker's container is our child. CONFIG_PROC_CHILDREN; without it, the cgroup is
        // what finds it.
        let children = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
        for child in
            children.split_ascii_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
        {
            let _ = kill_process(child, Signal::KILL);
            let _ = waitpid(Some(child), WaitOptions::empty());
        }
    }

    fn probe(&mut self) -> Result<Probe> {
        spawn_probe(&self.engine, &self.id)
    }

    fn release(&mut self, exit_code: Option<i32>) -> Result<()> {
        let code = exit_code.map_or(String::new(), |code| code.to_string());
        // A worker that was killed in the middle has left something: another one goes on.
        for _ in 0..5 {
            let worker = start(&self.engine, WORKER, &["release", &self.id, &code], &[])?;
            let ended = waitpid(Some(worker), WaitOptions::empty()).on("wait for", "worker")?;
            if ended.is_some_and(|(_, status)| status.exit_status().is_some()) {
                return Ok(());
            }
        }
        Err(Error::other(format!("release of container {} was killed again and again", self.id)))
    }
}
