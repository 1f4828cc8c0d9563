//! The pull reader: a position in a byte slice and calls that take the next value.
//!
//! On an error the position stays where it was found, and each level that the error passes adds
//! its name to the path: the good case pays nothing for good messages.

use super::bad;
use super::fields::{Member, Object};
use crate::{Error, Result};
use std::borrow::Cow;

/// How deep values may nest.
pub const DEPTH: u32 = 64;

/// Reads values one after another.
pub struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    depth: u32,
    path: String,
}

impl<'a> Reader<'a> {
    /// A reader of one document.
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, depth: 0, path: String::new() }
    }

    /// The next byte that is not white space, left where it is; 0 at the end.
    pub fn peek(&mut self) -> u8 {
        while let Some(&c) = self.text.get(self.at) {
            if !matches!(c, b' ' | b'\t' | b'\n' | b'\r') {
                return c;
            }
            self.at += 1;
        }
        0
    }

    /// Takes `null` if it is next.
    pub fn null(&mut self) -> bool {
        self.peek() == b'n' && self.word(b"null")
    }

    /// Takes `true` or `false`.
    pub fn boolean(&mut self) -> Result<bool> {
        match self.peek() {
            b't' if self.word(b"true") => Ok(true),
            b'f' if self.word(b"false") => Ok(false),
            _ => Err(bad("expected true or false")),
        }
    }

    fn word(&mut self, word: &[u8]) -> bool {
        let found = self.text[self.at..].starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    /// Takes a number and gives its text, which follows JSON's grammar.
    pub fn number(&mut self) -> Result<&'a str> {
        self.peek();
        let start = self.at;
        let mut at = start;
        let byte = |at: usize| self.text.get(at).copied().unwrap_or(0);
        let digits = |mut at: usize| {
            while byte(at).is_ascii_digit() {
                at += 1;
            }
            at
        };
        if byte(at) == b'-' {
            at += 1;
        }
        let whole = at;
        at = digits(at);
        let mut good = at > whole && (byte(whole) != b'0' || at == whole + 1);
        if byte(at) == b'.' {
            let end = digits(at + 1);
            good &= end > at + 1;
            at = end;
        }
        if matches!(byte(at), b'e' | b'E') {
            at += 1;
            if matches!(byte(at), b'+' | b'-') {
                at += 1;
            }
            let end = digits(at);
            good &= end > at;
            at = end;
        }
        if !good {
            return Err(bad("expected number"));
        }
        let text =
            std::str::from_utf8(&self.text[start..at]).map_err(|_| bad("expected number"))?;
        self.at = at;
        Ok(text)
    }

    /// Takes a whole number between `low` and `high`.
    pub(super) fn integer(&mut self, low: i128, high: i128) -> Result<i128> {
        let start = self.at;
        let text = self.number()?;
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        // 64 bits have 20 digits at most; only whole numbers have digits alone.
        let value = if digits.len() <= 20 { digits.parse::<u128>().ok() } else { None };
        let value = value.and_then(|v| i128::try_from(v).ok());
        let value = value.map(|v| if negative { -v } else { v });
        match value {
            Some(v) if (low..=high).contains(&v) => Ok(v),
            _ => {
                self.at = start;
                self.peek();
                Err(bad(if digits.bytes().all(|c| c.is_ascii_digit()) {
                    "number out of range"
                } else {
                    "expected whole number"
                }))
            }
        }
    }

    /// Takes a string; it is borrowed when it holds no escapes.
    pub fn string(&mut self) -> Result<Cow<'a, str>> {
        if self.peek() != b'"' {
            return Err(bad("expected string"));
        }
        let start = self.at + 1;
        let mut at = start;
        loop {
            match self.text.get(at) {
                Some(b'"') => {
                    let text = utf8(&self.text[start..at])?;
                    self.at = at + 1;
                    return Ok(Cow::Borrowed(text));
                }
                Some(b'\\') => break,
                Some(0..0x20) => return Err(bad("control character in string")),
                Some(_) => at += 1,
                None => return Err(bad("unfinished string")),
            }
        }
        let mut out = String::from(utf8(&self.text[start..at])?);
        loop {
            let plain = at;
            while !matches!(self.text.get(at), None | Some(b'"' | b'\\' | 0..0x20)) {
                at += 1;
            }
            out.push_str(utf8(&self.text[plain..at])?);
            match self.text.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(Cow::Owned(out));
                }
                Some(b'\\') => {
                    let (c, next) = self.escape(at + 1)?;
                    out.push(c);
                    at = next;
                }
                Some(_) => return Err(bad("control character in string")),
                None => return Err(bad("unfinished string")),
            }
        }
    }

    /// One escape, from behind its backslash: the character and where the text goes on.
    fn escape(&self, at: usize) -> Result<(char, usize)> {
        let c = match self.text.get(at) {
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(&c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'u') => {
                let first = self.hex4(at + 1)?;
                if !(0xd800..0xe000).contains(&first) {
                    let c = char::from_u32(first).ok_or_else(|| bad("wrong escape"))?;
                    return Ok((c, at + 5));
                }
                let second = match self.text.get(at + 5..at + 7) {
                    Some(b"\\u") => self.hex4(at + 7)?,
                    _ => 0,
                };
                if first >= 0xdc00 || !(0xdc00..0xe000).contains(&second) {
                    return Err(bad("half of a surrogate pair in string"));
                }
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                let c = char::from_u32(code).ok_or_else(|| bad("wrong escape"))?;
                return Ok((c, at + 11));
            }
            _ => return Err(bad("wrong escape in string")),
        };
        Ok((c, at + 1))
    }

    fn hex4(&self, at: usize) -> Result<u32> {
        let digits = self.text.get(at..at + 4).ok_or_else(|| bad("unfinished string"))?;
        let mut value = 0;
        for &digit in digits {
            let digit = char::from(digit).to_digit(16);
            value = value * 16 + digit.ok_or_else(|| bad("wrong escape in string"))?;
        }
        Ok(value)
    }

    fn enter(&mut self, open: u8, expected: &str) -> Result<()> {
        if self.peek() != open {
            return Err(bad(expected));
        }
        if self.depth == DEPTH {
            return Err(bad("nested too deep"));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// Between two elements: whether another follows (`close` is taken when none does).
    fn another(&mut self, first: bool, close: u8, expected: &str) -> Result<bool> {
        match self.peek() {
            c if c == close => {
                self.at += 1;
                self.depth -= 1;
                Ok(false)
            }
            b',' if !first => {
                self.at += 1;
                if self.peek() == close { Err(bad("comma before the end")) } else { Ok(true) }
            }
            0 if self.at >= self.text.len() => Err(bad("unfinished document")),
            _ if first => Ok(true),
            _ => Err(bad(expected)),
        }
    }

    /// Takes an array; `element` takes each of its values.
    pub fn array(&mut self, element: &mut dyn FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.enter(b'[', "expected array")?;
        let mut count = 0usize;
        while self.another(count == 0, b']', "expected comma or ]")? {
            if let Err(e) = element(self) {
                let index = count.to_string();
                return Err(self.inside(&["[", &index, "]"], e));
            }
            count += 1;
        }
        Ok(())
    }

    /// Takes an object; `member` gets each name and takes its value.
    pub fn members(&mut self, member: &mut dyn FnMut(&mut Self, &str) -> Result<()>) -> Result<()> {
        self.enter(b'{', "expected object")?;
        let mut first = true;
        while self.another(first, b'}', "expected comma or }")? {
            first = false;
            let name = self.string()?;
            if self.peek() != b':' {
                return Err(bad("expected colon"));
            }
            self.at += 1;
            self.peek();
            if let Err(e) = member(self, &name) {
                return Err(self.inside(&[".", &name], e));
            }
        }
        Ok(())
    }

    /// Takes an object into the slots of a struct; see [`crate::json_object!`].
    pub fn object(&mut self, object: &mut dyn Object) -> Result<()> {
        if self.null() {
            return Ok(());
        }
        let table = object.table();
        let mut seen = [0u64; 4];
        // Our own documents have their members in the table's order: each is found at once.
        let mut next = 0;
        self.members(&mut |r, name| {
            let (before, from) = table.split_at(next);
            let find = |part: &[Member]| part.iter().position(|m| m.name().0 == name);
            let Some(at) = find(from).map(|at| next + at).or_else(|| find(before)) else {
                return match object.rest_mut() {
                    Some(rest) => rest.take(name, r),
                    None => r.skip(),
                };
            };
            next = at + 1;
            let bit = 1u64 << (at % 64);
            if let Some(word) = seen.get_mut(at / 64) {
                if *word & bit != 0 {
                    return Err(bad("key occurs twice"));
                }
                *word |= bit;
            }
            match object.slot(at) {
                Some(_) if r.null() => Ok(()),
                Some(slot) => slot.fill(r),
                None => r.skip(),
            }
        })
    }

    /// Takes any value and forgets it.
    pub fn skip(&mut self) -> Result<()> {
        match self.peek() {
            b'{' => self.members(&mut |r, _| r.skip()),
            b'[' => self.array(&mut |r| r.skip()),
            b'"' => self.string().map(|_| ()),
            b't' | b'f' => self.boolean().map(|_| ()),
            b'n' if self.null() => Ok(()),
            b'-' | b'0'..=b'9' => self.number().map(|_| ()),
            0 if self.at >= self.text.len() => Err(bad("unfinished document")),
            _ => Err(bad("expected a value")),
        }
    }

    /// Takes any value and gives its text.
    pub fn text_of_value(&mut self) -> Result<&'a str> {
        self.peek();
        let start = self.at;
        self.skip()?;
        utf8(&self.text[start..self.at])
    }

    pub(super) fn end(&mut self) -> Result<()> {
        self.peek();
        if self.at == self.text.len() { Ok(()) } else { Err(bad("text after the end")) }
    }

    fn inside(&mut self, name: &[&str], e: Error) -> Error {
        // A hostile document may have long names and many levels: the message stays one line.
        if self.path.len() < 256 {
            let mut name = name.concat();
            if name.len() > 64 {
                name = name.chars().take(60).collect();
                name.push('…');
            }
            self.path.insert_str(0, &name);
        }
        e
    }

    /// The error with the place where it was found.
    pub(super) fn locate(&self, e: &Error) -> Error {
        let path = self.path.strip_prefix('.').unwrap_or(&self.path);
        let space = if path.is_empty() { "" } else { " " };
        let at = self.at;
        Error::new(e.kind(), format!("{path}{space}at offset {at}: {e}"))
    }
}

fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| bad("text is not UTF-8"))
}
