//! Older kernels by refusing: a seccomp filter around a command answers as Linux 4.9, 4.19 or 5.4
//! would. Whole calls and flags in registers are refused by the filter; what lies in memory (the
//! arguments of clone3, overlay's options) is read by a supervisor, which the filter asks.
//!
//! `older-kernel VERSION ENOSYS|EPERM COMMAND…`. ENOSYS is the kernel's own answer to a call that it
//! does not know, EPERM that of older filters around a container that we run in.
//!
//! What cannot be imitated so: files of cgroups and /proc that were not there, flags that old
//! kernels ignored where newer ones act (CLONE_PIDFD of clone(2): refused here), and behaviour.

use base::sys::process::Process;
use base::sys::seccomp::{self, Answer, Instruction, Notice, bpf};
use base::sys::{Errno, pass, spawn};
use base::{Error, OnError, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::collections::BTreeSet;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::process::ExitCode;

/// A version that is imitated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32);

/// The rows of the table.
pub const VERSIONS: [Version; 3] = [Version(4, 9), Version(4, 19), Version(5, 4)];

impl Version {
    /// `4.19`
    #[must_use]
    pub fn parse(text: &str) -> Option<Version> {
        VERSIONS.into_iter().find(|version| version.name() == text)
    }

    /// `4.19`
    #[must_use]
    pub fn name(self) -> String {
        format!("{}.{}", self.0, self.1)
    }
}

/// A call that came after the numbers were one for all CPUs; every later one has a higher number.
const FIRST_OF_5_1: u32 = 424;
const FIRST_AFTER_5_4: u32 = 436;

#[cfg(target_arch = "x86_64")]
const AUDIT_ARCH: u32 = 0xc000_003e;
/// rseq(2): the libc crate does not have it for every CPU.
#[cfg(target_arch = "x86_64")]
const RSEQ: libc::c_long = 334;
#[cfg(not(target_arch = "x86_64"))]
const RSEQ: libc::c_long = 293;
#[cfg(target_arch = "aarch64")]
const AUDIT_ARCH: u32 = 0xc000_00b7;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const AUDIT_ARCH: u32 = 0;

/// A call with flags in a register.
struct Flags {
    /// The kernel that brought them.
    since: Version,
    call: libc::c_long,
    argument: u32,
    test: Test,
}

enum Test {
    /// Any of these bits.
    Bits(u32),
    /// Exactly this value.
    Value(u32),
    /// This value or a higher one.
    AtLeast(u32),
}

const fn flags(since: Version, call: libc::c_long, argument: u32, test: Test) -> Flags {
    Flags { since, call, argument, test }
}

/// What is answered with EINVAL.
const FLAGS: [Flags; 8] = [
    flags(Version(5, 6), libc::SYS_unshare, 0, Test::Bits(0x80 /* CLONE_NEWTIME */)),
    flags(Version(5, 2), libc::SYS_clone, 0, Test::Bits(0x1000 /* CLONE_PIDFD */)),
    flags(Version(5, 4), libc::SYS_waitid, 0, Test::Value(3 /* P_PIDFD */)),
    flags(Version(5, 6), libc::SYS_getrandom, 2, Test::Bits(4 /* GRND_INSECURE */)),
    flags(Version(6, 3), libc::SYS_memfd_create, 1, Test::Bits(0x18 /* MFD_EXEC, NOEXEC_SEAL */)),
    // Cgroup programs came with 4.10, for devices with 4.15, and the query with them.
    flags(Version(4, 15), libc::SYS_bpf, 0, Test::Value(5 /* BPF_PROG_LOAD */)),
    flags(Version(4, 15), libc::SYS_bpf, 0, Test::AtLeast(8 /* BPF_PROG_ATTACH */)),
    flags(Version(5, 14), libc::SYS_prctl, 0, Test::Value(62 /* PR_SCHED_CORE */)),
];

/// Calls that came before 5.1, and when.
const CALLS: [(Version, libc::c_long); 2] =
    [(Version(4, 11), libc::SYS_statx), (Version(4, 18), RSEQ)];

/// Calls whose arguments in memory the supervisor looks at.
const ASKED: [libc::c_long; 3] = [libc::SYS_mount, libc::SYS_clone3, libc::SYS_fsconfig];

/// The filter.
#[must_use]
pub fn filter(version: Version, refusal: Errno) -> Vec<Instruction> {
    let refuse = bpf::fail(refusal.raw_os_error());
    // The program counts in calls of this CPU alone: others (32-bit ones, say) are let through.
    let native = Instruction { jump_true: 1, ..bpf::equal(AUDIT_ARCH, 0) };
    let mut program = vec![bpf::load(bpf::ARCH), native, bpf::ALLOW, bpf::load(bpf::CALL)];
    let first_unknown = if version < Version(5, 1) { FIRST_OF_5_1 } else { FIRST_AFTER_5_4 };
    program.extend([bpf::at_least(first_unknown, 1), refuse]);
    for (since, call) in CALLS {
        if version < since {
            program.extend([bpf::equal(call as u32, 1), refuse]);
        }
    }
    for call in ASKED {
        program.extend([bpf::equal(call as u32, 1), bpf::ASK]);
    }
    for row in FLAGS.iter().filter(|row| version < row.since) {
        let test = match row.test {
            Test::Bits(bits) => bpf::any_of(bits, 1),
            Test::Value(value) => bpf::equal(value, 1),
            Test::AtLeast(value) => bpf::at_least(value, 1),
        };
        program.extend([
            bpf::equal(row.call as u32, 3),
            bpf::load(bpf::argument(row.argument)),
            test,
            bpf::fail(Errno::INVAL.raw_os_error()),
            bpf::load(bpf::CALL),
        ]);
    }
    program.push(bpf::ALLOW);
    program
}

/// Overlay's options, and the kernel that brought each.
const OVERLAY: [(&str, Version); 6] = [
    ("redirect_dir", Version(4, 10)),
    ("redirect_dir=nofollow", Version(4, 16)),
    ("metacopy", Version(4, 19)),
    ("volatile", Version(5, 10)),
    ("userxattr", Version(5, 11)),
    ("lowerdir+", Version(6, 5)),
];

/// Whether this version's overlay knows an option `name` or `name=value`.
fn knows(version: Version, option: &str) -> bool {
    let name = option.split('=').next().unwrap_or(option);
    OVERLAY
        .iter()
        .filter(|(known, _)| *known == name || *known == option)
        .all(|(_, since)| version >= *since)
}

/// The supervisor's memory: descriptors of fsopen(2) that were given an option which the version
/// does not know. Old kernels said so when the file system was made.
#[derive(Default)]
struct Contexts(BTreeSet<(u32, u64)>);

fn judge(version: Version, notice: &Notice, contexts: &mut Contexts) -> Answer {
    let call = libc::c_long::from(notice.call);
    let [first, second, third, _, fifth, _] = notice.arguments;
    let text = |address| text_at(notice.pid, address);
    if call == libc::SYS_mount {
        let (kind, data) = (text(third), text(fifth));
        let unknown = data.split(',').any(|option| !knows(version, option));
        return if kind == "overlay" && unknown {
            Answer::Fail(Errno::INVAL)
        } else {
            Answer::Continue
        };
    }
    if call == libc::SYS_clone3 {
        // Before CLONE_ARGS_SIZE_VER2 (5.7) and VER1 (5.5) what lies behind must be zero.
        let known = if version < Version(5, 5) { 64 } else { 88 };
        let rest = (second as usize).saturating_sub(known);
        let bytes = memory_at(notice.pid, first + known as u64, rest.min(1024));
        return if bytes.iter().any(|byte| *byte != 0) {
            Answer::Fail(Errno::TOOBIG)
        } else {
            Answer::Continue
        };
    }
    // fsconfig(fd, command, key, value, aux)
    const SET_FLAG: u64 = 0;
    const SET_STRING: u64 = 1;
    const CREATE: u64 = 6;
    let context = (notice.pid, first);
    match second {
        SET_FLAG | SET_STRING => {
            let value =
                if second == SET_STRING { text(notice.arguments[3]) } else { String::new() };
            if !knows(version, &format!("{}={value}", text(third))) {
                contexts.0.insert(context);
            }
            Answer::Continue
        }
        CREATE if contexts.0.remove(&context) => Answer::Fail(Errno::INVAL),
        _ => Answer::Continue,
    }
}

fn memory_at(pid: u32, address: u64, length: usize) -> Vec<u8> {
    let Ok(memory) = std::fs::File::open(format!("/proc/{pid}/mem")) else { return Vec::new() };
    let mut bytes = vec![0; length];
    let count = memory.read_at(&mut bytes, address).unwrap_or(0);
    bytes.truncate(count);
    bytes
}

fn text_at(pid: u32, address: u64) -> String {
    if address == 0 {
        return String::new();
    }
    // Not over the end of the page after next: one read may not reach beyond what is mapped.
    let mut bytes = Vec::new();
    while bytes.len() < 8192 && !bytes.contains(&0) {
        let place = address + bytes.len() as u64;
        let more = memory_at(pid, place, 4096 - (place % 4096) as usize);
        if more.is_empty() {
            break;
        }
        bytes.extend(more);
    }
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// Answers until nobody is left who is filtered.
fn supervise(version: Version, listener: BorrowedFd<'_>) {
    let mut contexts = Contexts::default();
    loop {
        let mut waiting = [PollFd::from_borrowed_fd(listener, PollFlags::IN)];
        match poll(&mut waiting, None) {
            Err(Errno::INTR) => continue,
            Err(_) => return,
            Ok(_) => (),
        }
        if !waiting[0].revents().contains(PollFlags::IN) {
            return;
        }
        let Ok(notice) = seccomp::receive(listener) else { continue };
        let answer = judge(version, &notice, &mut contexts);
        let _ = seccomp::answer(listener, notice.id, answer);
    }
}

const USAGE: &str = "older-kernel 4.9|4.19|5.4 ENOSYS|EPERM COMMAND ARGUMENT…";
/// The descriptor over which the filtered process hands its listener to the supervisor.
const SOCKET: i32 = 3;

/// The command line.
#[must_use]
pub fn main(words: &[String]) -> ExitCode {
    match run(words) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("older-kernel: {}", error.message());
            ExitCode::from(2)
        }
    }
}

