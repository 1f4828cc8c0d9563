//! seccomp filters seen from inside: a small program makes raw system calls in a container and says
//! what each gave. Without a filter the same calls do something else, so the test can fail.
#![cfg(target_arch = "x86_64")]
#![allow(clippy::expect_used)]

use std::process::Command;
use support::World;

/// `calls ABI NUMBER [ARGUMENT…]`: the call by x86-64's (64) or i386's (32) entry; prints its errno,
/// 0 for success. `calls socketcall FAMILY`: i386's socketcall(SYS_SOCKET).
const PROGRAM: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
static long i386(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c)
                     : "memory", "r8", "r9", "r10", "r11");
    return (int)result;
}
static long x86_64(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c)
                     : "memory", "rcx", "r11");
    return result;
}
int main(int count, char **words) {
    long number[5] = {0}, result;
    for (int i = 2; i < count && i < 7; i++)
        number[i - 2] = strtoul(words[i], 0, 0);
    if (!strcmp(words[1], "socketcall")) {
        int *list = mmap(0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
        list[0] = number[0], list[1] = 5, list[2] = 0;
        result = i386(102, 1, (long)list, 0);
    } else if (!strcmp(words[1], "32"))
        result = i386(number[0], number[1], number[2], number[3]);
    else
        result = x86_64(number[0], number[1], number[2], number[3]);
    printf("%ld\n", result < 0 && result > -4096 ? -result : 0);
    return 0;
}
"#;

/// The program, static, in the world's folder: the flag that shows it inside as /calls.
fn program(world: &World) -> String {
    let (source, program) = (world.folder.join("calls.c"), world.folder.join("calls"));
    std::fs::write(&source, PROGRAM).expect("write");
    let done = Command::new("cc").arg("-static").arg("-o").arg(&program).arg(&source).output();
    let done = done.expect("cc");
    assert!(done.status.success(), "{done:?}");
    format!("{}:/calls", program.display())
}

/// What each call gives in one container with these flags.
fn ask(world: &World, bind: &str, flags: &[&str], calls: &[&str]) -> Vec<i32> {
    let script: String = calls.iter().map(|call| format!("/calls {call}\n")).collect();
    let done = world.script(&[&["-v", bind], flags].concat(), &script);
    assert_eq!(done.code, 0, "{flags:?}: {done:?}");
    let errnos: Vec<i32> = done.out.lines().map(|line| line.parse().expect("errno")).collect();
    assert_eq!(errnos.len(), calls.len(), "{flags:?}: {done:?}");
    errnos
}

const EPERM: i32 = 1;
const EFAULT: i32 = 14;
const EINVAL: i32 = 22;
const ENOSYS: i32 = 38;
/// Whatever the kernel says, but no refusal: its own AF_ALG may be missing.
const ANY: i32 = -1;

#[test]
fn the_default_profile_refuses_what_dockers_does() {
    let world = World::new();
    let bind = program(&world);
    // call, with the filter, without.
    let cases = [
        ("64 39", 0, 0),                             // getpid
        ("64 165 1 1 1", EPERM, EFAULT),             // mount of nonsense
        ("64 272 0x10000000", EPERM, 0),             // unshare(CLONE_NEWUSER)
        ("64 250 0 0xfffffffd", EPERM, ANY),         // keyctl
        ("64 41 38 5 0", EPERM, ANY),                // socket(AF_ALG)
        ("64 41 0x100000026 5 0", EPERM, ANY),       // the same to the kernel
        ("64 41 40 1 0", EPERM, ANY),                // AF_VSOCK
        ("64 41 33 2 2", EPERM, ANY),                // AF_RXRPC
        ("64 41 2 1 0", 0, 0),                       // AF_INET
        ("64 431 -1", EPERM, EINVAL),                // fsconfig (CVE-2022-0185)
        ("64 435 0 0", ENOSYS, EINVAL),              // clone3
        ("64 135 0xffffffff", 0, 0),                 // personality: which?
        ("64 135 0x40000", EPERM, 0),                // personality(ADDR_NO_RANDOMIZE)
        ("64 101 0", 0, 0),                          // ptrace(PTRACE_TRACEME)
        ("64 9999", ENOSYS, ENOSYS),                 // newer than everything
        ("64 0x40000110 0x10000000", EPERM, ENOSYS), // unshare by x32
        ("64 0x40000027", ANY, ANY),                 // getpid by x32: this kernel may have it
        ("32 20", 0, 0),                             // getpid by i386
        ("32 310 0x10000000", EPERM, 0),             // unshare by i386
        ("32 359 38 5 0", EPERM, ANY),               // socket(AF_ALG) by i386
        ("32 359 2 1 0", 0, 0),                      // socket(AF_INET) by i386
        ("socketcall 38", EPERM, ANY),
    ];
    let calls = cases.map(|(call, ..)| call);
    let confined = ask(&world, &bind, &[], &calls);
    let builtin = ask(&world, &bind, &["--security-opt", "seccomp=builtin"], &calls);
    let free = ask(&world, &bind, &["--security-opt", "seccomp=unconfined"], &calls);
    for (place, (call, with, without)) in cases.into_iter().enumerate() {
        let got = confined[place];
        assert!([ANY, got].contains(&with), "the filter has let it through: {call}: {got}");
        assert_eq!(confined[place], builtin[place], "{call}");
        match without {
            ANY => assert!(with == ANY || free[place] != with, "{call} without: {}", free[place]),
            errno => assert_eq!(free[place], errno, "{call} without a filter"),
        }
    }
    // Groups that go with a capability; the privileged have no filter at all.
    let admin = ["--cap-add", "SYS_ADMIN"];
    assert_eq!(ask(&world, &bind, &admin, &["64 165 1 1 1", "64 435 0 0"]), [EFAULT, EINVAL]);
    assert_eq!(ask(&world, &bind, &admin, &["64 41 38 5 0"]), [EPERM]);
    let free = ask(&world, &bind, &["--privileged"], &["64 165 1 1 1", "64 135 0x40000"]);
    assert_eq!(free, [EFAULT, 0]);
    world.finish();
}

#[test]
fn a_filter_is_there_for_every_user_and_way_to_start() {
    let world = World::new();
    let status = "grep -E '^(Seccomp|NoNewPrivs|CapPrm|CapEff|CapInh|CapBnd|CapAmb):' \
                  /proc/self/status | tr -d '\\t\\n'";
    let bound = "CapBnd:00000000a80425fb";
    let none = "0000000000000000";
    let root = "00000000a80425fb";
    let nobody = format!("CapInh:{none}CapPrm:{none}CapEff:{none}{bound}CapAmb:{none}");
    let full = format!("CapInh:{none}CapPrm:{root}CapEff:{root}{bound}CapAmb:{none}");
    let nnp = ["--security-opt", "no-new-privileges"];
    let cases: [(&[&str], String); 5] = [
        (&[], format!("{full}NoNewPrivs:0Seccomp:2")),
        (&["-u", "web"], format!("{nobody}NoNewPrivs:0Seccomp:2")),
        (&nnp, format!("{full}NoNewPrivs:1Seccomp:2")),
        (&["-u", "web", nnp[0], nnp[1]], format!("{nobody}NoNewPrivs:1Seccomp:2")),
        (&["--security-opt", "seccomp=unconfined"], format!("{full}NoNewPrivs:0Seccomp:0")),
    ];
    for (flags, want) in cases {
        let done = world.script(flags, status);
        assert_eq!((done.code, done.out), (0, want), "{flags:?}: {}", done.err);
    }
    world.ok(&["run", "-d", "--net", "none", "--name", "detached", "bb", "sh", "-c", status]);
    world.ok(&["wait", "detached"]);
    assert!(world.ok(&["logs", "detached"]).ends_with("Seccomp:2"));
    world.ok(&["rm", "detached"]);
    world.finish();
}

#[test]
fn profiles_of_ones_own_are_read_kept_and_obeyed() {
    let world = World::new();
    let bind = program(&world);
    let profile = world.folder.join("profile.json");
    let text = r#"{"defaultAction": "SCMP_ACT_ALLOW", "archMap": [{"architecture":
        "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}], "syscalls": [
        {"names": ["getpid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 77},
        {"names": ["getppid"], "action": "SCMP_ACT_ERRNO",
         "args": [{"index": 0, "value": 4294967296, "op": "SCMP_CMP_GE"}]},
        {"names": ["sync"], "action": "SCMP_ACT_KILL_PROCESS"}]}"#;
    std::fs::write(&profile, text).expect("write");
    let option = format!("seccomp={}", profile.display());
    let flags = ["--security-opt", &option];
    let calls = ["64 39", "32 20", "64 110 0xffffffff", "64 110 0x100000000", "64 272 0x10000000"];
    assert_eq!(ask(&world, &bind, &flags, &calls), [77, 77, 0, EPERM, 0]);
    let done = world.script(&flags, "sync; echo $?");
    assert_eq!(done.out.trim(), "159", "{done:?}"); // 128 + SIGSYS
    // The profile's text is in the record: the file may go.
    world.ok(&[
        "create",
        "--net",
        "none",
        "--name",
        "kept",
        flags[0],
        flags[1],
        "bb",
        "sh",
        "-c",
        "sync; echo $?",
    ]);
    std::fs::remove_file(&profile).expect("remove");
    assert_eq!(world.ok(&["start", "-a", "kept"]), "159");
    world.ok(&["rm", "kept"]);
    for (text, want) in [
        ("{", "seccomp profile: decoding failed"),
        (r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#, "SCMP_ACT_NOTIFY is not supported"),
    ] {
        std::fs::write(&profile, text).expect("write");
        let done = world.script(&flags, "true");
        assert_eq!(done.code, 125, "{done:?}");
        assert!(done.err.contains(want), "{done:?}");
    }
    std::fs::remove_file(&profile).expect("remove");
    let done = world.script(&flags, "true");
    assert!(done.err.contains("opening seccomp profile ("), "{done:?}");
    world.finish();
}
