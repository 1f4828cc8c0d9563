//! Project quotas: how much a folder and everything made in it may take (ext4 with the feature
//! `project` and the option `prjquota`, xfs with `pquota`). By quotactl_fd(2), Linux 5.14, which needs no
//! path of the device.

use crate::Errno;
use crate::syscall::{check_int, raw};
use rustix::ioctl::{Opcode, opcode};
use std::os::fd::{AsRawFd, BorrowedFd};

/// struct fsxattr of linux/fs.h.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    flags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    cow_extent_size: u32,
    padding: [u8; 8],
}

/// struct if_dqblk of linux/quota.h.
#[repr(C)]
#[derive(Default)]
struct Limits {
    /// In blocks of 1024 bytes.
    hard: u64,
    soft: u64,
    space: u64,
    inodes_hard: u64,
    inodes_soft: u64,
    inodes: u64,
    block_time: u64,
    inode_time: u64,
    valid: u32,
}

const GET_ATTRIBUTES: Opcode = opcode::read::<Attributes>(b'X', 31);
const SET_ATTRIBUTES: Opcode = opcode::write::<Attributes>(b'X', 32);
/// What is made in the folder has its project.
const INHERIT: u32 = 0x200;
const QUOTACTL_FD: libc::c_long =
    if cfg!(any(target_arch = "mips", target_arch = "mips64")) { 4443 } else { 443 };
/// Q_XGETQSTAT, which ext4 answers too.
const GET_STATE: u32 = 0x5805;
/// FS_QUOTA_PDQ_ENFD of its flags.
const PROJECTS_ENFORCED: u16 = 0x20;
const SET_QUOTA: u32 = 0x80_0008;
const PROJECTS: u32 = 2;
const BLOCK_LIMITS: u32 = 1;

fn quotactl<T>(file: BorrowedFd<'_>, command: u32, id: u32, data: &mut T) -> Result<(), Errno> {
    let command = (command << 8) | PROJECTS;
    // SAFETY: the data is what the command reads or writes; it lives until the call returns.
    unsafe { raw!(QUOTACTL_FD, file.as_raw_fd(), command, id, std::ptr::from_mut(data)) }.map(drop)
}

/// Whether quotas of projects are enforced, not only counted, where this file is.
pub fn is_on(file: BorrowedFd<'_>) -> bool {
    // struct fs_quota_stat has 80 bytes; after the version, at 2, the flags.
    let mut state = [0_u16; 64];
    quotactl(file, GET_STATE, 0, &mut state).is_ok() && state[1] & PROJECTS_ENFORCED != 0
}

/// An empty folder becomes a project of its own, which may take so many bytes.
pub fn limit(folder: BorrowedFd<'_>, project: u32, bytes: u64) -> Result<(), Errno> {
    let mut attributes = Attributes::default();
    let data = &raw mut attributes;
    // SAFETY: the call fills the structure, whose size is in its number.
    check_int(unsafe { libc::ioctl(folder.as_raw_fd(), GET_ATTRIBUTES as _, data) })?;
    attributes.flags |= INHERIT;
    attributes.project = project;
    let data = &raw mut attributes;
    // SAFETY: the call reads the structure, whose size is in its number.
    check_int(unsafe { libc::ioctl(folder.as_raw_fd(), SET_ATTRIBUTES as _, data) })?;
    let hard = bytes.div_ceil(1024);
    let mut limits = Limits { hard, soft: hard, valid: BLOCK_LIMITS, ..Limits::default() };
    quotactl(folder, SET_QUOTA, project, &mut limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_are_the_kernels() {
        assert_eq!((size_of::<Attributes>(), size_of::<Limits>()), (28, 72));
        if cfg!(target_arch = "x86_64") {
            assert_eq!((GET_ATTRIBUTES as u64, SET_ATTRIBUTES as u64), (0x801c_581f, 0x401c_5820));
        }
    }
}
