//! `nth-call REPORT N K COMMAND…`: the command with its Nth call that touches a file failing with the
//! Kth error of its man page, or, for K after the last, killed at that instant. A seccomp filter
//! hands these calls to this process, which counts them and answers.
//!
//! REPORT gets `COUNT NAME ERROR`: how many such calls there were, and what was done to which.
//!
//! `nth-call --memory REPORT N K COMMAND…`: the Nth call that asks for memory gets none (K 0), or from it
//! on every one (K 1).
//!
//! `nth-call --renames REPORT N K COMMAND…`: killed in place of the Nth rename (K 0), or behind it, before the
//! same thread's next call that touches a file (K 1).

#![forbid(unsafe_code)]

use base::sys::seccomp::{self, Answer, bpf};
use base::sys::{Errno, pass};
use base::{Error, OnError, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, kill_process};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitCode, Stdio};

/// A call, and the errors that a file system may give it.
type Row = (libc::c_long, &'static str, &'static [Errno]);

const WRITES: &[Errno] = &[Errno::NOSPC, Errno::IO, Errno::DQUOT, Errno::ROFS];
const READS: &[Errno] = &[Errno::IO, Errno::NOMEM];
const SYNCS: &[Errno] = &[Errno::IO, Errno::NOSPC, Errno::DQUOT];

const CALLS: [Row; 26] = [
    (libc::SYS_openat, "openat", &[Errno::NOSPC, Errno::MFILE, Errno::IO, Errno::ROFS]),
    (libc::SYS_mkdirat, "mkdirat", WRITES),
    (libc::SYS_mknodat, "mknodat", WRITES),
    (libc::SYS_symlinkat, "symlinkat", WRITES),
    (libc::SYS_linkat, "linkat", WRITES),
    (libc::SYS_unlinkat, "unlinkat", &[Errno::IO, Errno::ROFS, Errno::BUSY]),
    (libc::SYS_renameat2, "renameat2", WRITES),
    (libc::SYS_renameat, "renameat", WRITES),
    (libc::SYS_write, "write", WRITES),
    (libc::SYS_writev, "writev", WRITES),
    (libc::SYS_pwrite64, "pwrite64", WRITES),
    (libc::SYS_read, "read", READS),
    (libc::SYS_readv, "readv", READS),
    (libc::SYS_getdents64, "getdents64", READS),
    (libc::SYS_statx, "statx", READS),
    (libc::SYS_fstat, "fstat", READS),
    (libc::SYS_fstatfs, "fstatfs", READS),
    (libc::SYS_statfs, "statfs", READS),
    (libc::SYS_fsync, "fsync", SYNCS),
    (libc::SYS_fdatasync, "fdatasync", SYNCS),
    (libc::SYS_syncfs, "syncfs", SYNCS),
    (libc::SYS_fchmod, "fchmod", &[Errno::IO, Errno::ROFS]),
    (libc::SYS_fchmodat, "fchmodat", &[Errno::IO, Errno::ROFS]),
    (libc::SYS_utimensat, "utimensat", &[Errno::IO, Errno::NOSPC]),
    (libc::SYS_fsetxattr, "fsetxattr", &[Errno::NOSPC, Errno::IO]),
    (libc::SYS_flock, "flock", &[Errno::NOLCK]),
];

/// What x86_64 has besides, from before the calls with `at`.
#[cfg(target_arch = "x86_64")]
const OLD: [Row; 5] = [
    (libc::SYS_open, "open", &[Errno::NOSPC, Errno::MFILE, Errno::IO, Errno::ROFS]),
    (libc::SYS_mkdir, "mkdir", WRITES),
    (libc::SYS_rename, "rename", WRITES),
    (libc::SYS_unlink, "unlink", &[Errno::IO, Errno::ROFS, Errno::BUSY]),
    (libc::SYS_newfstatat, "newfstatat", READS),
];
#[cfg(not(target_arch = "x86_64"))]
const OLD: [Row; 0] = [];

/// What asks for memory: of the heap, for a thread's stack.
const MEMORY: [Row; 4] = [
    (libc::SYS_mmap, "mmap", &[Errno::NOMEM]),
    (libc::SYS_mremap, "mremap", &[Errno::NOMEM]),
    (libc::SYS_mprotect, "mprotect", &[Errno::NOMEM]),
    (libc::SYS_brk, "brk", &[Errno::NOMEM]),
];

/// What is counted.
#[derive(Clone, Copy, PartialEq)]
enum Counted {
    Files,
    Memory,
    Renames,
}

fn rows(memory: bool) -> impl Iterator<Item = &'static Row> {
    let (files, old): (&[Row], &[Row]) = if memory { (&MEMORY, &[]) } else { (&CALLS, &OLD) };
    files.iter().chain(old)
}

const USAGE: &str = "nth-call [--memory|--renames] REPORT N K COMMAND ARGUMENT…";
const FILTERED: [&str; 2] = ["--filtered", "--filtered-memory"];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    run(&words).unwrap_or_else(|error| {
        eprintln!("nth-call: {}", error.message());
        ExitCode::from(99)
    })
}

