//! The compiled program, interpreted as the kernel does it, against the policy read call by call.

use super::calls::{ABIS, Abi, COUNT, all_names, x32_numbers};
use super::policy::{ALLOW, Comparison, KILL_PROCESS, Policy, Test, fail};
use super::{builtin, compile::compile, document};
use crate::capabilities::{Capabilities, bit};
use base::sys::seccomp::Instruction;
use std::collections::BTreeMap;

const EPERM: u32 = fail(1);
const ENOSYS: u32 = fail(38);

/// `struct seccomp_data` as 32-bit words.
fn data(number: u32, audit: u32, arguments: [u64; 6]) -> [u32; 16] {
    let mut words = [0; 16];
    words[0] = number;
    words[1] = audit;
    for (place, argument) in arguments.iter().enumerate() {
        let (low, high) = (*argument as u32, (*argument >> 32) as u32);
        let (first, second) =
            if cfg!(target_endian = "little") { (low, high) } else { (high, low) };
        words[4 + 2 * place] = first;
        words[5 + 2 * place] = second;
    }
    words
}

/// What the kernel does with a program, and how many instructions that takes.
fn interpret(program: &[Instruction], data: &[u32; 16]) -> (u32, usize) {
    let (mut at, mut register, mut steps) = (0_usize, 0_u32, 0);
    loop {
        let Instruction { code, jump_true, jump_false, constant } = program[at];
        steps += 1;
        at += 1;
        let mut branch =
            |holds: bool| at += usize::from(if holds { jump_true } else { jump_false });
        match code {
            0x20 => register = data[constant as usize / 4],
            0x54 => register &= constant,
            0x05 => at += constant as usize,
            0x15 => branch(register == constant),
            0x25 => branch(register > constant),
            0x35 => branch(register >= constant),
            0x06 => return (constant, steps),
            other => panic!("instruction {other:#x}"),
        }
    }
}

fn holds(test: &Test, arguments: &[u64; 6]) -> bool {
    let mut argument = arguments[usize::from(test.argument)];
    if test.word {
        argument &= 0xffff_ffff;
    }
    match test.comparison {
        Comparison::NotEqual => argument != test.value,
        Comparison::Less => argument < test.value,
        Comparison::LessOrEqual => argument <= test.value,
        Comparison::Equal => argument == test.value,
        Comparison::GreaterOrEqual => argument >= test.value,
        Comparison::Greater => argument > test.value,
        Comparison::MaskedEqual(mask) => argument & mask == test.value,
    }
}

/// The verdicts of an ABI's numbers, x32's own among them.
fn verdicts_by_number(policy: &Policy, abi: &Abi) -> BTreeMap<u32, u8> {
    let own = if abi.name == "SCMP_ARCH_X86_64" && policy.x32 { x32_numbers() } else { &[] };
    let x32 = own.iter().map(|(call, number)| (usize::from(*call), u32::from(*number)));
    let all = (0..COUNT).filter_map(|call| Some((call, abi.number(call)?)));
    let named = all.chain(x32).filter(|(call, _)| policy.calls[*call] != 0);
    named.map(|(call, number)| (number, policy.calls[call])).collect()
}

/// The policy's word about a call, without any compiler.
fn reference(
    policy: &Policy,
    abi: &Abi,
    verdicts: &BTreeMap<u32, u8>,
    number: u32,
    arguments: &[u64; 6],
) -> u32 {
    let mut plain = number;
    if abi.name == "SCMP_ARCH_X86_64" && number & 0x4000_0000 != 0 {
        if !policy.x32 {
            return KILL_PROCESS;
        }
        plain &= !0x4000_0000;
    }
    if verdicts.last_key_value().is_none_or(|(highest, _)| plain > *highest) {
        return policy.newer;
    }
    let found = verdicts.get(&plain).copied().unwrap_or(0);
    let rules = &policy.verdicts[usize::from(found)];
    let rule = rules.iter().find(|rule| rule.tests.iter().all(|test| holds(test, arguments)));
    rule.map_or(policy.default, |rule| rule.action)
}

