//! `stop`: a polite signal, some patience, then SIGKILL.

use super::wait::is_readable_within;
use super::{Condition, Wait};
use crate::Engine;
use crate::container::{Status, Wish};
use base::{Error, Kind, Result};
use rustix::process::{Signal, pidfd_send_signal};

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
        let pidfd = state.process.as_ref().and_then(|process| process.open());
        let (Status::Running, Some(pidfd)) = (state.status, pidfd) else {
            return Err(Error::new(Kind::NotModified, "not running"));
        };
        container.set_wish(Wish::Stopped)?;
        let wait = Wait { container: container.id().to_string(), condition: Condition::NextExit };
        let waiting = wait.begin(engine)?;
        let seconds = self.seconds.or(config.stop_timeout).unwrap_or(DEFAULT_SECONDS);
        let gone = |sent| matches!(sent, Err(rustix::io::Errno::SRCH));
        if !gone(pidfd_send_signal(&pidfd, polite)) && !is_readable_within(&pidfd, seconds)? {
            let _ = pidfd_send_signal(&pidfd, Signal::KILL);
        }
        // Until its end is written down, by a monitor that can.
        waiting.end_within(engine, DEFAULT_SECONDS).map(drop)
    }
}
