//! A connection's bytes, read with care.
//!
//! `Stream` is what both sides need of a connection: read, look ahead, write, half close. `Input`
//! reads heads and bodies from it through one buffer.
//!
//! The rule that it keeps: an exact input never takes a byte beyond a head out of the socket. A
//! connection that becomes a stream is handed to another process by its descriptor, and a byte in
//! this process's buffer would be lost. So it looks first (MSG_PEEK) and takes the head alone: two
//! calls a head. The client's side has no such need and takes what comes: one call.

use base::error::{Error, Result};
use rustix::net::{RecvFlags, SendFlags};
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// The longest head, terminator included.
pub const HEAD_CAP: usize = 64 * 1024;

/// How much is asked of the socket at once while a head or a chunk's size is looked for.
const STEP: usize = 4096;

/// One connection; several threads may use it at once.
pub trait Stream: Send + Sync {
    /// Takes bytes; 0 at the end.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Looks at the bytes that `read` would take.
    fn peek(&self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Gives bytes; a closed peer is an error, never a signal.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;
    /// Nothing more will be written: the peer reads an end.
    fn close_write(&self) -> io::Result<()>;
}

impl Stream for UnixStream {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::net::recv(self, buffer, RecvFlags::empty())?.0)
    }
    fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::net::recv(self, buffer, RecvFlags::PEEK)?.0)
    }
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(self, bytes, SendFlags::NOSIGNAL)?)
    }
    fn close_write(&self) -> io::Result<()> {
        self.shutdown(std::net::Shutdown::Write)
    }
}

/// Writes all of it.
pub fn write_all(stream: &dyn Stream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match retry(|| stream.write(bytes))? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            n => bytes = &bytes[n..],
        }
    }
    Ok(())
}

/// Calls again when a signal came between.
fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => return other,
        }
    }
}

/// The reading half of a connection.
pub struct Input {
    stream: Arc<dyn Stream>,
    buffer: Vec<u8>,
    start: usize,
    exact: bool,
}

impl Input {
    /// An input that may take more than it was asked for; `take_buffered` gives that back.
    pub fn new(stream: Arc<dyn Stream>) -> Input {
        Input { stream, buffer: Vec::new(), start: 0, exact: false }
    }

    /// An input that takes heads to the byte (the server's side).
    pub fn exact(stream: Arc<dyn Stream>) -> Input {
        Input { stream, buffer: Vec::new(), start: 0, exact: true }
    }

    /// The connection itself.
    pub fn stream(&self) -> &Arc<dyn Stream> {
        &self.stream
    }

    /// What was read and not used. After a head of an exact input it is empty, unless the peer
    /// sent a request while the chunks of the one before were still being read.
    pub fn take_buffered(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.buffer);
        rest.drain(..self.start);
        self.start = 0;
        rest
    }

    /// Whether `read` would give bytes without asking the connection.
    pub fn has_buffered(&self) -> bool {
        self.start < self.buffer.len()
    }

    /// The next head up to and with its empty line; None when the peer closed before its first
    /// byte.
    pub(crate) fn head(&mut self) -> Result<Option<Vec<u8>>> {
        self.compact();
        let mut seen = 0;
        loop {
            if let Some(end) = end_of_head(&self.buffer, seen) {
                return Ok(Some(self.take_front(end)));
            }
            if self.buffer.len() >= HEAD_CAP {
                return Err(Error::bad_input("read head: longer than 64 KiB"));
            }
            seen = self.buffer.len();
            let got = if self.exact { self.fill_head() } else { self.fill() };
            if got.map_err(|error| Error::os("read", &"head", error))? == 0 {
                return match seen {
                    0 => Ok(None),
                    _ => Err(Error::bad_input("read head: the connection was closed within it")),
                };
            }
        }
    }

    /// The bytes of the buffer before `end`, and the buffer starts there.
    fn take_front(&mut self, end: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(end);
        self.start = 0;
        std::mem::replace(&mut self.buffer, rest)
    }

    fn compact(&mut self) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
    }

    /// Takes whatever comes, at most a step.
    fn fill(&mut self) -> io::Result<usize> {
        let old = self.buffer.len();
        self.buffer.resize(old + STEP, 0);
        let got = retry(|| self.stream.read(&mut self.buffer[old..]));
        self.buffer.truncate(old + *got.as_ref().unwrap_or(&0));
        got
    }

    /// Looks, and takes what belongs to the head.
    fn fill_head(&mut self) -> io::Result<usize> {
        let old = self.buffer.len();
        self.buffer.resize(old + STEP, 0);
        let result = self.look_and_take(old);
        self.buffer.truncate(old + *result.as_ref().unwrap_or(&0));
        result
    }

    fn look_and_take(&mut self, old: usize) -> io::Result<usize> {
        let seen = retry(|| self.stream.peek(&mut self.buffer[old..]))?;
        let end = end_of_head(&self.buffer[..old + seen], old).unwrap_or(old + seen);
        let mut at = old;
        while at < end {
            match retry(|| self.stream.read(&mut self.buffer[at..end]))? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => at += n,
            }
        }
        Ok(at - old)
    }

    /// The next line without its end, for chunk sizes and trailers.
    pub(crate) fn line(&mut self, cap: usize) -> io::Result<String> {
        self.compact();
        let mut seen = 0;
        loop {
            if let Some(at) = self.buffer[seen..].iter().position(|b| *b == b'\n') {
                let end = seen + at;
                let line = match self.buffer[..end].strip_suffix(b"\r") {
                    Some(line) => {
                        std::str::from_utf8(line).map_err(|_| invalid("bad chunk line"))?
                    }
                    None => return Err(invalid("a chunk line must end with CR LF")),
                }
                .to_string();
                self.start = end + 1;
                return Ok(line);
            }
            seen = self.buffer.len();
            if seen > cap {
                return Err(invalid("chunk line too long"));
            }
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Takes bytes: the buffer's first, then the connection's, straight into `out`.
    pub fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let have = self.buffer.len() - self.start;
        if have == 0 {
            return retry(|| self.stream.read(out));
        }
        let n = have.min(out.len());
        out[..n].copy_from_slice(&self.buffer[self.start..self.start + n]);
        self.start += n;
        Ok(n)
    }
}

