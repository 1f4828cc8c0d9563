//! HTTP/1.1 heads, bodies and hijacked streams, and the documents of the Engine API.
//!
//! Both sides of the Engine API stand on this crate. Read it in this order:
//!
//! * `input`: a connection (`Stream`) and its reading half (`Input`), which never takes a byte
//!   beyond a head when the connection may be handed on;
//! * `head`, `target`: heads and targets, from bytes to values, strictly;
//! * `body`: a request's or an answer's body as a reader that knows its end and its cap;
//! * `answer`: what a server sends back: a document, a stream of chunks, or a raw connection;
//! * `client`: one request after another on a connection;
//! * `frames`: stdout and stderr as one stream;
//! * `api`: the documents; `credentials`: docker's `config.json`.
//!
//! A server's loop: `Input::exact`, then for each connection `read_request`, `Answer::to`, handle
//! (the body through `Body::of`), `Body::drain`, and again while `keep_alive` holds.
#![forbid(unsafe_code)]

pub mod answer;
pub mod api;
pub mod body;
pub mod client;
pub mod credentials;
pub mod frames;
pub mod head;
pub mod input;
pub mod target;

pub use answer::{Answer, Chunks};
pub use body::Body;
pub use client::{Connection, Payload, Request, Response, Upgraded};
pub use head::{BodyKind, Headers, Method, RequestHead, ResponseHead, read_request};
pub use input::{Input, Stream, write_all};
pub use target::{ApiVersion, push_query};
