//! `stop`: a polite signal, some patience, then SIGKILL.

use super::{Condition, Wait};
use crate::Engine;
use crate::container::{Status, Wish};
use base::sys::process::Process;
use base::{Error, Kind, OnError, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
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
        let (Status::Running, Some(process)) = (state.status, process) else {
            return Err(Error::new(Kind::NotModified, "not running"));
        };
        container.set_wish(Wish::Stopped)?;
        let wait = Wait { container: container.id().to_string(), condition: Condition::NextExit };
        let waiting = wait.begin(engine)?;
        let seconds = self.seconds.or(config.stop_timeout).unwrap_or(DEFAULT_SECONDS);
        let gone = |sent| matches!(sent, Err(rustix::io::Errno::SRCH));
        if !gone(process.signal(polite)) && !ends_within(&process, seconds)? {
            let _ = process.signal(Signal::KILL);
        }
        // Until its end is written down.
        waiting.end(engine).map(drop)
    }
}

fn ends_within(process: &Process, seconds: i64) -> Result<bool> {
    let timeout = Timespec { tv_sec: seconds.min(1 << 31), tv_nsec: 0 };
    let timeout = (seconds >= 0).then_some(&timeout);
    let end = process.end().on("watch", "container")?;
    let mut waiting = [PollFd::from_borrowed_fd(end, PollFlags::IN)];
    Ok(poll(&mut waiting, timeout).on("poll", "container")? > 0)
}