/// Compares program and policy for every number and for arguments around every constant.
fn compare(policy: &Policy) -> usize {
    let program = compile(policy).expect("compile");
    let mut values = vec![0, 1, u64::MAX, 1 << 31, 1 << 32, 38 | 1 << 32, 33 << 32];
    for test in policy.verdicts.iter().flatten().flat_map(|rule| &rule.tests) {
        values.extend([test.value.wrapping_sub(1), test.value, test.value.wrapping_add(1)]);
        values.extend([test.value ^ 1 << 32, test.value | 1 << 63]);
        if let Comparison::MaskedEqual(mask) = test.comparison {
            values.extend([mask, !mask, mask & mask.wrapping_neg(), test.value | !mask]);
        }
    }
    values.sort_unstable();
    values.dedup();
    let beyond = [9999, 0xf_0001, 0xf_0005, 0x3fff_ffff, 0x4000_0000, 0x7fff_ffff, u32::MAX];
    let mut steps = 0;
    for abi in &policy.abis {
        let verdicts = verdicts_by_number(policy, abi);
        for number in (0..600).chain(4000..4500).chain(0x4000_0000..0x4000_0240).chain(beyond) {
            // All values where there is a rule; elsewhere two suffice.
            let plain = verdicts.get(&(number & !0x4000_0000)).map_or(0, |verdict| *verdict);
            let ruled =
                policy.verdicts[usize::from(plain)].iter().any(|rule| !rule.tests.is_empty());
            for value in &values[..if ruled { values.len().min(64) } else { 2 }] {
                for argument in 0..2 {
                    let mut arguments = [0x1_0000_0001; 6];
                    arguments[argument] = *value;
                    let (got, taken) = interpret(&program, &data(number, abi.audit, arguments));
                    let want = reference(policy, abi, &verdicts, number, &arguments);
                    assert_eq!(got, want, "{} {number:#x} {arguments:x?}", abi.name);
                    steps = steps.max(taken);
                }
            }
        }
    }
    assert_eq!(interpret(&program, &data(1, 0x1234, [0; 6])).0, KILL_PROCESS);
    steps
}

fn number(abi: &Abi, name: &str) -> u32 {
    let call = all_names().position(|other| other == name).expect(name);
    abi.number(call).expect(name)
}

#[test]
fn the_builtin_profile_does_what_it_says_for_every_call_and_capability() {
    let default = Capabilities::default_set();
    let admin = Capabilities(default.0 | bit("SYS_ADMIN"));
    for capabilities in [default, admin, Capabilities::NONE, Capabilities(u64::MAX)] {
        let policy = builtin::policy(capabilities);
        let steps = compare(&policy);
        // A tree: no call passes more than a handful of comparisons.
        assert!(steps < 30, "{steps} instructions for one call");
    }
}

#[test]
fn the_builtin_profile_is_small() {
    let program = compile(&builtin::policy(Capabilities::default_set())).expect("compile");
    assert!(program.len() < 270, "{} instructions", program.len());
}

