//! The clone of a container's first process, and the talk with it until it becomes the program.
//!
//! The child shares no memory and no descriptor table with us. Over one socket pair it receives
//! parts of its plan, each with the descriptors that the part names by slot, and walks them (see
//! [`act`](crate::act)). It answers with records of 12 bytes; the end of the stream means that it
//! has become the program, or has died.
//!
//! clone3(2) came with Linux 5.3, birth into a cgroup with 5.7. Before, clone(2) makes the child,
//! and whoever starts it attaches it to its cgroup; see [`Child::born_in_cgroup`].

use crate::act;
use crate::pass;
use crate::plan::Plan;
use crate::process::Process;
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
    /// A PID namespace that is there: the child is born into it.
    pub pid_namespace: Option<BorrowedFd<'a>>,
    /// Our parent becomes the child's parent and waits for it (CLONE_PARENT).
    pub parent_waits: bool,
}

/// A cloned child that walks its plan.
pub struct Child {
    /// Its process id as we see it.
    pub pid: Pid,
    /// The same, safe from reuse.
    pub process: Process,
    /// It was born into the cgroup that was asked for; else it must be attached.
    pub born_in_cgroup: bool,
    channel: OwnedFd,
}

/// What the child said.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// It has walked the part and waits for the next.
    Waiting,
    /// It has become the program.
    Running,
    /// It has cloned itself ([`Operation::Fork`](crate::plan::Operation::Fork)) and ends.
    Forked(Pid),
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

/// A fresh child, seen from the parent.
struct Born {
    pid: i32,
    /// Where the kernel can give one with the clone (Linux 5.2).
    pidfd: Option<OwnedFd>,
    in_cgroup: bool,
}

type Way = fn(&Clone<'_>) -> Result<Born, Errno>;

/// clone3(2). In the child the pid is 0.
fn clone3(clone: &Clone<'_>, cgroup: Option<BorrowedFd<'_>>) -> Result<Born, Errno> {
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
    if let Some(cgroup) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = cgroup.as_raw_fd() as u64;
        size = SIZE_WITH_CGROUP;
    }
    // SAFETY: without CLONE_VM this is a fork: the child goes on with its own copy of our memory
    // and stack. Our caller lets it run nothing but `act::child`, which allocates nothing and takes
    // no lock that another thread of ours could hold, and never returns.
    let pid = unsafe { raw!(libc::SYS_clone3, &raw mut arguments, size) }?;
    Ok(Born { pid: pid as i32, pidfd: fresh(pid, pidfd), in_cgroup: cgroup.is_some() })
}

/// clone(2). Kernels before 5.2 do not know CLONE_PIDFD, and ignore it.
fn clone2(clone: &Clone<'_>, with_pidfd: bool) -> Result<Born, Errno> {
    let mut pidfd: libc::c_int = -1;
    let mut flags = clone.namespaces;
    // Exit signal 0: with CLONE_PARENT the kernel takes our own.
    flags |= if clone.parent_waits { CLONE_PARENT } else { libc::SIGCHLD as u64 };
    if with_pidfd {
        flags |= CLONE_PIDFD;
    }
    // SAFETY: as for clone3 above. No stack: the child goes on with a copy of ours. The third
    // argument, on all of our CPUs, is where the descriptor goes.
    let pid = unsafe {
        raw!(libc::SYS_clone, flags as libc::c_ulong, 0_usize, &raw mut pidfd, 0_usize, 0_usize)
    }?;
    Ok(Born { pid: pid as i32, pidfd: fresh(pid, pidfd), in_cgroup: false })
}

fn fresh(pid: usize, pidfd: libc::c_int) -> Option<OwnedFd> {
    if pid == 0 || pidfd < 0 {
        return None;
    }
    // SAFETY: in the parent the kernel has put a fresh descriptor there.
    Some(unsafe { OwnedFd::from_raw_fd(pidfd) })
}

/// From now on this thread's children are born into that PID namespace. Gives the one before.
fn enter_pid_namespace(wanted: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    use rustix::fs::{Mode, OFlags, open};
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let own = open("/proc/self/ns/pid_for_children", flags, Mode::empty())
        // Before Linux 4.12 there is no such file.
        .or_else(|_| open("/proc/self/ns/pid", flags, Mode::empty()))?;
    set_pid_namespace(wanted)?;
    Ok(own)
}

fn set_pid_namespace(namespace: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: changes only where this thread's children are born.
    unsafe { raw!(libc::SYS_setns, namespace.as_raw_fd(), libc::CLONE_NEWPID) }.map(drop)
}

