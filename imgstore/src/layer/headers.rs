//! The archive of a layer without the contents of its files: with these it is exact again.
//!
//! Everything of a tar that is no file's content (headers, extended headers, padding, the end and
//! what follows it) in the order of the archive. A header is mostly like the one before it, so it
//! is kept as what differs: some forty bytes an entry. `README.md` has the form ("Headers").
//!
//! Written as the layer is unpacked; read again by [`super::rebuild`].

use base::{Error, OnError, Result};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// The first line of the file.
const MAGIC: &[u8] = b"coracle headers 1\n";
/// Two bits of each run say what it is.
const ZEROS: u64 = 0;
const SAME: u64 = 1;
const TEXT: u64 = 2;
/// Shorter runs are not worth their own mark.
const WORTH: usize = 4;

/// What zeros are compared with.
static NOTHING: [u8; 512] = [0; 512];

/// What bytes of an archive are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A header: 512 bytes.
    Header,
    /// The content of an extended header.
    Meta,
    /// Padding, the end, and contents that become no file.
    Filling,
}

/// Whether a header announces an extended one: these resemble each other.
fn class(header: &[u8]) -> usize {
    usize::from(matches!(header.get(156), Some(b'x' | b'g' | b'L' | b'K')))
}

/// What the next piece is compared with.
#[derive(Default)]
struct Before {
    headers: [Vec<u8>; 2],
    meta: Vec<u8>,
}

fn keep(place: &mut Vec<u8>, bytes: &[u8]) {
    place.clear();
    place.extend_from_slice(bytes);
    // One large extended header is not kept for ever.
    place.truncate(4096);
}

/// Writes the file.
pub(crate) struct Headers {
    out: BufWriter<File>,
    path: PathBuf,
    before: Before,
    line: Vec<u8>,
    /// Bytes written.
    pub(crate) length: u64,
}

