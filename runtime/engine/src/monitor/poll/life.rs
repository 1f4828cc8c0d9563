//! A container's life: its starts, its end, and what follows by its policy.

use super::Monitor;
use crate::container::{State, Status};
use crate::monitor::control::Message;
use crate::monitor::health::Health;
use crate::monitor::restart::Policy;
use crate::monitor::streams::Streams;
use crate::monitor::{
    KILLED_WORKER, Running, Start, control, exit_code, is_killed_worker, since_boot,
};
use base::sys::process::Process;
use base::{Error, OnError, Result};
use libcontainer::KeptRoot;
use rustix::process::Pid;
use std::os::fd::AsFd;

/// The exit code of a container that could not be started, as docker has it.
pub(super) const NEVER_STARTED: i32 = 128;

impl Monitor {
    /// Starts the container.
    pub(crate) fn start(&mut self) -> Result<()> {
        self.start_as(false)
    }

    /// What the policy asks for.
    pub(super) fn restart(&mut self) {
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
    pub(super) fn start_failed(&mut self) {
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

    pub(super) fn worker_answered(&mut self) {
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
            if is_killed_worker(error) {
                self.start_later();
            }
        }
        for number in 0..self.connections.len() {
            if self.connections[number].asked_to_start {
                self.answer(number, answer.clone());
            }
        }
    }

    pub(super) fn process_ended(&mut self) {
        let Some(container) = self.container.take() else { return };
        self.health.iter_mut().for_each(Health::stop);
        let kept = !self.work.leaves_nothing();
        let mut state = kept.then(|| State::read(&self.run)).flatten().unwrap_or_default();
        match container.process.wait() {
            Ok(Some(status)) => state.exit_code = exit_code(&status),
            // Adopted: it is not our child.
            _ => state = lost(state),
        }
        self.ending = Some(state);
    }

    /// The container is gone and its output is read: tell everybody.
    pub(super) fn end(&mut self) {
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
    pub(super) fn restart_or_end(&mut self, mut state: State) {
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

/// The state of a container whose end nobody saw.
pub(super) fn lost(mut state: State) -> State {
    state.exit_code = 255;
    state.error = "its monitor was killed: the exit code is not known".to_string();
    state
}