/// Three processes: this one waits for the command and ends with its code; the supervisor lives as
/// long as anything that the command has left running; the command begins filtered.
fn run(words: &[String]) -> Result<ExitCode> {
    let [version, refusal, command @ ..] = words else { return Err(Error::bad_input(USAGE)) };
    let parsed = Version::parse(version).ok_or_else(|| Error::bad_input(USAGE))?;
    let refusal = match refusal.as_str() {
        "ENOSYS" => Errno::NOSYS,
        "EPERM" => Errno::PERM,
        _ => return Err(Error::bad_input(USAGE)),
    };
    match command {
        [] => Err(Error::bad_input(USAGE)),
        [role] if role == "--supervise" => {
            let socket = spawn::inherited(SOCKET).ok_or_else(|| Error::other("no socket"))?;
            let mut listener = Vec::new();
            pass::receive(socket.as_fd(), &mut [0], &mut listener).on("receive", "listener")?;
            drop(socket);
            if let Some(listener) = listener.pop() {
                supervise(parsed, listener.as_fd());
            }
            Ok(ExitCode::SUCCESS)
        }
        [role, command @ ..] if role == "--filtered" => {
            let socket = spawn::inherited(SOCKET).ok_or_else(|| Error::other("no socket"))?;
            let listener = seccomp::install(&filter(parsed, refusal)).on("seccomp", "filter")?;
            pass::send(socket.as_fd(), b"x", &[listener.as_fd()]).on("send", "listener")?;
            Err(begin(command))
        }
        command => {
            let (ours, theirs) =
                socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                    .on("socketpair", "supervisor")?;
            start_self(&words[..2], &["--supervise".to_string()], theirs, true)?;
            let filtered = [&["--filtered".to_string()], command].concat();
            let process = start_self(&words[..2], &filtered, ours, false)?;
            wait_for(&process)
        }
    }
}

