//! One tar header: 512 bytes become a plain value, or a reason why not.
//!
//! ustar, PAX and GNU headers, and V7's. Pure, so that hostile bytes can be tried on it without
//! files. Everything that two readers of tar could understand differently is refused: a wrong
//! checksum, numbers out of range, content where there can be none, sparse files.

use base::text::quote::escaped;
use base::{Error, Result};

/// What an entry is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    File,
    HardLink,
    Symlink,
    Char,
    Block,
    Folder,
    Fifo,
    /// Extended header for the next entry.
    Pax,
    /// Extended header for all that follow.
    PaxGlobal,
    /// GNU: the name of the next entry.
    LongName,
    /// GNU: the link target of the next entry.
    LongLink,
}

/// The fields of a header, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) name: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) size: u64,
    pub(crate) mtime: i64,
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

/// The length of a header, and what contents are padded to.
pub(crate) const BLOCK: usize = 512;

fn wrong(what: &str) -> Error {
    Error::bad_input(format!("archive: {what}"))
}

fn until_nul(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|&c| c == 0).unwrap_or(field.len());
    &field[..end]
}

/// Octal digits between blanks, or GNU's base 256.
fn number(field: &[u8], what: &str) -> Result<i64> {
    let bad = || wrong(&format!("header with a wrong {what}"));
    let first = field.first().copied().unwrap_or(0);
    if first & 0x80 != 0 {
        let negative = first & 0x40 != 0;
        let mut value: i64 = if negative { -1 } else { 0 };
        for (at, &byte) in field.iter().enumerate() {
            // The first byte holds the mark, which is also the sign.
            let byte = if at == 0 && !negative { byte & 0x7f } else { byte };
            value = value.checked_mul(256).ok_or_else(bad)? | i64::from(byte);
        }
        return Ok(value);
    }
    let digits = until_nul(field);
    let digits = digits.trim_ascii();
    let mut value: i64 = 0;
    for &c in digits {
        if !(b'0'..=b'7').contains(&c) {
            return Err(bad());
        }
        value = value.checked_mul(8).ok_or_else(bad)? | i64::from(c - b'0');
    }
    Ok(value)
}

fn unsigned(field: &[u8], what: &str) -> Result<u64> {
    u64::try_from(number(field, what)?).map_err(|_| wrong(&format!("header with a wrong {what}")))
}

fn small(field: &[u8], what: &str) -> Result<u32> {
    u32::try_from(number(field, what)?).map_err(|_| wrong(&format!("header with a wrong {what}")))
}

/// Whether the block is all zeros: the mark of the end.
pub(crate) fn is_zero(block: &[u8; BLOCK]) -> bool {
    block.iter().all(|&c| c == 0)
}

/// Whether the checksum is right: the one thing that says that these bytes are a header at all.
pub(crate) fn is_header(block: &[u8; BLOCK]) -> bool {
    let Ok(want) = number(&block[148..156], "checksum") else {
        return false;
    };
    let (mut plain, mut signed) = (0i64, 0i64);
    for (at, &byte) in block.iter().enumerate() {
        let byte = if (148..156).contains(&at) { b' ' } else { byte };
        plain += i64::from(byte);
        // Some old programs added signed characters.
        signed += i64::from(byte as i8);
    }
    want == plain || want == signed
}

