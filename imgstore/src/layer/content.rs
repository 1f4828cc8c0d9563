//! The bytes of a blob: read, hashed, and decompressed as their first bytes say.
//!
//! gzip (several members, as pigz and estargz write them), zstd (several frames, as zstd:chunked
//! writes them) or plain. The hash is that of the blob as it came, all of it: what follows the
//! compressed data is read too. Never another program (CVE-2014-9357). Buffers are fixed; a zstd
//! frame may ask for at most 8 MiB of window, or what `max-window` allows.

use super::gzip::Member;
use base::digest::{Digest, Sha256};
use base::{Error, OnError, Result};
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

const BUFFER: usize = 128 << 10;
/// The window of zstd that is allowed unless more is.
pub(crate) const WINDOW: u64 = 8 << 20;

/// How a blob is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

/// Judges by the first bytes.
pub(crate) fn packing(start: &[u8]) -> Packing {
    match start {
        [0x1f, 0x8b, ..] => Packing::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Packing::Zstd,
        // A skippable frame first: zstd:chunked and others begin so.
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Packing::Zstd,
        _ => Packing::Plain,
    }
}

/// Input with a buffer and a hash.
pub(super) struct Blob<'a> {
    input: &'a mut dyn Read,
    buffer: Box<[u8]>,
    from: usize,
    to: usize,
    hash: Sha256,
    count: u64,
    /// What was read goes here, too.
    copy: Option<File>,
}

