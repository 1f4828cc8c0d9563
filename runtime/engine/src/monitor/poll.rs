//! The monitor's loop: one `poll` over the container, its streams, its clients and those who ask.

use super::attached::{Attached, CHUNK, Typed};
use super::control::{self, Message};
use super::health::Health;
use super::log::{Log, Settings};
use super::restart::{Policy, Restarts};
use super::streams::Streams;
use super::{Running, Start, Work, since_boot};
use crate::container::{State, Status};
use crate::health::Times;
use base::sys::Errno;
use base::sys::process::Process;
use base::{Error, OnError, Result};
use base_http::frames::Channel;
use libcontainer::KeptRoot;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Pid;
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

/// The error of a start whose worker was killed.
pub(super) const KILLED_WORKER: &str = "start container: the worker was killed";

/// The exit code of a container that could not be started, as docker has it.
const NEVER_STARTED: i32 = 128;

/// Somebody who asks.
struct Connection {
    socket: OwnedFd,
    waits: bool,
    asked_to_start: bool,
}

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

    fn is_alone(&self) -> bool {
        self.connections.is_empty() && self.attached.is_empty()
    }

    fn accept(&mut self) {
        use rustix::net::{SocketFlags, accept_with};
        if let Ok(socket) = accept_with(&self.listener, SocketFlags::CLOEXEC) {
            self.connections.push(Connection { socket, waits: false, asked_to_start: false });
        }
    }

    fn listen_to(&mut self, number: usize) {
        let mut descriptors = Vec::new();
        let socket = self.connections[number].socket.as_fd();
        let Ok(Some(message)) = control::receive(socket, &mut descriptors) else {
            self.connections.remove(number);
            return;
        };
        let answer = match message {
            Message::Start => {
                self.connections[number].asked_to_start = true;
                if self.worker.is_some() {
                    // Whoever asked for that start may have been killed; its answer is for all.
                    return;
                }
                self.due = None;
                self.restarts.count = 0;
                match self.start() {
                    // Answered when the worker has.
                    Ok(()) if self.worker.is_some() => return,
                    result => result,
                }
            }
            Message::Attach(streams) => match descriptors.pop() {
                Some(client) if self.attached.len() < MOST => {
                    self.attached.push(Attached::new(client, streams, self.config.terminal));
                    Ok(())
                }
                _ => Err(Error::other("attach: too many clients")),
            },
            Message::Wait(_) => {
                self.connections[number].waits = true;
                return;
            }
            Message::Resize(columns, rows) => self.resize(columns, rows),
            Message::Policy(policy) => {
                self.config.policy = policy;
                self.restarts.change(policy);
                Ok(())
            }
            Message::Look => {
                // Somebody else mounts the root.
                self.root = None;
                if self.due.is_some() && !self.work.may_restart() {
                    self.due = None;
                    self.over = true;
                }
                Ok(())
            }
            _ => Err(Error::other("monitor: unexpected message")),
        };
        self.answer(number, answer);
    }

    fn answer(&mut self, number: usize, answer: Result<()>) {
        let connection = &mut self.connections[number];
        connection.asked_to_start = false;
        let socket = connection.socket.as_fd();
        // Whoever asked may have gone.
        let _ = match answer {
            Ok(()) => base::sys::pass::send(socket, &Message::Done.to_bytes(), &[]),
            Err(error) => control::send_failure(socket, &error),
        };
    }

    /// Starts the container.
    pub(crate) fn start(&mut self) -> Result<()> {
        self.start_as(false)
    }

    /// What the policy asks for.
    fn restart(&mut self) {
        self.due = None;
        if !self.run.exists() || !self.work.may_restart() {
            self.over = true;
            return;
        }
        if let Err(error) = self.start_as(true) {
            base::log::warn(error.message());
        }
    }

    fn start_as(&mut self, again: bool) -> Result<()> {
        if self.container.is_some() || self.worker.is_some() {
            return Err(Error::conflict(format!("Container {} is already running", self.id)));
        }
        let mut stdin = None;
        if !self.config.direct && !self.config.terminal {
            self.streams.open_outputs(&self.run)?;
            if self.config.input {
                stdin = Some(self.streams.make_input()?);
            }
        }
        match self.work.start(stdin, again, self.root.take()) {
            Ok(Start::Done(running)) => self.runs(running),
            Ok(Start::Worker(worker)) => self.worker = Some(worker),
            Err(error) => {
                self.start_failed();
                return Err(error);
            }
        }
        Ok(())
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

    fn runs(&mut self, mut running: Running) {
        self.started = since_boot();
        self.health.iter_mut().for_each(|health| health.begin(since_boot()));
        self.streams.terminal = running.terminal.take();
        self.root = running.root.take();
        if let Some(terminal) = &self.streams.terminal {
            let _ = rustix::io::ioctl_fionbio(terminal, true);
        }
        self.container = Some(running);
    }

    /// Nothing runs. A container that asked to be removed at its end is removed now, and whoever
    /// waited for that is told; others wait on, for there was no beginning.
    fn start_failed(&mut self) {
        self.streams = Streams::default();
        self.attached.clear();
        self.root = None;
        // A killed worker may have left the process behind, and the word that it runs.
        self.work.abandon();
        let _ = libcontainer::cgroup::kill(&self.config.cgroup);
        if let Some(mut state) = State::read(&self.run).filter(|s| s.status == Status::Running) {
            if let Some(process) = state.process.as_ref().and_then(|process| process.open()) {
                let _ = process.signal(rustix::process::Signal::KILL);
            }
            state.status = Status::Exited;
            state.restarting = false;
            state.exit_code = NEVER_STARTED;
            state.process = None;
            let _ = state.write(&self.run);
        }
        if let Err(error) = self.work.release(None) {
            base::log::warn(error.message());
        }
        if !self.run.exists() {
            self.tell_waiters(NEVER_STARTED);
        }
    }

    /// A restart whose worker was killed: the policy still wants it.
    fn start_later(&mut self) {
        let asked = self.connections.iter().any(|one| one.asked_to_start);
        if asked || !self.run.exists() || !self.work.may_restart() {
            return;
        }
        let delay = self.restarts.after_end(NEVER_STARTED, 0);
        let state = State::read(&self.run).filter(|state| state.status == Status::Exited);
        if let (Some(delay), Some(mut state)) = (delay, state) {
            state.restarting = true;
            state.restart_count = self.restarts.count;
            let _ = state.write(&self.run);
            self.due = Some(since_boot() + delay);
        }
    }

    fn tell_waiters(&mut self, exit_code: i32) {
        let message = Message::Ended(exit_code).to_bytes();
        for connection in self.connections.iter_mut().filter(|connection| connection.waits) {
            connection.waits = false;
            let _ = base::sys::pass::send(connection.socket.as_fd(), &message, &[]);
        }
    }

    fn worker_answered(&mut self) {
        let Some(worker) = self.worker.take() else { return };
        let mut descriptors = Vec::new();
        let answer = match control::receive(worker.as_fd(), &mut descriptors) {
            Ok(Some(Message::Done)) => Ok(()),
            Ok(Some(Message::Failed(kind, length))) => {
                Err(control::receive_failure(worker.as_fd(), kind, length)
                    .unwrap_or_else(|error| error))
            }
            _ => Err(Error::other(KILLED_WORKER)),
        };
        let answer = answer.and_then(|()| {
            let mut descriptors = descriptors.into_iter();
            // The worker has written the state before it answered.
            let pid = State::read(&self.run)
                .and_then(|state| Pid::from_raw(state.process.map_or(0, |process| process.pid)));
            let (Some(pid), Some(descriptor)) = (pid, descriptors.next()) else {
                return Err(Error::other("start container: the worker gave no process"));
            };
            let process = Process::received(pid, descriptor).on("watch", "container")?;
            // The root's two, if it is kept, before the terminal.
            let mut root = None;
            if descriptors.len() >= 2
                && let (Some(namespace), Some(mount)) = (descriptors.next(), descriptors.next())
            {
                root = Some(KeptRoot { namespace, mount });
            }
            self.runs(Running { process, terminal: descriptors.next(), root });
            Ok(())
        });
        self.work.started();
        if let Err(error) = &answer {
            self.start_failed();
            if super::is_killed_worker(error) {
                self.start_later();
            }
        }
        for number in 0..self.connections.len() {
            if self.connections[number].asked_to_start {
                self.answer(number, answer.clone());
            }
        }
    }

    fn resize(&self, columns: u16, rows: u16) -> Result<()> {
        match &self.streams.terminal {
            Some(terminal) => super::resize(terminal.as_fd(), columns, rows),
            None => Ok(()),
        }
    }

    fn process_ended(&mut self) {
        let Some(container) = self.container.take() else { return };
        self.health.iter_mut().for_each(Health::stop);
        let kept = !self.work.leaves_nothing();
        let mut state = kept.then(|| State::read(&self.run)).flatten().unwrap_or_default();
        match container.process.wait() {
            Ok(Some(status)) => state.exit_code = super::exit_code(&status),
            // Adopted: it is not our child.
            _ => state = lost(state),
        }
        self.ending = Some(state);
    }

    fn read_output(&mut self, number: usize) {
        let Some(output) = &self.streams.outputs[number] else { return };
        let mut bytes = [0; CHUNK];
        match rustix::io::read(output, &mut bytes) {
            Ok(0) => self.streams.outputs[number] = None,
            Ok(count) => {
                let channel = if number == 0 { Channel::Stdout } else { Channel::Stderr };
                self.give(channel, &bytes[..count]);
            }
            Err(Errno::AGAIN | Errno::INTR) => (),
            Err(_) => self.streams.outputs[number] = None,
        }
    }

    fn read_terminal(&mut self, flags: PollFlags) {
        if !flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            return;
        }
        let Some(terminal) = &self.streams.terminal else { return };
        let mut bytes = [0; CHUNK];
        match rustix::io::read(terminal, &mut bytes) {
            Ok(count) if count > 0 => self.give(Channel::Stdout, &bytes[..count]),
            Err(Errno::AGAIN | Errno::INTR) => (),
            // EIO: nobody holds the other side any more. It may be opened again while the
            // container lives (/dev/console), so only its end ends the terminal.
            _ if self.container.is_some() => {
                std::thread::sleep(std::time::Duration::from_millis(5))
            }
            _ => self.streams.terminal = None,
        }
    }

    fn give(&mut self, channel: Channel, bytes: &[u8]) {
        if let Some(log) = &mut self.log {
            log.add(channel, bytes);
        }
        for client in &mut self.attached {
            client.give(channel, bytes);
        }
        self.attached.retain_mut(|client| client.flush().is_ok());
    }

    fn serve(&mut self, number: usize, flags: PollFlags) {
        let client = &mut self.attached[number];
        let mut gone = flags.contains(PollFlags::OUT) && client.flush().is_err();
        if flags.contains(PollFlags::IN) && client.typed.is_empty() && !client.input_ended {
            gone |= client.read() == Typed::Gone;
        }
        gone |= flags.intersects(PollFlags::HUP | PollFlags::ERR) && client.input_ended;
        if gone {
            let client = self.attached.remove(number);
            if client.streams.stdin && self.config.input_once {
                self.streams.input = None;
            }
        }
    }

    /// What clients have typed goes to the container, as far as it takes it now.
    fn pass_input(&mut self) {
        if self.container.is_none() {
            return;
        }
        for client in &mut self.attached {
            let target = self.streams.terminal.as_ref().or(self.streams.input.as_ref());
            let Some(target) = target else {
                client.typed.clear();
                continue;
            };
            while !client.typed.is_empty() {
                match rustix::io::write(target, &client.typed) {
                    Ok(count) => drop(client.typed.drain(..count)),
                    Err(Errno::INTR) => (),
                    Err(Errno::AGAIN) => break,
                    // The container has closed its end.
                    Err(_) => {
                        client.typed.clear();
                        self.streams.input = None;
                        break;
                    }
                }
            }
            let ended = client.input_ended && client.typed.is_empty() && client.streams.stdin;
            if ended && self.config.input_once {
                self.streams.input = None;
            }
        }
    }

    /// The container is gone and its output is read: tell everybody.
    fn end(&mut self) {
        let Some(state) = self.ending.take() else { return };
        self.streams = Streams::default();
        if let Some(log) = &mut self.log {
            log.finish();
        }
        let exit_code = state.exit_code;
        self.exit_code = exit_code;
        self.restart_or_end(state);
        self.tell_waiters(exit_code);
    }

    /// Writes down the end, and either sets the time of the next start or is over.
    fn restart_or_end(&mut self, mut state: State) {
        let ran = since_boot().saturating_sub(self.started);
        let may = self.config.policy != Policy::No && self.work.may_restart();
        let delay = may.then(|| self.restarts.after_end(state.exit_code, ran)).flatten();
        state.restarting = delay.is_some();
        state.restart_count = self.restarts.count;
        if delay.is_none() {
            // Unmounted before what it leaves behind is put away.
            self.root = None;
        }
        if may && delay.is_none() && self.restarts.is_spent() {
            self.work.is_spent();
        }
        self.write_end(state);
        self.due = delay.map(|delay| since_boot() + delay);
        self.over = delay.is_none();
    }

    /// Writes down how it ended, and has what it leaves behind put away.
    fn write_end(&mut self, mut state: State) {
        state.status = Status::Exited;
        state.process = None;
        state.finished = Some(base::text::time::now());
        let mut result = Ok(());
        if self.work.leaves_nothing() {
            result = self.work.release(Some(state.exit_code));
            if result.is_ok() {
                return;
            }
        }
        state.out_of_memory = libcontainer::cgroup::was_out_of_memory(&self.config.cgroup);
        match state.write(&self.run) {
            // A removal did not wait for us.
            Err(error) if error.kind() == base::Kind::NotFound => (),
            Err(error) => base::log::warn(error.message()),
            Ok(()) => (),
        }
        let exit_code = Some(state.exit_code);
        if let Err(error) = result.and_then(|()| self.work.release(exit_code)) {
            base::log::warn(error.message());
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        // Unless a successor has bound its own; the folder may be gone with the container.
        let _ = base::paths::unlink(&self.run.join(control::SOCKET));
    }
}

/// The state of a container whose end nobody saw.
fn lost(mut state: State) -> State {
    state.exit_code = 255;
    state.error = "its monitor was killed: the exit code is not known".to_string();
    state
}
