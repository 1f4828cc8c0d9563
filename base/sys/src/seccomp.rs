//! seccomp(2) filters in classic BPF, and the descriptor through which a supervisor answers calls
//! of the filtered process (seccomp_unotify(2), Linux 5.0).

use crate::Errno;
use crate::syscall::raw;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// One instruction of classic BPF (`struct sock_filter`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// How many instructions to skip when a comparison holds.
    pub jump_true: u8,
    /// And when it does not.
    pub jump_false: u8,
    /// A constant, or an offset into `struct seccomp_data`.
    pub constant: u32,
}

#[repr(C)]
struct Program {
    length: u16,
    instructions: *const Instruction,
}

const SET_MODE_FILTER: libc::c_int = 1;
const FLAG_NEW_LISTENER: libc::c_int = 8;

/// Filters this process and everything that it becomes or starts, for ever. Gives the descriptor
/// for what the filter hands to a supervisor. The caller has one thread and CAP_SYS_ADMIN.
pub fn install(filter: &[Instruction]) -> Result<OwnedFd, Errno> {
    let program = Program {
        length: u16::try_from(filter.len()).map_err(|_| Errno::TOOBIG)?,
        instructions: filter.as_ptr(),
    };
    // SAFETY: the kernel copies the program, whose length is given, before the call returns.
    let descriptor = unsafe {
        raw!(libc::SYS_seccomp, SET_MODE_FILTER, FLAG_NEW_LISTENER, &program as *const Program)
    }?;
    // SAFETY: the call succeeded, so this is a fresh descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor as i32) })
}

/// Whether this kernel has filters (CONFIG_SECCOMP_FILTER).
pub fn is_supported() -> bool {
    // SAFETY: without a program the kernel changes nothing: it fails for the pointer when it has
    // filters, and for the mode when it has none.
    let result = unsafe {
        raw!(libc::SYS_prctl, libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, 0_usize, 0, 0)
    };
    result == Err(Errno::FAULT)
}

/// The bytes of a program, as [`load`] takes them.
pub fn bytes(filter: &[Instruction]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size_of_val(filter));
    for Instruction { code, jump_true, jump_false, constant } in filter {
        bytes.extend_from_slice(&code.to_ne_bytes());
        bytes.extend_from_slice(&[*jump_true, *jump_false]);
        bytes.extend_from_slice(&constant.to_ne_bytes());
    }
    bytes
}

/// Filters this process and everything that it becomes or starts, for ever. Allocates nothing.
pub(crate) fn load(program: &[u8], flags: u64) -> Result<(), Errno> {
    let program = Program {
        length: (program.len() / size_of::<Instruction>()) as u16,
        // Only the kernel reads it, and copies it whatever its alignment.
        instructions: program.as_ptr().cast(),
    };
    let program = &raw const program;
    // SAFETY: the kernel copies the program, whose length is given, before the call returns.
    let with = |flags: u64| unsafe {
        raw!(libc::SYS_seccomp, SET_MODE_FILTER, flags as libc::c_uint, program)
    };
    match with(flags) {
        // Flags that this kernel does not know ask for less than a filter does: they may miss.
        Err(Errno::INVAL) if flags != 0 => with(0),
        result => result,
    }
    .map(drop)
}

/// A call that waits for an answer (`struct seccomp_notif`).
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Notice {
    /// To be given back with the answer.
    pub id: u64,
    /// The calling thread, as the supervisor sees it.
    pub pid: u32,
    flags: u32,
    /// The call's number.
    pub call: i32,
    /// AUDIT_ARCH_* of linux/audit.h.
    pub arch: u32,
    instruction_pointer: u64,
    /// The arguments in their registers.
    pub arguments: [u64; 6],
}

#[repr(C)]
struct Response {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

/// The supervisor's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The kernel does the call (Linux 5.5).
    Continue,
    /// The call fails with this.
    Fail(Errno),
}

const FLAG_CONTINUE: u32 = 1;

/// `_IOWR('!', number, size)`: both directions, which is the same number on every CPU.
const fn request(number: u32, size: usize) -> u32 {
    (3 << 30) | ((size as u32) << 16) | ((b'!' as u32) << 8) | number
}

/// Waits for the next call. ENOENT: the caller was killed meanwhile.
pub fn receive(listener: BorrowedFd<'_>) -> Result<Notice, Errno> {
    let mut notice = MaybeUninit::<Notice>::zeroed();
    let number = request(0, size_of::<Notice>());
    // SAFETY: the request's number carries the structure's size; the kernel wants it zeroed and
    // fills it, or fails and it is not read.
    unsafe { raw!(libc::SYS_ioctl, listener.as_raw_fd(), number, notice.as_mut_ptr()) }?;
    // SAFETY: filled by the call above; zeroes would be valid, too.
    Ok(unsafe { notice.assume_init() })
}

/// Answers a call. ENOENT: the caller has gone.
pub fn answer(listener: BorrowedFd<'_>, id: u64, answer: Answer) -> Result<(), Errno> {
    let mut response = Response { id, value: 0, error: 0, flags: 0 };
    match answer {
        Answer::Continue => response.flags = FLAG_CONTINUE,
        Answer::Fail(errno) => response.error = -errno.raw_os_error(),
    }
    let number = request(1, size_of::<Response>());
    // SAFETY: the request's number carries the structure's size; the kernel only reads it.
    unsafe { raw!(libc::SYS_ioctl, listener.as_raw_fd(), number, &raw const response) }.map(drop)
}

/// A program in the words of the kernel's BPF documents.
pub mod bpf {
    use super::Instruction;

    /// `ld [offset]`: 32 bits of `struct seccomp_data`.
    #[must_use]
    pub const fn load(offset: u32) -> Instruction {
        Instruction { code: 0x20, jump_true: 0, jump_false: 0, constant: offset }
    }

    /// `jeq #constant`: skips `otherwise` instructions when they differ.
    #[must_use]
    pub const fn equal(constant: u32, otherwise: u8) -> Instruction {
        Instruction { code: 0x15, jump_true: 0, jump_false: otherwise, constant }
    }

    /// `jge #constant`, the same for "less".
    #[must_use]
    pub const fn at_least(constant: u32, otherwise: u8) -> Instruction {
        Instruction { code: 0x35, jump_true: 0, jump_false: otherwise, constant }
    }

    /// `jset #bits`, the same for "none of them".
    #[must_use]
    pub const fn any_of(bits: u32, otherwise: u8) -> Instruction {
        Instruction { code: 0x45, jump_true: 0, jump_false: otherwise, constant: bits }
    }

    /// `ret`: the kernel does the call.
    pub const ALLOW: Instruction = result(0x7fff_0000);
    /// `ret`: the supervisor answers.
    pub const ASK: Instruction = result(0x7fc0_0000);

    /// `ret`: the call fails with this errno.
    #[must_use]
    pub const fn fail(errno: i32) -> Instruction {
        result(0x0005_0000 | errno as u32)
    }

    const fn result(constant: u32) -> Instruction {
        Instruction { code: 0x06, jump_true: 0, jump_false: 0, constant }
    }

    /// Where the call's number is.
    pub const CALL: u32 = 0;
    /// Where the architecture is.
    pub const ARCH: u32 = 4;

    /// Where the low 32 bits of an argument are.
    #[must_use]
    pub const fn argument(number: u32) -> u32 {
        let low = if cfg!(target_endian = "little") { 0 } else { 4 };
        16 + 8 * number + low
    }
}
