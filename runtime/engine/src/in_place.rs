//! A container whose command does everything itself: `run --rm` in the foreground, with its own
//! descriptors.
//!
//! One thread, and no HTTP: the client hands its request over as a value. Threads, their wake-ups
//! and the connections between them cost more than a third of a short command. What others see is
//! the same: the record, the name, and a monitor that answers on the container's control socket.

use crate::jobs::{Create, Made};
use crate::local::{monitor_config, next_signal};
use crate::monitor::{Monitor, Probe, Running, Start, Work, spawn_probe};
use crate::{Engine, execdriver};
use base::Result;
use base_http::api::container::CreateRequest;
use libcontainer::KeptRoot;
use rustix::process::Signal;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// A container that waits to be run in place.
pub struct InPlace {
    engine: Arc<Engine>,
    made: Made,
}

impl InPlace {
    /// Makes it, as `POST /containers/create` does.
    pub fn create(engine: &Arc<Engine>, name: &str, request: CreateRequest) -> Result<InPlace> {
        let made = Create { name: name.to_string(), request }.make(engine)?;
        Ok(InPlace { engine: engine.clone(), made })
    }

    /// Its id.
    pub fn id(&self) -> &str {
        self.made.container.id()
    }

    /// What the user should know.
    pub fn warnings(&self) -> &[String] {
        &self.made.warnings
    }

    /// Starts it; it has been removed again when that fails. `signals` is a signalfd: what comes
    /// is for the container.
    pub fn start(self, signals: OwnedFd) -> Result<Begun> {
        let InPlace { engine, made } = self;
        let run = made.container.run.clone();
        let id = made.container.id().to_string();
        let config = monitor_config(&made.container, true);
        let work = Box::new(OwnWork { engine, made });
        // The lock is held since before anybody could find it: nobody has made another monitor.
        let mut monitor = Monitor::new(&id, &run, config, work)?;
        monitor.start()?;
        Ok(Begun { monitor, signals })
    }
}

/// A container that runs.
pub struct Begun {
    monitor: Monitor,
    signals: OwnedFd,
}

impl Begun {
    /// Serves it to its end, which is also that of its record, name, cgroup and mounts. Gives the
    /// exit code.
    pub fn finish(mut self) -> Result<i32> {
        while !self.monitor.is_over() {
            if self.monitor.turn(&[self.signals.as_fd()])?.is_empty() {
                continue;
            }
            while let Some(number) = next_signal(&self.signals) {
                // The size of a terminal that it has not is nothing to it.
                match Signal::from_named_raw(number) {
                    Some(Signal::WINCH) | None => (),
                    Some(signal) => self.monitor.signal(signal),
                }
            }
        }
        Ok(self.monitor.exit_code())
    }
}

struct OwnWork {
    engine: Arc<Engine>,
    made: Made,
}

impl Work for OwnWork {
    fn start(&mut self, _: Option<OwnedFd>, _: bool, _: Option<KeptRoot>) -> Result<Start> {
        let _lock = self.made.lock.take();
        let Made { container, image, .. } = &self.made;
        let streams = execdriver::own_stdio(container)?;
        let started = execdriver::launch(&self.engine, container, image, streams, true, None)?;
        Ok(Start::Done(Running { process: started.process, terminal: None, root: None }))
    }

    fn leaves_nothing(&self) -> bool {
        true
    }

    fn probe(&mut self) -> Result<Probe> {
        spawn_probe(&self.engine, self.made.container.id())
    }

    fn release(&mut self, exit_code: Option<i32>) -> Result<()> {
        let Some(_lock) = self.made.container.lock_if_there()? else { return Ok(()) };
        self.engine.release_ended(&self.made.container, exit_code)
    }
}
