//! Heads and bodies against httparse and against themselves, with bytes of all kinds.

#![allow(clippy::unwrap_used, reason = "a test that fails is to panic")]

use base_http::head::{HEADER_CAP, ResponseHead};
use base_http::{
    Answer, Body, BodyKind, Connection, Input, Method, Payload, Request, RequestHead, Stream,
    read_request, write_all,
};
use proptest::prelude::*;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

/// A connection that gives these bytes in pieces of these sizes, then its end.
struct Script {
    bytes: Mutex<(Vec<u8>, usize, usize)>,
    sizes: Vec<usize>,
}

fn script(bytes: &[u8], sizes: &[usize]) -> Arc<Script> {
    Arc::new(Script { bytes: Mutex::new((bytes.to_vec(), 0, 0)), sizes: sizes.to_vec() })
}

impl Script {
    fn give(&self, out: &mut [u8], take: bool) -> usize {
        let mut state = self.bytes.lock().unwrap();
        let (bytes, at, turn) = &mut *state;
        let size = self.sizes[*turn % self.sizes.len()].min(out.len()).min(bytes.len() - *at);
        out[..size].copy_from_slice(&bytes[*at..*at + size]);
        if take {
            *at += size;
            *turn += 1;
        }
        size
    }
    fn rest(&self) -> Vec<u8> {
        let state = self.bytes.lock().unwrap();
        state.0[state.1..].to_vec()
    }
}

