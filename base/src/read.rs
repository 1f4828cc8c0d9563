//! Reading to the end, once for all readers; standard input.
//!
//! The standard library makes `read_to_end` and its like anew for each type of reader, 700 bytes each
//! time, wanted or not. A reader that has [`shared_reads!`](crate::shared_reads) in it takes those here.

use rustix::io::Errno;
use std::io::{Read, Result};

/// Any reader, by its `read` alone.
struct Any<'a>(&'a mut dyn Read);

impl Read for Any<'_> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        self.0.read(out)
    }
}

/// See [`Read::read_to_end`].
pub fn to_end(reader: &mut dyn Read, out: &mut Vec<u8>) -> Result<usize> {
    Any(reader).read_to_end(out)
}

/// See [`Read::read_to_end`]; no more than this many bytes.
pub fn at_most(reader: &mut dyn Read, cap: u64, out: &mut Vec<u8>) -> Result<usize> {
    Any(reader).take(cap).read_to_end(out)
}

/// See [`Read::read_to_string`].
pub fn to_string(reader: &mut dyn Read, out: &mut String) -> Result<usize> {
    Any(reader).read_to_string(out)
}

/// See [`Read::read_exact`].
pub fn exact(reader: &mut dyn Read, out: &mut [u8]) -> Result<()> {
    Any(reader).read_exact(out)
}

/// Standard input, for those who read it in large pieces: without a buffer. A closed one is at its end.
pub struct Stdin;

impl Read for Stdin {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        match rustix::io::read(rustix::stdio::stdin(), out) {
            Err(Errno::BADF) => Ok(0),
            other => Ok(other?),
        }
    }

    crate::shared_reads!();
}

/// What an `impl Read` has beside `read`.
#[macro_export]
macro_rules! shared_reads {
    () => {
        fn read_to_end(&mut self, out: &mut Vec<u8>) -> ::std::io::Result<usize> {
            $crate::read::to_end(self, out)
        }

        fn read_to_string(&mut self, out: &mut String) -> ::std::io::Result<usize> {
            $crate::read::to_string(self, out)
        }

        fn read_exact(&mut self, out: &mut [u8]) -> ::std::io::Result<()> {
            $crate::read::exact(self, out)
        }
    };
}
