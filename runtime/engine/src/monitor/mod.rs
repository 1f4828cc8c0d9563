//! The monitor: the process that waits for one container, holds its streams and writes its log.
//!
//! Each container that is attached to, waited for or started has one. For a command in the
//! foreground it is the command's own main thread; else a process of its own, the same binary
//! under another name, which outlives commands and daemon. It is a poll loop ([`Monitor`]) that is
//! talked to over a socket in the container's run folder ([`control`]). What is heavy, it leaves to
//! its [`Work`]: short-lived worker processes, or the engine of the same process.
//!
//! States: idle (nothing started), starting, running, ending (the process is gone, output is
//! drained, waiters are told). It ends when nothing runs, nobody waits and the last client has
//! read its end.

mod attached;
pub(crate) mod control;
mod health;
mod log;
mod poll;
mod process;
mod relay;
mod restart;
mod streams;

pub(crate) use health::Probe;
pub(crate) use log::{LogLine, LogReader, Settings as LogSettings, check as check_log};
pub(crate) use poll::{Config, Monitor};
pub use process::{monitor_main, worker_main};
pub(crate) use process::{open_null, spawn_monitor, spawn_probe, spawn_reaper, spawn_sweeper};
pub(crate) use relay::Relay;
pub(crate) use restart::Policy;
pub(crate) use streams::container_outputs;

use base::sys::process::Process;
use base::{OnError, Result};
use libcontainer::KeptRoot;
use rustix::process::WaitIdStatus;
use std::os::fd::{BorrowedFd, OwnedFd};

/// The error of a start whose worker was killed.
const KILLED_WORKER: &str = "start container: the worker was killed";

/// Whether a start failed only because its worker was killed.
pub(crate) fn is_killed_worker(error: &base::Error) -> bool {
    error.message() == KILLED_WORKER
}

/// A container that was just started.
pub(crate) struct Running {
    /// Its first process, safe from reuse.
    pub process: Process,
    /// The terminal's master, if it has one.
    pub terminal: Option<OwnedFd>,
    /// Its root, for the next start.
    pub root: Option<KeptRoot>,
}

/// What a start gave.
pub(crate) enum Start {
    /// It runs.
    Done(Running),
    /// A worker is at it: the descriptor tells when and how it ends.
    Worker(OwnedFd),
}

/// The exit code of a process that was waited for: 128 and the signal, if one has ended it.
pub(crate) fn exit_code(status: &WaitIdStatus) -> i32 {
    let signal = || status.terminating_signal().map(|signal| 128 + signal);
    status.exit_status().or_else(signal).unwrap_or(255)
}

/// Milliseconds since the boot, suspended time included.
pub(crate) fn since_boot() -> u64 {
    base::sys::clock::since_boot().as_millis() as u64
}

/// Sets a terminal's size.
pub(crate) fn resize(terminal: BorrowedFd<'_>, columns: u16, rows: u16) -> Result<()> {
    let size =
        rustix::termios::Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(terminal, size).on("resize", "terminal")
}

/// Heavy work, done for the monitor.
pub(crate) trait Work {
    /// Starts the container. `stdin` is the read end of its standard input, when it has one.
    /// `again`: its policy asks for it, not the user. `root`: that of its last life.
    fn start(
        &mut self,
        stdin: Option<OwnedFd>,
        again: bool,
        root: Option<KeptRoot>,
    ) -> Result<Start>;
    /// The worker has answered.
    fn started(&mut self) {}
    /// The worker failed, or was killed: what it made and could not undo is ended.
    fn abandon(&mut self) {}
    /// [`release`](Work::release) leaves nothing of the container: how it ended need not be
    /// written down.
    fn leaves_nothing(&self) -> bool {
        false
    }
    /// Whether the policy may start it again: not when the user has stopped it.
    fn may_restart(&self) -> bool {
        false
    }
    /// The policy has nothing more to do, after a reboot neither.
    fn is_spent(&mut self) {}
    /// Starts a worker that probes the container's health.
    fn probe(&mut self) -> Result<Probe>;
    /// After the end: gives back the cgroup, and removes the container if it asked for that.
    /// `exit_code`: it ran, and that is how it ended.
    fn release(&mut self, exit_code: Option<i32>) -> Result<()>;
}
