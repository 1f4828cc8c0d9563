//! Calls that take a path, each once.
//!
//! rustix makes every call anew for each type that a path and a folder may have, with the path's
//! copy that ends in a zero byte in each of them. Here a path becomes bytes first and one function
//! makes that copy for all: 15 kB less of program.

use rustix::fs::{
    self, Access, AtFlags, CWD, FileType, Gid, Mode, OFlags, RenameFlags, Stat, StatFs, StatVfs,
    Timestamps, Uid, XattrFlags,
};
use rustix::io::{Errno, Result};
use rustix::mount::{self, MountFlags, OpenTreeFlags, UnmountFlags};
use rustix::path::Arg;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What names a file: a path, or the name of an extended attribute.
pub trait Name {
    /// Its bytes, without a zero byte at the end.
    fn bytes(&self) -> &[u8];
}

macro_rules! names {
    ($($type:ty: $own:ident => $bytes:expr;)*) => {$(
        impl Name for $type {
            fn bytes(&self) -> &[u8] {
                let $own = self;
                $bytes
            }
        }
    )*};
}

names! {
    [u8]: name => name;
    Vec<u8>: name => name;
    str: name => name.as_bytes();
    String: name => name.as_bytes();
    CStr: name => name.to_bytes();
    CString: name => name.to_bytes();
    OsStr: name => name.as_bytes();
    Path: name => name.as_os_str().as_bytes();
    PathBuf: name => name.as_os_str().as_bytes();
}

impl<N: Name + ?Sized> Name for &N {
    fn bytes(&self) -> &[u8] {
        (**self).bytes()
    }
}

/// Calls with the name as the kernel takes it. EINVAL for a name with a zero byte inside.
fn with<T>(name: &[u8], mut call: impl FnMut(&CStr) -> Result<T>) -> Result<T> {
    let mut result = Err(Errno::INVAL);
    terminated(name, &mut |name| result = call(name));
    result
}

#[inline(never)]
fn terminated(name: &[u8], call: &mut dyn FnMut(&CStr)) {
    // It fails before the call or not at all.
    let _ = name.into_with_c_str(|name| {
        call(name);
        Ok(())
    });
}

