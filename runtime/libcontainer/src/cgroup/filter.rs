//! The default device filter on the parent cgroup: a cgroup below without a program of its own is
//! bound by it too.

use super::open_folder;
use crate::devices::{DEFAULT_RULES, Rule, program};
use base::sys::bpf;
use base::{Error, OnError, Result};
use std::os::fd::{AsFd, BorrowedFd};

/// Attaches the filter unless it is there. Asking the kernel costs a few microseconds and cannot
/// be fooled by a start that was cut off between making the cgroup and attaching the filter.
pub(super) fn ensure(parent: &str) -> Result<()> {
    let folder = open_folder(parent)?;
    match bpf::attached_device_programs(folder.as_fd()) {
        Ok((1.., bpf::BPF_F_ALLOW_OVERRIDE)) => return Ok(()),
        // An older coracle's, which lets no cgroup below have its own.
        Ok((1.., _)) => bpf::detach_device_program(folder.as_fd())
            .on("detach the older device filter from", parent)?,
        _ => (),
    }
    let filter = bpf::load_device_program(&program(&DEFAULT_RULES)).map_err(missing)?;
    // A second attach, by a start at the same time, replaces the same program.
    bpf::attach_device_program(folder.as_fd(), filter.as_fd(), bpf::BPF_F_ALLOW_OVERRIDE)
        .on("attach the device filter to", parent)
}

/// A filter of a container's own, in place of the parent's.
pub(super) fn attach_own(folder: BorrowedFd<'_>, rules: &[Rule]) -> Result<()> {
    let filter = bpf::load_device_program(&program(rules)).map_err(missing)?;
    bpf::attach_device_program(folder, filter.as_fd(), 0)
        .on("attach the device filter to", "the container's cgroup")
}

fn missing(errno: rustix::io::Errno) -> Error {
    use rustix::io::Errno;
    match errno {
        // EPERM: a filter around us that does not know the call.
        Errno::NOSYS | Errno::INVAL | Errno::PERM => Error::unsupported(
            "device rules: bpf: the kernel lacks CONFIG_BPF_SYSCALL or CONFIG_CGROUP_BPF",
        ),
        errno => Error::os("bpf", &"device filter", errno),
    }
}
