//! Addresses: `http(s)://HOST[:PORT]/PATH[?QUERY]`, and what a redirect makes of one.
//!
//! They come from servers that nobody trusts: no user before the host, no control characters, no
//! other schemes, at most 8 KiB.

use base::{Error, Result};

const CAP: usize = 8 << 10;

/// An address that is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) https: bool,
    /// Host, and the port if one was named.
    pub(crate) authority: String,
    /// Path and query.
    pub(crate) target: String,
}

fn authority_is_right(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => return false,
        },
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let good = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_' | b':');
    !host.is_empty()
        && host.len() < 256
        && host.bytes().all(good)
        && (text.starts_with('[') || !host.contains(':'))
        && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

impl Url {
    /// Reads a whole address.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            let shown: String = text.chars().take(200).filter(|c| !c.is_control()).collect();
            Error::bad_input(["registry: bad address \"", &shown, "\""].concat())
        };
        let (https, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(wrong()),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let printable = text.bytes().all(|c| c > b' ' && c != 0x7f);
        if text.len() > CAP || !printable || !authority_is_right(authority) {
            return Err(wrong());
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        let (authority, target) = (authority.to_ascii_lowercase(), [slash, target].concat());
        Ok(Self { https, authority, target })
    }

    /// What a `Location` means that came from here.
    pub(crate) fn join(&self, location: &str) -> Result<Self> {
        if location.starts_with("//") {
            return Self::parse(&[self.scheme(), ":", location].concat());
        }
        let root = [self.scheme(), "://", &self.authority].concat();
        if location.starts_with('/') {
            return Self::parse(&[&root, location].concat());
        }
        let scheme = location.split(['/', '?', '#']).next().unwrap_or_default();
        if scheme.contains(':') {
            return Self::parse(location);
        }
        let path = self.target.split('?').next().unwrap_or_default();
        let folder = path.rfind('/').map_or("/", |at| &path[..=at]);
        Self::parse(&[&root, folder, location].concat())
    }

    pub(crate) fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }

    /// The host without its port; of an IPv6 address without its brackets.
    pub(crate) fn host(&self) -> &str {
        match self.authority.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => self.authority.split(':').next().unwrap_or_default(),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        let after = match self.authority.strip_prefix('[') {
            Some(rest) => rest.split_once(']').map_or("", |(_, port)| port),
            None => self.authority.split_once(':').map_or("", |(_, port)| port),
        };
        let port = after.trim_start_matches(':').parse();
        port.unwrap_or(if self.https { 443 } else { 80 })
    }

    /// Whether what is secret for the one may be told to the other.
    pub(crate) fn is_same_server(&self, other: &Self) -> bool {
        self.https == other.https && self.host() == other.host() && self.port() == other.port()
    }
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for part in [self.scheme(), "://", &self.authority, &self.target] {
            f.write_str(part)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses() {
        let url = Url::parse("HTTP://x").map(|u| u.to_string());
        assert!(url.is_err(), "schemes are written in small letters");
        for (text, want, host, port) in [
            (
                "http://Reg.example:5000/v2/?a=b#c",
                "http://reg.example:5000/v2/?a=b",
                "reg.example",
                5000,
            ),
            ("https://a", "https://a/", "a", 443),
            ("https://[::1]:99/x", "https://[::1]:99/x", "::1", 99),
            ("http://a?x", "http://a/?x", "a", 80),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.to_string().as_str(), url.host(), url.port()), (want, host, port));
        }
        for text in [
            "",
            "ftp://a/",
            "file:///etc/passwd",
            "http://",
            "http:///x",
            "http://user@host/",
            "http://a:b/",
            "http://a:99999/",
            "http://a/\r\nX: y",
            "http://a b/",
            "http://[::1",
            "//a/b",
            "http://a:5000@evil/",
        ] {
            assert!(Url::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn redirects() {
        let from = Url::parse("https://a:1/v2/x/blobs/y?z").unwrap();
        for (location, want) in [
            ("/b", "https://a:1/b"),
            ("b?c", "https://a:1/v2/x/blobs/b?c"),
            ("//c/d", "https://c/d"),
            ("http://e:2/f", "http://e:2/f"),
            ("?q", "https://a:1/v2/x/blobs/?q"),
        ] {
            assert_eq!(from.join(location).unwrap().to_string(), want, "{location}");
        }
        for location in ["file:///x", "javascript:x", "gopher://x/"] {
            assert!(from.join(location).is_err(), "{location}");
        }
        assert!(from.is_same_server(&from.join("/x").unwrap()));
        for other in ["http://a:1/", "https://a/", "https://a.b:1/", "https://b:1/"] {
            assert!(!from.is_same_server(&Url::parse(other).unwrap()), "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in "[a-z:/@\\[\\]#?%. \\r\\n0-9-]{0,40}") {
            if let Ok(url) = Url::parse(&text) {
                prop_assert_eq!(Url::parse(&url.to_string()).unwrap(), url);
            }
            let base = Url::parse("http://a/b").unwrap();
            let _ = base.join(&text);
        }
    }
}
