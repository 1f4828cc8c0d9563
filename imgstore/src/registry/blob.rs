//! A blob from a registry, as a reader that goes on where the line broke.
//!
//! It gives exactly as many bytes as the manifest says, or an error: a body that is longer is one, and
//! a body that ends early is fetched on from there (`Range`), as long as each attempt brings
//! something. What the digest is, the reader of the bytes checks.

use super::http::{Method, Response};
use super::session::{ATTEMPTS, Ask, Session};
use base::digest::Digest;
use base::{Error, Result};
use std::io::{self, Read};

/// An attempt that brings so much counts as progress.
const PROGRESS: u64 = 64 << 10;

/// The reader.
pub(crate) struct Blob<'a> {
    session: &'a Session<'a>,
    target: String,
    size: u64,
    at: u64,
    body: Option<Box<dyn Read + Send>>,
    attempt: u32,
    /// Where the last attempt that counted began.
    mark: u64,
    /// So much of the body is known already: a server without ranges begins anew.
    skip: u64,
    read: &'a (dyn Fn(u64) + Sync),
}

impl<'a> Blob<'a> {
    /// Nothing is asked before the first read. `read` hears of each piece.
    pub(crate) fn new(
        session: &'a Session<'a>,
        digest: &Digest,
        size: u64,
        read: &'a (dyn Fn(u64) + Sync),
    ) -> Self {
        let target = session.target(&["blobs/", &digest.to_string()].concat());
        Blob { session, target, size, at: 0, body: None, attempt: 0, mark: 0, skip: 0, read }
    }

    /// Asks for what is still to come.
    fn open(&mut self) -> Result<Box<dyn Read + Send>> {
        let range = ["bytes=", &self.at.to_string(), "-"].concat();
        let headers = [("Range", range.as_str())];
        let headers = if self.at == 0 { &[][..] } else { &headers };
        let ask = Ask { method: Method::Get, target: &self.target, headers, body: None };
        let response = self.session.ask(&ask)?;
        let lies = |what: &str| Error::bad_input(["the registry's answer ", what].concat());
        match response.status {
            206 if self.at > 0 => {
                self.skip = 0;
                if self.range(&response) != Some((self.at, self.size)) {
                    return Err(lies("is not the range that was asked for"));
                }
                if response.length.is_some_and(|length| length != self.size - self.at) {
                    return Err(lies("is not as long as its range"));
                }
            }
            200 => {
                if response.length.is_some_and(|length| length != self.size) {
                    return Err(lies("is not as long as the manifest says"));
                }
                self.skip = self.at;
            }
            status => return Err(lies(&["has status ", &status.to_string()].concat())),
        }
        Ok(response.body)
    }

    /// Start and whole length of `bytes START-END/LENGTH`.
    fn range(&self, response: &Response) -> Option<(u64, u64)> {
        let text = response.headers.get("content-range")?.strip_prefix("bytes ")?;
        let (range, length) = text.split_once('/')?;
        let (start, end) = range.split_once('-')?;
        let length = if length == "*" { self.size } else { length.parse().ok()? };
        (end.parse::<u64>().ok()? + 1 == length).then_some((start.parse().ok()?, length))
    }

    /// So many more bytes have come.
    fn take(&mut self, count: usize) -> Result<usize> {
        if count as u64 > self.size - self.at {
            return Err(Error::bad_input("the registry's answer is longer than the manifest says"));
        }
        self.at += count as u64;
        (self.read)(count as u64);
        Ok(count)
    }

    fn some(&mut self, out: &mut [u8]) -> Result<usize> {
        loop {
            self.session.check()?;
            let Some(body) = self.body.as_mut() else {
                // Failures on the way to an answer are the session's business.
                self.body = Some(self.open()?);
                continue;
            };
            let error = match body.read(out).map_err(|e| Error::os("read", &"layer", e)) {
                Ok(count) if count > 0 && self.skip > 0 => {
                    let known = self.skip.min(count as u64) as usize;
                    self.skip -= known as u64;
                    out.copy_within(known..count, 0);
                    match self.take(count - known)? {
                        0 => continue,
                        count => return Ok(count),
                    }
                }
                Ok(0) if self.at < self.size => {
                    Error::other("read layer: the connection ended too early")
                }
                Ok(count) => return self.take(count),
                // All of it is here; its digest says whether it is right.
                Err(_) if self.at == self.size => return Ok(0),
                Err(e) => e,
            };
            self.body = None;
            if self.at >= self.mark + PROGRESS {
                (self.mark, self.attempt) = (self.at, 0);
            }
            if self.attempt + 1 >= ATTEMPTS {
                return Err(error);
            }
            self.session.pause(self.attempt)?;
            self.attempt += 1;
        }
    }
}

impl Read for Blob<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        if self.at == self.size && self.body.is_none() {
            return Ok(0);
        }
        self.some(out).map_err(|e| io::Error::other(Failed(e)))
    }

    base::shared_reads!();
}

/// Carries our error through `io::Error`, so that its text stays as it is.
#[derive(Debug)]
struct Failed(Error);

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.message())
    }
}

impl std::error::Error for Failed {}
