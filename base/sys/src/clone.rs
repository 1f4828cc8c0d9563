//! The clone of a container's first process, and the talk with it until it becomes the program.
//!
//! The child shares no memory and no descriptor table with us. Over one socket pair it receives
//! parts of its plan, each with the descriptors that the part names by slot, and walks them (see
//! [`act`](crate::act)). It answers with records of 12 bytes; the end of the stream means that it
//! has become the program, or has died.

use crate::act;
use crate::pass;
use crate::plan::Plan;
use crate::syscall::raw;
use crate::{Errno, act::Record};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::Pid;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Namespace flags of clone3(2), as 64 bits.
pub mod namespace {
    /// Mounts.
    pub const MOUNT: u64 = libc::CLONE_NEWNS as u64;
    /// Host name.
    pub const UTS: u64 = libc::CLONE_NEWUTS as u64;
    /// System V and POSIX message queues.
    pub const IPC: u64 = libc::CLONE_NEWIPC as u64;
    /// Users and groups.
    pub const USER: u64 = libc::CLONE_NEWUSER as u64;
    /// Processes.
    pub const PID: u64 = libc::CLONE_NEWPID as u64;
    /// Network.
    pub const NET: u64 = libc::CLONE_NEWNET as u64;
    /// Cgroups.
    pub const CGROUP: u64 = libc::CLONE_NEWCGROUP as u64;
}

const CLONE_PIDFD: u64 = libc::CLONE_PIDFD as u64;
const CLONE_PARENT: u64 = libc::CLONE_PARENT as u64;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// How to clone.
pub struct Clone<'a> {
    /// Flags of [`namespace`].
    pub namespaces: u64,
    /// The version 2 cgroup that the child is born into (Linux 5.7).
    pub cgroup: Option<BorrowedFd<'a>>,
    /// Our parent becomes the child's parent and waits for it (CLONE_PARENT).
    pub parent_waits: bool,
}

/// A cloned child that walks its plan.
pub struct Child {
    /// Its process id as we see it.
    pub pid: Pid,
    /// The same, safe from reuse.
    pub pidfd: OwnedFd,
    channel: OwnedFd,
}

/// What the child said.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// It has walked the part and waits for the next.
    Waiting,
    /// It has become the program.
    Running,
    /// The step at this offset of the last part failed.
    Failed {
        /// Offset of the step in the part.
        offset: usize,
        /// The reason.
        errno: Errno,
    },
    /// It died without a word (killed, or out of memory).
    Died,
}

#[repr(C, align(8))]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// The sizes of the kernel's `struct clone_args` (CLONE_ARGS_SIZE_VER0, VER2).
const SIZE_WITHOUT_CGROUP: usize = 64;
const SIZE_WITH_CGROUP: usize = 88;

impl Child {
    /// Clones. ENOSYS: Linux before 5.3, or a filter around us.
    pub fn start(clone: &Clone<'_>) -> Result<Child, Errno> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        let mut pidfd: libc::c_int = -1;
        let mut arguments = CloneArguments {
            flags: clone.namespaces | CLONE_PIDFD,
            pidfd: &raw mut pidfd as u64,
            exit_signal: libc::SIGCHLD as u64,
            ..CloneArguments::default()
        };
        let mut size = SIZE_WITHOUT_CGROUP;
        if clone.parent_waits {
            // The kernel takes our own exit signal; it refuses another one.
            arguments.flags |= CLONE_PARENT;
            arguments.exit_signal = 0;
        }
        if let Some(cgroup) = clone.cgroup {
            arguments.flags |= CLONE_INTO_CGROUP;
            arguments.cgroup = cgroup.as_raw_fd() as u64;
            size = SIZE_WITH_CGROUP;
        }
        // SAFETY: without CLONE_VM this is a fork: the child goes on with its own copy of our
        // memory and stack. It runs nothing but `act::child`, which allocates nothing and takes no
        // lock that another thread of ours could hold, and never returns.
        let pid = unsafe { raw!(libc::SYS_clone3, &raw mut arguments, size) }?;
        if pid == 0 {
            act::child(theirs.as_raw_fd());
        }
        // SAFETY: the kernel has put a fresh descriptor there.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        let pid = Pid::from_raw(pid as i32).ok_or(Errno::CHILD)?;
        Ok(Child { pid, pidfd, channel: ours })
    }

    /// Sends the next part of the plan; `descriptors` are its slots, counted over all parts.
    pub fn send(&self, plan: &Plan, descriptors: &[BorrowedFd<'_>]) -> Result<(), Errno> {
        let header = (plan.bytes().len() as u64).to_ne_bytes();
        pass::send(self.channel.as_fd(), &header, descriptors)?;
        pass::send(self.channel.as_fd(), plan.bytes(), &[])
    }

    /// Waits for the child's next word. Descriptors that it sends (a root folder, a terminal)
    /// are added to `descriptors`.
    pub fn answer(&self, descriptors: &mut Vec<OwnedFd>) -> Result<Answer, Errno> {
        let mut running = false;
        loop {
            // The pidfd as well: a child killed between two words may leave the stream open in a
            // process that it cloned.
            let mut waiting = [
                PollFd::new(&self.channel, PollFlags::IN),
                PollFd::new(&self.pidfd, PollFlags::IN),
            ];
            match poll(&mut waiting, None) {
                Err(Errno::INTR) => continue,
                result => result?,
            };
            if waiting[0].revents().is_empty() {
                return Ok(Answer::Died);
            }
            let mut bytes = [0; Record::SIZE];
            let mut filled = 0;
            while filled < Record::SIZE {
                match pass::receive(self.channel.as_fd(), &mut bytes[filled..], descriptors) {
                    Ok(0) | Err(Errno::CONNRESET) => break,
                    Ok(count) => filled += count,
                    Err(errno) => return Err(errno),
                }
            }
            if filled < Record::SIZE {
                return Ok(if running { Answer::Running } else { Answer::Died });
            }
            match Record::from_bytes(&bytes) {
                Record::Waiting => return Ok(Answer::Waiting),
                Record::Sent => (),
                Record::Executing => running = true,
                Record::Failed { offset, errno } => {
                    return Ok(Answer::Failed {
                        offset: offset as usize,
                        errno: Errno::from_raw_os_error(errno),
                    });
                }
            }
        }
    }
}
