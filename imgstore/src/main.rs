//! The tool `imgstore` as a binary of its own.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    imgstore::main(std::env::args_os().skip(1).collect())
}