fn run(out: &mut Vec<u8>, kind: u64, length: usize) {
    let mut value = (length as u64) << 2 | kind;
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// How many bytes the two begin with alike: eight at a time, for each header is compared.
fn same(one: &[u8], other: &[u8]) -> usize {
    let word = |bytes: &[u8], at| bytes[at..].first_chunk().map(|word| u64::from_le_bytes(*word));
    let mut at = 0;
    while let (Some(a), Some(b)) = (word(one, at), word(other, at)) {
        if a != b {
            return at + (a ^ b).trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + one[at..].iter().zip(&other[at..]).take_while(|(a, b)| a == b).count()
}

fn compare(out: &mut Vec<u8>, bytes: &[u8], like: &[u8]) {
    let mut at = 0;
    let mut text = 0;
    while at < bytes.len() {
        let (rest, like) = (&bytes[at..], like.get(at..).unwrap_or_default());
        let equal = if like.first() == rest.first() { same(rest, like) } else { 0 };
        let empty = if rest[0] == 0 { same(rest, &NOTHING) } else { 0 };
        let (kind, length) = if equal >= empty { (SAME, equal) } else { (ZEROS, empty) };
        let ends = at + length == bytes.len();
        if length < WORTH && !(ends && length > 0) {
            at += 1;
            continue;
        }
        if at > text {
            run(out, TEXT, at - text);
            out.extend_from_slice(&bytes[text..at]);
        }
        run(out, kind, length);
        at += length;
        text = at;
    }
    if at > text {
        run(out, TEXT, at - text);
        out.extend_from_slice(&bytes[text..at]);
    }
}

impl Headers {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let file = File::create_new(path).on_path("create", path)?;
        let mut out = BufWriter::with_capacity(16 << 10, file);
        out.write_all(MAGIC).on_path("write", path)?;
        let before = Before::default();
        Ok(Self { out, path: path.to_owned(), before, line: Vec::new(), length: 0 })
    }

    /// The next bytes; a header and the content of an extended header come in one piece.
    pub(crate) fn add(&mut self, part: Part, bytes: &[u8]) -> Result<()> {
        self.line.clear();
        match part {
            Part::Header => {
                let class = class(bytes);
                self.line.push(class as u8);
                compare(&mut self.line, bytes, &self.before.headers[class]);
                keep(&mut self.before.headers[class], bytes);
            }
            Part::Meta => {
                compare(&mut self.line, bytes, &self.before.meta);
                keep(&mut self.before.meta, bytes);
            }
            Part::Filling => compare(&mut self.line, bytes, b""),
        }
        self.length += self.line.len() as u64;
        self.out.write_all(&self.line).on_path("write", &self.path)
    }

    pub(crate) fn finish(&mut self) -> Result<()> {
        self.out.flush().on_path("write", &self.path)
    }
}

/// Reads the file.
pub(crate) struct HeaderReader {
    input: BufReader<File>,
    path: PathBuf,
    before: Before,
    kind: u64,
    left: usize,
}

impl HeaderReader {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).on_path("open", path)?;
        let mut input = BufReader::with_capacity(16 << 10, file);
        let mut magic = [0; MAGIC.len()];
        let path = path.to_owned();
        let read = input.read_exact(&mut magic);
        let reader = Self { input, path, before: Before::default(), kind: ZEROS, left: 0 };
        if read.is_err() || magic != MAGIC { Err(reader.broken()) } else { Ok(reader) }
    }

    pub(crate) fn broken(&self) -> Error {
        Error::other(format!("read {}: damaged", self.path.display()))
    }

    fn byte(&mut self) -> Result<Option<u8>> {
        let mut byte = [0];
        match self.input.read(&mut byte).on_path("read", &self.path)? {
            0 => Ok(None),
            _ => Ok(Some(byte[0])),
        }
    }

    /// Begins the next run; false at the end of the file.
    fn next_run(&mut self) -> Result<bool> {
        let (mut value, mut shift) = (0u64, 0);
        loop {
            let Some(byte) = self.byte()? else {
                return if shift == 0 { Ok(false) } else { Err(self.broken()) };
            };
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
            if shift > 35 {
                return Err(self.broken());
            }
        }
        self.kind = value & 3;
        self.left = usize::try_from(value >> 2).map_err(|_| self.broken())?;
        if self.left == 0 || self.kind > TEXT { Err(self.broken()) } else { Ok(true) }
    }

    /// Fills `out` as far as there is something; gives how far.
    fn read(&mut self, out: &mut [u8], like: &[u8]) -> Result<usize> {
        let mut at = 0;
        while at < out.len() {
            if self.left == 0 && !self.next_run()? {
                break;
            }
            let n = self.left.min(out.len() - at);
            let place = &mut out[at..at + n];
            match self.kind {
                ZEROS => place.fill(0),
                SAME => {
                    let like = like.get(at..at + n).ok_or_else(|| self.broken())?;
                    place.copy_from_slice(like);
                }
                _ => self.input.read_exact(place).on_path("read", &self.path)?,
            }
            at += n;
            self.left -= n;
        }
        Ok(at)
    }

    fn whole(&mut self, out: &mut [u8], like: &[u8]) -> Result<()> {
        if self.read(out, like)? == out.len() { Ok(()) } else { Err(self.broken()) }
    }

    /// The next header; none at the end of an archive without an end mark.
    pub(crate) fn header(&mut self) -> Result<Option<[u8; 512]>> {
        let class = match self.byte()? {
            None => return Ok(None),
            Some(class @ (0 | 1)) => usize::from(class),
            Some(_) => return Err(self.broken()),
        };
        let mut header = [0; 512];
        let like = std::mem::take(&mut self.before.headers[class]);
        self.whole(&mut header, &like)?;
        self.before.headers[class] = like;
        keep(&mut self.before.headers[class], &header);
        Ok(Some(header))
    }

    /// The content of an extended header.
    pub(crate) fn meta(&mut self, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let like = std::mem::take(&mut self.before.meta);
        self.whole(&mut bytes, &like)?;
        self.before.meta = like;
        keep(&mut self.before.meta, &bytes);
        Ok(bytes)
    }

    /// Filling that must be there.
    pub(crate) fn filling(&mut self, out: &mut [u8]) -> Result<()> {
        self.whole(out, b"")
    }

    /// What is left; 0 at the end.
    pub(crate) fn rest(&mut self, out: &mut [u8]) -> Result<usize> {
        self.read(out, b"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round(pieces: &[(Part, Vec<u8>)]) {
        let path = std::env::temp_dir().join(format!(
            "headers-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        let _ = std::fs::remove_file(&path);
        let mut out = Headers::create(&path).unwrap();
        for (part, bytes) in pieces {
            out.add(*part, bytes).unwrap();
        }
        out.finish().unwrap();
        let mut input = HeaderReader::open(&path).unwrap();
        for (part, bytes) in pieces {
            let got = match part {
                Part::Header => input.header().unwrap().unwrap().to_vec(),
                Part::Meta => input.meta(bytes.len()).unwrap(),
                Part::Filling => {
                    let mut got = vec![1; bytes.len()];
                    input.filling(&mut got).unwrap();
                    got
                }
            };
            assert_eq!(got, *bytes, "{part:?}");
        }
        assert_eq!(input.rest(&mut [0; 10]).unwrap(), 0);
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_header_like_the_last_is_short() {
        let mut line = Vec::new();
        let like = [7; 512];
        let mut header = like;
        header[100] = 1;
        header[101] = 2;
        compare(&mut line, &header, &like);
        assert_eq!(line.len(), 2 + 3 + 2);
    }

    #[test]
    fn damaged_ones_are_errors() {
        let path = std::env::temp_dir().join(format!("headers-bad-{}", std::process::id()));
        for text in [
            &b""[..],
            b"coracle headers 2\n",
            b"coracle headers 1\n\x07",
            b"coracle headers 1\n\x00\x05",
            b"coracle headers 1\n\x00\x02",
            b"coracle headers 1\n\x00\x00",
            b"coracle headers 1\n\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"coracle headers 1\n\x00\x06ab",
        ] {
            std::fs::write(&path, text).unwrap();
            let read = HeaderReader::open(&path).and_then(|mut input| input.header());
            assert!(read.is_err(), "{}", text.escape_ascii());
        }
        std::fs::remove_file(&path).unwrap();
    }

    proptest! {
        #[test]
        fn pieces_come_back(seeds in proptest::collection::vec((0u8..3, any::<u64>()), 0..30)) {
            let pieces: Vec<(Part, Vec<u8>)> = seeds.into_iter().map(|(part, seed)| {
                let (part, length) = match part {
                    0 => (Part::Header, 512),
                    1 => (Part::Meta, (seed % 6000) as usize),
                    _ => (Part::Filling, (seed % 700) as usize),
                };
                // Long runs and short ones.
                let byte = |at: usize| if (at as u64 / (1 + seed % 9)).is_multiple_of(3) { 0 } else { (seed >> (at % 40)) as u8 & 3 };
                (part, (0..length).map(byte).collect())
            }).collect();
            round(&pieces);
        }
    }
}
