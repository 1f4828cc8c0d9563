//! Functions of the C library that cannot be used on 32-bit MIPS, where rustix goes through it. Ours
//! have their names and come first, so that the linker never takes musl's.

use crate::Errno;
use crate::syscall::raw;

/// Finds nothing: there is nothing to look up in a static program. musl's is written in assembler
/// and counts on being called as position-independent code calls; our code calls it directly, and
/// crashed. rustix then uses the system calls.
// SAFETY: it is declared as in the C library, and looks at neither argument.
#[unsafe(no_mangle)]
extern "C" fn dlsym(_handle: *mut libc::c_void, _name: *const libc::c_char) -> *mut libc::c_void {
    std::ptr::null_mut()
}

/// A time as rustix hands it over: 64 bits of seconds, where the libc crate believes in 32.
#[repr(C)]
struct Time {
    seconds: i64,
    nanoseconds: i32,
}

/// utimensat(2) for [`Time`]s.
// SAFETY: rustix alone calls it, with two of its own times or null; nothing else of ours sets the
// times of files.
#[unsafe(no_mangle)]
extern "C" fn utimensat(
    folder: libc::c_int,
    path: *const libc::c_char,
    times: *const Time,
    flags: libc::c_int,
) -> libc::c_int {
    /// utimensat_time64, of Linux 5.1: the libc crate does not have it.
    const UTIMENSAT_64: libc::c_long = 4412;
    let mut long = [0_i64; 4];
    let mut short = [0_i32; 4];
    if !times.is_null() {
        // SAFETY: the caller gives two times, or null.
        let times = unsafe { std::slice::from_raw_parts(times, 2) };
        for (number, time) in times.iter().enumerate() {
            let nanoseconds = time.nanoseconds;
            long[2 * number..][..2].copy_from_slice(&[time.seconds, i64::from(nanoseconds)]);
            let seconds = time.seconds.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
            short[2 * number..][..2].copy_from_slice(&[seconds, nanoseconds]);
        }
    }
    let (mut long_pointer, mut short_pointer) = (long.as_ptr(), short.as_ptr());
    if times.is_null() {
        (long_pointer, short_pointer) = (std::ptr::null(), std::ptr::null());
    }
    // SAFETY: the path is the caller's; the kernel reads two times of the layout of each call.
    let result = unsafe {
        match raw!(UTIMENSAT_64, folder, path, long_pointer, flags) {
            Err(Errno::NOSYS | Errno::PERM) => {
                raw!(libc::SYS_utimensat, folder, path, short_pointer, flags)
            }
            result => result,
        }
    };
    // The calls have set errno.
    if result.is_ok() { 0 } else { -1 }
}

/// futimens(3) for [`Time`]s.
// SAFETY: as for `utimensat`.
#[unsafe(no_mangle)]
extern "C" fn futimens(file: libc::c_int, times: *const Time) -> libc::c_int {
    utimensat(file, std::ptr::null(), times, 0)
}
