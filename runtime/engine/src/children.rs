//! Children that outlive the job which started them: monitors, reapers, sweepers.
//!
//! A command leaves them to init. A daemon stays, so it collects those that have ended; others, which
//! a thread waits for by their pid, are not taken from it.

use rustix::process::{Pid, WaitOptions, waitpid};
use std::sync::{Mutex, PoisonError};

/// See the module's text.
#[derive(Default)]
pub(crate) struct Children(Mutex<Vec<Pid>>);

impl Children {
    /// One more that nobody waits for.
    pub(crate) fn left(&self, pid: Pid) {
        self.collect();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(pid);
    }

    /// Waits for those that have ended.
    pub(crate) fn collect(&self) {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.retain(|pid| matches!(waitpid(Some(*pid), WaitOptions::NOHANG), Ok(None)));
    }
}
