//! Request and response heads, from bytes to values.
//!
//! Pure functions over the bytes of one head; `Input` finds where it ends. Strict on purpose, since
//! two programs that read one head differently are an attack: lines end with CR LF, no control
//! characters, no folded lines, no space before a colon, one Host, one Content-Length, never a
//! length and chunks together, HTTP/1.0 and 1.1 only, at most 100 headers in at most 64 KiB. What
//! is accepted here is accepted by httparse with the same meaning (a test compares them).

use crate::input::Input;
use crate::target::{self, ApiVersion};
use base::error::{Error, Result};

/// The most headers a head may have.
pub const HEADER_CAP: usize = 100;

/// What a request wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

/// Names of the methods.
const METHODS: [(&str, Method); 7] = [
    ("GET", Method::Get),
    ("HEAD", Method::Head),
    ("POST", Method::Post),
    ("PUT", Method::Put),
    ("PATCH", Method::Patch),
    ("DELETE", Method::Delete),
    ("OPTIONS", Method::Options),
];

impl Method {
    /// As it stands in a head.
    pub fn name(self) -> &'static str {
        METHODS.iter().find(|(_, method)| *method == self).map_or("", |(name, _)| name)
    }
}

/// How long a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks, the last one empty.
    Chunked,
    /// All until the peer closes (answers only).
    UntilClose,
}

/// The headers of a head, in order, as one text.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    text: String,
    /// Start of the name, its end, start of the value, its end.
    lines: Vec<[u32; 4]>,
}

impl Headers {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines.iter().map(|[a, b, c, d]| {
            (&self.text[*a as usize..*b as usize], &self.text[*c as usize..*d as usize])
        })
    }

    /// The first of that name, in any case of letters.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Whether a comma-separated header of that name has this word.
    pub fn has_word(&self, name: &str, word: &str) -> bool {
        self.iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .any(|(_, value)| value.split(',').any(|w| w.trim().eq_ignore_ascii_case(word)))
    }

    /// The only one of that name; two are an error, even with equal values.
    fn only(&self, name: &str) -> Result<Option<&str>> {
        let mut all = self.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        let first = all.next().map(|(_, value)| value);
        match all.next() {
            None => Ok(first),
            Some((name, _)) => Err(bad("more than one header ", name)),
        }
    }
}

/// A request's head.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// What to do.
    pub method: Method,
    /// With what: decoded, without the version, absolute, without `.`, `..` and empty segments.
    pub path: String,
    /// The version that stood before the path.
    pub version: Option<ApiVersion>,
    /// Decoded, in order.
    pub query: Vec<(String, String)>,
    /// The headers.
    pub headers: Headers,
    /// What follows.
    pub body: BodyKind,
    /// Another request may follow on this connection.
    pub keep_alive: bool,
    /// The peer reads chunks (HTTP/1.1).
    pub chunks: bool,
    /// The client asks to leave HTTP (`Connection: Upgrade`).
    pub upgrade: bool,
    /// The client sends the body when it is told to (`Expect: 100-continue`).
    pub expects_continue: bool,
}

impl RequestHead {
    /// The last value of that name in the query.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Whether that name is in the query with anything but "", 0, no, false, none (docker's rule).
    pub fn flag(&self, name: &str) -> bool {
        let off =
            |v: &str| ["", "0", "no", "false", "none"].iter().any(|o| v.eq_ignore_ascii_case(o));
        self.query(name).is_some_and(|value| !off(value.trim()))
    }

    /// Reads the text of one head, its empty line included.
    pub fn parse(head: Vec<u8>) -> Result<RequestHead> {
        let (first, headers) = split(head)?;
        let mut words = headers.text[..first].split(' ');
        let (Some(method), Some(target), Some(protocol), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(Error::bad_input("read head: the first line is no request"));
        };
        let Some((_, method)) = METHODS.iter().find(|(name, _)| *name == method) else {
            return Err(bad("unknown method ", method));
        };
        let newer = newer(protocol)?;
        let (path, version, query) = target::parse(target)?;
        if newer && headers.only("host")?.is_none() {
            return Err(Error::bad_input("read head: no Host header"));
        }
        let body = match body_kind(&headers)? {
            BodyKind::UntilClose | BodyKind::Length(0) => BodyKind::None,
            BodyKind::Chunked if !newer => {
                return Err(Error::bad_input("read head: chunks in HTTP/1.0"));
            }
            kind => kind,
        };
        Ok(RequestHead {
            method: *method,
            path,
            version,
            query,
            body,
            keep_alive: newer && !headers.has_word("connection", "close"),
            chunks: newer,
            upgrade: newer
                && headers.has_word("connection", "upgrade")
                && headers.get("upgrade").is_some(),
            expects_continue: newer && headers.has_word("expect", "100-continue"),
            headers,
        })
    }
}

/// The next request of a connection; None when the client closed it between two of them.
pub fn read_request(input: &mut Input) -> Result<Option<RequestHead>> {
    match input.head()? {
        Some(head) => RequestHead::parse(head).map(Some),
        None => Ok(None),
    }
}

