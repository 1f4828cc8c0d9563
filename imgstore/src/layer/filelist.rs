//! The list of what is in a layer: one line a name, so that a person and `fsck` can check it.
//!
//! `TYPE MODE SIZE SHA256 PATH`: `f 644 12 ba78… etc/motd`. Types: f file, d folder, l symbolic
//! link, h hard link (its PATH is `NAME -> TARGET`), c b p devices and FIFOs, w whiteout, o opaque
//! folder. What a field does not apply to is `-`. In PATH, backslash and everything that is not
//! printable ASCII or UTF-8 is written as `\xNN`. A later line for the same path, or for a path
//! above it that is no folder, replaces an earlier one.

use base::digest::{Digest, Sha256};
use base::{Error, OnError, Result};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Writes the list as the layer is unpacked.
pub(crate) struct FileList {
    out: BufWriter<File>,
    path: PathBuf,
    hash: Sha256,
}

fn escape(path: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let text = std::str::from_utf8(path).is_ok();
    for &c in path {
        // An arrow stands between a name and a target, and nowhere else.
        let arrow = c == b'>' && out.ends_with(b" -");
        if arrow || c == b'\\' || c < 0x20 || c == 0x7f || (c >= 0x80 && !text) {
            out.extend_from_slice(b"\\x");
            out.push(DIGITS[usize::from(c >> 4)]);
            out.push(DIGITS[usize::from(c & 15)]);
        } else {
            out.push(c);
        }
    }
}

impl FileList {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let file = File::create_new(path).on_path("create", path)?;
        let (out, hash) = (BufWriter::with_capacity(16 << 10, file), Sha256::new());
        Ok(Self { out, path: path.to_owned(), hash })
    }

    /// One line.
    pub(crate) fn add(
        &mut self,
        kind: u8,
        mode: Option<u32>,
        content: Option<(u64, Digest)>,
        path: &[u8],
        target: &[u8],
    ) -> Result<()> {
        let mut line = Vec::with_capacity(96 + path.len());
        line.extend_from_slice(&[kind, b' ']);
        match mode {
            Some(mode) => {
                let octal = [mode >> 9 & 7, mode >> 6 & 7, mode >> 3 & 7, mode & 7];
                let skip = usize::from(octal[0] == 0);
                line.extend(octal[skip..].iter().map(|&digit| b'0' + digit as u8));
            }
            None => line.push(b'-'),
        }
        line.push(b' ');
        match content {
            Some((size, digest)) => {
                line.extend_from_slice(size.to_string().as_bytes());
                line.push(b' ');
                line.extend_from_slice(digest.hex().as_bytes());
            }
            None => line.extend_from_slice(b"- -"),
        }
        line.push(b' ');
        escape(path, &mut line);
        if !target.is_empty() {
            line.extend_from_slice(b" -> ");
            escape(target, &mut line);
        }
        line.push(b'\n');
        self.hash.update(&line);
        self.out.write_all(&line).on_path("write", &self.path)
    }

    /// Ends the list; gives its digest.
    pub(crate) fn finish(mut self) -> Result<Digest> {
        self.out.flush().on_path("write", &self.path)?;
        Ok(self.hash.finish())
    }
}

/// A line of the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) kind: u8,
    pub(crate) mode: Option<u32>,
    pub(crate) content: Option<(u64, Digest)>,
    pub(crate) path: Vec<u8>,
    pub(crate) target: Vec<u8>,
}

/// Reads the list.
pub(crate) struct Lines {
    input: BufReader<File>,
    path: PathBuf,
    text: Vec<u8>,
}

/// The longest line: two names of 4095 bytes, each escaped.
const LINE_CAP: u64 = 40_000;

fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&c, after)) = rest.split_first() {
        rest = after;
        if c != b'\\' {
            out.push(c);
            continue;
        }
        let digits = rest.strip_prefix(b"x").and_then(|digits| digits.get(..2))?;
        out.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = &rest[3..];
    }
    Some(out)
}

impl Line {
    fn parse(text: &[u8]) -> Option<Self> {
        let mut fields = text.splitn(5, |&c| c == b' ');
        let &[kind] = fields.next()? else {
            return None;
        };
        let mut word = || std::str::from_utf8(fields.next()?).ok();
        let mode = match word()? {
            "-" => None,
            octal => Some(u32::from_str_radix(octal, 8).ok()?),
        };
        let content = match (word()?, word()?) {
            ("-", "-") => None,
            (size, hash) => Some((size.parse().ok()?, Digest::from_hex(hash).ok()?)),
        };
        let name = fields.next()?;
        let arrow = match kind {
            b'l' | b'h' => name.windows(4).position(|part| part == b" -> ").map(|at| (at, at + 4)),
            _ => None,
        };
        let (end, start) = arrow.unwrap_or((name.len(), name.len()));
        let (path, target) = (unescape(&name[..end])?, unescape(&name[start..])?);
        Some(Self { kind, mode, content, path, target })
    }
}

/// For `fuzz/`: a line that is read is written as it was, but for how it is escaped.
pub(crate) fn judge(text: &[u8]) {
    if let Some(line) = Line::parse(text) {
        assert!(line.path.len() <= text.len() && line.target.len() <= text.len());
    }
}

impl Lines {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).on_path("open", path)?;
        let input = BufReader::with_capacity(16 << 10, file);
        Ok(Self { input, path: path.to_owned(), text: Vec::new() })
    }

    /// The next line; none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Line>> {
        self.text.clear();
        let mut part = (&mut self.input).take(LINE_CAP);
        part.read_until(b'\n', &mut self.text).on_path("read", &self.path)?;
        if self.text.is_empty() {
            return Ok(None);
        }
        match self.text.strip_suffix(b"\n").and_then(Line::parse) {
            Some(line) => Ok(Some(line)),
            None => Err(Error::other(format!("read {}: damaged", self.path.display()))),
        }
    }

    /// Size and digest of the next file.
    pub(crate) fn next_file(&mut self) -> Result<Option<(u64, Digest)>> {
        while let Some(line) = self.next()? {
            if let (b'f', Some(content)) = (line.kind, line.content) {
                return Ok(Some(content));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back() {
        let path = std::env::temp_dir().join(format!("filelist-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let lines = [
            (b'f', Some(0o4755), Some((12, Digest::of(b"x"))), &b"a b/\n\xff\\"[..], &b""[..]),
            (b'd', Some(0), None, "é".as_bytes(), b""),
            (b'h', None, None, b"x", b"y z"),
            (b'l', Some(0o777), None, b"x -> y", b"a -> b"),
            (b'o', None, None, b"", b""),
        ];
        let mut list = FileList::create(&path).unwrap();
        for (kind, mode, content, path, target) in lines {
            list.add(kind, mode, content, path, target).unwrap();
        }
        list.finish().unwrap();
        let mut read = Lines::open(&path).unwrap();
        for (kind, mode, content, path, target) in lines {
            let (path, target) = (path.to_vec(), target.to_vec());
            let want = Line { kind, mode, content, path, target };
            assert_eq!(read.next().unwrap(), Some(want));
        }
        assert_eq!(read.next().unwrap(), None);
        for text in ["x", "f 644 12 x a\n", "f 644 - - a", "ff 644 - - a\n", "f 888 - - a\n"] {
            std::fs::write(&path, text).unwrap();
            assert!(Lines::open(&path).unwrap().next().is_err(), "{text}");
        }
        std::fs::remove_file(&path).unwrap();
    }
}
