//! What the child changes about itself: limits, users, capabilities, and at last the program.

use super::{CHANNEL, Record, close_from, map, say};
use crate::Errno;
use crate::plan::Cursor;
use crate::syscall::{check_int, raw};
use std::ffi::CStr;

pub(super) fn prctl(option: libc::c_int, argument: libc::c_ulong) -> Result<(), Errno> {
    // SAFETY: the options used here take integers and change only this process.
    check_int(unsafe { libc::prctl(option, argument, 0, 0, 0) }).map(drop)
}

/// Goes on in a new process whose parent is our own parent; this one tells its number and ends.
pub(super) fn fork() -> Result<(), Errno> {
    let flags = libc::CLONE_PARENT as libc::c_ulong;
    // SAFETY: a fork: the child goes on with a copy of our memory and stack, in which nothing has
    // changed; as the walker, it allocates nothing and takes no lock.
    let pid = unsafe { raw!(libc::SYS_clone, flags, 0_usize, 0_usize, 0_usize, 0_usize) }?;
    if pid == 0 {
        return Ok(());
    }
    say(&Record::Forked { pid: pid as i32 });
    // SAFETY: _exit never returns and runs nothing of ours.
    unsafe { libc::_exit(0) }
}

pub(super) fn set_limit(resource: u64, soft: u64, hard: u64) -> Result<(), Errno> {
    let limit = [soft, hard];
    // SAFETY: prlimit64 reads two 64 bit numbers; pid 0 is this process.
    unsafe { raw!(libc::SYS_prlimit64, 0, resource as libc::c_int, limit.as_ptr(), 0_usize) }
        .map(drop)
}

/// Sets both limits to what is wanted, or to the present hard limit if that is lower: a default,
/// which must not fail where we may not raise it.
pub(super) fn lower_limit(resource: u64, wanted: u64) -> Result<(), Errno> {
    let mut present = [0_u64; 2];
    // SAFETY: prlimit64 writes two 64 bit numbers; pid 0 is this process.
    unsafe {
        raw!(libc::SYS_prlimit64, 0, resource as libc::c_int, 0_usize, present.as_mut_ptr())
    }?;
    let limit = wanted.min(present[1]);
    set_limit(resource, limit, limit)
}

/// What a shell, a supervisor or Rust's runtime (SIGPIPE) left to us.
pub(super) fn reset_inherited() -> Result<(), Errno> {
    // Zeroes are SIG_DFL with no flags and an empty mask in every CPU's `struct sigaction`; the
    // kernel's signal sets have 8 bytes, on MIPS 16.
    let zeroes = [0_u64; 16];
    let set_size: usize =
        if cfg!(any(target_arch = "mips", target_arch = "mips64")) { 16 } else { 8 };
    for signal in 1..=64 {
        // SAFETY: the kernel reads no more than the zeroes; SIGKILL and SIGSTOP are refused,
        // which is right.
        let _ = unsafe { raw!(libc::SYS_rt_sigaction, signal, zeroes.as_ptr(), 0_usize, set_size) };
    }
    // SAFETY: the kernel reads a set from the zeroes.
    unsafe {
        raw!(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, zeroes.as_ptr(), 0_usize, set_size)
    }?;
    // SAFETY: these change only this process. Raising priority may be refused; then it stays.
    unsafe {
        libc::umask(0o022);
        libc::setpriority(libc::PRIO_PROCESS as _, 0, 0);
        // A session keyring of its own, or none: kernels without CONFIG_KEYS.
        let _ = raw!(libc::SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, 0_usize);
    }
    Ok(())
}

/// The highest capability that a kernel of today knows is 40; the loop ends at the first unknown.
pub(super) fn bounding_set(mask: u64) -> Result<(), Errno> {
    for capability in 0..64 {
        if mask & (1 << capability) != 0 {
            continue;
        }
        match prctl(libc::PR_CAPBSET_DROP, capability) {
            Err(Errno::INVAL) => break,
            result => result?,
        }
    }
    Ok(())
}

// The raw calls, not libc's: those would signal threads that exist only in the parent. 32-bit ARM
// and x86 have older calls with 16 bit ids under the plain names.
#[cfg(any(target_arch = "arm", target_arch = "x86"))]
mod numbers {
    pub(super) const SETGROUPS: libc::c_long = libc::SYS_setgroups32 as libc::c_long;
    pub(super) const SETRESGID: libc::c_long = libc::SYS_setresgid32 as libc::c_long;
    pub(super) const SETRESUID: libc::c_long = libc::SYS_setresuid32 as libc::c_long;
}
#[cfg(not(any(target_arch = "arm", target_arch = "x86")))]
mod numbers {
    pub(super) const SETGROUPS: libc::c_long = libc::SYS_setgroups as libc::c_long;
    pub(super) const SETRESGID: libc::c_long = libc::SYS_setresgid as libc::c_long;
    pub(super) const SETRESUID: libc::c_long = libc::SYS_setresuid as libc::c_long;
}

