//! Programs that we start ourselves: monitors, workers, the removal of uppers. All of them are
//! this same binary with another name.
//!
//! Every descriptor that we open is close-on-exec; the new program gets exactly the listed ones, as
//! 0, 1, 2 and so on. posix_spawn(3) would bring musl's heap with it.

use crate::Errno;
use rustix::process::Pid;
use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// What to start.
pub struct Program<'a> {
    /// The file to execute.
    pub path: &'a CStr,
    /// argv, its first text is the name.
    pub arguments: &'a [CString],
    /// The environment, `NAME=value`.
    pub environment: &'a [CString],
    /// The descriptors 0, 1, 2, … of the new program.
    pub descriptors: &'a [BorrowedFd<'a>],
    /// A session of its own, without our terminal.
    pub new_session: bool,
}

/// Starts it with no signal blocked or ignored. The caller waits for it, or is short-lived.
pub fn start(program: &Program<'_>) -> Result<Pid, Errno> {
    let arguments = pointers(program.arguments);
    let environment = pointers(program.environment);
    let (report, channel) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    // SAFETY: the child, which may be the copy of one thread of several, allocates nothing and
    // takes no lock: it makes system calls and ends, or becomes the program.
    let pid = match unsafe { libc::fork() } {
        0 => become_program(program, &arguments, &environment, channel.as_raw_fd()),
        pid if pid < 0 => return Err(crate::syscall::last_errno()),
        pid => pid,
    };
    drop(channel);
    let pid = Pid::from_raw(pid).ok_or(Errno::CHILD)?;
    // The end of the stream: the program has begun. Else the errno comes.
    let mut errno = [0; 4];
    match rustix::io::retry_on_intr(|| rustix::io::read(&report, &mut errno))? {
        4 => {
            let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
            Err(Errno::from_raw_os_error(i32::from_ne_bytes(errno)))
        }
        _ => Ok(pid),
    }
}

/// What the child of [`start`] does.
fn become_program(
    program: &Program<'_>,
    arguments: &[*const libc::c_char],
    environment: &[*const libc::c_char],
    channel: i32,
) -> ! {
    let descriptors = program.descriptors;
    // Above all numbers in use: no source is overwritten before it was copied.
    let highest = descriptors.iter().map(|fd| fd.as_raw_fd()).max().unwrap_or(2).max(channel);
    let base = highest.max(descriptors.len() as i32) + 1;
    // SAFETY: system calls with numbers, and with texts and lists that the caller holds; the lists
    // end with a null. An empty signal set is a valid mask.
    unsafe {
        if program.new_session {
            libc::setsid();
        }
        let report = libc::fcntl(channel, libc::F_DUPFD_CLOEXEC, base + descriptors.len() as i32);
        for (number, descriptor) in descriptors.iter().enumerate() {
            libc::dup3(descriptor.as_raw_fd(), base + number as i32, libc::O_CLOEXEC);
        }
        for number in 0..descriptors.len() as i32 {
            libc::dup2(base + number, number);
        }
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        let mut none = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
        libc::execve(program.path.as_ptr(), arguments.as_ptr(), environment.as_ptr());
        let errno = crate::syscall::last_errno().raw_os_error().to_ne_bytes();
        libc::write(report, errno.as_ptr().cast(), errno.len());
        libc::_exit(127)
    }
}

/// Does something in a copy of this process that nobody waits for: without our terminal and our
/// descriptors, with no signal blocked. `false`: this process has several threads, and a copy of
/// one of them could meet a lock that another one holds.
pub fn aside(work: impl FnOnce()) -> Result<bool, Errno> {
    // Two links are the folder's own, each thread adds one.
    if rustix::fs::stat("/proc/self/task")?.st_nlink != 3 {
        return Ok(false);
    }
    // SAFETY: there is one thread, so the copy finds every lock free and all memory in order.
    match unsafe { libc::fork() } {
        0 => (),
        pid if pid < 0 => return Err(crate::syscall::last_errno()),
        _ => return Ok(true),
    }
    // SAFETY: the copy ends below, so nothing that owned a descriptor here is used or dropped;
    // 0, 1 and 2 stay open, on the null device. An empty signal set is a valid mask.
    unsafe {
        libc::setsid();
        let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
        for number in 0..3 {
            libc::dup2(null, number);
        }
        crate::act::close_from(3);
        let mut none = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
    }
    work();
    // SAFETY: _exit never returns and runs nothing of ours.
    unsafe { libc::_exit(0) }
}

/// Becomes this program. Returns only when that fails.
pub fn replace(path: &CStr, arguments: &[CString], environment: &[CString]) -> Errno {
    let arguments = pointers(arguments);
    let environment = pointers(environment);
    // SAFETY: both lists end with a null, and everything outlives the call.
    unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    crate::syscall::last_errno()
}

/// Takes a descriptor that the program which started us has placed at this number; it gets another
/// number and is closed on exec. None when nothing is there. To be called before anything else is
/// opened, which might take that number.
pub fn inherited(number: i32) -> Option<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC gives a fresh descriptor, or fails when `number` is not open.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 10) };
    if copy < 0 {
        return None;
    }
    // SAFETY: nobody in this program owns what it was started with; the copy is fresh.
    unsafe {
        libc::close(number);
        Some(OwnedFd::from_raw_fd(copy))
    }
}

fn pointers(texts: &[CString]) -> Vec<*const libc::c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsFd;

    #[test]
    fn a_process_with_several_threads_is_not_copied() {
        let (_sender, receiver) = std::sync::mpsc::channel::<()>();
        std::thread::spawn(move || receiver.recv());
        assert_eq!(aside(|| ()), Ok(false));
    }

    #[test]
    fn a_program_that_is_not_there_is_told() {
        let null = std::fs::File::open("/dev/null").expect("/dev/null");
        let started = start(&Program {
            path: c"/nonexistent/program",
            arguments: &[c"x".into()],
            environment: &[],
            descriptors: &[null.as_fd()],
            new_session: false,
        });
        assert_eq!(started, Err(Errno::NOENT));
    }

    #[test]
    fn the_program_gets_the_listed_descriptors_in_their_order() {
        let (mut reader, writer) = std::io::pipe().expect("pipe");
        let null = std::fs::File::open("/dev/null").expect("/dev/null");
        let arguments = [c"sh".into(), c"-c".into(), c"echo out; echo err >&2".into()];
        let pid = start(&Program {
            path: c"/bin/sh",
            arguments: &arguments,
            environment: &[],
            descriptors: &[null.as_fd(), writer.as_fd(), writer.as_fd()],
            new_session: true,
        })
        .expect("spawn");
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("read");
        assert_eq!(text, "out\nerr\n");
        rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).expect("wait");
    }
}
