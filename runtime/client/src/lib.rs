//! The command line: one request after another to the Engine API.
#![forbid(unsafe_code)]
