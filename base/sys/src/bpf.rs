//! bpf(2) for cgroup device programs: load one, attach it to a cgroup of version 2.

use crate::Errno;
use crate::syscall::raw;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// One instruction of eBPF, as the kernel reads it (`struct bpf_insn`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// What to do.
    pub code: u8,
    /// Destination register in the low four bits, source register in the high ones (little-endian
    /// machines; the other way round on big-endian ones). See [`Instruction::new`].
    registers: u8,
    /// Jump or memory offset.
    pub offset: i16,
    /// Constant.
    pub constant: i32,
}

impl Instruction {
    /// An instruction with its registers placed as this CPU's kernel wants them.
    pub const fn new(code: u8, destination: u8, source: u8, offset: i16, constant: i32) -> Self {
        let registers = if cfg!(target_endian = "little") {
            (source << 4) | destination
        } else {
            (destination << 4) | source
        };
        Instruction { code, registers, offset, constant }
    }
}

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;

/// Attach so that a program of a child cgroup takes the place of this one.
pub const BPF_F_ALLOW_OVERRIDE: u32 = 1;
/// Attach so that a child cgroup may have a program of its own; all of them must agree.
pub const BPF_F_ALLOW_MULTI: u32 = 2;

#[repr(C, align(8))]
#[derive(Default)]
struct LoadAttributes {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

#[repr(C, align(8))]
struct AttachAttributes {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

/// Loads a cgroup device program. ENOSYS or EINVAL: the kernel lacks CONFIG_BPF_SYSCALL or
/// CONFIG_CGROUP_BPF.
pub fn load_device_program(instructions: &[Instruction]) -> Result<OwnedFd, Errno> {
    let attributes = LoadAttributes {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: instructions.len() as u32,
        insns: instructions.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        ..LoadAttributes::default()
    };
    // SAFETY: the kernel reads `attributes` (its size is given) and the instructions and licence
    // that it points to, all alive until the call returns.
    let descriptor = unsafe {
        raw!(
            libc::SYS_bpf,
            BPF_PROG_LOAD,
            &attributes as *const LoadAttributes,
            size_of::<LoadAttributes>()
        )
    }?;
    // SAFETY: the call succeeded, so this is a fresh descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor as i32) })
}

/// Attaches a device program to the cgroup that this folder's descriptor names.
pub fn attach_device_program(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    flags: u32,
) -> Result<(), Errno> {
    let attributes = AttachAttributes {
        target_fd: cgroup.as_raw_fd() as u32,
        attach_bpf_fd: program.as_raw_fd() as u32,
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: flags,
    };
    // SAFETY: the kernel only reads `attributes`, whose size is given.
    unsafe {
        raw!(
            libc::SYS_bpf,
            BPF_PROG_ATTACH,
            &attributes as *const AttachAttributes,
            size_of::<AttachAttributes>()
        )
    }
    .map(drop)
}

const BPF_PROG_QUERY: libc::c_int = 16;

#[repr(C, align(8))]
#[derive(Default)]
struct QueryAttributes {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    padding: u32,
    prog_attach_flags: u64,
    link_ids: u64,
    link_attach_flags: u64,
    revision: u64,
}

/// Takes the device program off a cgroup.
pub fn detach_device_program(cgroup: BorrowedFd<'_>) -> Result<(), Errno> {
    const BPF_PROG_DETACH: libc::c_int = 9;
    let attributes = AttachAttributes {
        target_fd: cgroup.as_raw_fd() as u32,
        attach_bpf_fd: 0,
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: 0,
    };
    // SAFETY: the kernel only reads `attributes`, whose size is given.
    unsafe { raw!(libc::SYS_bpf, BPF_PROG_DETACH, &raw const attributes, size_of_val(&attributes)) }
        .map(drop)
}

/// How many device programs are attached to this cgroup itself, and with which flags.
pub fn attached_device_programs(cgroup: BorrowedFd<'_>) -> Result<(u32, u32), Errno> {
    let mut attributes = QueryAttributes {
        target_fd: cgroup.as_raw_fd() as u32,
        attach_type: BPF_CGROUP_DEVICE,
        ..QueryAttributes::default()
    };
    // SAFETY: the kernel reads and writes `attributes`, whose size is given.
    unsafe {
        raw!(libc::SYS_bpf, BPF_PROG_QUERY, &raw mut attributes, size_of::<QueryAttributes>())
    }?;
    Ok((attributes.prog_cnt, attributes.attach_flags))
}
