//! An upload of a blob in pieces: what was not received is sent again, from where the registry says
//! that it stopped.
//!
//! A piece is held in memory until the registry has it. The digest is known at the end only, as the
//! blob is made while it is sent.

use super::http::{Method, Response};
use super::session::{ATTEMPTS, Ask, Session};
use base::digest::{Digest, Sha256};
use base::{Error, Kind, Result};
use base_http::push_query;
use std::io::{self, Write};

/// How much is sent at once.
const PIECE: usize = 1 << 20;
/// A registry may ask for more.
const LARGEST: usize = 16 << 20;
const BYTES: &str = "application/octet-stream";

/// The upload.
pub(crate) struct Upload<'a> {
    session: &'a Session<'a>,
    location: String,
    /// So many bytes the registry has.
    at: u64,
    piece: Vec<u8>,
    size: usize,
    hash: Sha256,
    count: u64,
    /// It failed: who packs into it hears so again when he is dropped.
    dead: bool,
}

/// What became of the wish to begin.
pub(crate) enum Begun<'a> {
    /// The registry had it, in the other repository.
    Mounted,
    Upload(Upload<'a>),
}

impl<'a> Upload<'a> {
    /// Begins; `mount`: a blob that the registry may take from another repository.
    pub(crate) fn begin(
        session: &'a Session<'a>,
        mount: Option<(&Digest, &str)>,
    ) -> Result<Begun<'a>> {
        let mut target = session.target("blobs/uploads/");
        if let Some((digest, from)) = mount {
            push_query(&mut target, "mount", &digest.to_string());
            push_query(&mut target, "from", from);
        }
        let response = session.ask(&ask(Method::Post, &target))?;
        if response.status == 201 {
            return Ok(Begun::Mounted);
        }
        let least = response.headers.get("oci-chunk-min-length");
        let least = least.and_then(|text| text.parse().ok()).unwrap_or(0);
        if least > LARGEST {
            return Err(Error::unsupported("the registry wants pieces of more than 16 MiB"));
        }
        let (size, piece) = (PIECE.max(least), Vec::new());
        let location = String::new();
        let (hash, count) = (Sha256::new(), 0);
        let mut upload = Upload { session, location, at: 0, piece, size, hash, count, dead: false };
        upload.moved(&response, &target)?;
        Ok(Begun::Upload(upload))
    }

    /// Where it goes on.
    fn moved(&mut self, response: &Response, from: &str) -> Result<()> {
        let Some(location) = response.headers.get("location") else {
            return match self.location.is_empty() {
                true => Err(Error::bad_input("the registry does not say where to upload")),
                false => Ok(()),
            };
        };
        let from = self.session.url(from)?;
        let next = from.join(location)?;
        if from.https && !next.https {
            return Err(Error::bad_input(
                "upload: the registry sends us from https to http: refused",
            ));
        }
        self.location = next.to_string();
        Ok(())
    }

    /// Sends what is gathered.
    fn send(&mut self) -> Result<()> {
        let mut attempt = 0;
        let mut sent = 0;
        while sent < self.piece.len() {
            let rest = &self.piece[sent..];
            let end = self.at + rest.len() as u64 - 1;
            let range = [self.at.to_string(), "-".to_owned(), end.to_string()].concat();
            let headers = [("Content-Range", range.as_str())];
            let body = Some((BYTES, rest));
            let target = self.location.clone();
            let request = Ask { method: Method::Patch, target: &target, headers: &headers, body };
            let error = match self.session.answer(&request) {
                Ok(answer) if matches!(answer.status, 200..=299) => {
                    self.moved(&answer, &target)?;
                    self.at = end + 1;
                    break;
                }
                Ok(answer) if answer.status < 500 && answer.status != 416 => {
                    return Err(super::errors::of(answer));
                }
                Ok(answer) => super::errors::of(answer),
                Err(e) if e.kind() != Kind::Other => return Err(e),
                Err(e) => e,
            };
            if attempt + 1 >= ATTEMPTS {
                return Err(error);
            }
            self.session.pause(attempt)?;
            attempt += 1;
            let has = self.received()?;
            let start = self.at;
            if !(start..=end + 1).contains(&has) {
                return Err(Error::other("upload lost: the registry has not what it had"));
            }
            sent += (has - start) as usize;
            self.at = has;
        }
        self.piece.clear();
        Ok(())
    }

    /// How many bytes the registry has.
    fn received(&mut self) -> Result<u64> {
        let target = self.location.clone();
        let answer = self.session.ask(&ask(Method::Get, &target))?;
        self.moved(&answer, &target)?;
        let range = answer.headers.get("range").unwrap_or_default();
        let end = range.trim_start_matches("bytes=").split('-').nth(1);
        match end.and_then(|end| end.parse::<u64>().ok()) {
            // `0-0` is how some say nothing, and some one byte.
            Some(0) if self.at == 0 => Ok(0),
            Some(end) => Ok(end + 1),
            None => Ok(0),
        }
    }

    /// The end of a blob whose digest is known: it must be that.
    pub(crate) fn finish_as(self, wanted: &Digest) -> Result<()> {
        let got = self.hash.clone().finish();
        match got == *wanted {
            true => self.finish().map(drop),
            false => Err(Error::bad_input(["it has digest ", &got.to_string()].concat())),
        }
    }

    /// The end: the registry checks the digest.
    pub(crate) fn finish(mut self) -> Result<(Digest, u64)> {
        self.send()?;
        let digest = self.hash.finish();
        let mut target = self.location.clone();
        push_query(&mut target, "digest", &digest.to_string());
        let mut attempt = 0;
        loop {
            let put = Ask {
                method: Method::Put,
                target: &target,
                headers: &[],
                body: Some((BYTES, b"")),
            };
            match self.session.ask(&put) {
                Ok(_) => return Ok((digest, self.count)),
                Err(e) if e.kind() != Kind::Other || attempt + 1 >= ATTEMPTS => return Err(e),
                Err(_) => self.session.pause(attempt)?,
            }
            // The answer may have been lost, not the request.
            if exists(self.session, &digest)?.is_some() {
                return Ok((digest, self.count));
            }
            attempt += 1;
        }
    }
}

impl Write for Upload<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.dead {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let count = bytes.len().min(self.size - self.piece.len());
        self.piece.extend_from_slice(&bytes[..count]);
        self.hash.update(&bytes[..count]);
        self.count += count as u64;
        if self.piece.len() == self.size {
            let sent = self.send();
            self.dead = sent.is_err();
            sent.map_err(io::Error::other)?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn ask(method: Method, target: &str) -> Ask<'_> {
    Ask { method, target, headers: &[], body: None }
}

/// Whether the repository has this blob; its length.
pub(crate) fn exists(session: &Session<'_>, digest: &Digest) -> Result<Option<u64>> {
    let target = session.target(&["blobs/", &digest.to_string()].concat());
    let answer = session.answer(&ask(Method::Head, &target))?;
    let length = answer.headers.get("content-length").and_then(|text| text.parse().ok());
    match answer.status {
        200 => Ok(Some(length.unwrap_or(0))),
        404 => Ok(None),
        _ => Err(super::errors::of(answer)),
    }
}

/// Uploads a document, unless it is there.
pub(crate) fn document(session: &Session<'_>, bytes: &[u8]) -> Result<()> {
    if exists(session, &Digest::of(bytes))?.is_some() {
        return Ok(());
    }
    let Begun::Upload(mut upload) = Upload::begin(session, None)? else {
        return Ok(());
    };
    upload.write_all(bytes).map_err(|e| Error::other(e.to_string()))?;
    upload.finish().map(drop)
}
