//! A plan, read.

use super::Operation;
use std::ffi::CStr;

/// Reads a plan's steps and operands. Allocates nothing; a plan that is cut short gives `None`.
#[derive(Clone)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    pub(crate) position: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8], position: usize) -> Cursor<'a> {
        Cursor { bytes, position }
    }

    pub(crate) fn at_end(&self) -> bool {
        self.position >= self.bytes.len()
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.position.checked_add(length)?;
        let part = self.bytes.get(self.position..end)?;
        self.position = end;
        Some(part)
    }

    pub(crate) fn step(&mut self) -> Option<(Operation, u8)> {
        match self.take(2)? {
            [operation, tolerate] => Some((Operation::from_number(*operation)?, *tolerate)),
            _ => None,
        }
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        Some(u64::from_ne_bytes(self.take(8)?.try_into().ok()?))
    }

    pub(crate) fn blob(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_ne_bytes(self.take(4)?.try_into().ok()?) as usize;
        self.take(length)
    }

    /// A text with its NUL, ready for the kernel.
    pub(crate) fn text(&mut self) -> Option<&'a CStr> {
        let length = u32::from_ne_bytes(self.take(4)?.try_into().ok()?) as usize;
        CStr::from_bytes_with_nul(self.take(length.checked_add(1)?)?).ok()
    }
}