/// Each call twice: as its callers write it, and as it is in the program. A call that is made from a
/// folder has that folder in brackets.
macro_rules! calls {
    ($(
        $(#[$doc:meta])*
        $call:ident $([$folder:ident])? ($path:ident $(, $more:ident: $type:ty)*) -> $result:ty => $body:expr;
    )*) => {$(
        $(#[$doc])*
        pub fn $call($($folder: impl AsFd,)? $path: &(impl Name + ?Sized) $(, $more: $type)*) -> Result<$result> {
            #[inline(never)]
            fn call($($folder: BorrowedFd<'_>,)? $path: &[u8] $(, $more: $type)*) -> Result<$result> {
                with($path, |$path| $body)
            }
            call($($folder.as_fd(),)? $path.bytes() $(, $more)*)
        }
    )*};
}

calls! {
    /// open(2)
    open(path, flags: OFlags, mode: Mode) -> OwnedFd => fs::open(path, flags, mode);
    /// mkdir(2)
    mkdir(path, mode: Mode) -> () => fs::mkdir(path, mode);
    /// unlink(2)
    unlink(path) -> () => fs::unlink(path);
    /// rmdir(2)
    rmdir(path) -> () => fs::rmdir(path);
    /// chmod(2)
    chmod(path, mode: Mode) -> () => fs::chmod(path, mode);
    /// stat(2)
    stat(path) -> Stat => fs::stat(path);
    /// statfs(2)
    statfs(path) -> StatFs => fs::statfs(path);
    /// statvfs(3)
    statvfs(path) -> StatVfs => fs::statvfs(path);
    /// access(2)
    access(path, access: Access) -> () => fs::access(path, access);
    /// lgetxattr(2)
    lgetxattr(path, name: &CStr, value: &mut [u8]) -> usize => fs::lgetxattr(path, name, &mut *value);
    /// lsetxattr(2)
    lsetxattr(path, name: &CStr, value: &[u8], flags: XattrFlags) -> () => fs::lsetxattr(path, name, value, flags);
    /// umount2(2)
    unmount(path, flags: UnmountFlags) -> () => mount::unmount(path, flags);
    /// mount(2) with MS_REMOUNT
    mount_remount(path, flags: MountFlags) -> () => mount::mount_remount(path, flags, c"");
    /// openat(2)
    openat[folder](path, flags: OFlags, mode: Mode) -> OwnedFd => fs::openat(folder, path, flags, mode);
    /// fstatat(2)
    statat[folder](path, flags: AtFlags) -> Stat => fs::statat(folder, path, flags);
    /// mkdirat(2)
    mkdirat[folder](path, mode: Mode) -> () => fs::mkdirat(folder, path, mode);
    /// mknodat(2)
    mknodat[folder](path, kind: FileType, mode: Mode, device: u64) -> () =>
        fs::mknodat(folder, path, kind, mode, device);
    /// unlinkat(2)
    unlinkat[folder](path, flags: AtFlags) -> () => fs::unlinkat(folder, path, flags);
    /// readlinkat(2)
    readlinkat[folder](path) -> CString => fs::readlinkat(folder, path, Vec::new());
    /// fchmodat(2)
    chmodat[folder](path, mode: Mode, flags: AtFlags) -> () => fs::chmodat(folder, path, mode, flags);
    /// fchownat(2)
    chownat[folder](path, uid: Option<Uid>, gid: Option<Gid>, flags: AtFlags) -> () =>
        fs::chownat(folder, path, uid, gid, flags);
    /// utimensat(2)
    utimensat[folder](path, times: &Timestamps, flags: AtFlags) -> () =>
        fs::utimensat(folder, path, times, flags);
    /// open_tree(2)
    open_tree[folder](path, flags: OpenTreeFlags) -> OwnedFd => mount::open_tree(folder, path, flags);
    /// fgetxattr(2)
    fgetxattr[file](name, value: &mut [u8]) -> usize => fs::fgetxattr(file, name, &mut *value);
    /// fsetxattr(2)
    fsetxattr[file](name, value: &[u8], flags: XattrFlags) -> () => fs::fsetxattr(file, name, value, flags);
}

/// link(2)
#[inline(never)]
pub fn link(from: &Path, to: &Path) -> Result<()> {
    with(from.bytes(), |from| with(to.bytes(), |to| fs::link(from, to)))
}

/// rename(2)
#[inline(never)]
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    with(from.bytes(), |from| with(to.bytes(), |to| fs::rename(from, to)))
}

/// renameat2(2) with RENAME_NOREPLACE
#[inline(never)]
pub fn rename_new(from: &Path, to: &Path) -> Result<()> {
    with(from.bytes(), |from| {
        with(to.bytes(), |to| fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE))
    })
}

/// renameat(2)
pub fn renameat(
    from: impl AsFd,
    old: &(impl Name + ?Sized),
    to: impl AsFd,
    new: &(impl Name + ?Sized),
) -> Result<()> {
    #[inline(never)]
    fn call(from: BorrowedFd<'_>, old: &[u8], to: BorrowedFd<'_>, new: &[u8]) -> Result<()> {
        with(old, |old| with(new, |new| fs::renameat(from, old, to, new)))
    }
    call(from.as_fd(), old.bytes(), to.as_fd(), new.bytes())
}

/// linkat(2)
pub fn linkat(
    from: impl AsFd,
    old: &(impl Name + ?Sized),
    to: impl AsFd,
    new: &(impl Name + ?Sized),
    flags: AtFlags,
) -> Result<()> {
    #[inline(never)]
    fn call(
        from: BorrowedFd<'_>,
        old: &[u8],
        to: BorrowedFd<'_>,
        new: &[u8],
        flags: AtFlags,
    ) -> Result<()> {
        with(old, |old| with(new, |new| fs::linkat(from, old, to, new, flags)))
    }
    call(from.as_fd(), old.bytes(), to.as_fd(), new.bytes(), flags)
}

/// symlinkat(2)
pub fn symlinkat(
    target: &(impl Name + ?Sized),
    folder: impl AsFd,
    path: &(impl Name + ?Sized),
) -> Result<()> {
    #[inline(never)]
    fn call(target: &[u8], folder: BorrowedFd<'_>, path: &[u8]) -> Result<()> {
        with(target, |target| with(path, |path| fs::symlinkat(target, folder, path)))
    }
    call(target.bytes(), folder.as_fd(), path.bytes())
}

/// fsconfig(2) with FSCONFIG_SET_STRING
#[inline(never)]
pub fn set_option(context: BorrowedFd<'_>, name: &str, value: &[u8]) -> Result<()> {
    with(name.as_bytes(), |name| {
        with(value, |value| mount::fsconfig_set_string(context, name, value))
    })
}
