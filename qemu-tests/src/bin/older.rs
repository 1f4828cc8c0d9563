//! `older-kernel`: see the library's module of that name.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    qemu_tests::older::main(&words)
}
