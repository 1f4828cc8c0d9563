//! The tar reader of a layer: it is fed blocks of any length and calls a sink.
//!
//! It holds one header and one extended header, nothing else: file content goes from the block
//! that it came in straight to the sink.

use super::entry::{Assembler, Entry, Step};
use super::header::BLOCK;
use super::headers::Part;
use base::{Error, Result};

/// Who gets the entries.
pub(crate) trait Sink {
    /// Bytes of the archive that are no content, before what they mean.
    fn frame(&mut self, part: Part, bytes: &[u8]) -> Result<()>;
    /// The next entry begins.
    fn entry(&mut self, entry: Entry) -> Result<()>;
    /// Content of the entry.
    fn data(&mut self, bytes: &[u8]) -> Result<()>;
    /// All content of the entry was given.
    fn end(&mut self) -> Result<()>;
}

enum State {
    Header,
    Meta(usize),
    Data(u64),
    Ended,
}

/// A tar reader.
pub(crate) struct Parser {
    state: State,
    assembler: Assembler,
    /// A header or an extended header that is not whole yet.
    partial: Vec<u8>,
    /// Bytes of padding before the next header.
    padding: usize,
    /// Bytes of padding behind the content that is being read.
    after: usize,
}

pub(crate) fn padding_of(size: u64) -> usize {
    (BLOCK - (size % BLOCK as u64) as usize) % BLOCK
}

impl Parser {
    pub(crate) fn new() -> Self {
        let partial = Vec::with_capacity(BLOCK);
        Self {
            state: State::Header,
            assembler: Assembler::default(),
            partial,
            padding: 0,
            after: 0,
        }
    }

    /// Takes the next bytes of the archive.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], sink: &mut dyn Sink) -> Result<()> {
        while !bytes.is_empty() {
            if self.padding > 0 {
                let n = self.padding.min(bytes.len());
                self.padding -= n;
                sink.frame(Part::Filling, &bytes[..n])?;
                bytes = &bytes[n..];
                continue;
            }
            match self.state {
                State::Header => bytes = self.header(bytes, sink)?,
                State::Meta(length) => bytes = self.meta(bytes, length, sink)?,
                State::Data(left) => {
                    let n = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    sink.data(&bytes[..n])?;
                    bytes = &bytes[n..];
                    self.content(left - n as u64, sink)?;
                }
                // What follows the end belongs to the blob, not to the archive.
                State::Ended => return sink.frame(Part::Filling, bytes),
            }
        }
        Ok(())
    }

    fn header<'a>(&mut self, bytes: &'a [u8], sink: &mut dyn Sink) -> Result<&'a [u8]> {
        let whole = bytes.first_chunk::<BLOCK>().filter(|_| self.partial.is_empty());
        let (step, rest) = match whole {
            Some(block) => {
                sink.frame(Part::Header, block)?;
                (self.assembler.header(block)?, &bytes[BLOCK..])
            }
            None => {
                let n = (BLOCK - self.partial.len()).min(bytes.len());
                self.partial.extend_from_slice(&bytes[..n]);
                let Some(block) = self.partial.first_chunk::<BLOCK>() else {
                    return Ok(&bytes[n..]);
                };
                sink.frame(Part::Header, block)?;
                let step = self.assembler.header(block)?;
                self.partial.clear();
                (step, &bytes[n..])
            }
        };
        match step {
            Step::Zero => self.state = State::Ended,
            Step::Meta(length) => {
                self.state = State::Meta(length);
                if length == 0 {
                    self.meta(&[], 0, sink)?;
                }
            }
            Step::Entry(entry) => {
                let size = entry.size;
                sink.entry(*entry)?;
                self.after = padding_of(size);
                self.content(size, sink)?;
            }
        }
        Ok(rest)
    }

    fn content(&mut self, left: u64, sink: &mut dyn Sink) -> Result<()> {
        self.state = State::Data(left);
        if left == 0 {
            self.state = State::Header;
            self.padding = self.after;
            sink.end()?;
        }
        Ok(())
    }

    fn meta<'a>(
        &mut self,
        bytes: &'a [u8],
        length: usize,
        sink: &mut dyn Sink,
    ) -> Result<&'a [u8]> {
        let n = (length - self.partial.len()).min(bytes.len());
        self.partial.extend_from_slice(&bytes[..n]);
        if self.partial.len() == length {
            sink.frame(Part::Meta, &self.partial)?;
            self.assembler.meta(&self.partial)?;
            self.partial.clear();
            self.partial.shrink_to(64 * 1024);
            self.padding = padding_of(length as u64);
            self.state = State::Header;
        }
        Ok(&bytes[n..])
    }

    /// Whether the archive was whole; `strict`: whether it must have its end mark.
    pub(crate) fn finish(&self, strict: bool) -> Result<()> {
        let whole = match self.state {
            State::Ended => true,
            State::Header => self.partial.is_empty() && self.padding == 0 && !strict,
            _ => false,
        };
        if whole { Ok(()) } else { Err(Error::bad_input("archive: unexpected end")) }
    }
}
