//! The default device filter on the parent cgroup: a cgroup below without a program of its own is
//! bound by it too.

use super::open_folder;
use crate::devices::{DEFAULT_RULES, program};
use base::sys::bpf;
use base::{Error, OnError, Result};
use std::os::fd::AsFd;

/// Attaches the filter unless it is there. Asking the kernel costs a few microseconds and cannot
/// be fooled by a start that was cut off between making the cgroup and attaching the filter.
pub(super) fn ensure(parent: &str) -> Result<()> {
    let folder = open_folder(parent)?;
    if bpf::attached_device_programs(folder.as_fd()).is_ok_and(|count| count > 0) {
        return Ok(());
    }
    let filter = bpf::load_device_program(&program(&DEFAULT_RULES)).map_err(missing)?;
    // No flags: a second attach, by a start at the same time, replaces the same program.
    bpf::attach_device_program(folder.as_fd(), filter.as_fd(), 0)
        .on("attach the device filter to", parent)
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
