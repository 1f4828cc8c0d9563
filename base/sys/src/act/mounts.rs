//! The child's mounts: on targets that are resolved beneath the new root by descriptor.

use super::{Walker, close, open};
use crate::Errno;
use crate::plan::target;
use crate::resolve::{Links, beneath_raw, kind};
use crate::syscall::{check_int, raw};
use std::ffi::CStr;
use std::os::fd::RawFd;

const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 4;
const MOVE_MOUNT_T_EMPTY_PATH: libc::c_uint = 0x40;

/// mount(2). Empty texts are null pointers.
pub(super) fn mount(
    source: &CStr,
    target: &CStr,
    kind: &CStr,
    flags: u64,
    data: &CStr,
) -> Result<(), Errno> {
    let pointer = |text: &CStr| if text.is_empty() { std::ptr::null() } else { text.as_ptr() };
    // SAFETY: all texts are C strings or null; the kernel only reads them.
    check_int(unsafe {
        libc::mount(
            pointer(source),
            target.as_ptr(),
            pointer(kind),
            flags as libc::c_ulong,
            pointer(data).cast(),
        )
    })
    .map(drop)
}

/// move_mount(2) of a detached mount.
pub(super) fn attach(detached: RawFd, folder: RawFd, target: &CStr) -> Result<(), Errno> {
    let mut flags = MOVE_MOUNT_F_EMPTY_PATH;
    if target.is_empty() {
        flags |= MOVE_MOUNT_T_EMPTY_PATH;
    }
    // SAFETY: both paths are C strings; the kernel only reads them.
    unsafe { raw!(libc::SYS_move_mount, detached, c"".as_ptr(), folder, target.as_ptr(), flags) }
        .map(drop)
}

/// A detached copy of what is mounted there (open_tree(2)).
pub(super) fn clone_tree(path: &CStr) -> Result<RawFd, Errno> {
    const OPEN_TREE_CLONE: libc::c_int = 1;
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC;
    // SAFETY: the path is a C string.
    unsafe { raw!(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) }
        .map(|descriptor| descriptor as RawFd)
}

impl Walker {
    pub(super) fn enter(&mut self, folder: &CStr) -> Result<(), Errno> {
        // SAFETY: the path is a C string.
        check_int(unsafe { libc::chdir(folder.as_ptr()) })?;
        self.root = open(c".", libc::O_PATH | libc::O_DIRECTORY)?;
        Ok(())
    }

    fn go_to(&self, folder: RawFd) -> Result<(), Errno> {
        // SAFETY: changes only this process.
        check_int(unsafe { libc::fchdir(folder) }).map(drop)
    }

    /// A mount on a target beneath the root. A folder is mounted on through the working
    /// directory, a file through /proc/self/fd of the host's procfs: neither is a path that the
    /// container could have changed since it was resolved.
    pub(super) fn mount_in(
        &mut self,
        source: &CStr,
        path: &CStr,
        fs_type: &CStr,
        flags: u64,
        data: &CStr,
        options: u64,
    ) -> Result<(), Errno> {
        let links = if options & target::NO_LINKS != 0 { Links::Refuse } else { Links::Follow };
        let object = beneath_raw(self.root, path, links)?;
        refuse_proc(object, options)?;
        let folder = options & target::FOLDER != 0;
        if folder != (kind(object)? == libc::S_IFDIR) {
            return Err(if folder { Errno::NOTDIR } else { Errno::ISDIR });
        }
        if folder {
            self.go_to(object)?;
            mount(source, c".", fs_type, flags, data)?;
        } else {
            let mut name = [0; 32];
            mount(source, descriptor_path(object, &mut name), fs_type, flags, data)?;
        }
        close(object);
        if options & target::READ_ONLY != 0 {
            // Looked up again: the first descriptor is below the new mount.
            let object = beneath_raw(self.root, path, links)?;
            let mut name = [0; 32];
            let flags =
                flags | read_only_flags(object)? | (libc::MS_REMOUNT | libc::MS_BIND) as u64;
            mount(
                c"none",
                descriptor_path(object, &mut name),
                c"",
                flags & !(libc::MS_REC as u64),
                c"",
            )?;
            close(object);
        }
        self.go_to(self.root)
    }

    pub(super) fn attach_in(
        &mut self,
        detached: RawFd,
        path: &CStr,
        options: u64,
    ) -> Result<(), Errno> {
        let links = if options & target::NO_LINKS != 0 { Links::Refuse } else { Links::Follow };
        let object = beneath_raw(self.root, path, links)?;
        refuse_proc(object, options)?;
        let result = attach(detached, object, c"");
        close(object);
        result
    }

