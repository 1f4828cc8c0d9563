//! Inside the machine: PID 1, under the name `probe` the program of the tests' containers, and under the
//! name `older-kernel` what refuses newer calls.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    let name = std::env::args().next().unwrap_or_default();
    let words: Vec<String> = std::env::args().skip(1).collect();
    if rustix::process::getpid().as_raw_nonzero().get() == 1 && name == "/init" {
        qemu_tests::guest::init();
    }
    if name.rsplit('/').next() == Some(qemu_tests::guest::OLDER) {
        return qemu_tests::older::main(&words);
    }
    qemu_tests::guest::probe::main(&words)
}
