//! A tar archive, written: POSIX headers, and PAX where these cannot say it.
//!
//! The same entries give the same bytes. Names, numbers and times that a plain header holds need no
//! extended one; nanoseconds, attributes, long names and large numbers do.

use super::entry::Entry;
use super::header::{BLOCK, Kind};
use super::parser::padding_of;
use base::{Error, OnError, Result};
use std::io::Write;

/// What octal digits can say in the fields for sizes and times, and for owners.
const LONG: u64 = 1 << 33;
const SHORT: u64 = 1 << 21;

/// Writes an archive.
pub(crate) struct TarWriter<'a> {
    out: &'a mut dyn Write,
}

fn octal(field: &mut [u8], mut value: u64) {
    let (last, digits) = match field.split_last_mut() {
        Some(parts) => parts,
        None => return,
    };
    *last = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value & 7) as u8;
        value >>= 3;
    }
}

fn record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    // The length counts its own digits.
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    out.extend_from_slice(length.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

fn time((seconds, nanos): (i64, u32)) -> String {
    let (seconds, nanos, sign) = match (seconds < 0, nanos) {
        (true, 1..) => (seconds + 1, 1_000_000_000 - nanos, "-"),
        (true, 0) => (seconds, 0, "-"),
        (false, _) => (seconds, nanos, ""),
    };
    let text = [sign, &seconds.unsigned_abs().to_string()].concat();
    if nanos == 0 {
        return text;
    }
    let fraction = format!("{nanos:09}");
    [&text, ".", fraction.trim_end_matches('0')].concat()
}

fn letter(kind: Kind) -> u8 {
    match kind {
        Kind::File => b'0',
        Kind::HardLink => b'1',
        Kind::Symlink => b'2',
        Kind::Char => b'3',
        Kind::Block => b'4',
        Kind::Folder => b'5',
        Kind::Fifo => b'6',
        Kind::PaxGlobal => b'g',
        Kind::LongName => b'L',
        Kind::LongLink => b'K',
        Kind::Pax => b'x',
    }
}

/// A plain header; what does not fit is cut off.
fn header(entry: &Entry, name: &[u8], prefix: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let fit = |text: &[u8], room: usize| text.len().min(room);
    block[..fit(name, 100)].copy_from_slice(&name[..fit(name, 100)]);
    octal(&mut block[100..108], u64::from(entry.mode));
    let small = |value: u64, limit: u64| if value < limit { value } else { 0 };
    octal(&mut block[108..116], small(u64::from(entry.uid), SHORT));
    octal(&mut block[116..124], small(u64::from(entry.gid), SHORT));
    octal(&mut block[124..136], small(entry.size, LONG));
    octal(&mut block[136..148], small(u64::try_from(entry.mtime.0).unwrap_or(0), LONG));
    block[148..156].fill(b' ');
    block[156] = letter(entry.kind);
    let link = &entry.link[..fit(&entry.link, 100)];
    block[157..157 + link.len()].copy_from_slice(link);
    block[257..265].copy_from_slice(b"ustar\x0000");
    octal(&mut block[329..337], u64::from(entry.major));
    octal(&mut block[337..345], u64::from(entry.minor));
    block[345..345 + prefix.len()].copy_from_slice(prefix);
    let sum: u64 = block.iter().map(|&c| u64::from(c)).sum();
    octal(&mut block[148..155], sum);
    block
}

/// Where a long name can be cut so that both parts have a field.
fn cut(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let whole = path.strip_suffix(b"/").unwrap_or(path);
    let at = (1..whole.len().min(156)).rev().find(|&at| path[at] == b'/')?;
    let name = &path[at + 1..];
    (!name.is_empty() && name.len() <= 100).then_some((&path[..at], name))
}

impl<'a> TarWriter<'a> {
    pub(crate) fn new(out: &'a mut dyn Write) -> Self {
        Self { out }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).on("write", "the archive")
    }

    /// Begins an entry; its content must follow, and then [`Self::pad`].
    pub(crate) fn entry(&mut self, entry: &Entry) -> Result<()> {
        if u64::from(entry.major.max(entry.minor)) >= SHORT {
            return Err(Error::unsupported("a device with a number that no archive can hold"));
        }
        let mut pax = Vec::new();
        let (prefix, name) = match entry.path.len() {
            0..=100 => (&b""[..], &entry.path[..]),
            _ => cut(&entry.path).unwrap_or_else(|| {
                record(&mut pax, b"path", &entry.path);
                // A part that ends in a slash would be a folder for who reads no extended header.
                (b"", b"long-name")
            }),
        };
        if entry.link.len() > 100 {
            record(&mut pax, b"linkpath", &entry.link);
        }
        for (key, value) in [(&b"uid"[..], entry.uid), (b"gid", entry.gid)] {
            if u64::from(value) >= SHORT {
                record(&mut pax, key, value.to_string().as_bytes());
            }
        }
        if entry.size >= LONG {
            record(&mut pax, b"size", entry.size.to_string().as_bytes());
        }
        let (seconds, nanos) = entry.mtime;
        if nanos != 0 || u64::try_from(seconds).is_err() || seconds as u64 >= LONG {
            record(&mut pax, b"mtime", time(entry.mtime).as_bytes());
        }
        for (key, value) in &entry.xattrs {
            record(&mut pax, &[b"SCHILY.xattr.", &key[..]].concat(), value);
        }
        if !pax.is_empty() {
            let size = pax.len() as u64;
            let about = Entry { kind: Kind::Pax, mode: 0o644, size, ..Entry::default() };
            self.write(&header(&about, b"PaxHeaders/entry", b""))?;
            self.write(&pax)?;
            self.pad(size)?;
        }
        self.write(&header(entry, name, prefix))
    }

    /// Content of the entry.
    pub(crate) fn data(&mut self, bytes: &[u8]) -> Result<()> {
        self.write(bytes)
    }

    /// Ends an entry of this size.
    pub(crate) fn pad(&mut self, size: u64) -> Result<()> {
        let zeros = [0; BLOCK];
        self.write(&zeros[..padding_of(size)])
    }

    /// The mark of the end.
    pub(crate) fn finish(&mut self) -> Result<()> {
        self.write(&[0; 2 * BLOCK])?;
        self.out.flush().on("write", "the archive")
    }
}