#[test]
fn the_builtin_profile_by_name() {
    let abi = &ABIS[0];
    let ask = |capabilities, name: &str, first: u64| {
        let program = compile(&builtin::policy(capabilities)).expect("compile");
        let arguments = [first, 0, 0, 0, 0, 0];
        interpret(&program, &data(number(abi, name), abi.audit, arguments)).0
    };
    let default = Capabilities::default_set();
    let with = |name| Capabilities(default.0 | bit(name));
    let cases: [(Capabilities, &str, u64, u32); 32] = [
        (default, "read", 0, ALLOW),
        (default, "mount", 0, EPERM),
        (with("SYS_ADMIN"), "mount", 0, ALLOW),
        (default, "unshare", 0, EPERM),
        (default, "keyctl", 0, EPERM),
        (with("SYS_ADMIN"), "keyctl", 0, EPERM),
        (default, "io_uring_setup", 0, EPERM),
        (default, "ptrace", 0, ALLOW),
        (default, "kcmp", 0, EPERM),
        (with("SYS_PTRACE"), "kcmp", 0, ALLOW),
        (default, "clone", 17, ALLOW),
        (default, "clone", 0x1000_0000, EPERM),
        (default, "clone", 0x0200_0000, EPERM),
        (with("SYS_ADMIN"), "clone", 0x1000_0000, ALLOW),
        (default, "clone3", 0, ENOSYS),
        (with("SYS_ADMIN"), "clone3", 0, ALLOW),
        (default, "personality", 8, ALLOW),
        (default, "personality", 0xffff_ffff, ALLOW),
        (default, "personality", 0x4_0000, EPERM),
        (default, "socket", 2, ALLOW),
        (default, "socket", 33, EPERM),
        (default, "socket", 34, ALLOW),
        (default, "socket", 37, ALLOW),
        (default, "socket", 38, EPERM),
        (default, "socket", 39, ALLOW),
        (default, "socket", 40, EPERM),
        (default, "socket", 41, ALLOW),
        // The kernel reads an int.
        (default, "socket", 38 | 1 << 32, EPERM),
        (default, "socket", 2 | 1 << 32, ALLOW),
        (with("SYSLOG"), "syslog", 0, ALLOW),
        (default, "chroot", 0, ALLOW),
        (Capabilities::NONE, "chroot", 0, EPERM),
    ];
    for (capabilities, name, first, want) in cases {
        assert_eq!(ask(capabilities, name, first), want, "{name} {first:#x}");
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn socketcall_of_32_bit_programs_makes_no_sockets() {
    let program = compile(&builtin::policy(Capabilities::default_set())).expect("compile");
    let ask = |what| {
        let number = number(&ABIS[1], "socketcall");
        interpret(&program, &data(number, ABIS[1].audit, [what, 0, 0, 0, 0, 0])).0
    };
    assert_eq!((ask(1), ask(2), ask(3)), (EPERM, ALLOW, ALLOW));
    // Its direct call is bound as on x86-64.
    let socket = number(&ABIS[1], "socket");
    let arguments = [38, 0, 0, 0, 0, 0];
    assert_eq!(interpret(&program, &data(socket, ABIS[1].audit, arguments)).0, EPERM);
}

const OPERATORS: [&str; 7] = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];

#[test]
fn documents_with_every_operator_and_action() {
    let values: [u64; 6] = [0, 1, 7, 1 << 31, 0x1_0000_0000, 0x8000_0001_0000_0005];
    for default in ["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_LOG", "SCMP_ACT_KILL_PROCESS"] {
        for (place, operator) in OPERATORS.iter().enumerate() {
            for value in values {
                let action = ["SCMP_ACT_TRAP", "SCMP_ACT_TRACE", "SCMP_ACT_KILL"][place % 3];
                let text = format!(
                    r#"{{"defaultAction": "{default}", "architectures":
                    ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_ARM"], "syscalls": [
                    {{"names": ["getpid", "nosuch", "openat"], "action": "{action}", "args": [
                      {{"index": 0, "value": {value}, "valueTwo": 5, "op": "SCMP_CMP_{operator}"}},
                      {{"index": 1, "value": 4294967297, "op": "SCMP_CMP_EQ"}}]}},
                    {{"name": "getppid", "action": "SCMP_ACT_ERRNO", "errnoRet": 99}},
                    {{"names": ["write"], "action": "SCMP_ACT_ERRNO", "args": [
                      {{"index": 0, "value": {value}, "op": "SCMP_CMP_GE"}},
                      {{"index": 0, "value": 3, "op": "SCMP_CMP_LE"}}]}}]}}"#
                );
                compare(&document::policy(&text, Capabilities::NONE).expect("policy"));
            }
        }
    }
}

