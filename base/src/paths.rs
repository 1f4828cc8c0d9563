//! Calls that take a path, each once.
//!
//! rustix makes every call anew for each type that a path may have; here the path becomes a
//! [`Path`] first, which keeps 7 kB out of the program.

use rustix::fs::{CWD, Mode, OFlags, RenameFlags};
use rustix::io::Result;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

/// open(2)
#[inline(never)]
pub fn open(path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    rustix::fs::open(path, flags, mode)
}

/// mkdir(2)
#[inline(never)]
pub fn mkdir(path: &Path, mode: Mode) -> Result<()> {
    rustix::fs::mkdir(path, mode)
}

/// unlink(2)
#[inline(never)]
pub fn unlink(path: &Path) -> Result<()> {
    rustix::fs::unlink(path)
}

/// rmdir(2)
#[inline(never)]
pub fn rmdir(path: &Path) -> Result<()> {
    rustix::fs::rmdir(path)
}

/// link(2)
#[inline(never)]
pub fn link(from: &Path, to: &Path) -> Result<()> {
    rustix::fs::link(from, to)
}

/// rename(2)
#[inline(never)]
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    rustix::fs::rename(from, to)
}

/// renameat2(2) with RENAME_NOREPLACE
#[inline(never)]
pub fn rename_new(from: &Path, to: &Path) -> Result<()> {
    rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)
}

/// chmod(2)
#[inline(never)]
pub fn chmod(path: &Path, mode: Mode) -> Result<()> {
    rustix::fs::chmod(path, mode)
}

/// fsconfig(2) with FSCONFIG_SET_STRING
#[inline(never)]
pub fn set_option(context: BorrowedFd<'_>, name: &str, value: &[u8]) -> Result<()> {
    rustix::mount::fsconfig_set_string(context, name, value)
}