/// Decodes a header.
pub(crate) fn parse(block: &[u8; BLOCK]) -> Result<Header> {
    if !is_header(block) {
        return Err(wrong("header with a wrong checksum"));
    }
    let ustar = &block[257..265] == b"ustar\x0000";
    let gnu = &block[257..265] == b"ustar  \0";
    let mut name = until_nul(&block[..100]).to_vec();
    if ustar {
        // star keeps two times where ustar has the end of the prefix.
        let end = if &block[508..512] == b"tar\0" { 476 } else { 500 };
        let prefix = until_nul(&block[345..end]);
        if !prefix.is_empty() {
            name = [prefix, b"/", &name].concat();
        }
    }
    let kind = match block[156] {
        0 | b'0' | b'7' => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::Symlink,
        b'3' => Kind::Char,
        b'4' => Kind::Block,
        b'5' => Kind::Folder,
        b'6' => Kind::Fifo,
        b'x' => Kind::Pax,
        b'g' => Kind::PaxGlobal,
        b'L' => Kind::LongName,
        b'K' => Kind::LongLink,
        b'S' => return Err(wrong("sparse files are not supported")),
        other => {
            let c = escaped(char::from(other).encode_utf8(&mut [0; 4]));
            return Err(wrong(&["entry of unknown type '", &c, "'"].concat()));
        }
    };
    let devices = ustar || gnu;
    let device =
        |from: usize, what| if devices { small(&block[from..from + 8], what) } else { Ok(0) };
    Ok(Header {
        kind,
        name,
        link: until_nul(&block[157..257]).to_vec(),
        mode: small(&block[100..108], "mode")? & 0o7777,
        uid: unsigned(&block[108..116], "owner")?,
        gid: unsigned(&block[116..124], "group")?,
        size: unsigned(&block[124..136], "size")?,
        mtime: number(&block[136..148], "time")?,
        major: device(329, "device number")?,
        minor: device(337, "device number")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(change: impl Fn(&mut tar::Header)) -> [u8; BLOCK] {
        let mut h = tar::Header::new_gnu();
        h.set_path("a/b").unwrap();
        h.set_mode(0o644);
        h.set_uid(1);
        h.set_gid(2);
        h.set_size(3);
        h.set_mtime(4);
        h.set_entry_type(tar::EntryType::Regular);
        change(&mut h);
        h.set_cksum();
        *h.as_bytes()
    }

    #[test]
    fn reads_plain_fields() {
        let h = parse(&block(|_| ())).unwrap();
        assert_eq!((h.kind, h.name.as_slice(), h.mode), (Kind::File, &b"a/b"[..], 0o644));
        assert_eq!((h.uid, h.gid, h.size, h.mtime), (1, 2, 3, 4));
    }

    #[test]
    fn base_256_numbers() {
        let h = parse(&block(|h| {
            h.set_size(1 << 40);
            h.set_uid(3_000_000);
        }));
        let h = h.unwrap();
        assert_eq!((h.size, h.uid), (1 << 40, 3_000_000));
        let negative = |h: &mut tar::Header| h.as_old_mut().mtime = [0xff; 12];
        assert_eq!(parse(&block(negative)).unwrap().mtime, -1);
        let size = |h: &mut tar::Header| h.as_old_mut().size = [0xff; 12];
        assert!(parse(&block(size)).unwrap_err().to_string().contains("wrong size"));
        let huge = |h: &mut tar::Header| h.as_old_mut().size = [0xbf; 12];
        assert!(parse(&block(huge)).is_err());
    }

    #[test]
    fn what_readers_disagree_on_is_refused() {
        for (text, kind) in
            [("sparse", b'S'), ("unknown type 'M'", b'M'), ("unknown type 'V'", b'V')]
        {
            let e = parse(&block(|h| h.set_entry_type(tar::EntryType::new(kind)))).unwrap_err();
            assert!(e.to_string().contains(text), "{e}");
        }
        let mut broken = block(|_| ());
        broken[0] ^= 1;
        assert!(parse(&broken).unwrap_err().to_string().contains("checksum"));
        let digits = |h: &mut tar::Header| h.as_old_mut().size = *b"0000000009x\0";
        assert!(parse(&block(digits)).is_err());
    }

    proptest! {
        #[test]
        fn any_block_is_judged(bytes in proptest::collection::vec(any::<u8>(), BLOCK)) {
            let mut block = [0; BLOCK];
            block.copy_from_slice(&bytes);
            let sum: u32 = block.iter().enumerate()
                .map(|(at, &c)| if (148..156).contains(&at) { 32 } else { u32::from(c) }).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            let _ = parse(&block);
        }
    }
}
