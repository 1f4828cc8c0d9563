//! The multi-call binary.
#![forbid(unsafe_code)]
fn main() {}
