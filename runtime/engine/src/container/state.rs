//! How a container is now: a few lines in the run folder, `key value`, that a person can read.

use base::files::{Sync, read_capped, write_then_rename};
use base::sys::Errno;
use base::{OnError, Result};
use rustix::process::Pid;
use std::path::Path;
use std::sync::OnceLock;

/// Where it is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Status {
    /// Never started since the boot.
    #[default]
    Created,
    /// It has a process.
    Running,
    /// It has ended.
    Exited,
}

impl Status {
    /// Docker's word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Status::Created => "created",
            Status::Running => "running",
            Status::Exited => "exited",
        }
    }
}

/// A process that is trusted only with its start time and boot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// Clock ticks from boot to its start (proc_pid_stat(5), field 22).
    start: u64,
    boot: String,
}

impl Process {
    /// A living process as it is now; its start time is what makes it known again.
    pub(crate) fn of(pid: Pid) -> Process {
        let pid = pid.as_raw_nonzero().get();
        Process { pid, start: start_time(pid).unwrap_or(0), boot: boot_id() }
    }

    /// Its folder in /proc, if it still is that process and lives.
    pub(crate) fn folder(&self) -> Option<std::os::fd::OwnedFd> {
        use rustix::fs::{Mode, OFlags};
        let path = format!("/proc/{}", self.pid);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = base::paths::open(Path::new(&path), flags, Mode::empty()).ok()?;
        // Looked at after the descriptor is there: that never shows another process.
        self.open().is_some().then_some(folder)
    }

    /// A hold on it, if it still is that process and lives.
    pub(crate) fn open(&self) -> Option<base::sys::process::Process> {
        let process = base::sys::process::Process::open(Pid::from_raw(self.pid)?).ok()?;
        // Compared after the hold is there: what it names cannot change any more.
        let same = start_time(self.pid) == Some(self.start) && boot_id() == self.boot;
        same.then_some(process)
    }
}

/// When process `pid` started; None when it is gone or only waited for.
pub(crate) fn start_time(pid: i32) -> Option<u64> {
    let text = read_capped(Path::new(&format!("/proc/{pid}/stat")), 4096).ok()?;
    let text = String::from_utf8_lossy(&text);
    // The name, in parentheses, may contain anything: fields count from its end.
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// This boot's id, read once.
pub(crate) fn boot_id() -> String {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(read_boot_id).clone()
}

fn read_boot_id() -> String {
    let text = read_capped(Path::new("/proc/sys/kernel/random/boot_id"), 64).unwrap_or_default();
    String::from_utf8_lossy(&text).trim().to_string()
}

/// Seconds and nanoseconds since 1970.
pub(crate) type Time = (i64, u32);

/// The state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) status: Status,
    /// Its first process, while running.
    pub(crate) process: Option<Process>,
    pub(crate) started: Option<Time>,
    pub(crate) finished: Option<Time>,
    pub(crate) exit_code: i32,
    pub(crate) out_of_memory: bool,
    /// It has ended, and its monitor is about to start it again.
    pub(crate) restarting: bool,
    /// How often its policy has started it again.
    pub(crate) restart_count: u32,
    /// Why it could not be started, or why its exit code is not known.
    pub(crate) error: String,
}

impl State {
    /// The state of the container with this run folder; None when it was never started.
    pub(crate) fn read(run: &Path) -> Option<State> {
        let text = read_capped(&run.join("state"), 64 << 10).ok()?;
        Some(State::parse(&String::from_utf8_lossy(&text)))
    }

    fn parse(text: &str) -> State {
        let mut state = State::default();
        for line in text.lines() {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            let mut words = value.split(' ');
            let mut word = || words.next().unwrap_or("");
            match key {
                "status" => {
                    state.status = match value {
                        "running" => Status::Running,
                        "exited" => Status::Exited,
                        _ => Status::Created,
                    }
                }
                "process" => {
                    let (pid, start) = (word().parse(), word().parse());
                    if let (Ok(pid), Ok(start)) = (pid, start) {
                        state.process = Some(Process { pid, start, boot: word().to_string() });
                    }
                }
                "started" => state.started = time(value),
                "finished" => state.finished = time(value),
                "exit-code" => state.exit_code = value.parse().unwrap_or(255),
                "out-of-memory" => state.out_of_memory = true,
                "restarting" => state.restarting = true,
                "restarts" => state.restart_count = value.parse().unwrap_or(0),
                "error" => state.error = value.to_string(),
                _ => (),
            }
        }
        state
    }

    fn text(&self) -> String {
        let mut text = format!("status {}\n", self.status.name());
        if let Some(Process { pid, start, boot }) = &self.process {
            text.push_str(&format!("process {pid} {start} {boot}\n"));
        }
        for (key, time) in [("started", self.started), ("finished", self.finished)] {
            if let Some((seconds, nanos)) = time {
                text.push_str(&format!("{key} {seconds} {nanos}\n"));
            }
        }
        if self.exit_code != 0 || self.status == Status::Exited {
            text.push_str(&format!("exit-code {}\n", self.exit_code));
        }
        for (word, is_so) in
            [("out-of-memory\n", self.out_of_memory), ("restarting\n", self.restarting)]
        {
            text.push_str(if is_so { word } else { "" });
        }
        if self.restart_count != 0 {
            text.push_str(&format!("restarts {}\n", self.restart_count));
        }
        if !self.error.is_empty() {
            text.push_str(&format!("error {}\n", self.error.replace('\n', " ")));
        }
        text
    }

    /// Puts it into the run folder.
    pub(crate) fn write(&self, run: &Path) -> Result<()> {
        write_then_rename(run, "state", self.text().as_bytes(), Sync::No)
    }

    /// Whether its process lives.
    pub(crate) fn is_alive(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.open().is_some())
    }

    /// Sends its first process a signal. `Conflict` when it is not running.
    pub(crate) fn signal(&self, id: &str, signal: rustix::process::Signal) -> Result<()> {
        let sent = match self.process.as_ref().and_then(Process::open) {
            Some(process) => process.signal(signal),
            None => Err(Errno::SRCH),
        };
        match sent {
            Err(Errno::SRCH) => {
                Err(base::Error::conflict(format!("Container {id} is not running")))
            }
            result => result.on("signal", id),
        }
    }
}

fn time(text: &str) -> Option<Time> {
    let (seconds, nanos) = text.split_once(' ')?;
    Some((seconds.parse().ok()?, nanos.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_as_it_was_written() {
        let state = State {
            status: Status::Exited,
            process: Some(Process { pid: 7, start: 99, boot: "b-c".into() }),
            started: Some((1, 2)),
            finished: Some((-3, 4)),
            exit_code: 137,
            out_of_memory: true,
            restarting: true,
            restart_count: 7,
            error: "a b\nc".into(),
        };
        let read = State::parse(&state.text());
        assert_eq!(read, State { error: "a b c".into(), ..state });
        assert_eq!(State::parse("junk\nprocess x\nstatus"), State::default());
    }

    #[test]
    fn a_process_is_known_by_its_start_time() {
        let own = Process::of(rustix::process::getpid());
        assert!(own.open().is_some());
        assert!(Process { start: own.start + 1, ..own.clone() }.open().is_none());
        assert!(Process { boot: "other".into(), ..own }.open().is_none());
    }
}
