//! The records of a PAX extended header: `LENGTH KEY=VALUE\n`.
//!
//! What they say wins over the header (RUSTSEC-2025-0111: a reader that took the size from the
//! header found entries that others did not see). Keys that change what an entry is and that we do
//! not follow are refused; all others are comments.

use base::text::quote::escaped;
use base::{Error, Result};

/// What a PAX header says of the next entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pax {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) uid: Option<u64>,
    pub(crate) gid: Option<u64>,
    pub(crate) mtime: Option<(i64, u32)>,
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

fn wrong(what: &str) -> Error {
    Error::bad_input(format!("archive: extended header with {what}"))
}

fn decimal(text: &[u8]) -> Result<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(text).ok().filter(|_| digits).and_then(|t| t.parse().ok());
    number.filter(|&n| i64::try_from(n).is_ok()).ok_or_else(|| wrong("a wrong number"))
}

/// Seconds with any number of places, possibly negative.
fn time(text: &[u8]) -> Result<(i64, u32)> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(text) => (true, text),
        None => (false, text),
    };
    let point = text.iter().position(|&c| c == b'.').unwrap_or(text.len());
    let seconds = decimal(&text[..point])? as i64;
    let mut nanos = 0;
    let mut unit = 100_000_000;
    for &c in text.get(point + 1..).unwrap_or_default() {
        if !c.is_ascii_digit() {
            return Err(wrong("a wrong time"));
        }
        nanos += u32::from(c - b'0') * unit;
        unit /= 10;
    }
    Ok(match (negative, nanos) {
        (false, _) => (seconds, nanos),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, 1_000_000_000 - nanos),
    })
}

/// One record from the front: its key, its value, the rest.
fn record(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = text.iter().take(20).position(|&c| c == b' ')?;
    let length = decimal(&text[..blank]).ok()?;
    let length = usize::try_from(length).ok()?;
    let body = text.get(blank + 1..length)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|&c| c == b'=')?;
    Some((&body[..equals], &body[equals + 1..], &text[length..]))
}

/// Decodes the records. `global` ones may say nothing that matters.
pub(crate) fn parse(mut text: &[u8], global: bool) -> Result<Pax> {
    let mut pax = Pax::default();
    while !text.is_empty() {
        let (key, value, rest) = record(text).ok_or_else(|| wrong("a broken record"))?;
        text = rest;
        let known = take(&mut pax, key, value)?;
        if global && known {
            let key = String::from_utf8_lossy(key);
            return Err(wrong(&["'", &escaped(&key), "' for all entries"].concat()));
        }
    }
    Ok(pax)
}

fn take(pax: &mut Pax, key: &[u8], value: &[u8]) -> Result<bool> {
    let text = || {
        if value.contains(&0) {
            return Err(wrong("a zero byte in a name"));
        }
        Ok((!value.is_empty()).then(|| value.to_vec()))
    };
    // An empty value takes back what was said before.
    let number = || if value.is_empty() { Ok(None) } else { decimal(value).map(Some) };
    match key {
        b"path" => pax.path = text()?,
        b"linkpath" => pax.link = text()?,
        b"size" => pax.size = number()?,
        b"uid" => pax.uid = number()?,
        b"gid" => pax.gid = number()?,
        b"mtime" if value.is_empty() => pax.mtime = None,
        b"mtime" => pax.mtime = Some(time(value)?),
        _ if key.starts_with(b"GNU.sparse.") => {
            return Err(Error::bad_input("archive: sparse files are not supported"));
        }
        _ => match key.strip_prefix(b"SCHILY.xattr.") {
            Some(name) if name.is_empty() || name.contains(&0) => {
                return Err(wrong("a wrong attribute name"));
            }
            Some(name) => {
                pax.xattrs.retain(|(n, _)| n != name);
                pax.xattrs.push((name.to_vec(), value.to_vec()));
            }
            None => return Ok(false),
        },
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(key: &str, value: &[u8]) -> Vec<u8> {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        [length.to_string().as_bytes(), b" ", key.as_bytes(), b"=", value, b"\n"].concat()
    }

    #[test]
    fn reads_records() {
        let text = [
            one("path", "é/x".as_bytes()),
            one("size", b"9000000000"),
            one("mtime", b"1700000000.123456789"),
            one("comment", b"x"),
            one("SCHILY.xattr.user.a", b"\0\xff\n="),
        ]
        .concat();
        let pax = parse(&text, false).unwrap();
        assert_eq!(pax.path.as_deref(), Some("é/x".as_bytes()));
        assert_eq!(pax.size, Some(9_000_000_000));
        assert_eq!(pax.mtime, Some((1_700_000_000, 123_456_789)));
        assert_eq!(pax.xattrs, [(b"user.a".to_vec(), b"\0\xff\n=".to_vec())]);
        assert_eq!(time(b"-1.5").unwrap(), (-2, 500_000_000));
    }

    #[test]
    fn wrong_records_are_refused() {
        for text in [
            &b"5 a=b"[..],
            b"6 a=b",
            b"99 a=b\n",
            b"6 aab\n",
            b"x a=b\n",
            b"-6 a=b\n",
            b"0 a=b\n",
            b"\0",
        ] {
            assert!(parse(text, false).is_err(), "{}", text.escape_ascii());
        }
        for (key, value) in [
            ("size", &b"-1"[..]),
            ("size", b"1e3"),
            ("size", b"99999999999999999999"),
            ("path", b"a\0b"),
            ("mtime", b"x"),
            ("SCHILY.xattr.", b"x"),
            ("GNU.sparse.major", b"1"),
        ] {
            assert!(parse(&one(key, value), false).is_err(), "{key}");
        }
        assert!(parse(&one("path", b"x"), true).is_err());
        assert!(parse(&one("comment", b"x"), true).is_ok());
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in "([0-9]{1,2} (path|size|mtime)=[0-9.\\-]{0,6}\n){0,3}") {
            let _ = parse(text.as_bytes(), false);
        }
    }
}
