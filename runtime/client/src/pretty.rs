//! JSON with line breaks: four spaces a level, as `docker inspect` prints it.
//!
//! Works on text, without understanding more than strings and brackets, so that members unknown
//! here are printed too.

/// The text with line breaks, without one at its end.
pub(crate) fn pretty(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0;
    let mut rest = json.trim();
    while let Some(c) = rest.chars().next() {
        let mut taken = c.len_utf8();
        match c {
            '"' => {
                taken = string(rest);
                out.push_str(&rest[..taken]);
            }
            '{' | '[' => {
                out.push(c);
                let inside = rest[1..].trim_start();
                if inside.starts_with(['}', ']']) {
                    out.push_str(&inside[..1]);
                    taken = rest.len() - inside.len() + 1;
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => out.push(c),
        }
        rest = &rest[taken..];
    }
    out
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    (0..depth).for_each(|_| out.push_str("    "));
}

/// The length of the string that this text begins with.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_as_serde_json_with_four_spaces() {
        let text = r#" {"a":[1,{"b":"x:{[,\"\\"}, [ ] ],"c":{ },"d":null,"ü":-1.5e3} "#;
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        let again: serde_json::Value = serde_json::from_str(&pretty(text)).unwrap();
        assert_eq!(value, again);
        let want = "{\n    \"a\": [\n        1,\n        {\n            \"b\": \
                    \"x:{[,\\\"\\\\\"\n        },\n        []\n    ],\n    \"c\": {},\n    \
                    \"d\": null,\n    \"ü\": -1.5e3\n}";
        assert_eq!(pretty(text), want);
        assert_eq!(pretty(&pretty(text)), want);
        // Text that is no JSON must not break it.
        for text in ["", "\"", "}}", "{\"a", "[", "{\"\\"] {
            pretty(text);
        }
    }
}