    /// A folder or an empty file with docker's modes. The name has no slash.
    pub(super) fn make_in(&mut self, path: &CStr, name: &CStr, folder: bool) -> Result<(), Errno> {
        let above = beneath_raw(self.root, path, Links::Follow)?;
        // SAFETY: the name is a C string.
        let made = check_int(unsafe {
            match folder {
                true => libc::mkdirat(above, name.as_ptr(), 0o755),
                false => libc::mknodat(above, name.as_ptr(), libc::S_IFREG | 0o644, 0),
            }
        });
        close(above);
        match made {
            Err(Errno::EXIST) => Ok(()),
            result => result.map(drop),
        }
    }

    /// pivot_root(2) with "." twice: the old root lies over the new one and is then let go. On the
    /// kernel's own rootfs (a firmware that never left its initramfs) that is EINVAL: there the
    /// new root is moved over "/" instead.
    pub(super) fn pivot_root(&mut self) -> Result<(), Errno> {
        self.go_to(self.root)?;
        // SAFETY: both paths are C strings.
        match unsafe { raw!(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) } {
            Ok(_) => {
                // SAFETY: the path is a C string.
                check_int(unsafe { libc::umount2(c".".as_ptr(), libc::MNT_DETACH) })?;
            }
            Err(Errno::INVAL) => {
                mount(c".", c"/", c"", libc::MS_MOVE as u64, c"")?;
                // SAFETY: the path is a C string.
                check_int(unsafe { libc::chroot(c".".as_ptr()) })?;
            }
            Err(errno) => return Err(errno),
        }
        // SAFETY: the path is a C string.
        check_int(unsafe { libc::chdir(c"/".as_ptr()) })?;
        close(self.root);
        self.root = -1;
        Ok(())
    }
}

/// A target in procfs is refused where the step says so.
fn refuse_proc(object: RawFd, options: u64) -> Result<(), Errno> {
    if options & target::NOT_PROC == 0 {
        return Ok(());
    }
    let mut stat = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: fstatfs fills the buffer, or fails and it is not read.
    check_int(unsafe { libc::fstatfs(object, stat.as_mut_ptr()) })?;
    // SAFETY: filled by the call above.
    let kind = unsafe { stat.assume_init() }.f_type as u64;
    if kind == PROC_SUPER_MAGIC { Err(Errno::PERM) } else { Ok(()) }
}

/// Of linux/magic.h.
const PROC_SUPER_MAGIC: u64 = 0x9fa0;

/// The flags that a remount must repeat: in a user namespace the kernel refuses to lose them.
fn read_only_flags(object: RawFd) -> Result<u64, Errno> {
    let mut stat = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: fstatvfs fills the buffer, or fails and it is not read.
    check_int(unsafe { libc::fstatvfs(object, stat.as_mut_ptr()) })?;
    // SAFETY: filled by the call above.
    let present = unsafe { stat.assume_init() }.f_flag as u64;
    // statvfs(3) and mount(2) use the same numbers for these.
    let kept =
        libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC | libc::MS_NOATIME | libc::MS_NODIRATIME;
    Ok((present & kept as u64) | libc::MS_RDONLY as u64)
}

/// "/proc/self/fd/N" in a buffer of the caller's.
pub(super) fn descriptor_path(descriptor: RawFd, buffer: &mut [u8; 32]) -> &CStr {
    numbered_path(c"/proc/self/fd/", descriptor.unsigned_abs(), buffer)
}

/// A path that ends with a number. The prefix has at most 20 bytes.
pub(super) fn numbered_path<'a>(prefix: &CStr, number: u32, buffer: &'a mut [u8; 32]) -> &'a CStr {
    let prefix = prefix.to_bytes();
    let mut digits = [0_u8; 10];
    let mut first = digits.len();
    let mut rest = number;
    while first > 0 {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    let bytes = prefix.iter().chain(&digits[first..]).chain(&[0]);
    for (place, byte) in buffer.iter_mut().zip(bytes) {
        *place = *byte;
    }
    CStr::from_bytes_until_nul(buffer).unwrap_or(c"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_has_a_path() {
        for (number, path) in [
            (0, c"/proc/self/fd/0"),
            (7, c"/proc/self/fd/7"),
            (1234567890, c"/proc/self/fd/1234567890"),
        ] {
            assert_eq!(descriptor_path(number, &mut [0; 32]), path);
        }
    }
}