impl Stream for Script {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.give(buffer, true))
    }
    fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.give(buffer, false))
    }
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }
    fn close_write(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Heads that are nearly right: parts of heads in any order, some bytes changed.
fn nearly_heads() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just("GET /x HTTP/1.1\r\n"),
        Just("POST /v1.41/containers/create?name=a HTTP/1.1\r\n"),
        Just("GET / HTTP/1.0\r\n"),
        Just("HTTP/1.1 200 OK\r\n"),
        Just("Host: a\r\n"),
        Just("Content-Length: 5\r\n"),
        Just("Content-Length: 05, 5\r\n"),
        Just("Transfer-Encoding: chunked\r\n"),
        Just("transfer-encoding: gzip, chunked\r\n"),
        Just("Connection: Upgrade, close\r\nUpgrade: tcp\r\n"),
        Just(" folded\r\n"),
        Just("X : y\r\n"),
        Just("X:\t y \t\r\n"),
        Just("X: \u{fc}\r\n"),
        Just("\n"),
        Just("\r"),
        Just("\r\n"),
    ];
    let change = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    (proptest::collection::vec(part, 1..8), change).prop_map(|(parts, changes)| {
        let mut bytes = parts.concat().into_bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.extend(b"\r\n\r\n");
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// What we accept, httparse accepts, with the same headers; and both end at the same byte.
    #[test]
    fn accepted_heads_mean_what_httparse_says(bytes in nearly_heads(), request in any::<bool>()) {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        let head = bytes[..end].to_vec();
        let mut headers = [httparse::EMPTY_HEADER; HEADER_CAP];
        let ours = if request {
            let mut theirs = httparse::Request::new(&mut headers);
            let ours = RequestHead::parse(head).map(|head| head.headers);
            if ours.is_ok() {
                prop_assert_eq!(theirs.parse(&bytes).unwrap(), httparse::Status::Complete(end));
            }
            ours
        } else {
            let mut theirs = httparse::Response::new(&mut headers);
            let ours = ResponseHead::parse(head, Method::Get).map(|head| head.headers);
            if ours.is_ok() {
                prop_assert_eq!(theirs.parse(&bytes).unwrap(), httparse::Status::Complete(end));
            }
            ours
        };
        if let Ok(ours) = ours {
            let theirs = headers.iter().take_while(|header| !header.name.is_empty());
            let theirs: Vec<_> = theirs.map(|h| (h.name, h.value)).collect();
            let ours: Vec<_> = ours.iter().map(|(name, value)| (name, value.as_bytes())).collect();
            prop_assert_eq!(ours, theirs);
        }
    }

    /// No bytes make a panic, and nothing after a head is taken from the connection.
    #[test]
    fn a_head_is_taken_to_the_byte(
        bytes in nearly_heads(),
        sizes in proptest::collection::vec(1_usize..40, 1..5),
        after in any::<[u8; 16]>(),
    ) {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        let all = [&bytes[..end], &after].concat();
        let stream = script(&all, &sizes);
        let mut input = Input::exact(stream.clone());
        let alone = RequestHead::parse(bytes[..end].to_vec());
        let read = read_request(&mut input);
        prop_assert_eq!(read.is_ok(), alone.is_ok());
        prop_assert!(input.take_buffered().is_empty());
        prop_assert_eq!(stream.rest(), after);
    }

    /// Chunks of any size, read in pieces of any size, are the bytes; what follows is the next head.
    #[test]
    fn chunks(
        body in proptest::collection::vec(any::<u8>(), 0..300),
        chunk in 1_usize..50,
        sizes in proptest::collection::vec(1_usize..60, 1..5),
        piece in 1_usize..70,
    ) {
        let mut wire = Vec::new();
        for part in body.chunks(chunk) {
            wire.extend(format!("{:X};x=y\r\n", part.len()).bytes());
            wire.extend(part);
            wire.extend(b"\r\n");
        }
        wire.extend(b"0\r\nTrailer: x\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut input = Input::exact(script(&wire, &sizes));
        let mut reader = Body::new(&mut input, BodyKind::Chunked);
        let mut got: Vec<u8> = Vec::new();
        let mut out = vec![0; piece];
        loop {
            let n = reader.read(&mut out).unwrap();
            got.extend(&out[..n]);
            if n == 0 {
                break;
            }
        }
        prop_assert!(reader.is_done());
        prop_assert_eq!(got, body);
        prop_assert_eq!(read_request(&mut input).unwrap().unwrap().path, "/");
    }

    /// Bytes that are no chunks are an error or a whole body, never a panic or an endless loop.
    #[test]
    fn broken_chunks(
        bytes in proptest::collection::vec(prop_oneof![
            Just(b'\r'), Just(b'\n'), Just(b'0'), Just(b'5'), Just(b'f'), Just(b';'), any::<u8>()
        ], 0..60),
        sizes in proptest::collection::vec(1_usize..9, 1..4),
    ) {
        let mut input = Input::exact(script(&bytes, &sizes));
        let mut body = Body::new(&mut input, BodyKind::Chunked).cap(1000);
        let got = body.whole(1000);
        prop_assert_eq!(got.is_ok(), body.is_done());
    }

    /// A body cut short is an error.
    #[test]
    fn a_cut_body_is_no_body(length in 1_u64..50, have in 0_usize..49) {
        let bytes = vec![b'x'; have];
        let mut input = Input::exact(script(&bytes, &[7]));
        let got = Body::new(&mut input, BodyKind::Length(length)).whole(100);
        prop_assert_eq!(got.is_ok(), have as u64 >= length);
    }
}

#[test]
fn heads_that_two_programs_could_read_differently_are_refused() {
    let with = |lines: &str| format!("POST /x HTTP/1.1\r\nHost: a\r\n{lines}\r\n").into_bytes();
    for lines in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\ncontent-length: 6\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: \r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Host: b\r\n",
        "X: a\r\n b\r\n",
        "X\r\n",
        ": x\r\n",
        "X: a\0b\r\n",
        "X: a\rb\r\n",
        "X: a\nY: b\r\n",
    ] {
        assert!(RequestHead::parse(with(lines)).is_err(), "{lines:?}");
    }
    for first in [
        "GET /x HTTP/1.1 ",
        "GET  /x HTTP/1.1",
        "GET /x",
        "GET /x HTTP/2.0",
        "get /x HTTP/1.1",
        "BREW /x HTTP/1.1",
        "",
    ] {
        let head = format!("{first}\r\nHost: a\r\n\r\n").into_bytes();
        assert!(RequestHead::parse(head).is_err(), "{first:?}");
    }
    assert!(RequestHead::parse(b"GET /x HTTP/1.1\r\n\r\n".to_vec()).is_err(), "no Host");
    let chunks = b"POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    assert!(RequestHead::parse(chunks).is_err());
    let flood = format!("GET /x HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(HEADER_CAP));
    assert!(RequestHead::parse(flood.into_bytes()).is_err());
}

#[test]
fn what_a_head_says() {
    let head = "POST /v1.41/containers/a%2Db/attach?stream=1&stdin=0&logs=False&x=True HTTP/1.1\r\n\
                Host: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nExpect: 100-continue\r\n\
                Content-Length: 0\r\n\r\n";
    let head = RequestHead::parse(head.into()).unwrap();
    assert_eq!((head.method, head.path.as_str()), (Method::Post, "/containers/a-b/attach"));
    assert_eq!(head.version.map(|v| (v.major, v.minor)), Some((1, 41)));
    assert!(head.flag("stream") && head.flag("x"));
    assert!(!head.flag("stdin") && !head.flag("logs") && !head.flag("nothing"));
    assert!(head.upgrade && head.keep_alive && head.expects_continue);
    assert_eq!(head.body, BodyKind::None);
    let old = RequestHead::parse(b"GET / HTTP/1.0\r\n\r\n".to_vec()).unwrap();
    assert!(!old.keep_alive && !old.chunks);
}

/// Server and client of this crate, over a real socket.
#[test]
fn both_sides_together() {
    let (here, there) = UnixStream::pair().unwrap();
    let server = std::thread::spawn(move || {
        let there = Arc::new(there);
        let mut input = Input::exact(there.clone());
        let mut seen = Vec::new();
        while let Some(head) = read_request(&mut input).unwrap() {
            let mut body = Body::of(&mut input, &head);
            let bytes = body.whole(1 << 20).unwrap();
            assert!(body.drain(0));
            seen.push((head.method, head.path.clone(), bytes.len()));
            let to = Answer::to(&head, &*there).header("Api-Version", "1.41\r\nX: y");
            match head.path.as_str() {
                "/ping" => to.bytes(200, "text/plain", b"OK").unwrap(),
                "/chunks" => {
                    let mut chunks = to.stream(200, "text/plain").unwrap();
                    for text in ["a", "", "bc", &"d".repeat(70_000)] {
                        chunks.chunk(text.as_bytes()).unwrap();
                    }
                    chunks.finish().unwrap();
                }
                "/none" => to.empty(204).unwrap(),
                "/raw" => {
                    to.hijack(true).unwrap();
                    assert!(input.take_buffered().is_empty());
                    let mut bytes = [0; 3];
                    (&*there).read_exact(&mut bytes).unwrap();
                    write_all(&*there, &bytes).unwrap();
                    return seen;
                }
                _ => to.error(&base::Error::not_found("No such thing")).unwrap(),
            }
        }
        seen
    });
    let mut connection = Connection::new(Arc::new(here));
    let get = |target| Request { method: Method::Get, target, payload: Payload::None };
    let mut response = connection.send(get("/ping")).unwrap();
    assert_eq!(response.body.whole(10).unwrap(), b"OK");
    assert_eq!(response.headers.get("api-version"), Some("1.41  X: y"));
    let head = Request { method: Method::Head, target: "/chunks", payload: Payload::None };
    connection.send(head).unwrap().done().unwrap();
    let chunks = connection.send(get("/chunks")).unwrap().body.whole(1 << 20).unwrap();
    assert_eq!((chunks.len(), &chunks[..4]), (70_003, &b"abcd"[..]));
    connection.send(get("/none")).unwrap().done().unwrap();
    let error = connection.send(get("/what")).unwrap().done().unwrap_err();
    assert_eq!((error.kind(), error.message()), (base::Kind::NotFound, "No such thing"));
    let text = "x".repeat(200_000);
    let payload = Payload::Stream("application/x-tar", &mut text.as_bytes());
    let put = Request { method: Method::Put, target: "/what", payload };
    assert!(connection.send(put).unwrap().done().is_err());
    let json = Request { method: Method::Post, target: "/none", payload: Payload::Json("{}") };
    connection.send(json).unwrap().done().unwrap();
    let raw = Request { method: Method::Post, target: "/raw", payload: Payload::None };
    let mut upgraded = connection.upgrade(raw).unwrap();
    assert_eq!(upgraded.multiplexed, Some(true));
    upgraded.input.stream().write(b"abc").unwrap();
    let mut back = [0; 3];
    assert_eq!(upgraded.input.read(&mut back).unwrap(), 3);
    assert_eq!(&back, b"abc");
    let seen = server.join().unwrap();
    let sizes: Vec<usize> = seen.iter().map(|(_, _, size)| *size).collect();
    assert_eq!(sizes, [0, 0, 0, 0, 0, 200_000, 2, 0]);
}

#[test]
fn a_client_that_waits_to_be_told_is_told() {
    let (here, there) = UnixStream::pair().unwrap();
    let head = "POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    write_all(&here, head.as_bytes()).unwrap();
    let client = std::thread::spawn(move || {
        let mut told = [0; 25];
        (&here).read_exact(&mut told).unwrap();
        assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
        write_all(&here, b"abc").unwrap();
        here
    });
    let mut input = Input::exact(Arc::new(there));
    let head = read_request(&mut input).unwrap().unwrap();
    assert_eq!(Body::of(&mut input, &head).whole(10).unwrap(), b"abc");
    drop(client.join().unwrap());
}

#[test]
fn caps_hold() {
    let mut input = Input::exact(script(b"5\r\nabcde\r\n0\r\n\r\n", &[100]));
    assert!(Body::new(&mut input, BodyKind::Chunked).whole(4).is_err());
    let mut input = Input::exact(script(&[b'x'; 100], &[100]));
    let error = Body::new(&mut input, BodyKind::Length(u64::MAX)).whole(50).unwrap_err();
    assert_eq!(error.kind(), base::Kind::BadInput);
    let mut input = Input::exact(script(&[b'x'; 100], &[100]));
    assert!(!Body::new(&mut input, BodyKind::Length(100)).drain(10));
}