fn run(words: &[String]) -> Result<ExitCode> {
    let first = words.first().map_or("", String::as_str);
    if let Some(memory) = FILTERED.iter().position(|word| *word == first) {
        return Err(filtered(&words[1..], memory == 1));
    }
    let counted = match first {
        "--memory" => Counted::Memory,
        "--renames" => Counted::Renames,
        _ => Counted::Files,
    };
    let words = &words[usize::from(counted != Counted::Files)..];
    let [report, n, k, command @ ..] = words else { return Err(Error::bad_input(USAGE)) };
    let number = |text: &String| text.parse::<usize>().map_err(|_| Error::bad_input(USAGE));
    let (n, k) = (number(n)?, number(k)?);
    let (ours, theirs) = UnixStream::pair().on("make", "a socket pair")?;
    let mut child = Command::new("/proc/self/exe")
        .arg(FILTERED[usize::from(counted == Counted::Memory)])
        .args(command)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()
        .on("start", "the command")?;
    let mut listener = Vec::new();
    pass::receive(ours.as_fd(), &mut [0], &mut listener).on("receive", "listener")?;
    let listener = listener.pop().ok_or_else(|| Error::other("no listener came"))?;
    let done = supervise(&listener, counted, n, k, &child)?;
    std::fs::write(report, done).on("write", report)?;
    let status = child.wait().on("wait for", "the command")?;
    let signal = || status.signal().map_or(255, |signal| 128 + signal);
    Ok(ExitCode::from(status.code().unwrap_or_else(signal) as u8))
}

/// Becomes the command, filtered; its stdin is where the supervisor waits for the listener.
fn filtered(command: &[String], memory: bool) -> Error {
    let Some((program, arguments)) = command.split_first() else { return Error::bad_input(USAGE) };
    let mut filter = vec![bpf::load(bpf::CALL)];
    for (call, ..) in rows(memory) {
        filter.extend([bpf::equal(*call as u32, 1), bpf::ASK]);
    }
    filter.extend([bpf::equal(libc::SYS_execve as u32, 1), bpf::ASK, bpf::ALLOW]);
    let sent = seccomp::install(&filter)
        .and_then(|listener| pass::send(std::io::stdin().as_fd(), b"x", &[listener.as_fd()]));
    if let Err(errno) = sent {
        return Error::os("filter", &program, errno);
    }
    let error = Command::new(program).args(arguments).stdin(Stdio::null()).exec();
    Error::os("exec", program, error)
}

fn supervise(
    listener: &OwnedFd,
    counted: Counted,
    n: usize,
    k: usize,
    child: &Child,
) -> Result<String> {
    let memory = counted == Counted::Memory;
    let kill = || -> Result<()> {
        match Pid::from_raw(child.id() as i32) {
            Some(pid) => kill_process(pid, Signal::KILL).on("kill", "the command"),
            None => Ok(()),
        }
    };
    let (mut counting, mut count, mut done) = (false, 0, "- -".to_string());
    // The thread that has made the rename behind which all ends.
    let mut renamed = None;
    loop {
        let mut waiting = [PollFd::new(listener, PollFlags::IN)];
        match poll(&mut waiting, None) {
            Err(Errno::INTR) => continue,
            result => result.on("poll", "listener")?,
        };
        if !waiting[0].revents().contains(PollFlags::IN) {
            return Ok(format!("{count} {done}"));
        }
        let Ok(notice) = seccomp::receive(listener.as_fd()) else { continue };
        let call = libc::c_long::from(notice.call);
        let mut answer = Answer::Continue;
        if call == libc::SYS_execve {
            counting = true;
        } else if let (true, Some((_, name, errors))) =
            (counting, rows(memory).find(|(known, ..)| *known == call))
        {
            // Not what the command says to people, nor how it looks for processors.
            let spoken = matches!(*name, "write" | "writev") && notice.arguments[0] <= 2;
            let other = counted == Counted::Renames && !name.starts_with("rename");
            count += usize::from(!spoken && !other);
            if counted == Counted::Renames {
                if renamed == Some(notice.pid) {
                    kill()?;
                } else if count == n && !other && renamed.is_none() {
                    done = format!("{name} killed");
                    if k == 0 {
                        kill()?;
                    }
                    renamed = (k > 0).then_some(notice.pid);
                }
            } else if memory {
                if count == n || k > 0 && count > n {
                    answer = Answer::Fail(Errno::NOMEM);
                    done = format!("{name} {}", Errno::NOMEM.raw_os_error());
                }
            } else if count == n && !spoken {
                match errors.get(k) {
                    Some(errno) => {
                        answer = Answer::Fail(*errno);
                        done = format!("{name} {}", errno.raw_os_error());
                    }
                    None if k == errors.len() => {
                        done = format!("{name} killed");
                        kill()?;
                    }
                    None => done = format!("{name} none"),
                }
            }
        }
        let _ = seccomp::answer(listener.as_fd(), notice.id, answer);
    }
}