/// Bytes that break the rules of the protocol.
pub(crate) fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Where the head ends, if it does; `old` bytes had no end in them when they were alone.
fn end_of_head(bytes: &[u8], old: usize) -> Option<usize> {
    let from = old.saturating_sub(3);
    bytes[from..].windows(4).position(|four| four == b"\r\n\r\n").map(|at| from + at + 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"POST /x HTTP/1.1\r\nHost: a\r\n\r\n";

    fn pair() -> (UnixStream, Arc<UnixStream>) {
        let (here, there) = UnixStream::pair().unwrap();
        (here, Arc::new(there))
    }

    #[test]
    fn an_exact_input_leaves_what_follows_the_head_in_the_socket() {
        let (here, there) = pair();
        write_all(&here, &[HEAD, b"raw bytes"].concat()).unwrap();
        let mut input = Input::exact(there.clone());
        assert_eq!(input.head().unwrap().unwrap(), HEAD);
        assert!(input.take_buffered().is_empty());
        let mut rest = [0; 64];
        let n = Stream::read(&*there, &mut rest).unwrap();
        assert_eq!(&rest[..n], b"raw bytes");
    }

    #[test]
    fn a_head_in_single_bytes_is_still_taken_to_the_byte() {
        let (here, there) = pair();
        let writer = std::thread::spawn(move || {
            for byte in [HEAD, b"raw"].concat() {
                write_all(&here, &[byte]).unwrap();
            }
            here
        });
        let mut input = Input::exact(there.clone());
        assert_eq!(input.head().unwrap().unwrap(), HEAD);
        assert!(input.take_buffered().is_empty());
        drop(writer.join().unwrap());
        let mut rest = Vec::new();
        io::Read::read_to_end(&mut &*there, &mut rest).unwrap();
        assert_eq!(rest, b"raw");
    }

    #[test]
    fn an_ordinary_input_gives_back_what_it_took_too_much() {
        let (here, there) = pair();
        write_all(&here, &[HEAD, b"raw"].concat()).unwrap();
        let mut input = Input::new(there);
        assert_eq!(input.head().unwrap().unwrap(), HEAD);
        assert_eq!(input.take_buffered(), b"raw");
    }

    #[test]
    fn a_clean_end_is_none_and_a_cut_head_an_error() {
        let (here, there) = pair();
        drop(here);
        assert!(Input::exact(there).head().unwrap().is_none());
        for exact in [false, true] {
            let (here, there) = pair();
            write_all(&here, b"GET / HT").unwrap();
            drop(here);
            let mut input = if exact { Input::exact(there) } else { Input::new(there) };
            assert!(input.head().is_err());
        }
    }

    #[test]
    fn a_head_without_end_is_refused_at_the_cap() {
        let (here, there) = pair();
        let writer = std::thread::spawn(move || {
            let _ = write_all(&here, &vec![b'a'; HEAD_CAP + STEP]);
        });
        let mut input = Input::exact(there);
        assert!(input.head().is_err());
        drop(input);
        writer.join().unwrap();
    }
}
