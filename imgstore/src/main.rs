//! The tool `imgstore`: a binary of its own, for boot scripts. The house's binary has the same verbs
//! as `coracle load`, `import`, `images` and `rmi`; the tool in it would cost 30 kB.
#![forbid(unsafe_code)]

mod tool;

use std::process::ExitCode;

fn main() -> ExitCode {
    tool::main(std::env::args_os().skip(1).collect())
}
