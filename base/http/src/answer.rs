//! What a server sends back: a document, nothing, a stream of chunks, or a raw connection.
//!
//! An `Answer` is made from the request's head and used up by the one thing that is sent. Rules:
//! * a head that announces a stream is written at once, before the first chunk exists: docker's
//!   client sends `start` only when the head of `wait` has come;
//! * each chunk is one write; a peer that is gone is an error, never a signal;
//! * an answer to HEAD has the head of the answer to GET, and no body;
//! * a client of HTTP/1.0 gets the bytes until the close instead of chunks.

use crate::api::error::{ErrorMessage, status_of};
use crate::head::{Method, RequestHead};
use crate::input::{Stream, write_all};
use base::error::{Error, Result};
use base::json::ToJson;
use std::io;

/// Names of the statuses in use.
const REASONS: [(u16, &str); 16] = [
    (101, "UPGRADED"),
    (200, "OK"),
    (201, "Created"),
    (204, "No Content"),
    (304, "Not Modified"),
    (400, "Bad Request"),
    (401, "Unauthorized"),
    (403, "Forbidden"),
    (404, "Not Found"),
    (405, "Method Not Allowed"),
    (408, "Request Timeout"),
    (409, "Conflict"),
    (413, "Content Too Large"),
    (500, "Internal Server Error"),
    (501, "Not Implemented"),
    (503, "Service Unavailable"),
];

/// The content type of a raw stream (a terminal's bytes).
pub const RAW_STREAM: &str = "application/vnd.docker.raw-stream";
/// The content type of a stream of frames (`frames`).
pub const MULTIPLEXED_STREAM: &str = "application/vnd.docker.multiplexed-stream";

/// The one answer to a request.
pub struct Answer<'a> {
    stream: &'a dyn Stream,
    headers: String,
    head_only: bool,
    chunks: bool,
    upgrade: bool,
    keep_alive: bool,
}

impl<'a> Answer<'a> {
    /// The answer to this request.
    pub fn to(head: &RequestHead, stream: &'a dyn Stream) -> Answer<'a> {
        Answer {
            stream,
            headers: String::new(),
            head_only: head.method == Method::Head,
            chunks: head.chunks,
            upgrade: head.upgrade,
            keep_alive: head.keep_alive,
        }
    }

    /// The answer to a head that could not be read; the connection ends after it.
    pub fn to_nothing(stream: &'a dyn Stream) -> Answer<'a> {
        Answer {
            stream,
            headers: String::new(),
            head_only: false,
            chunks: false,
            upgrade: false,
            keep_alive: false,
        }
    }

    /// One more header. Line ends in the value become spaces.
    pub fn header(mut self, name: &str, value: &str) -> Answer<'a> {
        push_header(&mut self.headers, name, value);
        self
    }

    /// Says that the connection ends after this answer.
    pub fn close(mut self) -> Answer<'a> {
        self.keep_alive = false;
        self
    }

    /// The head without its empty line.
    fn head(&self, status: u16) -> String {
        let reason = REASONS.iter().find(|(code, _)| *code == status).map_or("", |(_, text)| text);
        let mut head = String::with_capacity(256);
        for part in ["HTTP/1.1 ", &status.to_string(), " ", reason, "\r\n", &self.headers] {
            head.push_str(part);
        }
        if !self.keep_alive && status != 101 {
            push_header(&mut head, "Connection", "close");
        }
        head
    }

    fn send(&self, bytes: &[u8]) -> Result<()> {
        write_all(self.stream, bytes).map_err(|error| Error::os("write", &"answer", error))
    }

    /// Bytes of that type.
    pub fn bytes(self, status: u16, content_type: &str, body: &[u8]) -> Result<()> {
        let mut head = self.head(status);
        push_header(&mut head, "Content-Type", content_type);
        push_header(&mut head, "Content-Length", &body.len().to_string());
        head.push_str("\r\n");
        let mut all = head.into_bytes();
        if !self.head_only {
            all.extend_from_slice(body);
        }
        self.send(&all)
    }

