//! A body as a reader: by length, in chunks, or until the peer closes.
//!
//! It never reads beyond its end except into the input's buffer, where the next head finds it. A
//! body that is cut short is an error, never an end: a half document must not look whole. Each
//! reader has a cap; the one for JSON documents is 4 MiB. Trailers are read and dropped.

use crate::head::{BodyKind, RequestHead};
use crate::input::{Input, invalid, write_all};
use base::error::{Error, Kind, Result};
use base::json::FromJson;
use std::io::{self, Read};

/// The longest JSON document.
pub const JSON_CAP: u64 = 4 * 1024 * 1024;

/// The longest chunk line, extensions included, and the longest trailer.
const LINE_CAP: usize = 4096;

/// The most trailers.
const TRAILER_CAP: usize = 100;

/// What is still to come.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Left {
    Nothing,
    /// So many bytes, then the end.
    Bytes(u64),
    /// So many bytes of this chunk, then the next.
    Chunk(u64),
    /// A chunk's size line.
    ChunkSize,
    /// Everything until the peer closes.
    Unknown,
    /// It broke: no further byte means anything.
    Broken,
}

/// The connection that a body is read from.
enum Held<'a> {
    /// Somebody else's: the next head is read from it.
    Lent(&'a mut Input),
    /// It ends with the body.
    Own(Box<Input>),
}

impl Held<'_> {
    fn input(&mut self) -> &mut Input {
        match self {
            Held::Lent(input) => input,
            Held::Own(input) => input,
        }
    }
}

/// The body of one head.
pub struct Body<'a> {
    input: Held<'a>,
    left: Left,
    /// How many more bytes may be read.
    allowed: u64,
    /// The peer waits for `100 Continue`.
    must_continue: bool,
}

impl<'a> Body<'a> {
    /// The body of this kind that comes next.
    pub fn new(input: &'a mut Input, kind: BodyKind) -> Body<'a> {
        let left = match kind {
            BodyKind::None | BodyKind::Length(0) => Left::Nothing,
            BodyKind::Length(length) => Left::Bytes(length),
            BodyKind::Chunked => Left::ChunkSize,
            BodyKind::UntilClose => Left::Unknown,
        };
        Body { input: Held::Lent(input), left, allowed: u64::MAX, must_continue: false }
    }

    /// The last body of a connection, which it takes along.
    pub fn own(input: Input, kind: BodyKind) -> Body<'static> {
        let mut input = Box::new(input);
        let Body { left, .. } = Body::new(&mut input, kind);
        Body { input: Held::Own(input), left, allowed: u64::MAX, must_continue: false }
    }

    /// A request's body; a client that waits for `100 Continue` is told so at the first read.
    pub fn of(input: &'a mut Input, head: &RequestHead) -> Body<'a> {
        let must_continue = head.expects_continue;
        Body { must_continue, ..Body::new(input, head.body) }
    }

    /// Refuses to read more than so many bytes.
    pub fn cap(mut self, bytes: u64) -> Body<'a> {
        self.allowed = bytes;
        self
    }

    /// Whether it was read to its end.
    pub fn is_done(&self) -> bool {
        self.left == Left::Nothing
    }

    /// All of it, at most `cap` bytes.
    pub fn whole(&mut self, cap: u64) -> Result<Vec<u8>> {
        if matches!(self.left, Left::Bytes(length) if length > cap) {
            return Err(too_large(cap));
        }
        let mut bytes = Vec::new();
        let got = base::read::at_most(self, cap + 1, &mut bytes);
        got.map_err(|error| self.error(error))?;
        if bytes.len() as u64 > cap {
            return Err(too_large(cap));
        }
        Ok(bytes)
    }

    /// The document that it is; an empty body is the document's default.
    pub fn json<T: FromJson + Default>(&mut self) -> Result<T> {
        let bytes = self.whole(JSON_CAP)?;
        match bytes.is_empty() {
            true => Ok(T::default()),
            false => base::json::parse(&bytes),
        }
    }

    /// Reads what nobody wanted, so that the next head can be read; false when that is more than
    /// `cap` bytes or the body is broken: then the connection must be closed.
    pub fn drain(mut self, cap: u64) -> bool {
        // A client that waits to be told to send has not sent, and may never.
        if self.must_continue || matches!(self.left, Left::Bytes(length) if length > cap) {
            return self.is_done();
        }
        self.allowed = self.allowed.min(cap);
        let mut waste = [0; 4096];
        loop {
            match self.read(&mut waste) {
                Ok(0) => return self.is_done(),
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }

    /// What a failed read means for the user.
    fn error(&self, error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                Error::new(Kind::BadInput, ["read body: ", &error.to_string()].concat())
            }
            _ => Error::os("read", &"body", error),
        }
    }

    /// The size of the next chunk; 0 ends the body, its trailers are taken too.
    fn next_chunk(&mut self) -> io::Result<u64> {
        let line = self.input.input().line(LINE_CAP)?;
        let digits = line.split(';').next().unwrap_or("").trim_end_matches([' ', '\t']);
        let hex = (1..=16).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
        let Some(size) = u64::from_str_radix(digits, 16).ok().filter(|_| hex) else {
            return Err(invalid("bad chunk size"));
        };
        if size == 0 {
            let mut trailers = 0;
            while !self.input.input().line(LINE_CAP)?.is_empty() {
                trailers += 1;
                if trailers > TRAILER_CAP {
                    return Err(invalid("too many trailers"));
                }
            }
        }
        Ok(size)
    }

    fn read_some(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.left == Left::ChunkSize {
            self.left = match self.next_chunk()? {
                0 => Left::Nothing,
                size => Left::Chunk(size),
            };
        }
        let most = match self.left {
            Left::Nothing => 0,
            Left::Broken => return Err(io::ErrorKind::UnexpectedEof.into()),
            Left::Bytes(n) | Left::Chunk(n) => n,
            Left::Unknown | Left::ChunkSize => u64::MAX,
        };
        if most == 0 {
            return Ok(0);
        }
        if self.allowed == 0 {
            return Err(invalid("larger than allowed"));
        }
        let most = most.min(self.allowed).min(out.len() as u64) as usize;
        let got = self.input.input().read(&mut out[..most])?;
        self.allowed -= got as u64;
        self.left = match (self.left, got as u64) {
            (Left::Unknown, 0) => Left::Nothing,
            (_, 0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            (Left::Bytes(n), got) if n == got => Left::Nothing,
            (Left::Bytes(n), got) => Left::Bytes(n - got),
            (Left::Chunk(n), got) if n == got => {
                match self.input.input().line(LINE_CAP)?.is_empty() {
                    true => Left::ChunkSize,
                    false => return Err(invalid("a chunk is longer than its size")),
                }
            }
            (Left::Chunk(n), got) => Left::Chunk(n - got),
            (left, _) => left,
        };
        Ok(got)
    }
}

impl Read for Body<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        if std::mem::take(&mut self.must_continue) && !self.is_done() {
            write_all(&**self.input.input().stream(), b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let result = self.read_some(out);
        if result.is_err() {
            self.left = Left::Broken;
        }
        result
    }

    base::shared_reads!();
}

fn too_large(cap: u64) -> Error {
    Error::bad_input(["read body: larger than ", &cap.to_string(), " bytes"].concat())
}