impl Write for TarWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.out.write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::headers::Part;
    use crate::layer::parser::{Parser, Sink};
    use proptest::prelude::*;

    #[derive(Default)]
    struct Seen(Vec<(Entry, Vec<u8>)>);

    impl Sink for Seen {
        fn frame(&mut self, _: Part, _: &[u8]) -> Result<()> {
            Ok(())
        }
        fn entry(&mut self, entry: Entry) -> Result<()> {
            self.0.push((entry, Vec::new()));
            Ok(())
        }
        fn data(&mut self, bytes: &[u8]) -> Result<()> {
            self.0.last_mut().unwrap().1.extend_from_slice(bytes);
            Ok(())
        }
        fn end(&mut self) -> Result<()> {
            Ok(())
        }
    }

    fn back(entries: &[(Entry, Vec<u8>)]) -> Vec<(Entry, Vec<u8>)> {
        let mut bytes = Vec::new();
        let mut tar = TarWriter::new(&mut bytes);
        for (entry, data) in entries {
            tar.entry(entry).unwrap();
            tar.data(data).unwrap();
            tar.pad(entry.size).unwrap();
        }
        tar.finish().unwrap();
        assert_eq!(bytes.len() % BLOCK, 0);
        let mut seen = Seen::default();
        let mut parser = Parser::new();
        parser.feed(&bytes, &mut seen).unwrap();
        parser.finish(true).unwrap();
        seen.0
    }

    #[test]
    fn times() {
        for (pair, want) in [
            ((1, 0), "1"),
            ((1, 5), "1.000000005"),
            ((-1, 0), "-1"),
            ((-2, 500_000_000), "-1.5"),
            ((-1, 500_000_000), "-0.5"),
        ] {
            assert_eq!(time(pair), want);
        }
    }

    proptest! {
        #[test]
        fn entries_come_back(
            path in "[a-zé/]{1,300}", link in "[a-z]{1,200}", kind in 0usize..4, mode in 0u32..0o7777,
            uid in any::<u32>(), size in 0usize..1500, seconds in -(1i64 << 40)..1 << 40,
            nanos in 0u32..1_000_000_000, value in proptest::collection::vec(any::<u8>(), 0..20)
        ) {
            let kind = [Kind::File, Kind::Folder, Kind::Symlink, Kind::Char][kind];
            let path = path.trim_end_matches('/').replace('é', "e");
            prop_assume!(!path.is_empty());
            let size = if kind == Kind::File { size } else { 0 };
            let entry = Entry {
                kind, path: path.into_bytes(), mode, uid: uid.min(u32::MAX - 1), gid: uid / 2,
                link: if kind == Kind::Symlink { link.into_bytes() } else { Vec::new() },
                size: size as u64, mtime: (seconds, nanos), major: 1, minor: 3,
                xattrs: vec![(b"user.x".to_vec(), value)],
            };
            let all = [(entry.clone(), vec![b'x'; size]), (Entry { xattrs: Vec::new(), mtime: (5, 0), ..entry }, vec![b'y'; size])];
            prop_assert_eq!(back(&all), all.to_vec());
        }
    }
}
