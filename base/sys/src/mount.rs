//! mount_setattr(2), Linux 5.12: what a detached tree of mounts is like before it is attached.

use crate::Errno;
use crate::syscall::raw;
use std::os::fd::{AsRawFd, BorrowedFd};

/// struct mount_attr of linux/mount.h.
#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

const MOUNT_ATTR_RDONLY: u64 = 1;

/// Every mount of the tree becomes read-only, or gets another propagation (MS_PRIVATE, MS_SLAVE,
/// MS_SHARED; 0 leaves it), or both. `whole`: the mounts below the first one too.
pub fn set_attributes(
    tree: BorrowedFd<'_>,
    read_only: bool,
    propagation: u64,
    whole: bool,
) -> Result<(), Errno> {
    let set = if read_only { MOUNT_ATTR_RDONLY } else { 0 };
    let flags = libc::AT_EMPTY_PATH | if whole { libc::AT_RECURSIVE } else { 0 };
    change(tree, flags, &MountAttributes { set, clear: 0, propagation, user_namespace: 0 })
}

/// The first mount of the tree may be written, and is private.
pub fn make_writable(tree: BorrowedFd<'_>) -> Result<(), Errno> {
    let (clear, propagation) = (MOUNT_ATTR_RDONLY, libc::MS_PRIVATE as u64);
    let attributes = MountAttributes { set: 0, clear, propagation, user_namespace: 0 };
    change(tree, libc::AT_EMPTY_PATH, &attributes)
}

fn change(
    tree: BorrowedFd<'_>,
    flags: libc::c_int,
    attributes: &MountAttributes,
) -> Result<(), Errno> {
    // SAFETY: the path is a C string and the structure has the size that is given; the kernel only
    // reads both.
    unsafe {
        raw!(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            attributes as *const MountAttributes,
            size_of::<MountAttributes>()
        )
    }
    .map(drop)
}