/// An answer's head.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// 200, 404, ...
    pub status: u16,
    /// The headers.
    pub headers: Headers,
    /// What follows.
    pub body: BodyKind,
    /// Another request may be sent on this connection.
    pub keep_alive: bool,
}

impl ResponseHead {
    /// Reads the text of one head; `to` is the method of the request that it answers.
    pub fn parse(head: Vec<u8>, to: Method) -> Result<ResponseHead> {
        let (first, headers) = split(head)?;
        let mut words = headers.text[..first].splitn(3, ' ');
        let (Some(protocol), Some(status)) = (words.next(), words.next()) else {
            return Err(Error::bad_input("read head: the first line is no answer"));
        };
        let newer = newer(protocol)?;
        let status = match status.parse::<u16>() {
            Ok(code @ 100..=599) if status.len() == 3 => code,
            _ => return Err(bad("bad status ", status)),
        };
        let kind = body_kind(&headers)?;
        let body = match status {
            _ if to == Method::Head => BodyKind::None,
            100..=199 | 204 | 304 => BodyKind::None,
            _ => kind,
        };
        let keep_alive = newer
            && !headers.has_word("connection", "close")
            && body != BodyKind::UntilClose
            && status != 101;
        Ok(ResponseHead { status, headers, body, keep_alive })
    }
}

/// The next answer of a connection; those that only say "go on" are skipped.
pub fn read_response(input: &mut Input, to: Method) -> Result<ResponseHead> {
    loop {
        match input.head()? {
            Some(head) => {
                let head = ResponseHead::parse(head, to)?;
                if head.status >= 200 || head.status == 101 {
                    return Ok(head);
                }
            }
            None => return Err(Error::other("read answer: the server closed the connection")),
        }
    }
}

/// `read head: WHAT"WORD"`, the word cut to a length that fits a line.
fn bad(what: &str, word: &str) -> Error {
    let word: String = word.chars().take(40).collect();
    Error::bad_input(["read head: ", what, "\"", &word, "\""].concat())
}

/// Whether it is HTTP/1.1 rather than 1.0.
fn newer(protocol: &str) -> Result<bool> {
    match protocol {
        "HTTP/1.1" => Ok(true),
        "HTTP/1.0" => Ok(false),
        other => Err(bad("unknown protocol ", other)),
    }
}

/// What the headers say of the body; without a word about it, `UntilClose`.
fn body_kind(headers: &Headers) -> Result<BodyKind> {
    let length = headers.only("content-length")?;
    match (headers.only("transfer-encoding")?, length) {
        (None, None) => Ok(BodyKind::UntilClose),
        (Some(_), Some(_)) => {
            Err(Error::bad_input("read head: Content-Length and Transfer-Encoding together"))
        }
        (Some(coding), None) if coding.eq_ignore_ascii_case("chunked") => Ok(BodyKind::Chunked),
        (Some(coding), None) => Err(bad("unknown Transfer-Encoding ", coding)),
        (None, Some(text)) => {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            match text.parse() {
                Ok(length) if digits => Ok(BodyKind::Length(length)),
                _ => Err(bad("bad Content-Length ", text)),
            }
        }
    }
}

/// Letters of a header's name.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The first line's length, and the headers after it.
fn split(head: Vec<u8>) -> Result<(usize, Headers)> {
    let Ok(text) = String::from_utf8(head) else {
        return Err(Error::bad_input("read head: not UTF-8"));
    };
    let mut lines = Vec::new();
    let mut first = None;
    let mut at = 0;
    for line in text.split_inclusive("\r\n") {
        let from = at;
        at += line.len();
        let Some(line) = line.strip_suffix("\r\n") else {
            return Err(Error::bad_input("read head: it ends within a line"));
        };
        if line.bytes().any(|b| (b < 0x20 && b != b'\t') || b == 0x7f) {
            return Err(Error::bad_input("read head: control character"));
        }
        if first.is_none() {
            first = Some(line.len());
        } else if line.is_empty() {
            break;
        } else {
            if lines.len() == HEADER_CAP {
                return Err(Error::bad_input("read head: more than 100 headers"));
            }
            lines.push(header(line, from)?);
        }
    }
    Ok((first.unwrap_or(0), Headers { text, lines }))
}

/// Where name and value of this line lie in the head, which has it at `from`.
fn header(line: &str, from: usize) -> Result<[u32; 4]> {
    let name = line.bytes().take_while(|b| is_token(*b)).count();
    if name == 0 || line.as_bytes().get(name) != Some(&b':') {
        return Err(bad("bad header line ", line));
    }
    let blank = |c| c == ' ' || c == '\t';
    let rest = &line[name + 1..];
    let value = from + line.len() - rest.trim_start_matches(blank).len();
    let end = value + rest.trim_matches(blank).len();
    Ok([from, from + name, value, end].map(|at| at as u32))
}