impl Blob<'_> {
    pub(super) fn rest(&self) -> &[u8] {
        &self.buffer[self.from..self.to]
    }

    /// So many bytes of the rest are done with.
    pub(super) fn used(&mut self, count: usize) {
        self.from += count;
    }

    /// Reads until at least `want` bytes are there, or the end.
    pub(super) fn fill(&mut self, want: usize) -> io::Result<()> {
        if self.to - self.from >= want {
            return Ok(());
        }
        self.buffer.copy_within(self.from..self.to, 0);
        self.to -= self.from;
        self.from = 0;
        while self.to < want {
            match self.input.read(&mut self.buffer[self.to..]) {
                Ok(0) => break,
                Ok(n) => {
                    if let Some(copy) = &mut self.copy {
                        copy.write_all(&self.buffer[self.to..self.to + n])?;
                    }
                    self.hash.update(&self.buffer[self.to..self.to + n]);
                    self.count += n as u64;
                    self.to += n;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

impl Read for Blob<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.fill(1)?;
        let n = out.len().min(self.to - self.from);
        out[..n].copy_from_slice(&self.buffer[self.from..self.from + n]);
        self.from += n;
        Ok(n)
    }
}

enum Decoder {
    Plain,
    Gzip(Box<Member>),
    Zstd { frames: Box<FrameDecoder>, inside: bool },
    Done,
}

/// A blob's decompressed content.
pub(crate) struct Content<'a> {
    blob: Blob<'a>,
    decoder: Decoder,
    window: u64,
}

pub(super) fn broken(what: &str) -> Error {
    Error::bad_input(format!("archive: {what}"))
}

impl<'a> Content<'a> {
    /// Looks at the first bytes.
    pub(crate) fn new(input: &'a mut dyn Read) -> Result<Self> {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        let hash = Sha256::new();
        let mut blob = Blob { input, buffer, from: 0, to: 0, hash, count: 0, copy: None };
        blob.fill(512).on("read", "the archive")?;
        let decoder = match packing(blob.rest()) {
            Packing::Plain => Decoder::Plain,
            Packing::Gzip => Decoder::Gzip(Box::new(Member::new(true))),
            Packing::Zstd => Decoder::Zstd { frames: Box::new(new_frames()), inside: false },
        };
        Ok(Self { blob, decoder, window: WINDOW })
    }

    /// The first bytes of the blob, before anything was read: up to 512.
    pub(crate) fn start(&self) -> &[u8] {
        let rest = self.blob.rest();
        &rest[..rest.len().min(512)]
    }

    /// Allows zstd so large a window, which is memory; to be called before anything is read.
    pub(crate) fn allow_window(&mut self, bytes: u64) {
        self.window = bytes;
        if let Decoder::Zstd { frames, .. } = &mut self.decoder {
            frames.set_max_window_size(bytes);
        }
    }

    /// gzip's CRC need not be checked, since a digest of the content is.
    pub(crate) fn has_digest(&mut self) {
        if let Decoder::Gzip(member) = &mut self.decoder {
            member.unchecked();
        }
    }

    /// Keeps the blob as it comes; to be called before anything is read.
    pub(crate) fn keep(&mut self, path: &Path) -> Result<()> {
        let mut copy = File::create_new(path).on_path("create", path)?;
        copy.write_all(self.blob.rest()).on_path("write", path)?;
        self.blob.copy = Some(copy);
        Ok(())
    }

    /// Whether the content is compressed.
    pub(crate) fn is_packed(&self) -> bool {
        !matches!(self.decoder, Decoder::Plain)
    }

    /// Reads some bytes; 0 at the end of the content.
    pub(crate) fn read_some(&mut self, out: &mut [u8]) -> Result<usize> {
        match &mut self.decoder {
            Decoder::Plain => self.blob.read(out).on("read", "the archive"),
            Decoder::Gzip(_) => self.inflate(out),
            Decoder::Zstd { .. } => self.unzstd(out),
            Decoder::Done => Ok(0),
        }
    }

    fn inflate(&mut self, out: &mut [u8]) -> Result<usize> {
        loop {
            let Decoder::Gzip(member) = &mut self.decoder else {
                return Ok(0);
            };
            let step = member.step(&mut self.blob, out)?;
            if step.ended {
                let check = member.checks();
                self.blob.fill(2).on("read", "the archive")?;
                self.decoder = match self.blob.rest() {
                    [0x1f, 0x8b, ..] => Decoder::Gzip(Box::new(Member::new(check))),
                    // Tapes and some programs fill up with zeros.
                    [] | [0, ..] => Decoder::Done,
                    _ => return Err(broken("text after the end of the gzip data")),
                };
            }
            if step.made > 0 {
                return Ok(step.made);
            }
        }
    }

    fn unzstd(&mut self, out: &mut [u8]) -> Result<usize> {
        loop {
            let Decoder::Zstd { frames, inside } = &mut self.decoder else {
                return Ok(0);
            };
            if *inside {
                let n = frames.read(out).on("read", "the archive")?;
                if n > 0 {
                    return Ok(n);
                }
                if !frames.is_finished() {
                    let step = BlockDecodingStrategy::UptoBlocks(1);
                    frames
                        .decode_blocks(&mut self.blob, step)
                        .map_err(|_| broken("damaged zstd data"))?;
                    continue;
                }
                if frames.get_checksum_from_data() != frames.get_calculated_checksum()
                    && frames.get_checksum_from_data().is_some()
                    && frames.get_calculated_checksum().is_some()
                {
                    return Err(broken("damaged zstd data: wrong checksum"));
                }
                *inside = false;
            }
            self.blob.fill(4).on("read", "the archive")?;
            match packing(self.blob.rest()) {
                Packing::Zstd => {}
                _ if self.blob.rest().is_empty() => {
                    self.decoder = Decoder::Done;
                    return Ok(0);
                }
                _ => return Err(broken("text after the end of the zstd data")),
            }
            match frames.reset(&mut self.blob) {
                Ok(()) => *inside = true,
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => skip(&mut self.blob, u64::from(length))?,
                Err(FrameDecoderError::WindowSizeTooBig { .. }) => {
                    let allowed = self.window >> 20;
                    return Err(broken(&format!(
                        "zstd data that need more than {allowed} MiB of memory (max-window)"
                    )));
                }
                Err(_) => return Err(broken("damaged zstd data")),
            }
        }
    }

    /// Reads what is left of the blob; gives its digest and length.
    pub(crate) fn finish(mut self) -> Result<(Digest, u64)> {
        loop {
            self.blob.from = self.blob.to;
            self.blob.fill(1).on("read", "the archive")?;
            if self.blob.rest().is_empty() {
                return Ok((self.blob.hash.finish(), self.blob.count));
            }
        }
    }
}

impl Read for Content<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.read_some(out).map_err(io::Error::other)
    }

    base::shared_reads!();
}

fn new_frames() -> FrameDecoder {
    let mut frames = FrameDecoder::new();
    frames.set_max_window_size(WINDOW);
    frames
}

fn skip(blob: &mut Blob<'_>, mut length: u64) -> Result<()> {
    while length > 0 {
        blob.fill(1).on("read", "the archive")?;
        let n = (blob.to - blob.from).min(usize::try_from(length).unwrap_or(usize::MAX));
        if n == 0 {
            return Err(broken("unexpected end of the zstd data"));
        }
        blob.from += n;
        length -= n as u64;
    }
    Ok(())
}
