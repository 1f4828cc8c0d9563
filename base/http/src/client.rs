//! The client's side of a connection: one request after another, or one that leaves HTTP.
//!
//! A connection that cannot be used again (the server closed it, a body was not read to its end)
//! says so by an error of the next request; who sends many keeps one connection and reads each
//! answer whole. A request's body that the server does not want to read to its end is not an error
//! by itself: the answer says why.

use crate::api;
use crate::body::{Body, JSON_CAP};
use crate::head::{Headers, Method, ResponseHead, read_response};
use crate::input::{Input, Stream, write_all};
use base::error::{Error, Result};
use base::json::FromJson;
use std::io::{self, Read};
use std::sync::Arc;

/// How much of a streamed request body is sent at once.
const PIECE: usize = 64 * 1024;
/// The line in front of a chunk: five hex digits and its end.
const SIZE_LINE: usize = 7;

/// A request's body.
pub enum Payload<'a> {
    /// Nothing.
    None,
    /// A JSON document's text.
    Json(&'a str),
    /// Bytes until the reader's end, sent in chunks, with their content type.
    Stream(&'static str, &'a mut dyn Read),
}

/// One request.
pub struct Request<'t, 'p> {
    /// What to do.
    pub method: Method,
    /// Path and query, encoded.
    pub target: &'t str,
    /// The body.
    pub payload: Payload<'p>,
}

/// The answer to a request.
pub struct Response<'c> {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: Headers,
    /// Its body.
    pub body: Body<'c>,
}

impl Response<'_> {
    /// The body's document; an error when the status says that it failed.
    pub fn json<T: FromJson + Default>(mut self) -> Result<T> {
        self.check()?;
        self.body.json()
    }

    /// Reads the body away; an error when the status says that it failed.
    pub fn done(mut self) -> Result<()> {
        self.check()?;
        self.body.whole(JSON_CAP).map(|_| ())
    }

    /// The server's error, if the status is one (304 is).
    pub fn check(&mut self) -> Result<()> {
        if self.status < 300 {
            return Ok(());
        }
        let said = self.body.whole(JSON_CAP)?;
        Err(api::error::read(self.status, &said))
    }
}

/// A connection to the server.
pub struct Connection {
    input: Input,
    /// More header lines of each request.
    headers: String,
}

/// A connection that left HTTP.
pub struct Upgraded {
    /// What the server sends, from the first byte after its head on.
    pub input: Input,
    /// The server said that its bytes are frames; with an old server nothing is said, and the
    /// container's Tty decides.
    pub multiplexed: Option<bool>,
}

impl Connection {
    /// On a fresh stream.
    pub fn new(stream: Arc<dyn Stream>) -> Connection {
        Connection { input: Input::new(stream), headers: String::new() }
    }

    /// One more header of each request. The value has no line ends.
    pub fn header(&mut self, name: &str, value: &str) {
        for part in [name, ": ", value, "\r\n"] {
            self.headers.push_str(part);
        }
    }

    /// Sends a request and reads the answer's head; the body waits on the connection until the
    /// head is given to `answer`.
    pub fn begin(&mut self, request: Request<'_, '_>) -> Result<ResponseHead> {
        let method = request.method;
        self.write(request, false)?;
        read_response(&mut self.input, method)
    }

    /// The rest of an answer that was begun.
    pub fn answer(&mut self, head: ResponseHead) -> Response<'_> {
        let body = Body::new(&mut self.input, head.body);
        Response { status: head.status, headers: head.headers, body }
    }

    /// Sends a request and reads the head of the answer.
    pub fn send(&mut self, request: Request<'_, '_>) -> Result<Response<'_>> {
        let head = self.begin(request)?;
        Ok(self.answer(head))
    }

    /// Whether bytes of an answer are here already.
    pub fn has_buffered(&self) -> bool {
        self.input.has_buffered()
    }

    /// Sends a request that leaves HTTP. The inner error is the server's refusal.
    pub fn upgrade(mut self, request: Request<'_, '_>) -> Result<Upgraded> {
        let method = request.method;
        self.write(request, true)?;
        let head = read_response(&mut self.input, method)?;
        if head.status != 101 && head.status != 200 {
            let said = Body::new(&mut self.input, head.body).whole(JSON_CAP)?;
            return Err(api::error::read(head.status, &said));
        }
        let multiplexed = match head.headers.get("content-type") {
            Some(crate::answer::MULTIPLEXED_STREAM) => Some(true),
            _ => None,
        };
        Ok(Upgraded { input: self.input, multiplexed })
    }

    fn write(&mut self, request: Request<'_, '_>, upgrade: bool) -> Result<()> {
        let mut text = String::with_capacity(512);
        for part in [request.method.name(), " ", request.target, " HTTP/1.1\r\nHost: coracle\r\n"] {
            text.push_str(part);
        }
        text.push_str(&self.headers);
        if upgrade {
            text.push_str("Connection: Upgrade\r\nUpgrade: tcp\r\n");
        }
        match request.payload {
            Payload::None => {
                if request.method == Method::Post {
                    text.push_str("Content-Length: 0\r\n");
                }
                text.push_str("\r\n");
                self.write_text(&text)
            }
            Payload::Json(document) => {
                let length = document.len().to_string();
                for part in [
                    "Content-Type: application/json\r\nContent-Length: ",
                    &length,
                    "\r\n\r\n",
                    document,
                ] {
                    text.push_str(part);
                }
                self.write_text(&text)
            }
            Payload::Stream(kind, reader) => {
                for part in ["Content-Type: ", kind, "\r\nTransfer-Encoding: chunked\r\n\r\n"] {
                    text.push_str(part);
                }
                self.write_text(&text)?;
                self.write_stream(reader)
            }
        }
    }

    fn write_text(&self, text: &str) -> Result<()> {
        write_all(&**self.input.stream(), text.as_bytes())
            .map_err(|error| Error::os("send", &"request", error))
    }

    fn write_stream(&self, reader: &mut dyn Read) -> Result<()> {
        let stream = &**self.input.stream();
        // A chunk with its frame in one piece of memory and one write: the size in front has leading zeros, so
        // that it always needs the same room.
        let mut chunk = vec![0; SIZE_LINE + PIECE + 2];
        loop {
            let n = match reader.read(&mut chunk[SIZE_LINE..SIZE_LINE + PIECE]) {
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::os("read", &"input", error)),
            };
            let sent = match n {
                0 => write_all(stream, b"0\r\n\r\n"),
                n => {
                    chunk[..SIZE_LINE].copy_from_slice(&size_line(n));
                    chunk[SIZE_LINE + n..SIZE_LINE + n + 2].copy_from_slice(b"\r\n");
                    write_all(stream, &chunk[..SIZE_LINE + n + 2])
                }
            };
            match sent {
                // The server stopped reading; its answer says why.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                Err(error) => return Err(Error::os("send", &"request", error)),
                Ok(()) if n == 0 => return Ok(()),
                Ok(()) => {}
            }
        }
    }
}

/// The line in front of a chunk of so many bytes: always of the same length, by leading zeros.
fn size_line(size: usize) -> [u8; SIZE_LINE] {
    let digit = |place: usize| b"0123456789abcdef"[size >> (4 * place) & 15];
    [digit(4), digit(3), digit(2), digit(1), digit(0), b'\r', b'\n']
}
