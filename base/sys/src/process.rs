//! A process that stays the one that it was when we found it.
//!
//! A pidfd (Linux 5.3) is that, and can be waited for with poll(2). On older kernels, and where a
//! filter around us refuses the call, the folder /proc/PID held open is: it never shows another
//! process with the same number. It cannot be polled, so a thread looks for the end and closes a
//! pipe then; it is started only for those who wait.

use crate::Errno;
use rustix::fs::{Mode, OFlags, openat};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process, pidfd_open,
    pidfd_send_signal, waitid,
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::time::Duration;

/// How often the end of a process that is not our child is looked for.
const PERIOD: Duration = Duration::from_millis(50);
const WATCHER_STACK: usize = 64 << 10;

/// A process.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    /// The pidfd, or /proc/PID.
    descriptor: OwnedFd,
    is_pidfd: bool,
    /// The pipe that a thread closes at the process's end.
    watch: OnceLock<OwnedFd>,
}

impl Process {
    /// The process that has this number now.
    pub fn open(pid: Pid) -> Result<Process, Errno> {
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(descriptor) => Ok(Process::of(pid, descriptor, true)),
            // EPERM: what filters of before 2020 answer to calls that they do not know.
            Err(Errno::NOSYS | Errno::PERM) => Process::by_folder(pid),
            Err(errno) => Err(errno),
        }
    }

    /// A pidfd that the kernel gave with a clone.
    pub(crate) fn of_pidfd(pid: Pid, pidfd: OwnedFd) -> Process {
        Process::of(pid, pidfd, true)
    }

    /// What another process of ours has sent: see [`descriptor`](Process::descriptor).
    pub fn received(pid: Pid, descriptor: OwnedFd) -> Result<Process, Errno> {
        let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&descriptor)?.st_mode);
        Ok(Process::of(pid, descriptor, kind != rustix::fs::FileType::Directory))
    }

    fn of(pid: Pid, descriptor: OwnedFd, is_pidfd: bool) -> Process {
        Process { pid, descriptor, is_pidfd, watch: OnceLock::new() }
    }

    fn by_folder(pid: Pid) -> Result<Process, Errno> {
        let path = format!("/proc/{}", pid.as_raw_nonzero());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(folder) => Ok(Process::of(pid, folder, false)),
            Err(Errno::NOENT) => Err(Errno::SRCH),
            Err(errno) => Err(errno),
        }
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// What stands for it and may be sent to another process of ours.
    #[must_use]
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// A descriptor that can be read, or has hung up, once the process has ended. It does not
    /// matter which: poll(2) tells both.
    pub fn end(&self) -> Result<BorrowedFd<'_>, Errno> {
        if self.is_pidfd {
            return Ok(self.descriptor.as_fd());
        }
        if let Some(pipe) = self.watch.get() {
            return Ok(pipe.as_fd());
        }
        let pipe = watch(self.pid, rustix::io::fcntl_dupfd_cloexec(&self.descriptor, 3)?)?;
        Ok(self.watch.get_or_init(|| pipe).as_fd())
    }

    /// Sends a signal. ESRCH: it has ended.
    pub fn signal(&self, signal: Signal) -> Result<(), Errno> {
        if self.is_pidfd {
            match pidfd_send_signal(&self.descriptor, signal) {
                Err(Errno::NOSYS | Errno::PERM) => (),
                result => return result,
            }
        } else if !is_alive(self.descriptor.as_fd()) {
            return Err(Errno::SRCH);
        }
        kill_process(self.pid, signal)
    }

    /// How our child ended; `None` while it has not. ECHILD: it is not our child.
    pub fn wait(&self) -> Result<Option<WaitIdStatus>, Errno> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        if self.is_pidfd {
            // EINVAL: P_PIDFD came with Linux 5.4.
            match waitid(WaitId::PidFd(self.descriptor.as_fd()), options) {
                Err(Errno::INVAL) => (),
                result => return result,
            }
        }
        waitid(WaitId::Pid(self.pid), options)
    }
}

