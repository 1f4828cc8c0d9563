//! What every crate needs: errors, JSON, flag tables, text, files, log, digests.
#![forbid(unsafe_code)]

pub mod flags;