    /// A document.
    pub fn json(self, status: u16, document: &dyn ToJson) -> Result<()> {
        self.bytes(status, "application/json", base::json::to_string(document).as_bytes())
    }

    /// No body: 204, 304, or 200 with a length of 0.
    pub fn empty(self, status: u16) -> Result<()> {
        let mut head = self.head(status);
        if status != 204 && status != 304 {
            push_header(&mut head, "Content-Length", "0");
        }
        head.push_str("\r\n");
        self.send(head.as_bytes())
    }

    /// Why not.
    pub fn error(self, error: &Error) -> Result<()> {
        match status_of(error.kind()) {
            304 => self.empty(304),
            status => self.json(status, &ErrorMessage { message: error.message().to_string() }),
        }
    }

    /// A stream of chunks; its head is written here and now.
    pub fn stream(mut self, status: u16, content_type: &str) -> Result<Chunks<'a>> {
        self.keep_alive &= self.chunks;
        let mut head = self.head(status);
        push_header(&mut head, "Content-Type", content_type);
        if self.chunks {
            push_header(&mut head, "Transfer-Encoding", "chunked");
        }
        head.push_str("\r\n");
        self.send(head.as_bytes())?;
        Ok(Chunks { stream: self.stream, silent: self.head_only, chunks: self.chunks })
    }

    /// Leaves HTTP: after this head both directions are raw bytes, or frames when `multiplexed`.
    /// 101 when the client asked to upgrade, else 200 (clients before 2016).
    pub fn hijack(mut self, multiplexed: bool) -> Result<()> {
        self.keep_alive = true;
        let mut head = self.head(if self.upgrade { 101 } else { 200 });
        let kind = if multiplexed { MULTIPLEXED_STREAM } else { RAW_STREAM };
        push_header(&mut head, "Content-Type", kind);
        if self.upgrade {
            head.push_str("Connection: Upgrade\r\nUpgrade: tcp\r\n");
        }
        head.push_str("\r\n");
        self.send(head.as_bytes())
    }
}

fn push_header(head: &mut String, name: &str, value: &str) {
    head.push_str(name);
    head.push_str(": ");
    head.extend(value.chars().map(|c| if c.is_control() { ' ' } else { c }));
    head.push_str("\r\n");
}

/// The body of an answer that is sent as it arises. Dropped without `finish`, the peer sees a cut
/// body once the connection is closed, and that is what a failed stream should look like.
pub struct Chunks<'a> {
    stream: &'a dyn Stream,
    silent: bool,
    chunks: bool,
}

impl Chunks<'_> {
    /// One chunk, in one write; an empty one is nothing.
    pub fn chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        match (bytes.is_empty() || self.silent, self.chunks) {
            (true, _) => Ok(()),
            (false, false) => write_all(self.stream, bytes),
            (false, true) => write_all(self.stream, &framed(bytes)),
        }
    }

    /// One JSON document and a line end, as one chunk.
    pub fn json(&mut self, document: &dyn ToJson) -> io::Result<()> {
        let mut text = base::json::to_string(document);
        text.push_str("\r\n");
        self.chunk(text.as_bytes())
    }

    /// The end of the body.
    pub fn finish(self) -> io::Result<()> {
        match self.chunks && !self.silent {
            true => write_all(self.stream, b"0\r\n\r\n"),
            false => Ok(()),
        }
    }
}

impl io::Write for Chunks<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.chunk(bytes)?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A chunk as it goes over the wire: size in hex, bytes, line end.
fn framed(bytes: &[u8]) -> Vec<u8> {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut out = Vec::with_capacity(bytes.len() + 20);
    let digits = (usize::BITS - bytes.len().leading_zeros()).div_ceil(4).max(1);
    out.extend((0..digits).rev().map(|place| HEX[bytes.len() >> (4 * place) & 15]));
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
    out
}
