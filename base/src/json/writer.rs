//! The writer: text that grows, with commas where they belong. Go's spelling: no spaces.

use super::fields::Object;

/// Writes values one after another.
pub struct Writer {
    out: String,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self { out: String::new() }
    }

    pub(super) fn finish(self) -> String {
        self.out
    }

    /// Text that is JSON already.
    pub fn raw(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// A string with its quotes and escapes.
    pub fn string(&mut self, text: &str) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let special = |byte: &u8| matches!(byte, 0..0x20 | b'"' | b'\\' | 0x7f);
        self.out.push('"');
        let mut rest = text;
        while let Some(at) = rest.as_bytes().iter().position(special) {
            self.out.push_str(&rest[..at]);
            let code = rest.as_bytes()[at];
            match code {
                b'"' => self.out.push_str("\\\""),
                b'\\' => self.out.push_str("\\\\"),
                b'\n' => self.out.push_str("\\n"),
                b'\r' => self.out.push_str("\\r"),
                b'\t' => self.out.push_str("\\t"),
                code => {
                    self.out.push_str("\\u00");
                    self.out.push(char::from(HEX[usize::from(code >> 4)]));
                    self.out.push(char::from(HEX[usize::from(code & 15)]));
                }
            }
            rest = &rest[at + 1..];
        }
        self.out.push_str(rest);
        self.out.push('"');
    }

    /// A whole number.
    pub(super) fn integer(&mut self, negative: bool, mut value: u64) {
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                break;
            }
        }
        if negative {
            self.out.push('-');
        }
        self.out.extend(digits[at..].iter().map(|&c| char::from(c)));
    }

    /// An array of `count` elements.
    pub fn array(&mut self, count: usize, element: &mut dyn FnMut(&mut Self, usize)) {
        self.out.push('[');
        for at in 0..count {
            if at > 0 {
                self.out.push(',');
            }
            element(self, at);
        }
        self.out.push(']');
    }

    /// Begins an object; each member is then written by [`Writer::member`].
    pub fn begin_object(&mut self) {
        self.out.push('{');
    }

    /// The name of a member, whose value must follow.
    pub fn member(&mut self, name: &str) {
        if !self.out.ends_with('{') {
            self.out.push(',');
        }
        self.string(name);
        self.out.push(':');
    }

    /// Ends an object.
    pub fn end_object(&mut self) {
        self.out.push('}');
    }

    /// An object from the members of a struct; see [`crate::json_object!`].
    pub fn object(&mut self, object: &dyn Object) {
        self.begin_object();
        for (at, member) in object.table().iter().enumerate() {
            let Some(value) = object.value(at) else { continue };
            let (name, omit) = member.name();
            if omit && value.is_empty() {
                continue;
            }
            self.member(name);
            value.to_json(self);
        }
        if let Some(rest) = object.rest() {
            rest.write(self);
        }
        self.end_object();
    }
}
