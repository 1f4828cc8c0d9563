//! Inside the machine: PID 1, and under the name `probe` the program of the tests' containers.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    if rustix::process::getpid().as_raw_nonzero().get() == 1
        && std::env::args().next().as_deref() == Some("/init")
    {
        qemu_tests::guest::init();
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    qemu_tests::guest::probe::main(&words)
}