/// The best way that this kernel, and a filter around us, knows.
fn clone_best(clone: &Clone<'_>) -> Result<Born, Errno> {
    let mut born = clone3(clone, clone.cgroup);
    // Before Linux 5.7: E2BIG, for the cgroup lies behind what the kernel knows of the arguments.
    if clone.cgroup.is_some() && matches!(born, Err(Errno::TOOBIG | Errno::INVAL)) {
        born = clone3(clone, None);
    }
    match born {
        // EPERM is also what filters answer to calls that they do not know; if it is meant,
        // clone(2) gives it again.
        Err(Errno::NOSYS | Errno::PERM) => match clone2(clone, true) {
            Err(Errno::INVAL) => clone2(clone, false),
            born => born,
        },
        born => born,
    }
}

impl Child {
    /// Clones.
    pub fn start(clone: &Clone<'_>) -> Result<Child, Errno> {
        Child::start_by(clone, clone_best)
    }

    fn start_by(clone: &Clone<'_>, way: Way) -> Result<Child, Errno> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        let own = clone.pid_namespace.map(enter_pid_namespace).transpose()?;
        let born = way(clone);
        if let (Some(own), false) = (own, matches!(&born, Ok(born) if born.pid == 0)) {
            // Back, for the next child of this thread.
            set_pid_namespace(own.as_fd())?;
        }
        let born = born?;
        if born.pid == 0 {
            act::child(theirs.as_raw_fd());
        }
        let pid = Pid::from_raw(born.pid).ok_or(Errno::CHILD)?;
        let process = match born.pidfd {
            Some(pidfd) => Process::of_pidfd(pid, pidfd),
            None => Process::open(pid)?,
        };
        Ok(Child { pid, process, born_in_cgroup: born.in_cgroup, channel: ours })
    }

    /// Sends the next part of the plan; `descriptors` are its slots, counted over all parts.
    pub fn send(&self, plan: &Plan, descriptors: &[BorrowedFd<'_>]) -> Result<(), Errno> {
        let header = (plan.bytes().len() as u64).to_ne_bytes();
        pass::send(self.channel.as_fd(), &header, descriptors)?;
        pass::send(self.channel.as_fd(), plan.bytes(), &[])
    }

    /// From now on this is the process that the child has cloned. It is our child too, so its number
    /// is its own until we wait for it.
    pub fn follow(&mut self, pid: Pid) -> Result<(), Errno> {
        let _ = rustix::process::waitpid(Some(self.pid), rustix::process::WaitOptions::empty());
        self.pid = pid;
        self.process = Process::open(pid)?;
        Ok(())
    }

    /// Waits for the child's next word. Descriptors that it sends (a root folder, a terminal)
    /// are added to `descriptors`.
    pub fn answer(&self, descriptors: &mut Vec<OwnedFd>) -> Result<Answer, Errno> {
        let mut running = false;
        loop {
            // Its end as well: a child killed between two words may leave the stream open in a
            // process that it cloned.
            let mut waiting = [
                PollFd::new(&self.channel, PollFlags::IN),
                PollFd::from_borrowed_fd(self.process.end()?, PollFlags::IN),
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
                Record::Forked { pid } => {
                    return Ok(Pid::from_raw(pid).map_or(Answer::Died, Answer::Forked));
                }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Operation, Tolerate};

    /// Every way gives a child that walks its plan and that we wait for.
    #[test]
    fn older_ways_to_clone_give_the_same_child() {
        let ways: [Way; 4] = [
            clone_best,
            |clone| clone3(clone, None),
            |clone| clone2(clone, true),
            |clone| clone2(clone, false),
        ];
        for way in ways {
            let clone =
                Clone { namespaces: 0, cgroup: None, pid_namespace: None, parent_waits: false };
            let child = Child::start_by(&clone, way).expect("clone");
            let mut plan = Plan::new();
            plan.step(Operation::Execute, Tolerate::Nothing)
                .texts([&b"/bin/sh"[..]].into_iter())
                .texts([&b"sh"[..], b"-c", b"exit 5"].into_iter())
                .texts(std::iter::empty());
            child.send(&plan, &[]).expect("send");
            assert_eq!(child.answer(&mut Vec::new()).expect("answer"), Answer::Running);
            let end = PollFd::from_borrowed_fd(child.process.end().expect("end"), PollFlags::IN);
            poll(&mut [end], None).expect("poll");
            let status = child.process.wait().expect("wait").expect("status");
            assert_eq!(status.exit_status(), Some(5));
        }
    }
}
