//! mount_setattr(2), Linux 5.12: what a detached tree of mounts is like before it is attached; and
//! whose files a thread makes.

use crate::Errno;
use crate::syscall::raw;
use std::marker::PhantomData;
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
const MOUNT_ATTR_IDMAP: u64 = 0x10_0000;

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

/// The files of this mount (not of those below it) belong to whom the user namespace maps their owners
/// to: what is 0 on the disk is seen as the namespace's root, and what that one makes is 0 on the disk.
pub fn map_owners(tree: BorrowedFd<'_>, user_namespace: BorrowedFd<'_>) -> Result<(), Errno> {
    let user_namespace = user_namespace.as_raw_fd() as u64;
    let attributes =
        MountAttributes { set: MOUNT_ATTR_IDMAP, clear: 0, propagation: 0, user_namespace };
    change(tree, libc::AT_EMPTY_PATH, &attributes)
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

// 32-bit ARM and x86 have older calls with 16 bit ids under the plain names.
#[cfg(any(target_arch = "arm", target_arch = "x86"))]
const SETFSIDS: [libc::c_long; 2] =
    [libc::SYS_setfsgid32 as libc::c_long, libc::SYS_setfsuid32 as libc::c_long];
#[cfg(not(any(target_arch = "arm", target_arch = "x86")))]
const SETFSIDS: [libc::c_long; 2] =
    [libc::SYS_setfsgid as libc::c_long, libc::SYS_setfsuid as libc::c_long];

/// Sets whose files this thread makes; its capabilities stay. Both calls tell no errors.
pub(crate) fn set_file_owner(uid: u32, gid: u32) {
    for (call, id) in SETFSIDS.into_iter().zip([gid, uid]) {
        // SAFETY: changes only this thread.
        let _ = unsafe { raw!(call, id) };
    }
}

/// As long as this lives, the files that this thread makes belong to somebody else. It may do with
/// files what it could do before.
pub struct FileOwner {
    /// Of this thread alone.
    _thread: PhantomData<*const ()>,
}

impl FileOwner {
    /// From now on. The caller is root.
    pub fn set(uid: u32, gid: u32) -> Result<FileOwner, Errno> {
        set_file_owner(uid, gid);
        let owner = FileOwner { _thread: PhantomData };
        // Leaving 0 has taken the capabilities over files away.
        let mut sets = rustix::thread::capabilities(None)?;
        sets.effective = sets.permitted;
        rustix::thread::set_capabilities(None, sets)?;
        Ok(owner)
    }
}

impl Drop for FileOwner {
    fn drop(&mut self) {
        // Going back to 0 leaves the capabilities as they are.
        set_file_owner(0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn files_are_somebody_elses_and_the_capabilities_stay() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let folder = std::env::temp_dir().join(format!("coracle-owner-{}", std::process::id()));
        std::fs::create_dir(&folder).expect("mkdir");
        let owner = FileOwner::set(1234, 5678).expect("set");
        // The folder is root's: without the capabilities nothing could be made in it.
        std::fs::write(folder.join("a"), "").expect("write");
        drop(owner);
        std::fs::write(folder.join("b"), "").expect("write");
        let of = |name: &str| {
            let stat = std::fs::metadata(folder.join(name)).expect("stat");
            (stat.uid(), stat.gid())
        };
        assert_eq!((of("a"), of("b")), ((1234, 5678), (0, 0)));
        std::fs::remove_dir_all(&folder).expect("remove");
    }
}