/// Starts the thread that closes the pipe when the process has ended.
fn watch(pid: Pid, folder: OwnedFd) -> Result<OwnedFd, Errno> {
    let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
    let look = move || {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while !matches!(waitid(WaitId::Pid(pid), options), Ok(Some(_))) {
            // Not our child, or waited for just now.
            if !is_alive(folder.as_fd()) {
                break;
            }
            std::thread::sleep(PERIOD);
        }
        drop(theirs);
    };
    let builder = std::thread::Builder::new().stack_size(WATCHER_STACK);
    builder.spawn(look).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::AGAIN))?;
    Ok(ours)
}

/// Whether the process whose folder in /proc this is still runs: not a zombie, not another one.
fn is_alive(folder: BorrowedFd<'_>) -> bool {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let Ok(file) = openat(folder, c"stat", flags, Mode::empty()) else { return false };
    let mut bytes = [0; 512];
    let Ok(count) = rustix::io::read(&file, &mut bytes) else { return false };
    // pid (name) state …: the name may hold anything.
    let text = &bytes[..count];
    let state = text.iter().rposition(|byte| *byte == b')').and_then(|end| text.get(end + 2));
    !matches!(state, None | Some(b'Z' | b'X'))
}

/// This process, which has one thread, enters a user namespace of its own, still without ids.
pub fn new_user_namespace() -> Result<(), Errno> {
    // SAFETY: changes only the credentials of this process.
    crate::syscall::check_int(unsafe { libc::unshare(libc::CLONE_NEWUSER) }).map(drop)
}

/// The limits of setrlimit(2) by Docker's names.
pub const RESOURCES: [(&str, u32); 16] = [
    ("core", libc::RLIMIT_CORE as u32),
    ("cpu", libc::RLIMIT_CPU as u32),
    ("data", libc::RLIMIT_DATA as u32),
    ("fsize", libc::RLIMIT_FSIZE as u32),
    ("locks", libc::RLIMIT_LOCKS as u32),
    ("memlock", libc::RLIMIT_MEMLOCK as u32),
    ("msgqueue", libc::RLIMIT_MSGQUEUE as u32),
    ("nice", libc::RLIMIT_NICE as u32),
    ("nofile", libc::RLIMIT_NOFILE as u32),
    ("nproc", libc::RLIMIT_NPROC as u32),
    ("rss", libc::RLIMIT_RSS as u32),
    ("rtprio", libc::RLIMIT_RTPRIO as u32),
    ("rttime", libc::RLIMIT_RTTIME as u32),
    ("sigpending", libc::RLIMIT_SIGPENDING as u32),
    ("stack", libc::RLIMIT_STACK as u32),
    ("as", libc::RLIMIT_AS as u32),
];

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    fn ends_within(process: &Process, seconds: i64) -> bool {
        let timeout = Timespec { tv_sec: seconds, tv_nsec: 0 };
        let end = process.end().expect("end");
        poll(&mut [PollFd::from_borrowed_fd(end, PollFlags::IN)], Some(&timeout)).expect("poll") > 0
    }

    fn child() -> (std::process::Child, Pid) {
        let child = std::process::Command::new("sleep").arg("100").spawn().expect("sleep");
        let pid = Pid::from_raw(child.id() as i32).expect("pid");
        (child, pid)
    }

    #[test]
    fn with_and_without_pidfds_the_same_is_seen() {
        for open in [Process::open, Process::by_folder] {
            let (_child, pid) = child();
            let process = open(pid).expect("open");
            assert!(!ends_within(&process, 0));
            assert_eq!(process.wait().expect("wait").map(drop), None);
            process.signal(Signal::TERM).expect("signal");
            assert!(ends_within(&process, 20));
            let status = process.wait().expect("wait").expect("status");
            assert_eq!(status.terminating_signal(), Some(Signal::TERM.as_raw()));
            assert_eq!(process.signal(Signal::KILL), Err(Errno::SRCH));
            assert!(ends_within(&process, 20));
            assert_eq!(open(pid).map(drop), Err(Errno::SRCH));
        }
    }

    #[test]
    fn a_process_that_is_not_our_child_is_seen_to_end() {
        // A grandchild: the shell that started it has gone.
        let script = "sleep 0.3 >/dev/null 2>&1 & echo $!";
        let output = std::process::Command::new("sh").args(["-c", script]).output().expect("sh");
        let text = String::from_utf8_lossy(&output.stdout);
        let pid = Pid::from_raw(text.trim().parse().expect("pid")).expect("pid");
        let process = Process::by_folder(pid).expect("open");
        assert!(ends_within(&process, 20));
    }
}
