//! A container's first process that is not the program: `--init`.
//!
//! It never becomes another program, so it needs no file in the container. What it may do is what the
//! program may: it stays behind the same filter, with the same capabilities.

use super::{CHANNEL, close};
use crate::Errno;
use crate::syscall::{check_int, raw};

/// Gives in the child, which goes on to the program. The parent stays here until the program ends.
pub(super) fn stay() -> Result<(), Errno> {
    // SAFETY: sigset_t is plain data, filled before it is used; the calls change only this process.
    let all = unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &all, std::ptr::null_mut());
        // Where the container has no PID namespace of its own, the orphans come here all the same.
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        all
    };
    let flags = libc::SIGCHLD as libc::c_ulong;
    // SAFETY: a fork: the child goes on with a copy of our memory and stack; as the walker, it
    // allocates nothing and takes no lock.
    let pid = unsafe { raw!(libc::SYS_clone, flags, 0_usize, 0_usize, 0_usize, 0_usize) }? as i32;
    if pid == 0 {
        return become_group();
    }
    // Held only by the child from now on: it closes when the program runs.
    close(CHANNEL);
    // SAFETY: the name is a C string.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"init".as_ptr(), 0, 0, 0) };
    loop {
        // SAFETY: the set is filled; no information is asked for.
        match check_int(unsafe { libc::sigwaitinfo(&all, std::ptr::null_mut()) }) {
            Ok(signal) if signal as libc::c_int == libc::SIGCHLD => reap(pid),
            Ok(signal) => {
                // SAFETY: a signal to our own child, which we have not waited for.
                unsafe { libc::kill(pid, signal as libc::c_int) };
            }
            Err(_) => (),
        }
    }
}

/// Waits for all that have ended; ends itself when the program has.
fn reap(program: i32) {
    loop {
        let mut status = 0;
        // SAFETY: writes one int.
        let ended = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) };
        if ended <= 0 {
            return;
        }
        if ended == program {
            let code = if libc::WIFSIGNALED(status) {
                128 + libc::WTERMSIG(status)
            } else {
                libc::WEXITSTATUS(status)
            };
            // SAFETY: _exit never returns and runs nothing of ours.
            unsafe { libc::_exit(code) };
        }
    }
}

/// A process group of its own, which a terminal's keys reach.
fn become_group() -> Result<(), Errno> {
    // SAFETY: changes only this process and its terminal; without one the ioctl fails, which is no
    // harm. Signals are blocked until the end, so that SIGTTOU does not stop it.
    unsafe {
        check_int(libc::setpgid(0, 0))?;
        let group = libc::getpid();
        libc::ioctl(0, libc::TIOCSPGRP as _, &raw const group);
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
    }
    Ok(())
}
