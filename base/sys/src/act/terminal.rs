//! The container's terminal: a pair in its own devpts; the master goes to the parent.

use super::mounts::{descriptor_path, mount, numbered_path};
use super::{Record, Walker, close, open, say_with};
use crate::Errno;
use crate::syscall::check_int;
use std::ffi::CStr;
use std::os::fd::RawFd;

impl Walker {
    /// The new root is the working directory, and /dev/pts in it is a devpts that the plan
    /// mounted, so the path cannot lead elsewhere (CVE-2025-52565).
    pub(super) fn open_terminal(&mut self) -> Result<(), Errno> {
        let master = open(c"dev/pts/ptmx", libc::O_RDWR | libc::O_NOCTTY)?;
        let unlocked: libc::c_int = 0;
        // SAFETY: TIOCSPTLCK reads an int.
        check_int(unsafe { libc::ioctl(master, libc::TIOCSPTLCK as _, &unlocked) })?;
        self.terminal = slave_of(master)?;
        let result = say_with(&Record::Sent, master);
        close(master);
        result
    }

    pub(super) fn set_terminal_size(&mut self, columns: u16, rows: u16) -> Result<(), Errno> {
        let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: TIOCSWINSZ reads a struct winsize.
        check_int(unsafe { libc::ioctl(self.terminal, libc::TIOCSWINSZ as _, &size) }).map(drop)
    }

    pub(super) fn bind_terminal(&mut self, path: &CStr) -> Result<(), Errno> {
        let mut name = [0; 32];
        let source = descriptor_path(self.terminal, &mut name);
        mount(source, path, c"", libc::MS_BIND as u64, c"")
    }

    /// Needs a session of its own. The owner may open it again by name (/dev/stdout).
    pub(super) fn take_terminal(&mut self, owner: u64) -> Result<(), Errno> {
        // SAFETY: plain calls on descriptors that the child owns.
        unsafe {
            check_int(libc::fchown(self.terminal, owner as libc::uid_t, libc::gid_t::MAX))?;
            check_int(libc::ioctl(self.terminal, libc::TIOCSCTTY as _, 0))?;
            for number in 0..3 {
                check_int(libc::dup2(self.terminal, number))?;
            }
        }
        Ok(())
    }
}

/// TIOCGPTPEER (Linux 4.13) needs no path; before it the number gives one in our own devpts.
fn slave_of(master: RawFd) -> Result<RawFd, Errno> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: TIOCGPTPEER takes flags by value and gives a descriptor.
    match check_int(unsafe { libc::ioctl(master, libc::TIOCGPTPEER as _, flags) }) {
        Ok(slave) => return Ok(slave as RawFd),
        Err(Errno::INVAL | Errno::NOTTY) => (),
        Err(errno) => return Err(errno),
    }
    let mut number: libc::c_uint = 0;
    // SAFETY: TIOCGPTN writes an unsigned int.
    check_int(unsafe { libc::ioctl(master, libc::TIOCGPTN as _, &raw mut number) })?;
    let mut name = [0; 32];
    open(numbered_path(c"dev/pts/", number, &mut name), libc::O_RDWR | libc::O_NOCTTY)
}
