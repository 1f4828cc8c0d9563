//! Percent encoding of paths and queries.

/// The text behind `%41` and, in a query, `+`. `None` when an escape is broken or the outcome is
/// not UTF-8 or holds a NUL.
#[must_use]
pub fn decode(text: &str, query: bool) -> Option<String> {
    let digit = |c: u8| char::from(c).to_digit(16).map(|d| d as u8);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(c) = rest.next() {
        bytes.push(match c {
            b'%' => digit(rest.next()?)? << 4 | digit(rest.next()?)?,
            b'+' if query => b' ',
            c => c,
        });
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

/// Escapes everything that could mean something in a path or a query.
#[must_use]
pub fn encode(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    for c in text.bytes() {
        if c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(c));
        } else {
            out.push('%');
            out.push(char::from(DIGITS[usize::from(c >> 4)]));
            out.push(char::from(DIGITS[usize::from(c & 15)]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn broken_escapes_are_refused() {
        assert_eq!(decode("a%20b+c", true).as_deref(), Some("a b c"));
        assert_eq!(decode("a+c", false).as_deref(), Some("a+c"));
        for text in ["%", "%4", "%zz", "%ff", "%00", "%+1"] {
            assert_eq!(decode(text, false), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(text in "[^\0]*") {
            let encoded = encode(&text);
            prop_assert_eq!(decode(&encoded, true), Some(text.clone()));
            prop_assert_eq!(decode(&encoded, false), Some(text));
        }
    }
}
