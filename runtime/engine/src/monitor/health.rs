//! When probes of a container's health are due. The probes themselves are workers.

use crate::health::Times;
use rustix::process::{Pid, WaitOptions, waitpid};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A worker that probes.
pub(crate) struct Probe {
    pub(crate) pid: Pid,
    /// Says one byte, `+` for healthy, and is closed at its end.
    pub(crate) report: OwnedFd,
}

/// The probes of one container.
pub(super) struct Health {
    times: Times,
    /// When the container was started, in milliseconds.
    began: u64,
    /// No probe has succeeded yet.
    starting: bool,
    /// When the next one is due; None while nothing runs.
    next: Option<u64>,
    running: Option<Probe>,
    /// Workers that nobody has waited for yet.
    left: Vec<Pid>,
}

impl Health {
    pub(super) fn new(times: Times) -> Health {
        Health { times, began: 0, starting: true, next: None, running: None, left: Vec::new() }
    }

    /// The container runs since now.
    pub(super) fn begin(&mut self, now: u64) {
        (self.began, self.starting) = (now, true);
        self.set_next(now);
    }

    /// It has ended. A probe that is under way ends with it.
    pub(super) fn stop(&mut self) {
        self.next = None;
        self.left.extend(self.running.take().map(|probe| probe.pid));
    }

    fn set_next(&mut self, now: u64) {
        let starts = self.starting && now < self.began + self.times.start_period;
        let pause = if starts { self.times.start_interval } else { self.times.interval };
        self.next = Some(now + pause.max(1));
    }

    /// When a probe is to be started.
    pub(super) fn next(&self) -> Option<u64> {
        self.next.filter(|_| self.running.is_none())
    }

    /// It was started, or could not be.
    pub(super) fn started(&mut self, probe: Option<Probe>, now: u64) {
        self.reap();
        if probe.is_none() {
            self.set_next(now);
        }
        self.running = probe;
    }

    /// The worker's descriptor.
    pub(super) fn report(&self) -> Option<BorrowedFd<'_>> {
        self.running.as_ref().map(|probe| probe.report.as_fd())
    }

    /// The worker has said something, or has ended.
    pub(super) fn reported(&mut self, now: u64) {
        let Some(probe) = &self.running else { return };
        let mut byte = [0];
        if rustix::io::read(&probe.report, &mut byte) == Ok(1) {
            self.starting &= byte != *b"+";
            return;
        }
        self.left.extend(self.running.take().map(|probe| probe.pid));
        self.reap();
        self.set_next(now);
    }

    /// Never waits: a worker may be waiting for the monitor.
    fn reap(&mut self) {
        self.left.retain(|pid| matches!(waitpid(Some(*pid), WaitOptions::NOHANG), Ok(None)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_due_after_their_interval() {
        let times = Times { interval: 100, start_interval: 10, start_period: 50 };
        let mut health = Health::new(times);
        assert_eq!(health.next(), None);
        health.begin(1000);
        assert_eq!(health.next(), Some(1010), "in the start period");
        health.started(None, 1060);
        assert_eq!(health.next(), Some(1160), "after it");
        health.begin(2000);
        health.starting = false;
        health.started(None, 2001);
        assert_eq!(health.next(), Some(2101), "once it was healthy");
        health.stop();
        assert_eq!(health.next(), None);
    }
}
