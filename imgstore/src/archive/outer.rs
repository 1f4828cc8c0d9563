//! The tar around an image: read entry by entry, from a stream or from a file.
//!
//! In a file, what is not wanted is passed over by seeking.

use crate::layer::entry::{Assembler, Entry, Step};
use crate::layer::header::BLOCK;
use base::{Error, OnError, Result};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// Where the archive comes from.
pub(crate) enum Input<'a> {
    Stream(&'a mut dyn Read),
    File(&'a File),
}

impl Read for Input<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Stream(stream) => stream.read(out),
            Self::File(file) => file.read(out),
        }
    }
}

/// Reads the archive; as a [`Read`], the content of the entry at hand.
pub(crate) struct Outer<'a> {
    input: Input<'a>,
    assembler: Assembler,
    left: u64,
    padding: u64,
    first: bool,
}

fn cut() -> Error {
    Error::bad_input("archive: unexpected end")
}

impl<'a> Outer<'a> {
    pub(crate) fn new(input: Input<'a>) -> Self {
        Self { input, assembler: Assembler::default(), left: 0, padding: 0, first: true }
    }

    /// The next entry; none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>> {
        loop {
            self.skip()?;
            let mut block = [0; BLOCK];
            let mut filled = 0;
            while filled < BLOCK {
                match self.input.read(&mut block[filled..]) {
                    Ok(0) => break,
                    Ok(n) => filled += n,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(e).on("read", "the archive"),
                }
            }
            if filled < BLOCK {
                return Err(if self.first {
                    Error::bad_input("archive: not a tar archive")
                } else {
                    cut()
                });
            }
            let step = self.assembler.header(&block);
            let step = match step {
                Err(_) if self.first => return Err(Error::bad_input("archive: not a tar archive")),
                other => other?,
            };
            self.first = false;
            match step {
                Step::Zero => return Ok(None),
                Step::Meta(length) => {
                    self.content(length as u64);
                    let mut content = vec![0; length];
                    self.read_exact(&mut content).map_err(|_| cut())?;
                    self.assembler.meta(&content)?;
                }
                Step::Entry(entry) => {
                    self.content(entry.size);
                    return Ok(Some(*entry));
                }
            }
        }
    }

    fn content(&mut self, size: u64) {
        self.left = size;
        self.padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
    }

    /// Passes over what is left of the entry.
    fn skip(&mut self) -> Result<()> {
        let mut left = self.left + self.padding;
        (self.left, self.padding) = (0, 0);
        if left == 0 {
            return Ok(());
        }
        match &mut self.input {
            Input::File(file) => {
                // One byte before the end is read, since a seek does not see the end.
                let by = i64::try_from(left - 1).map_err(|_| cut())?;
                file.seek(SeekFrom::Current(by)).on("read", "the archive")?;
                file.read_exact(&mut [0]).map_err(|_| cut())
            }
            Input::Stream(stream) => {
                let mut waste = [0; 4096];
                while left > 0 {
                    let want = usize::try_from(left).unwrap_or(usize::MAX).min(waste.len());
                    match stream.read(&mut waste[..want]) {
                        Ok(0) => return Err(cut()),
                        Ok(n) => left -= n as u64,
                        Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                        Err(e) => return Err(e).on("read", "the archive"),
                    }
                }
                Ok(())
            }
        }
    }

    /// Where the content of the entry begins, in a file.
    pub(crate) fn position(&mut self) -> Result<u64> {
        match &mut self.input {
            Input::File(file) => file.stream_position().on("read", "the archive"),
            Input::Stream(_) => Err(Error::other("archive: a stream has no positions")),
        }
    }
}

impl Read for Outer<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(out.len());
        if want == 0 {
            return Ok(0);
        }
        let n = self.input.read(&mut out[..want])?;
        if n == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "unexpected end"));
        }
        self.left -= n as u64;
        Ok(n)
    }

    base::shared_reads!();
}
