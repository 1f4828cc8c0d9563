//! Texts of others within our own: without what would draw on a terminal, and in quotes.

use super::hex;

/// A text in quotes, as Go's `%q` writes it: quotes, backslashes and what cannot be seen are escaped.
pub fn quoted(text: &str) -> String {
    ["\"", &escaped(text), "\""].concat()
}

/// The same without the quotes around it.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_unseen(c) => {
                // All of them are below U+10000.
                let bytes = (c as u32).to_be_bytes();
                let (mark, from) = if c.is_ascii() { ("\\x", 3) } else { ("\\u", 2) };
                out.extend([mark, &hex::encode(&bytes[from..])]);
            }
            c => out.push(c),
        }
    }
    out
}

/// Control characters, and those that change the direction of what follows.
fn is_unseen(c: char) -> bool {
    let turns =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || c == '\u{feff}'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_escaped() {
        assert_eq!(quoted("a \"b\" \\ é"), "\"a \\\"b\\\" \\\\ é\"");
        assert_eq!(quoted("\u{1b}[2J\n\t\r\u{9b}"), "\"\\x1b[2J\\n\\t\\r\\u009b\"");
        assert_eq!(escaped("txt.\u{202e}exe"), "txt.\\u202eexe");
    }
}