#[test]
fn dockers_additions_to_the_oci_form() {
    let text = r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 13, "archMap": [
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]}],
        "syscalls": [
        {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["umount2"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["sync"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
        {"names": ["syncfs"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "99.0"}},
        {"names": ["read"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["s390x"]}},
        {"names": ["setns"], "action": "SCMP_ACT_ALLOW", "comment": "the highest"}]}"#;
    let abi = &ABIS[0];
    for (capabilities, mount, umount) in
        [(Capabilities::NONE, 13, 0), (Capabilities(bit("SYS_ADMIN")), 0, 13)]
    {
        let policy = document::policy(text, capabilities).expect("policy");
        assert_eq!(policy.abis.len(), ABIS.len());
        let program = compile(&policy).expect("compile");
        let cases =
            [("mount", mount), ("umount2", umount), ("sync", 0), ("syncfs", 13), ("read", 13)];
        for (name, errno) in cases {
            let got = interpret(&program, &data(number(abi, name), abi.audit, [0; 6])).0;
            assert_eq!(got, if errno == 0 { ALLOW } else { fail(errno) }, "{name}");
        }
        let newer = interpret(&program, &data(9999, abi.audit, [0; 6])).0;
        assert_eq!(newer, ENOSYS);
    }
}

#[test]
fn wrong_documents_are_refused_with_the_reason() {
    let call = |what: &str| {
        format!(
            r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{{"names": ["read"], {what}}}]}}"#
        )
    };
    let argument = |what: &str| call(&format!(r#""action": "SCMP_ACT_LOG", "args": [{{{what}}}]"#));
    let cases = [
        (String::new(), "decoding failed"),
        ("{}".to_string(), "unknown action "),
        (r#"{"defaultAction": "ALLOW"}"#.to_string(), "unknown action ALLOW"),
        (call(r#""action": "SCMP_ACT_NOTIFY""#), "SCMP_ACT_NOTIFY is not supported"),
        (call(r#""action": "SCMP_ACT_ERRNO", "errnoRet": 4096"#), "errnoRet out of range: 4096"),
        (argument(r#""index": 6, "op": "SCMP_CMP_EQ""#), "no argument has the index 6"),
        (argument(r#""index": 0, "op": "EQ""#), "unknown operator EQ"),
        (r#"{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["X"]}"#.to_string(), "unknown flag X"),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"],
                "archMap": [{"architecture": "SCMP_ARCH_X86"}]}"#
                .to_string(),
            "both 'architectures' and 'archMap' are set",
        ),
    ];
    for (text, want) in cases {
        let error = super::check(&text).expect_err(want);
        assert!(error.message().contains(want), "{want}: {}", error.message());
    }
}

#[test]
fn a_profile_that_names_every_call_with_rules_of_its_own_still_jumps_right() {
    // Far more instructions than a jump of 255 reaches.
    let entries: Vec<String> = all_names()
        .take(250)
        .enumerate()
        .map(|(number, name)| {
            format!(
                r#"{{"names": ["{name}"], "action": "SCMP_ACT_ALLOW", "args": [
                {{"index": 0, "value": {number}, "op": "SCMP_CMP_GT"}},
                {{"index": 1, "value": 8589934592, "op": "SCMP_CMP_LT"}}]}}"#
            )
        })
        .collect();
    let text =
        format!(r#"{{"defaultAction": "SCMP_ACT_KILL", "syscalls": [{}]}}"#, entries.join(","));
    let policy = document::policy(&text, Capabilities::NONE).expect("policy");
    let program = compile(&policy).expect("compile");
    assert!(program.len() > 1000);
    compare(&policy);
}

/// The table against the kernel's own headers, where they are: those of Debian's libc6-dev.
#[test]
#[cfg(target_arch = "x86_64")]
fn numbers_are_those_of_the_kernels_headers() {
    for (abi, file) in ABIS.iter().zip(["unistd_64.h", "unistd_32.h"]) {
        let path = format!("/usr/include/x86_64-linux-gnu/asm/{file}");
        let text = std::fs::read_to_string(&path).expect("libc6-dev is not installed");
        let mut compared = 0;
        for line in text.lines() {
            let Some(line) = line.strip_prefix("#define __NR_") else { continue };
            let (name, want) = line.split_once(' ').expect("number");
            let Some(call) = all_names().position(|other| other == name) else {
                panic!("{name} is not in calls.txt");
            };
            assert_eq!(abi.number(call), want.trim().parse().ok(), "{name}");
            compared += 1;
        }
        assert!(compared > 350, "{path}: {compared}");
    }
}
