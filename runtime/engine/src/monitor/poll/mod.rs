//! The monitor's loop: one `poll` over the container, its streams, its clients and those who ask.

mod asked;
mod life;
mod pass;

use super::attached::Attached;
use super::control;
use super::health::Health;
use super::log::{Log, Settings};
use super::restart::{Policy, Restarts};
use super::streams::Streams;
use super::{Running, Work, since_boot};
use crate::container::{State, Status};
use crate::health::Times;
use asked::Connection;
use base::sys::Errno;
use base::{OnError, Result};
use libcontainer::KeptRoot;
use life::{NEVER_STARTED, lost};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// How a container's streams are served.
#[derive(Clone, Debug, Default)]
pub(crate) struct Config {
    /// The name of its cgroup.
    pub cgroup: String,
    /// It has a terminal.
    pub terminal: bool,
    /// It has an open standard input.
    pub input: bool,
    /// Standard input ends when the first client's does.
    pub input_once: bool,
    /// The command's own descriptors are the container's: nothing to serve, nothing to log.
    pub direct: bool,
    /// Where its log goes, if it has one.
    pub log: Option<Settings>,
    /// When it is started again.
    pub policy: Policy,
    /// When its health is probed.
    pub health: Option<Times>,
}

/// At most so many clients and connections at once.
const MOST: usize = 64;
/// A monitor that nobody has told to start anything ends after so many seconds without company.
const PATIENCE: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// One container's monitor. See the module above for its states.
pub(crate) struct Monitor {
    run: PathBuf,
    id: String,
    config: Config,
    work: Box<dyn Work>,
    listener: OwnedFd,
    streams: Streams,
    container: Option<Running>,
    worker: Option<OwnedFd>,
    connections: Vec<Connection>,
    attached: Vec<Attached>,
    log: Option<Log>,
    /// The process is gone, with this code; output may still be there.
    ending: Option<State>,
    /// The end that nobody saw, to be written down before anything else.
    unseen_end: Option<State>,
    over: bool,
    exit_code: i32,
    restarts: Restarts,
    /// When the container was started, in milliseconds since the boot.
    started: u64,
    /// When it is to be started again.
    due: Option<u64>,
    /// Its root, as long as it may be started again.
    root: Option<KeptRoot>,
    health: Option<Health>,
}

/// What a ready descriptor belongs to.
#[derive(Clone, Copy)]
enum Source {
    Extra(usize),
    Listener,
    Worker,
    Probe,
    Process,
    Output(usize),
    Terminal,
    Input,
    Connection(usize),
    Attached(usize),
}

impl Monitor {
    /// A monitor for the container with this id and run folder. When the container runs already,
    /// its monitor was killed: this one adopts it. The caller holds the container's lock.
    pub(crate) fn new(
        id: &str,
        run: &Path,
        config: Config,
        work: Box<dyn Work>,
    ) -> Result<Monitor> {
        let mut monitor = Monitor {
            run: run.to_path_buf(),
            id: id.to_string(),
            health: config.health.map(Health::new),
            log: config.log.as_ref().filter(|_| !config.direct).map(Log::open).transpose()?,
            config,
            work,
            listener: control::listener(run)?,
            streams: Streams::default(),
            container: None,
            worker: None,
            connections: Vec::with_capacity(MOST),
            attached: Vec::with_capacity(MOST),
            ending: None,
            unseen_end: None,
            over: false,
            exit_code: NEVER_STARTED,
            restarts: Restarts::default(),
            started: since_boot(),
            due: None,
            root: None,
        };
        let state = State::read(run).unwrap_or_default();
        monitor.restarts = Restarts::new(monitor.config.policy, state.restart_count);
        if state.status == Status::Running
            && let Some(process) = &state.process
        {
            match process.open() {
                Some(process) => {
                    if !monitor.config.terminal {
                        monitor.streams.open_outputs(run)?;
                    }
                    monitor.container = Some(Running { process, terminal: None, root: None });
                    monitor.health.iter_mut().for_each(|health| health.begin(since_boot()));
                }
                // Its end was seen by nobody: that is written down, and a new start may follow. Not
                // here: who makes a monitor holds the lock that a release needs.
                None => monitor.unseen_end = Some(lost(state)),
            }
        }
        Ok(monitor)
    }

    /// Nothing is left to do.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// How the container ended.
    pub(crate) fn exit_code(&self) -> i32 {
        self.exit_code
    }

