//! Raw system calls that allocate nothing and take no lock, so that a cloned child of a process
//! with several threads may use them.

use crate::Errno;

/// The result of a raw call: `-1` becomes the thread's errno.
pub(crate) fn check(result: libc::c_long) -> Result<usize, Errno> {
    if result >= 0 { Ok(result as usize) } else { Err(last_errno()) }
}

/// The same for the libc functions that return an `int`.
pub(crate) fn check_int(result: libc::c_int) -> Result<usize, Errno> {
    check(libc::c_long::from(result))
}

/// The errno of the last failed call of this thread.
pub(crate) fn last_errno() -> Errno {
    // SAFETY: __errno_location always gives the calling thread's own errno.
    Errno::from_raw_os_error(unsafe { *libc::__errno_location() })
}

/// A raw call with up to six arguments.
macro_rules! raw {
    ($number:expr $(, $argument:expr)* $(,)?) => {
        $crate::syscall::check(libc::syscall($number as libc::c_long $(, $argument)*))
    };
}
pub(crate) use raw;
