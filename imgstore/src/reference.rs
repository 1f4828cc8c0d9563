//! The names of images: `[HOST[:PORT]/]PATH[:TAG]`, or with `@sha256:…` instead of a tag.
//!
//! They are kept in docker's familiar form, `busybox:latest`: the default registry and its folder
//! `library` are left out, the tag never. In the names folder `/` becomes `+`, which occurs in no
//! name.

use base::digest::Digest;
use base::text::quote::escaped;
use base::{Error, Result};

/// A name that is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Without tag and digest.
    pub repository: String,
    /// The tag; `latest` when neither tag nor digest was given.
    pub tag: Option<String>,
    /// The digest of a manifest.
    pub digest: Option<Digest>,
}

fn component(text: &str) -> bool {
    // [a-z0-9]+ joined by one dot, one or two underscores, or any number of dashes.
    let good = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = bytes.first().is_some_and(|&c| good(c)) && bytes.last().is_some_and(|&c| good(c));
    let mut separator = String::new();
    let mut between = true;
    for &c in bytes {
        if good(c) {
            between &= matches!(separator.as_str(), "" | "." | "_" | "__")
                || separator.bytes().all(|c| c == b'-');
            separator.clear();
        } else {
            separator.push(char::from(c));
        }
    }
    ends && between
}

fn host(text: &str) -> bool {
    let (name, port) = text.split_once(':').unwrap_or((text, "1"));
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.split('.').all(label) && !port.is_empty() && port.bytes().all(|c| c.is_ascii_digit())
}

/// Docker's rule for what is a host and what a folder.
fn is_server(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first != first.to_ascii_lowercase()
}

fn tag_is_right(tag: &str) -> bool {
    let word = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
    (1..=128).contains(&tag.len())
        && tag.bytes().all(|c| word(c) || c == b'.' || c == b'-')
        && tag.bytes().next().is_some_and(word)
}

impl Reference {
    /// Reads a name as docker does.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            let shown: String = escaped(text).chars().take(200).collect();
            Error::bad_input(format!("invalid reference format: '{shown}'"))
        };
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(Digest::parse(digest).map_err(|_| wrong())?)),
            None => (text, None),
        };
        let slash = name.rfind('/').map_or(0, |at| at + 1);
        let (repository, tag) = match name[slash..].find(':') {
            Some(at) => (&name[..slash + at], Some(&name[slash + at + 1..])),
            None => (name, None),
        };
        if tag.is_some_and(|tag| !tag_is_right(tag)) {
            return Err(wrong());
        }
        let (server, mut path) = match repository.split_once('/') {
            Some((first, rest)) if is_server(first) => (Some(first), rest),
            _ => (None, repository),
        };
        let server = server.filter(|&s| s != "docker.io" && s != "index.docker.io");
        if server.is_none() && path.matches('/').count() == 1 {
            path = path.strip_prefix("library/").unwrap_or(path);
        }
        let bare_id = server.is_none() && base::text::id::is_full(path);
        let good = !bare_id && path.split('/').all(component) && server.is_none_or(host);
        let repository = match server {
            Some(server) => [server, "/", path].concat(),
            None => path.to_owned(),
        };
        // As a file name with the longest tag it must fit into 255 bytes.
        if !good || repository.len() > 126 && repository.len() + tag.map_or(6, str::len) > 254 {
            return Err(wrong());
        }
        let tag = tag.or(digest.is_none().then_some("latest")).map(str::to_owned);
        Ok(Self { repository, tag, digest })
    }

    /// The registry, if one is named, and what the repository is called there.
    #[must_use]
    pub fn server(&self) -> Option<(&str, &str)> {
        self.repository.split_once('/').filter(|(first, _)| is_server(first))
    }

    /// `REPOSITORY:TAG`, or with the digest where there is no tag.
    #[must_use]
    pub fn familiar(&self) -> String {
        match (&self.tag, &self.digest) {
            (Some(tag), _) => [&self.repository, ":", tag].concat(),
            (None, Some(digest)) => [&self.repository, "@", &digest.to_string()].concat(),
            (None, None) => self.repository.clone(),
        }
    }

    /// With the default registry and its folder, which the familiar form leaves out.
    #[must_use]
    pub fn full(&self) -> String {
        let familiar = self.familiar();
        let first = self.repository.split_once('/').map(|(first, _)| first);
        match first {
            Some(first) if is_server(first) => familiar,
            Some(_) => ["docker.io/", &familiar].concat(),
            None => ["docker.io/library/", &familiar].concat(),
        }
    }

    /// The name of its file.
    #[must_use]
    pub fn file_name(&self) -> String {
        self.familiar().replace('/', "+")
    }

    /// Reads the name of a file.
    #[must_use]
    pub fn from_file_name(name: &str) -> Option<Self> {
        Self::parse(&name.replace('+', "/")).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn familiar_names() {
        for (text, want) in [
            ("busybox", "busybox:latest"),
            ("docker.io/library/busybox", "busybox:latest"),
            ("library/busybox:1", "busybox:1"),
            ("docker.io/a/b", "a/b:latest"),
            ("localhost/x", "localhost/x:latest"),
            ("host.example:5000/a/b_c/d--e:1.2-X", "host.example:5000/a/b_c/d--e:1.2-X"),
        ] {
            let name = Reference::parse(text).unwrap();
            assert_eq!(name.familiar(), want);
            assert_eq!(Reference::from_file_name(&name.file_name()), Some(name));
        }
        let hex = "a".repeat(64);
        let name = Reference::parse(&format!("x@sha256:{hex}")).unwrap();
        assert_eq!((name.tag, name.digest.map(|d| d.hex())), (None, Some(hex)));
    }

    #[test]
    fn wrong_names() {
        let id = "b".repeat(64);
        for text in [
            "",
            "/",
            "a/",
            "/a",
            "A",
            "a:",
            "a:.x",
            "a::b",
            "a@b",
            "a..b",
            "a___b",
            "-a",
            "a-",
            "../a",
            "a+b",
            "a b",
            "a\n",
            "a:x/y:",
            "host.x:p/a",
            &id,
            &format!("a:{}", "x".repeat(129)),
            &"a".repeat(300),
            "a@sha256:xyz",
        ] {
            assert!(Reference::parse(text).is_err(), "{text}");
        }
    }
}
