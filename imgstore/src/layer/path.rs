//! The names that a layer may use, and how they are shown.
//!
//! A name is cut into components, empty ones and `.` fall away; absolute names and `..` are
//! refused, whatever they would lead to. So are names that no system call could take.

use base::text::quote::escaped;
use base::{Error, Result};
use std::fmt;

/// Folders deeper than this are refused: each level is an open file while its entries arrive.
const DEEPEST: usize = 200;

/// A name for a message, on one line. Nothing is written unless the message is: every step of
/// unpacking has one ready.
pub(crate) struct Shown<'a>(&'a [u8]);

/// A name for a message.
pub(crate) fn shown(path: &[u8]) -> Shown<'_> {
    Shown(path)
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = escaped(&String::from_utf8_lossy(self.0));
        if text.len() > 300 {
            text = text.chars().take(280).collect();
            text.push('…');
        }
        f.write_str(&text)
    }
}

/// An error about a name of an archive.
pub(crate) fn refuse(path: &[u8], why: &str) -> Error {
    Error::bad_input(format!("archive: {}: {why}", shown(path)))
}

/// The name without superfluous parts; empty for the root itself.
pub(crate) fn clean(path: &[u8]) -> Result<Vec<u8>> {
    if path.first() == Some(&b'/') {
        return Err(refuse(path, "absolute name"));
    }
    let mut out = Vec::with_capacity(path.len());
    let mut depth = 0;
    for part in path.split(|&c| c == b'/') {
        match part {
            b"" | b"." => continue,
            b".." => return Err(refuse(path, "name with '..'")),
            _ if part.len() > 255 => return Err(refuse(path, "name too long")),
            _ => {}
        }
        depth += 1;
        if !out.is_empty() {
            out.push(b'/');
        }
        out.extend_from_slice(part);
    }
    if depth > DEEPEST || out.len() > 4095 {
        return Err(refuse(path, "nested too deep"));
    }
    Ok(out)
}

/// Folder and last component.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&c| c == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

/// Whether `path` lies below `folder`, or is it.
pub(crate) fn is_below(path: &[u8], folder: &[u8]) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, want) in
            [("./a//b/.", "a/b"), ("./", ""), ("a/", "a"), ("...", "..."), ("a\\b", "a\\b")]
        {
            assert_eq!(clean(name.as_bytes()).unwrap(), want.as_bytes(), "{name}");
        }
        for name in
            ["/a", "//", "..", "a/../b", "a/..", "../a", &"x".repeat(256), &"a/".repeat(201)]
        {
            assert!(clean(name.as_bytes()).is_err(), "{name}");
        }
        assert_eq!(split(b"a/b/c"), (&b"a/b"[..], &b"c"[..]));
        assert!(is_below(b"a/b", b"a") && is_below(b"a", b"a") && !is_below(b"ab", b"a"));
        assert_eq!(shown(b"a\n\xff").to_string(), "a\\n\u{fffd}");
    }
}
