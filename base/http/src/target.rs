//! The target of a request: `/v1.41/containers/json?all=1` → path, version, query.
//!
//! Decoded once, here, and checked after decoding: what a handler sees has no NUL, no `.`, `..` or
//! empty segment, and is UTF-8. `encode` is the way back, for the client.

use base::error::{Error, Result};

/// The version in a path: 1.41 → (1, 41).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub struct ApiVersion {
    pub major: u16,
    pub minor: u16,
}

impl ApiVersion {
    /// From `1.41`.
    pub fn parse(text: &str) -> Option<ApiVersion> {
        let (major, minor) = text.split_once('.')?;
        let number = |text: &str| match text.bytes().all(|b| b.is_ascii_digit()) {
            true => text.parse().ok(),
            false => None,
        };
        Some(ApiVersion { major: number(major)?, minor: number(minor)? })
    }
}

/// Path, version and query of a target.
type Target = (String, Option<ApiVersion>, Vec<(String, String)>);

/// Splits and decodes a target.
pub(crate) fn parse(target: &str) -> Result<Target> {
    // The absolute form, which proxies send: only what follows the authority counts.
    let target = match target.strip_prefix("http://") {
        Some(rest) => rest.find(['/', '?']).map_or("/", |at| &rest[at..]),
        None => target,
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = decode(path, false)?;
    let (version, path) = split_version(&path);
    if !path.starts_with('/') {
        return Err(Error::bad_input("read head: the path does not begin with a slash"));
    }
    // One slash at the end is harmless.
    let bare = path.strip_suffix('/').filter(|bare| !bare.is_empty() && !bare.ends_with('/'));
    let path = bare.unwrap_or(path);
    let plain = |segment| !matches!(segment, "" | "." | "..");
    if path.len() > 1 && !path[1..].split('/').all(plain) {
        return Err(Error::bad_input("read head: the path has an empty, . or .. segment"));
    }
    let mut pairs = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        pairs.push((decode(name, true)?, decode(value, true)?));
    }
    Ok((path.to_string(), version, pairs))
}

/// `/v1.41/x` → 1.41 and `/x`.
fn split_version(path: &str) -> (Option<ApiVersion>, &str) {
    let versioned = path.strip_prefix("/v").and_then(|rest| {
        let end = rest.find('/').unwrap_or(rest.len());
        Some((ApiVersion::parse(&rest[..end])?, &rest[end..]))
    });
    match versioned {
        Some((version, "")) => (Some(version), "/"),
        Some((version, path)) => (Some(version), path),
        None => (None, path),
    }
}

/// %2f → /, and + → space in a query.
fn decode(text: &str, query: bool) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => match (rest.next().and_then(digit), rest.next().and_then(digit)) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(Error::bad_input("read head: bad % in the path or query")),
            },
            b'+' if query => b' ',
            byte => byte,
        });
    }
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err(Error::bad_input("read head: the path or query is not text")),
    }
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// Appends text so that `decode` gives it back; slashes stay in a path.
pub fn encode(out: &mut String, text: &str, keep_slash: bool) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'@' => {
                out.push(byte.into())
            }
            b'/' if keep_slash => out.push('/'),
            _ => {
                out.push('%');
                out.push(HEX[usize::from(byte >> 4)].into());
                out.push(HEX[usize::from(byte & 15)].into());
            }
        }
    }
}

/// Appends `?name=value` or `&name=value`.
pub fn push_query(target: &mut String, name: &str, value: &str) {
    target.push(if target.contains('?') { '&' } else { '?' });
    target.push_str(name);
    target.push('=');
    encode(target, value, false);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        let v = |minor| Some(ApiVersion { major: 1, minor });
        for (target, path, version, query) in [
            ("/v1.41/containers/json?all=1", "/containers/json", v(41), "all=1"),
            ("/containers/json", "/containers/json", None, ""),
            ("/_ping", "/_ping", None, ""),
            ("/v1.41", "/", v(41), ""),
            ("/v1.41/", "/", v(41), ""),
            ("/volumes", "/volumes", None, ""),
            ("/v1.x/a", "/v1.x/a", None, ""),
            ("/v+1.41/a", "/v+1.41/a", None, ""),
            ("/a/", "/a", None, ""),
            ("/images/a:5000/b%2Fc:1/json", "/images/a:5000/b/c:1/json", None, ""),
            ("/a?x=a+b%26&&y&z=%3D", "/a", None, "x=a b&|y=|z=="),
            ("http://docker/v1.41/a?b=c", "/a", v(41), "b=c"),
            ("http://docker", "/", None, ""),
        ] {
            let (got_path, got_version, got_query) = parse(target).unwrap();
            let got: Vec<String> = got_query.iter().map(|(n, v)| format!("{n}={v}")).collect();
            assert_eq!((got_path.as_str(), got_version), (path, version), "{target}");
            assert_eq!(got.join("|"), query, "{target}");
        }
    }

    #[test]
    fn hostile_targets_are_refused() {
        for target in [
            "",
            "*",
            "a",
            "?x=1",
            "//",
            "/a//b",
            "/a/../b",
            "/a/%2e%2e/b",
            "/..",
            "/.",
            "/v1.41//a",
            "/%2e",
            "/a%00",
            "/a%",
            "/a%f",
            "/a%zz",
            "/a%ff",
            "/a?x=%ff",
            "/a?%00=1",
            "/a%2f%2e%2e",
            "/v1.41/../a",
        ] {
            assert!(parse(target).is_err(), "{target:?}");
        }
    }

    #[test]
    fn what_is_encoded_is_decoded_again() {
        let text = "a b/ü&=%+?#~\u{1F600}\n";
        let mut target = String::from("/x");
        push_query(&mut target, "q", text);
        push_query(&mut target, "r", "");
        assert_eq!(
            parse(&target).unwrap().2,
            [("q".to_string(), text.to_string()), ("r".to_string(), String::new())]
        );
        let mut path = String::from("/");
        encode(&mut path, "a:5000/b c", true);
        assert_eq!(parse(&path).unwrap().0, "/a:5000/b c");
    }
}
