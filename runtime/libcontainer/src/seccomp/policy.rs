//! What shall happen at each call: plain values between a profile's source and the compiler.

use super::calls::{Abi, COUNT};

/// What the kernel does: the value that a filter returns (SECCOMP_RET_* of linux/seccomp.h).
pub(super) type Action = u32;

pub(super) const KILL_THREAD: Action = 0;
pub(super) const KILL_PROCESS: Action = 0x8000_0000;
pub(super) const TRAP: Action = 0x0003_0000;
pub(super) const TRACE: Action = 0x7ff0_0000;
pub(super) const LOG: Action = 0x7ffc_0000;
pub(super) const ALLOW: Action = 0x7fff_0000;

/// The call fails with this number.
pub(super) const fn fail(errno: u16) -> Action {
    0x0005_0000 | errno as u32
}

pub(super) const EPERM: u16 = libc_errno(rustix::io::Errno::PERM);
pub(super) const ENOSYS: u16 = libc_errno(rustix::io::Errno::NOSYS);

const fn libc_errno(errno: rustix::io::Errno) -> u16 {
    errno.raw_os_error() as u16
}

/// SECCOMP_FILTER_FLAG_LOG: actions but "allow" are logged.
pub(super) const FLAG_LOG: u64 = 2;
/// SECCOMP_FILTER_FLAG_SPEC_ALLOW: no mitigation of speculative store bypass for having a filter.
pub(super) const FLAG_SPEC_ALLOW: u64 = 4;

/// How an argument is compared with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    NotEqual,
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
    /// With this mask on the argument.
    MaskedEqual(u64),
}

/// A test of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Test {
    /// Which argument, from 0.
    pub(super) argument: u8,
    pub(super) comparison: Comparison,
    pub(super) value: u64,
    /// The kernel takes this argument as an `int`: it ignores the upper word, so the test must, too.
    /// A filter that looks at it would let `socket(AF_ALG + 2^32, …)` through.
    pub(super) word: bool,
}

/// An action under tests that must all hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) tests: Vec<Test>,
    pub(super) action: Action,
}

/// The rules of a call. The first whose tests hold counts; without any, the policy's default.
pub(super) type Verdict = Vec<Rule>;

/// A whole profile.
pub(super) struct Policy {
    pub(super) flags: u64,
    /// What happens to calls without a verdict.
    pub(super) default: Action,
    /// What happens to calls that are newer than every one with a verdict.
    pub(super) newer: Action,
    /// The ABIs that calls may come by; those by another one are killed.
    pub(super) abis: Vec<&'static Abi>,
    /// On x86-64, whether calls may come by x32.
    pub(super) x32: bool,
    /// Number 0 is that of calls without one.
    pub(super) verdicts: Vec<Verdict>,
    /// The number of each call's verdict, in the order of the table of calls.
    pub(super) calls: [u8; COUNT],
}
