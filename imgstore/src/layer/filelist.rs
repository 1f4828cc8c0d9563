//! The list of what is in a layer: one line a name, so that a person and `fsck` can check it.
//!
//! `TYPE MODE SIZE SHA256 PATH`: `f 644 12 ba78… etc/motd`. Types: f file, d folder, l symbolic
//! link, h hard link (its PATH is `NAME -> TARGET`), c b p devices and FIFOs, w whiteout, o opaque
//! folder. What a field does not apply to is `-`. In PATH, backslash and everything that is not
//! printable ASCII or UTF-8 is written as `\xNN`. A later line for the same path, or for a path
//! above it that is no folder, replaces an earlier one.

use base::digest::Digest;
use base::{OnError, Result};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes the list as the layer is unpacked.
pub(crate) struct FileList {
    out: BufWriter<File>,
    path: PathBuf,
}

fn escape(path: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let text = std::str::from_utf8(path).is_ok();
    for &c in path {
        if c == b'\\' || c < 0x20 || c == 0x7f || (c >= 0x80 && !text) {
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
        Ok(Self { out: BufWriter::with_capacity(16 << 10, file), path: path.to_owned() })
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
        self.out.write_all(&line).on_path("write", &self.path)
    }

    pub(crate) fn finish(mut self) -> Result<()> {
        self.out.flush().on_path("write", &self.path)
    }
}
