//! HTTP without TLS, by `base/http`: one request on one connection.

use super::socket::{self, Tcp};
use super::{Payload, Request, Response};
use crate::registry::proxy;
use crate::registry::settings::Settings;
use base::{Error, Result};
use base_http::head::read_response;
use base_http::{Body, BodyKind, Input, Method, Stream, write_all};
use std::io::{self, Read};
use std::sync::Arc;

const PIECE: usize = 64 << 10;

pub(super) fn fetch(settings: &Settings, request: Request<'_>) -> Result<Response> {
    let url = request.url;
    let proxy = settings.proxy_of(url);
    let (host, port) = match &proxy {
        Some(proxy) => (proxy.url.host(), proxy.url.port()),
        None => (url.host(), url.port()),
    };
    let socket: Arc<Tcp> = Arc::new(socket::connect(settings, host, port)?);
    let method = request.method;
    let sent = send(&socket, proxy.as_ref(), request);
    let mut input = Input::new(socket);
    // A server that refuses a body says why before it has read all of it.
    let head = match (read_response(&mut input, method), sent) {
        (Ok(head), _) => head,
        (Err(_), Err(e)) | (Err(e), Ok(())) => return Err(e),
    };
    let length = match head.body {
        BodyKind::None => Some(0),
        BodyKind::Length(length) => Some(length),
        BodyKind::Chunked | BodyKind::UntilClose => None,
    };
    let body = Box::new(Body::own(input, head.body));
    Ok(Response { status: head.status, headers: head.headers, body, length })
}

fn send(socket: &Tcp, proxy: Option<&proxy::Proxy>, request: Request<'_>) -> Result<()> {
    let failed = |e: io::Error| Error::os("send", &"request", e);
    let url = request.url;
    let mut text = String::with_capacity(512);
    let whole = url.to_string();
    let target = if proxy.is_some() { &whole } else { &url.target };
    for part in [request.method.name(), " ", target, " HTTP/1.1\r\nHost: ", &url.authority, "\r\n"]
    {
        text.push_str(part);
    }
    let authorization = proxy.and_then(|proxy| proxy.authorization.as_deref());
    let own = [("Connection", "close"), ("User-Agent", super::super::USER_AGENT)];
    let more = authorization.map(|text| ("Proxy-Authorization", text));
    for (name, value) in own.iter().chain(more.iter()).chain(request.headers) {
        for part in [name, ": ", value, "\r\n"] {
            text.push_str(part);
        }
    }
    let (kind, length) = match &request.payload {
        Payload::None => ("", 0),
        Payload::Bytes(kind, bytes) => (*kind, bytes.len() as u64),
        Payload::Stream(kind, length, _) => (*kind, *length),
    };
    if !matches!(request.method, Method::Get | Method::Head) {
        for part in ["Content-Length: ", &length.to_string(), "\r\n"] {
            text.push_str(part);
        }
    }
    if !kind.is_empty() {
        for part in ["Content-Type: ", kind, "\r\n"] {
            text.push_str(part);
        }
    }
    text.push_str("\r\n");
    write_all(socket, text.as_bytes()).map_err(failed)?;
    match request.payload {
        Payload::None => Ok(()),
        Payload::Bytes(_, bytes) => write_all(socket, bytes).map_err(failed),
        Payload::Stream(_, length, reader) => {
            let mut piece = vec![0; PIECE];
            let mut reader = reader.take(length);
            let mut left = length;
            while left > 0 {
                let n = reader.read(&mut piece).map_err(|e| Error::os("read", &"layer", e))?;
                if n == 0 {
                    return Err(Error::other("read layer: it is shorter than it was"));
                }
                left -= n as u64;
                write_all(socket as &dyn Stream, &piece[..n]).map_err(failed)?;
            }
            Ok(())
        }
    }
}