pub(super) fn set_groups(groups: &[u32]) -> Result<(), Errno> {
    // SAFETY: the list's length is given.
    unsafe { raw!(numbers::SETGROUPS, groups.len(), groups.as_ptr()) }.map(drop)
}

pub(super) fn set_gid(gid: u32) -> Result<(), Errno> {
    // SAFETY: changes only this process.
    unsafe { raw!(numbers::SETRESGID, gid, gid, gid) }.map(drop)
}

pub(super) fn set_uid(uid: u32) -> Result<(), Errno> {
    // SAFETY: changes only this process.
    unsafe { raw!(numbers::SETRESUID, uid, uid, uid) }.map(drop)
}

/// capset(2), version 3: two sets of 32 bits for each mask.
pub(super) fn set_capabilities(
    effective: u64,
    permitted: u64,
    inheritable: u64,
) -> Result<(), Errno> {
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0];
    let low = |mask: u64| mask as u32;
    let high = |mask: u64| (mask >> 32) as u32;
    let data = [
        low(effective),
        low(permitted),
        low(inheritable),
        high(effective),
        high(permitted),
        high(inheritable),
    ];
    // SAFETY: the kernel reads a header of two and data of six 32 bit numbers.
    unsafe { raw!(libc::SYS_capset, header.as_ptr(), data.as_ptr()) }.map(drop)
}

/// Ends this process when the other end of the channel is gone: then so is the parent.
pub(super) fn exit_without_parent() {
    let mut waiting = libc::pollfd { fd: CHANNEL, events: 0, revents: 0 };
    // SAFETY: one pollfd, as said.
    unsafe {
        if libc::poll(&mut waiting, 1, 0) > 0 && waiting.revents & libc::POLLHUP != 0 {
            libc::_exit(1);
        }
    }
}

/// CVE-2024-21626: a working directory outside of the root shows as "(unreachable)".
pub(super) fn check_folder() -> Result<(), Errno> {
    let mut path = [0_u8; 4096];
    // SAFETY: the buffer's length is given.
    unsafe { raw!(libc::SYS_getcwd, path.as_mut_ptr(), path.len()) }?;
    if path[0] == b'/' { Ok(()) } else { Err(Errno::NOENT) }
}

/// A seccomp filter and the capabilities that are left when it is loaded.
pub(super) struct Filter {
    pub(super) offset: usize,
    pub(super) flags: u64,
    pub(super) capabilities: u64,
    pub(super) program: &'static [u8],
}

/// Without no_new_privs a filter can only be loaded with CAP_SYS_ADMIN, which goes right after it:
/// so the filter needs to let through no more than capset and execve of what we do ourselves.
fn load(filter: &Filter) -> Result<(), Errno> {
    crate::seccomp::load(filter.program, filter.flags)?;
    let left = filter.capabilities;
    set_capabilities(left, left, 0)
}

/// execve(2) of the first of the paths that can be executed, as execvp(3) chooses.
pub(super) fn execute(
    cursor: &mut Cursor<'static>,
    filter: Option<Filter>,
    init: bool,
    failed_filter: &mut Option<usize>,
) -> Result<(), Errno> {
    let invalid = Errno::INVAL;
    let paths = cursor.number().ok_or(invalid)?;
    let mut after_paths = Cursor::new(&[], 0);
    std::mem::swap(&mut after_paths, cursor);
    let mut path_reader = after_paths.clone();
    for _ in 0..paths {
        after_paths.text().ok_or(invalid)?;
    }
    let arguments = pointers(&mut after_paths)?;
    let environment = pointers(&mut after_paths)?;
    say(&Record::Executing);
    close_from(CHANNEL + 1);
    if let Some(filter) = filter {
        load(&filter).inspect_err(|_| *failed_filter = Some(filter.offset))?;
    }
    if init {
        super::init::stay()?;
    }
    let mut reason = Errno::NOENT;
    for _ in 0..paths {
        let path: &CStr = path_reader.text().ok_or(invalid)?;
        // SAFETY: both lists end with a null and point to C strings in the plan, which stays
        // mapped.
        unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
        match crate::syscall::last_errno() {
            Errno::NOENT | Errno::NOTDIR => (),
            Errno::ACCESS => reason = Errno::ACCESS,
            errno => return Err(errno),
        }
    }
    Err(reason)
}

/// The texts of a list as an array of pointers that ends with a null.
fn pointers(cursor: &mut Cursor<'static>) -> Result<&'static [*const libc::c_char], Errno> {
    let count = cursor.number().ok_or(Errno::INVAL)? as usize;
    if count > 1 << 20 {
        return Err(Errno::TOOBIG);
    }
    let memory = map((count + 1) * size_of::<*const libc::c_char>())?;
    // SAFETY: a fresh mapping is aligned to a page and zeroed, and zeroes are null pointers; its
    // length is that of count + 1 pointers, and nobody else refers to it.
    let list: &'static mut [*const libc::c_char] =
        unsafe { std::slice::from_raw_parts_mut(memory.as_mut_ptr().cast(), count + 1) };
    for place in list.iter_mut().take(count) {
        *place = cursor.text().ok_or(Errno::INVAL)?.as_ptr();
    }
    Ok(list)
}
