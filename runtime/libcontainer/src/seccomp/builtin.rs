//! Docker's default profile, with what was learnt since: the classes of `calls.txt` as verdicts.
//!
//! Calls without a class fail with EPERM, and those that are newer than the table with ENOSYS, so
//! that programs fall back. A class in small or capital letters is allowed with one capability. Three
//! differences from Docker's: AF_RXRPC is refused beside AF_ALG and AF_VSOCK, the address family is
//! compared as the kernel reads it, and on 64-bit kernels `socketcall`, which hides the family from
//! any filter, makes no sockets (32-bit programs have had `socket` itself since Linux 4.3).

use super::calls::{ABIS, CLASSES, COUNT};
use super::policy::{
    ALLOW, Comparison, ENOSYS, EPERM, FLAG_SPEC_ALLOW, Policy, Rule, Test, Verdict, fail,
};
use crate::capabilities::{Capabilities, bit};

/// The verdicts by number.
const ALLOWED: u8 = 1;
const REFUSED: u8 = 2;
const MISSING: u8 = 3;
const CLONE: u8 = 4;
const PERSONALITY: u8 = 5;
const SOCKET: u8 = 6;
const SOCKETCALL: u8 = 7;

/// The flags of clone(2) for new namespaces.
const NEW_NAMESPACES: u64 = 0x7e02_0000;
/// Linux, Linux with 16-bit ids, both for programs that see version 2.6, and "which is it?".
const PERSONALITIES: [u64; 5] = [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff];
/// SYS_SOCKET of linux/net.h: what socketcall(2) shall do.
const SYS_SOCKET: u64 = 1;

/// The capabilities of which one suffices for a class.
const GROUPS: [(u8, u64); 14] = [
    (b's', bit("SYS_ADMIN")),
    (b'r', bit("DAC_READ_SEARCH")),
    (b'b', bit("SYS_BOOT")),
    (b'c', bit("SYS_CHROOT")),
    (b'm', bit("SYS_MODULE")),
    (b'p', bit("SYS_PACCT")),
    (b't', bit("SYS_PTRACE")),
    (b'i', bit("SYS_RAWIO")),
    (b'T', bit("SYS_TIME")),
    (b'y', bit("SYS_TTY_CONFIG")),
    (b'n', bit("SYS_NICE")),
    (b'l', bit("SYSLOG") | bit("SYS_ADMIN")),
    (b'B', bit("BPF") | bit("SYS_ADMIN")),
    (b'P', bit("PERFMON") | bit("SYS_ADMIN")),
];

pub(super) fn policy(capabilities: Capabilities) -> Policy {
    let administrator = capabilities.0 & GROUPS[0].1 != 0;
    // Each class once, not each call.
    let mut by_class = [REFUSED; 128];
    let mut set = |class: u8, verdict| by_class[usize::from(class & 127)] = verdict;
    set(b'-', 0);
    set(b'a', ALLOWED);
    set(b'C', if administrator { ALLOWED } else { CLONE });
    set(b'3', if administrator { ALLOWED } else { MISSING });
    set(b'R', PERSONALITY);
    set(b'S', SOCKET);
    set(b'K', SOCKETCALL);
    for (class, wanted) in GROUPS {
        if wanted & capabilities.0 != 0 {
            set(class, ALLOWED);
        }
    }
    let mut calls = [0; COUNT];
    for (call, class) in calls.iter_mut().zip(&CLASSES) {
        *call = by_class[usize::from(*class & 127)];
    }
    Policy {
        flags: FLAG_SPEC_ALLOW,
        default: fail(EPERM),
        newer: fail(ENOSYS),
        abis: ABIS.iter().collect(),
        x32: true,
        verdicts: verdicts(),
        calls,
    }
}

fn verdicts() -> Vec<Verdict> {
    let always = |action| vec![Rule { tests: Vec::new(), action }];
    let test = |argument, comparison, value, word| Test { argument, comparison, value, word };
    let allow = |tests: &[Test]| Rule { tests: tests.to_vec(), action: ALLOW };
    use Comparison::{Equal, Greater, Less, MaskedEqual, NotEqual};
    let personalities =
        PERSONALITIES.iter().map(|value| allow(&[test(0, Equal, *value, true)])).collect();
    // AF_RXRPC 33, AF_ALG 38, AF_VSOCK 40. Ranges: two "not equal" would not combine.
    let families = vec![
        allow(&[test(0, Less, 33, true)]),
        allow(&[test(0, Greater, 33, true), test(0, Less, 38, true)]),
        allow(&[test(0, Equal, 39, true)]),
        allow(&[test(0, Greater, 40, true)]),
    ];
    // A 32-bit kernel's own programs may be too old for anything else, Go's for example.
    let socketcall = match cfg!(target_pointer_width = "64") {
        true => vec![allow(&[test(0, NotEqual, SYS_SOCKET, true)])],
        false => always(ALLOW),
    };
    vec![
        Vec::new(),
        always(ALLOW),
        always(fail(EPERM)),
        always(fail(ENOSYS)),
        vec![allow(&[test(0, MaskedEqual(NEW_NAMESPACES), 0, false)])],
        personalities,
        families,
        socketcall,
    ]
}
