//! `WWW-Authenticate`: what a server wants to know of who asks (RFC 9110, 11.6.1).
//!
//! A header may hold several challenges; a parameter's value is a word or a quoted text. The first
//! challenge that we know counts, `Bearer` before `Basic`.

/// What a server wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// Name and password.
    Basic,
    /// A token of this server, for this service.
    Bearer { realm: String, service: String },
}

fn is_token(c: u8) -> bool {
    c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c)
}

struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    fn blanks(&mut self, commas: bool) {
        while let [b' ' | b'\t' | b',', rest @ ..] = self.0 {
            if self.0[0] == b',' && !commas {
                return;
            }
            self.0 = rest;
        }
    }

    fn word(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|&c| !is_token(c)).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        word
    }

    /// A parameter's value.
    fn value(&mut self) -> Option<String> {
        let mut value = Vec::new();
        if let Some(rest) = self.0.strip_prefix(b"\"") {
            self.0 = rest;
            loop {
                match self.0 {
                    [b'"', rest @ ..] => {
                        self.0 = rest;
                        break;
                    }
                    [b'\\', c, rest @ ..] | [c, rest @ ..] => {
                        value.push(*c);
                        self.0 = rest;
                    }
                    [] => return None,
                }
            }
        } else {
            value.extend_from_slice(self.word());
        }
        String::from_utf8(value).ok()
    }
}

/// Reads the value of one header.
pub(crate) fn parse(header: &str) -> Option<Challenge> {
    let mut text = Text(header.as_bytes());
    let mut basic = None;
    loop {
        text.blanks(true);
        let scheme = text.word();
        if scheme.is_empty() {
            // The end, or something that nobody can read.
            return basic;
        }
        let (mut realm, mut service) = (String::new(), String::new());
        loop {
            text.blanks(true);
            let before = text.0;
            let name = text.word();
            text.blanks(false);
            let Some(rest) = text.0.strip_prefix(b"=").filter(|_| !name.is_empty()) else {
                // The next challenge's scheme.
                text.0 = before;
                break;
            };
            text.0 = rest;
            text.blanks(false);
            let Some(value) = text.value() else { return basic };
            match name.to_ascii_lowercase().as_slice() {
                b"realm" => realm = value,
                b"service" => service = value,
                _ => {}
            }
        }
        if scheme.eq_ignore_ascii_case(b"bearer") && !realm.is_empty() {
            return Some(Challenge::Bearer { realm, service });
        }
        if scheme.eq_ignore_ascii_case(b"basic") {
            basic = Some(Challenge::Basic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bearer(realm: &str, service: &str) -> Option<Challenge> {
        Some(Challenge::Bearer { realm: realm.into(), service: service.into() })
    }

    #[test]
    fn headers_of_registries() {
        for (header, want) in [
            (r#"Basic realm="Registry Realm""#, Some(Challenge::Basic)),
            ("basic", Some(Challenge::Basic)),
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
                bearer("https://auth.docker.io/token", "registry.docker.io"),
            ),
            (r#"Bearer realm = "a\"b" , error="invalid_token""#, bearer("a\"b", "")),
            (r#"Negotiate, Basic realm="x", Bearer realm=y,service=z"#, bearer("y", "z")),
            (r#"Basic realm="x", charset="UTF-8""#, Some(Challenge::Basic)),
            (r#"Bearer realm="open"#, None),
            ("Bearer", None),
            ("Digest realm=\"x\"", None),
            ("", None),
            (",,,", None),
            ("=", None),
            ("Basic =x", Some(Challenge::Basic)),
        ] {
            assert_eq!(parse(header), want, "{header}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in "[BbearicRlmsv =,\"\\\\;é]{0,60}") {
            let _ = parse(&text);
        }
    }
}
