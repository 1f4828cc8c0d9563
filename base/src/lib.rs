//! What every crate of coracle needs: errors, JSON, text, files, locks, digests, folders, log.
//!
//! Nothing here knows of images, containers or networks. Everything that can be expensive in size
//! (hashing, floating point, random names) lives in a function of its own, so that a program which
//! does not call it does not carry it.
#![forbid(unsafe_code)]

pub use base_sys as sys;

pub mod checksum;
pub mod copy;
pub mod digest;
pub mod error;
pub mod files;
pub mod flags;
pub mod folders;
pub mod json;
pub mod log;
pub mod map;
pub mod paths;
pub mod program;
pub mod read;
pub mod signals;
pub mod text;

pub use error::{Error, Kind, OnError, Result, is_of_the_moment};
