//! Signals as descriptors: blocked in every thread, read from one signalfd(2).

use crate::Errno;
use crate::syscall::check_int;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd};

/// Blocks these signals in the calling thread (and so in the threads that it starts later) and
/// gives a non-blocking descriptor from which they are read.
pub fn descriptor(signals: &[i32]) -> Result<OwnedFd, Errno> {
    let set = signal_set(signals);
    // SAFETY: `set` is initialised; no old mask is asked for.
    check_int(unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) })?;
    // SAFETY: `set` is initialised; -1 asks for a new descriptor.
    let descriptor =
        check_int(unsafe { libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) })?;
    // SAFETY: the call succeeded, so this is a fresh descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor as i32) })
}

/// The size of one record read from the descriptor; the signal's number is in its first four
/// bytes (`ssi_signo`, signalfd(2)).
pub const RECORD: usize = 128;

fn signal_set(signals: &[i32]) -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set; sigaddset then only changes it.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), *signal);
        }
        set.assume_init()
    }
}

/// A signal's default action again, for programs that we become or start: Rust's runtime ignores
/// SIGPIPE, and exec keeps what is ignored.
pub fn restore_default(signal: i32) {
    // SAFETY: SIG_DFL is a valid action for every signal; an invalid number changes nothing.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}
