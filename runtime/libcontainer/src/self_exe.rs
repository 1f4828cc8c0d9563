//! Our own executable must not be writable through /proc/PID/exe from inside a container
//! (CVE-2019-5736).
//!
//! On a read-only file system nothing is to be done. Else a read-only bind of the executable is
//! attached on a file of the run folder, named by device, inode and change time, in the host's
//! mount namespace, once; and this process begins anew through it. A detached bind would not hold:
//! an attacker clears its flag. It is never laid over the binary's own path, where replacing the
//! binary would fail. An ordinary user who may write the binary gets a sealed copy in memory.

use base::files::{Lock, create_dir_all};
use base::paths::{self, mount_remount, unmount};
use base::sys::spawn;
use base::{Error, OnError, Result};
use rustix::fs::{Access, MemfdFlags, Mode, OFlags, SealFlags, StatVfsMountFlags};
use rustix::mount::{MountFlags, UnmountFlags, mount_bind};
use std::ffi::{CString, OsStr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const OWN: &str = "/proc/self/exe";

/// Makes sure of it. Does not return when the process had to begin anew.
pub fn protect(run: &Path) -> Result<()> {
    if is_read_only(Path::new(OWN))? {
        return Ok(());
    }
    if rustix::process::geteuid().is_root() {
        let path = bound(run)?;
        return Err(begin_anew(&path));
    }
    let copied = std::fs::read_link(OWN).on("readlink", OWN)?;
    let writable = paths::access(OWN, Access::WRITE_OK).is_ok();
    if !writable || copied.as_os_str().as_bytes().starts_with(b"/memfd:") {
        return Ok(());
    }
    let copy = sealed_copy()?;
    Err(begin_anew(Path::new(&format!("/proc/self/fd/{}", copy.as_raw_fd()))))
}

fn is_read_only(path: &Path) -> Result<bool> {
    let stat = paths::statvfs(path).on_path("statvfs", path)?;
    Ok(stat.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// The bind of this executable, made if it is not there.
fn bound(run: &Path) -> Result<std::path::PathBuf> {
    let own = std::fs::metadata(OWN).on("stat", OWN)?;
    let name = format!("{:x}-{:x}-{:x}-{:x}", own.dev(), own.ino(), own.ctime(), own.ctime_nsec());
    let folder = run.join("exe");
    // The kernel shows the file's name as the process's.
    let path = folder.join(&name).join("coracle");
    let is_bound = || path.exists() && is_read_only(&path).unwrap_or(false);
    if is_bound() {
        return Ok(path);
    }
    create_dir_all(&folder.join(&name))?;
    let _lock = Lock::exclusive(&folder)?;
    if is_bound() {
        return Ok(path);
    }
    sweep(&folder, &name);
    // Somebody was killed before his bind was read-only: nobody uses it.
    while unmount(&path, UnmountFlags::DETACH).is_ok() {}
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
    paths::open(&path, flags, Mode::from_raw_mode(0o500)).on_path("create", &path)?;
    mount_bind(OWN, &path).on_path("bind the executable on", &path)?;
    let flags = MountFlags::BIND | MountFlags::RDONLY;
    if let Err(errno) = mount_remount(&path, flags) {
        let _ = unmount(&path, UnmountFlags::DETACH);
        return Err(errno).on_path("make read-only", &path);
    }
    Ok(path)
}

/// Binds of binaries that have been replaced go, unless a process still runs through them.
fn sweep(folder: &Path, keep: &str) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name() != OsStr::new(keep)) {
        // Busy: in use.
        let file = entry.path().join("coracle");
        let unmounted = unmount(&file, UnmountFlags::empty());
        if !matches!(unmounted, Err(rustix::io::Errno::BUSY)) {
            let _ = std::fs::remove_file(&file);
            let _ = std::fs::remove_dir(entry.path());
        }
    }
}

fn sealed_copy() -> Result<OwnedFd> {
    let flags = MemfdFlags::ALLOW_SEALING;
    let copy = rustix::fs::memfd_create(c"coracle", flags).on("memfd_create", "coracle")?;
    let own = paths::open(Path::new(OWN), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let own = own.on("open", OWN)?;
    while rustix::fs::sendfile(&copy, &own, None, 1 << 20).on("copy", OWN)? > 0 {}
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&copy, seals).on("seal", OWN)?;
    Ok(copy)
}

/// Executes `path` with this process's own arguments and environment.
fn begin_anew(path: &Path) -> Error {
    // What came from the kernel has no NULs.
    let words = std::env::args_os().map(OsStringExt::into_vec);
    let arguments: Vec<CString> = words.filter_map(|word| CString::new(word).ok()).collect();
    let environment = base::program::environment();
    let errno = match CString::new(path.as_os_str().as_bytes()) {
        Ok(path) => spawn::replace(&path, &arguments, &environment),
        Err(_) => rustix::io::Errno::INVAL,
    };
    Error::os("exec", &path.display(), errno)
}
