//! Subvolumes of btrfs: made, copied in one step, and removed.

use crate::Errno;
use crate::syscall::check_int;
use rustix::ioctl::{Opcode, opcode};
use std::os::fd::{AsRawFd, BorrowedFd};

/// struct btrfs_ioctl_vol_args of linux/btrfs.h.
#[repr(C)]
struct Arguments {
    fd: i64,
    name: [u8; 4088],
}

/// struct btrfs_ioctl_vol_args_v2.
#[repr(C)]
struct Arguments2 {
    fd: i64,
    transid: u64,
    flags: u64,
    unused: [u64; 4],
    name: [u8; 4040],
}

const CREATE: Opcode = opcode::write::<Arguments>(0x94, 14);
const DESTROY: Opcode = opcode::write::<Arguments>(0x94, 15);
const SNAPSHOT: Opcode = opcode::write::<Arguments2>(0x94, 23);

/// The name with zeros after it; the kernel takes 255 bytes.
fn padded<const N: usize>(name: &str) -> Result<[u8; N], Errno> {
    let mut bytes = [0; N];
    let place = bytes.get_mut(..name.len()).filter(|_| name.len() < 256);
    place.ok_or(Errno::NAMETOOLONG)?.copy_from_slice(name.as_bytes());
    Ok(bytes)
}

fn simple(folder: BorrowedFd<'_>, number: Opcode, name: &str) -> Result<(), Errno> {
    let arguments = Arguments { fd: 0, name: padded(name)? };
    // SAFETY: the call reads the structure, whose size is in its number.
    check_int(unsafe { libc::ioctl(folder.as_raw_fd(), number as _, &raw const arguments) })
        .map(drop)
}

/// Makes an empty subvolume in a folder.
pub fn create(folder: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
    simple(folder, CREATE, name)
}

/// Removes a subvolume with all that is in it. `PERM` for ordinary users.
pub fn destroy(folder: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
    simple(folder, DESTROY, name)
}

/// Makes a writable snapshot of a subvolume in a folder.
pub fn snapshot(from: BorrowedFd<'_>, folder: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
    let (fd, name) = (i64::from(from.as_raw_fd()), padded(name)?);
    let arguments = Arguments2 { fd, transid: 0, flags: 0, unused: [0; 4], name };
    // SAFETY: the call reads the structure, whose size is in its number.
    check_int(unsafe { libc::ioctl(folder.as_raw_fd(), SNAPSHOT as _, &raw const arguments) })
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn the_structures_have_the_size_that_the_kernel_knows() {
        assert_eq!((size_of::<Arguments>(), size_of::<Arguments2>()), (4096, 4096));
    }

    #[test]
    fn other_file_systems_and_long_names_say_so() {
        let proc = std::fs::File::open("/proc").unwrap();
        assert!(create(proc.as_fd(), "x").is_err());
        assert_eq!(create(proc.as_fd(), &"x".repeat(256)), Err(Errno::NAMETOOLONG));
    }
}
