//! `stop`: a polite signal, some patience, then SIGKILL.

use super::wait::is_readable_within;
use super::{Condition, Wait};
use crate::Engine;
use crate::container::{Container, State, Status, Wish};
use crate::monitor::control::{Control, Message};
use base::sys::process::Process;
use base::{Error, Kind, OnError, Result};
use rustix::process::Signal;

/// Stops a container.
pub(crate) struct Stop {
    pub(crate) container: String,
    /// Seconds between the two signals; None: the container's own, else ten. Below 0: for ever.
    pub(crate) seconds: Option<i64>,
    /// Another polite signal than the container's.
    pub(crate) signal: String,
}

const DEFAULT_SECONDS: i64 = 10;

impl Stop {
    pub(crate) fn run(self, engine: &Engine) -> Result<()> {
        let container = engine.containers().find(&self.container)?;
        let config = &container.record.config;
        let polite = match [self.signal.as_str(), config.stop_signal.as_str()] {
            ["", ""] => Signal::TERM,
            ["", own] => super::kill::signal(own)?,
            [asked, _] => super::kill::signal(asked)?,
        };
        let state = container.state();
        let process = state.process.as_ref().and_then(|process| process.open());
        if state.restarting {
            return stop_restarts(&container);
        }
        let (Status::Running, Some(process)) = (state.status, process) else {
            // Its start may have been cut off: it shall not be made up for after a reboot.
            if container.wish() == Wish::Running {
                container.set_wish(Wish::Stopped)?;
            }
            return Err(Error::new(Kind::NotModified, "not running"));
        };
        container.set_wish(Wish::Stopped)?;
        let wait = Wait { container: container.id().to_string(), condition: Condition::NextExit };
        let waiting = wait.begin(engine)?;
        let seconds = self.seconds.or(config.stop_timeout).unwrap_or(DEFAULT_SECONDS);
        let gone = |sent| matches!(sent, Err(rustix::io::Errno::SRCH));
        // What is frozen hears no signal.
        let _ = thaw(&container);
        engine.tell(&container, "kill", &[("signal", &polite.as_raw().to_string())]);
        if !gone(process.signal(polite)) && !ends_within(&process, seconds)? {
            let _ = process.signal(Signal::KILL);
        }
        // Until its end is written down, by a monitor that can.
        waiting.end_within(engine, DEFAULT_SECONDS)?;
        engine.tell(&container, "stop", &[]);
        Ok(())
    }
}

/// Its monitor, or the worker that is at it, looks at the wish.
pub(super) fn stop_restarts(container: &Container) -> Result<()> {
    container.set_wish(Wish::Stopped)?;
    if let Ok(control) = Control::connect(&container.run) {
        let _ = control.ask(Message::Look, &[]);
    }
    let _lock = container.lock()?;
    let state = State::read(&container.run).unwrap_or_default();
    match state.restarting {
        true => State { restarting: false, ..state }.write(&container.run),
        false => Ok(()),
    }
}

/// Lets a paused container go on.
pub(super) fn thaw(container: &Container) -> Result<()> {
    let group = container.record.cgroup();
    match libcontainer::cgroup::is_frozen(&group) {
        true => libcontainer::cgroup::freeze(&group, false),
        false => Ok(()),
    }
}

/// Whether a process ends within so many seconds; below 0: it is waited for as long as it takes.
pub(super) fn ends_within(process: &Process, seconds: i64) -> Result<bool> {
    is_readable_within(&process.end().on("watch", "container")?, seconds)
}