fn wait_for(process: &Process) -> Result<ExitCode> {
    loop {
        let end = process.end().on("watch", "command")?;
        match poll(&mut [PollFd::from_borrowed_fd(end, PollFlags::IN)], None) {
            Err(Errno::INTR) => continue,
            result => result.on("poll", "command")?,
        };
        if let Some(status) = process.wait().on("wait for", "command")? {
            let signal = || status.terminating_signal().map_or(255, |signal| 128 + signal);
            let code = status.exit_status().unwrap_or_else(signal);
            return Ok(ExitCode::from(code as u8));
        }
    }
}

fn start_self(
    first: &[String],
    rest: &[String],
    socket: OwnedFd,
    in_background: bool,
) -> Result<Process> {
    let null = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .on("open", "/dev/null")?;
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let descriptors = if in_background {
        [null.as_fd(), null.as_fd(), null.as_fd(), socket.as_fd()]
    } else {
        [stdin.as_fd(), stdout.as_fd(), stderr.as_fd(), socket.as_fd()]
    };
    let name = ["older-kernel".to_string()];
    let words = name.iter().chain(first).chain(rest);
    let environment: Vec<String> = if in_background {
        Vec::new()
    } else {
        std::env::vars().map(|(name, value)| format!("{name}={value}")).collect()
    };
    let pid = spawn::start(&spawn::Program {
        path: c"/proc/self/exe",
        arguments: &texts(words)?,
        environment: &texts(environment.iter())?,
        descriptors: &descriptors,
        new_session: in_background,
    })
    .on("start", "older-kernel")?;
    Process::open(pid).on("watch", "command")
}

fn texts<'a>(words: impl Iterator<Item = &'a String>) -> Result<Vec<CString>> {
    words
        .map(|word| CString::new(word.as_str()).map_err(|_| Error::bad_input("a NUL in a word")))
        .collect()
}

/// Becomes the command; returns only when that fails.
fn begin(command: &[String]) -> Error {
    use std::os::unix::process::CommandExt;
    let Some((program, arguments)) = command.split_first() else { return Error::bad_input(USAGE) };
    let error = std::process::Command::new(program).args(arguments).exec();
    Error::os("exec", program, error)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]
    use super::*;

    #[test]
    fn options_are_known_by_version() {
        let knows = |text: &str, option| knows(Version::parse(text).expect("version"), option);
        assert!(knows("4.9", "lowerdir=/a") && knows("4.9", ""));
        assert!(!knows("4.9", "redirect_dir=off") && knows("4.19", "redirect_dir=nofollow"));
        assert!(knows("4.19", "metacopy=off") && !knows("5.4", "volatile"));
        assert!(!knows("5.4", "volatile=") && !knows("5.4", "userxattr"));
    }

    #[test]
    fn no_jump_leaves_the_filter() {
        for version in VERSIONS {
            let program = filter(version, Errno::NOSYS);
            for (place, step) in program.iter().enumerate() {
                let farthest = place + 1 + usize::from(step.jump_true.max(step.jump_false));
                assert!(step.code == 0x06 || farthest < program.len(), "{place}");
            }
        }
    }
}