    /// Sends the container's first process a signal. It may have ended: then nothing happens.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        if let Some(container) = &self.container {
            let _ = container.process.signal(signal);
        }
    }

    /// Waits for something to happen and does what is due. Gives the numbers of those of the
    /// caller's descriptors that can be read.
    pub(crate) fn turn(&mut self, extras: &[BorrowedFd<'_>]) -> Result<Vec<usize>> {
        if let Some(state) = self.unseen_end.take() {
            self.restart_or_end(state);
            self.over &= !self.run.exists();
            return Ok(Vec::new());
        }
        if self.due.is_some_and(|due| since_boot() >= due) {
            self.restart();
        }
        self.probe_health();
        let mut ready_extras = Vec::new();
        let mut asked = false;
        for (source, flags) in self.wait(extras)? {
            asked |= matches!(source, Source::Listener | Source::Connection(_));
            match source {
                Source::Extra(number) => ready_extras.push(number),
                Source::Listener => self.accept(),
                Source::Worker => self.worker_answered(),
                Source::Probe => {
                    self.health.iter_mut().for_each(|health| health.reported(since_boot()));
                }
                Source::Process => self.process_ended(),
                Source::Output(number) => self.read_output(number),
                Source::Terminal => self.read_terminal(flags),
                Source::Input => (),
                Source::Connection(number) => self.listen_to(number),
                Source::Attached(number) => self.serve(number, flags),
            }
        }
        self.pass_input();
        // Not before everybody who asked until now has been heard: a wait that came in together with
        // the end is told of it.
        if self.ending.is_some() && self.streams.are_drained() && !asked {
            self.end();
        }
        if self.over {
            self.connections.clear();
            // Connections are answered; clients stay until they have read their end.
            self.attached.retain(Attached::has_pending);
            self.over = self.attached.is_empty();
        }
        Ok(ready_extras)
    }

    fn wait(&mut self, extras: &[BorrowedFd<'_>]) -> Result<Vec<(Source, PollFlags)>> {
        let mut sources = Vec::with_capacity(16);
        let mut fds = Vec::with_capacity(16);
        let mut add = |source, fd, flags| {
            sources.push(source);
            fds.push(PollFd::from_borrowed_fd(fd, flags));
        };
        for (number, extra) in extras.iter().enumerate() {
            add(Source::Extra(number), *extra, PollFlags::IN);
        }
        if self.connections.len() < MOST {
            add(Source::Listener, self.listener.as_fd(), PollFlags::IN);
        }
        if let Some(worker) = &self.worker {
            add(Source::Worker, worker.as_fd(), PollFlags::IN);
        }
        if let Some(report) = self.health.as_ref().and_then(Health::report) {
            add(Source::Probe, report, PollFlags::IN);
        }
        if let Some(container) = &self.container {
            let end = container.process.end().on("watch", "container")?;
            add(Source::Process, end, PollFlags::IN);
        }
        // No further output is read before every client has taken the last.
        let output_is_due = !self.attached.iter().any(Attached::has_pending);
        let typed = self.attached.iter().any(|client| !client.typed.is_empty());
        for (number, output) in self.streams.outputs.iter().enumerate() {
            if let Some(output) = output.as_ref().filter(|_| output_is_due) {
                add(Source::Output(number), output.as_fd(), PollFlags::IN);
            }
        }
        if let Some(terminal) = &self.streams.terminal {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, output_is_due);
            flags.set(PollFlags::OUT, typed);
            if !flags.is_empty() {
                add(Source::Terminal, terminal.as_fd(), flags);
            }
        }
        if let Some(input) = self.streams.input.as_ref().filter(|_| typed) {
            add(Source::Input, input.as_fd(), PollFlags::OUT);
        }
        for (number, connection) in self.connections.iter().enumerate() {
            add(Source::Connection(number), connection.socket.as_fd(), PollFlags::IN);
        }
        for (number, client) in self.attached.iter().enumerate() {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, client.typed.is_empty() && !client.input_ended);
            flags.set(PollFlags::OUT, client.has_pending());
            add(Source::Attached(number), client.fd(), flags);
        }
        let idle = extras.is_empty()
            && self.container.is_none()
            && self.worker.is_none()
            && self.ending.is_none()
            && self.due.is_none();
        let due_now = self.ending.is_some() && self.streams.are_drained();
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let probe = self.health.as_ref().and_then(Health::next);
        let next = [self.due, probe].into_iter().flatten().min();
        let rest = next.map(|due| due.saturating_sub(since_boot()));
        let rest = rest.map(|rest| Timespec {
            tv_sec: (rest / 1000) as i64,
            tv_nsec: (rest % 1000 * 1_000_000) as _,
        });
        let timeout = match (due_now, idle) {
            (true, _) => Some(&at_once),
            (_, true) => Some(&PATIENCE),
            _ => rest.as_ref(),
        };
        match poll(&mut fds, timeout) {
            // Nobody is there, or the container was removed under those who are.
            Ok(0) if idle && (self.is_alone() || !self.run.exists()) => self.over = true,
            Err(Errno::INTR) | Ok(_) => (),
            Err(errno) => return Err(errno).on("poll", "container"),
        }
        let ready = fds.iter().map(PollFd::revents).collect::<Vec<_>>();
        Ok(sources
            .into_iter()
            .zip(ready)
            .filter(|(_, flags)| !flags.is_empty())
            // From the back, so that removing one leaves the numbers of the rest.
            .rev()
            .collect())
    }

    /// Starts a probe that is due.
    fn probe_health(&mut self) {
        let Some(health) = &mut self.health else { return };
        if health.next().is_none_or(|due| since_boot() < due) {
            return;
        }
        let probe = self.work.probe();
        if let Err(error) = &probe {
            base::log::warn(error.message());
        }
        health.started(probe.ok(), since_boot());
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        // Unless a successor has bound its own; the folder may be gone with the container.
        let _ = base::paths::unlink(&self.run.join(control::SOCKET));
    }
}
