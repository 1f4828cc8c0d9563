//! `Link: </v2/_catalog?last=x&n=100>; rel="next"`: where a list goes on (RFC 8288).

/// The address of the next page.
pub(crate) fn next(header: &str) -> Option<&str> {
    let mut rest = header;
    loop {
        let (_, after) = rest.split_once('<')?;
        let (address, after) = after.split_once('>')?;
        // The parameters end at a comma outside of quotes.
        let mut quoted = false;
        let end = after.bytes().position(|c| {
            quoted ^= c == b'"';
            c == b',' && !quoted
        });
        let parameters = &after[..end.unwrap_or(after.len())];
        let is_next = parameters.split(';').any(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or_default();
            let value = value.trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("rel")
                && value.split(' ').any(|word| word.eq_ignore_ascii_case("next"))
        });
        if is_next {
            return Some(address);
        }
        rest = &after[end?..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pages() {
        for (header, want) in [
            ("</v2/_catalog?last=x&n=1>; rel=\"next\"", Some("/v2/_catalog?last=x&n=1")),
            ("<a>; rel=prev, <b>; title=\"x, <c>\"; rel=\"last next\"", Some("b")),
            ("<a>; REL=Next", Some("a")),
            ("<a>", None),
            ("<a", None),
            ("", None),
            ("<a>; rel=\"next", Some("a")),
            ("<a>; rel=nextish", None),
        ] {
            assert_eq!(next(header), want, "{header}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in "[<>;,=\" a-z]{0,60}") {
            let _ = next(&text);
        }
    }
}
