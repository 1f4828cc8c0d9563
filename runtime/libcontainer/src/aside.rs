//! A mount that somebody else makes for us: a helper walks a plan in another mount namespace and sends
//! what it made or found there as a detached mount. Nothing of the helper is left.

use crate::start::step_failed;
use base::sys::clone::{Answer, Child, Clone};
use base::sys::plan::{Operation, Plan, Tolerate};
use base::{Error, OnError, Result};
use rustix::fs::fstatfs;
use rustix::io::Errno;
use rustix::process::{Signal, WaitOptions};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The mount, or at which offset of the plan which error came.
pub(crate) type Made = std::result::Result<OwnedFd, (usize, Errno)>;

/// `namespaces`: of its own. `files`: the plan's slots.
pub(crate) fn mount(plan: &Plan, namespaces: u64, files: &[BorrowedFd<'_>]) -> Result<Made> {
    let helper =
        Child::start(&Clone { namespaces, cgroup: None, pid_namespace: None, parent_waits: false })
            .on("clone", "helper")?;
    let mut received = Vec::new();
    let answer = helper
        .send(plan, files)
        .and_then(|()| helper.answer(&mut received))
        .on("talk to", "helper");
    let _ = helper.process.signal(Signal::KILL);
    let _ = rustix::process::waitpid(Some(helper.pid), WaitOptions::empty());
    match (answer?, received.pop()) {
        (Answer::Waiting, Some(mount)) => Ok(Ok(mount)),
        (Answer::Failed { offset, errno }, _) => Ok(Err((offset, errno))),
        _ => Err(Error::other("mount: the helper was killed")),
    }
}

/// /dev/shm of another container, whose mount namespace this is.
pub(crate) fn shared_memory(mounts: &OwnedFd) -> Result<OwnedFd> {
    /// Of linux/magic.h.
    const TMPFS: u64 = 0x0102_1994;
    let mut plan = Plan::new();
    // Its processes must not look into the helper.
    plan.step(Operation::Dumpable, Tolerate::Nothing).number(0);
    let join = plan.step(Operation::Join, Tolerate::Nothing);
    join.number(0).number(base::sys::clone::namespace::MOUNT);
    plan.step(Operation::SendTree, Tolerate::Nothing).text(b"/dev/shm");
    let mount = mount(&plan, 0, &[mounts.as_fd()])?
        .map_err(|(offset, errno)| step_failed(&plan, offset, errno))?;
    // The other container may have put something else in its place.
    match fstatfs(&mount).is_ok_and(|stat| stat.f_type as u64 == TMPFS) {
        true => Ok(mount),
        false => Err(Error::bad_input("--ipc container: its /dev/shm is none")),
    }
}
