//! The one error type: a kind that callers branch on, and one line of text.
//!
//! The text always carries the action and the object: `open /x/config.json: No such file or
//! directory`. The kind is what becomes an HTTP status or an exit code; a new one is added only
//! where a caller decides by it.

use rustix::io::Errno;
use std::fmt;
use std::io;
use std::path::Path;

/// The result of everything in the house that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// What a caller may want to decide by. HTTP statuses in brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Anything else (500).
    Other,
    /// The caller gave something that cannot be right (400).
    BadInput,
    /// Not allowed (403).
    Denied,
    /// There is no such thing (404).
    NotFound,
    /// It is in use, or there already (409).
    Conflict,
    /// It is already as asked (304).
    NotModified,
    /// The disk or the quota is full.
    NoSpace,
    /// The file system cannot be written.
    ReadOnly,
    /// The system lacks memory, descriptors or time at this moment: it says nothing of the object.
    Moment,
    /// Right, but not done here (501).
    Unsupported,
}

/// An error: a kind and one line. It is one word, so that every `Result` is small to hand on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(Box<Text>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Text {
    kind: Kind,
    message: String,
}

impl Error {
    /// An error of this kind with this text.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self::of(kind, message.into())
    }

    /// Out of line: it is in every path that fails.
    #[cold]
    #[inline(never)]
    fn of(kind: Kind, message: String) -> Self {
        Self(Box::new(Text { kind, message }))
    }

    /// An error nobody branches on.
    #[must_use]
    pub fn other(message: impl Into<String>) -> Self {
        Self::new(Kind::Other, message)
    }

    /// The input is wrong.
    #[must_use]
    pub fn bad_input(message: impl Into<String>) -> Self {
        Self::new(Kind::BadInput, message)
    }

    /// There is no such thing.
    #[must_use]
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    /// It is in use, or there already.
    #[must_use]
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, message)
    }

    /// Right, but not done here.
    #[must_use]
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(Kind::Unsupported, message)
    }

    /// What the system answered to `action` on `object`.
    #[must_use]
    pub fn os(action: &str, object: &dyn fmt::Display, errno: impl Into<io::Error>) -> Self {
        Self::from_io(action, &object.to_string(), &errno.into())
    }

    fn from_io(action: &str, object: &str, cause: &io::Error) -> Self {
        let kind = match cause.kind() {
            io::ErrorKind::NotFound => Kind::NotFound,
            io::ErrorKind::PermissionDenied => Kind::Denied,
            io::ErrorKind::AlreadyExists => Kind::Conflict,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::NoSpace,
            io::ErrorKind::ReadOnlyFilesystem => Kind::ReadOnly,
            _ if Errno::from_io_error(cause).is_some_and(is_of_the_moment) => Kind::Moment,
            _ => Kind::Other,
        };
        let mut message = String::with_capacity(action.len() + object.len() + 32);
        message.push_str(action);
        if !object.is_empty() {
            message.push(' ');
            message.push_str(object);
        }
        message.push_str(": ");
        message.push_str(&reason(cause));
        Self::of(kind, message)
    }

    /// The same error with `what: ` before its text.
    #[must_use]
    pub fn context(mut self, what: impl fmt::Display) -> Self {
        let mut text = what.to_string();
        text.push_str(": ");
        text.push_str(&self.0.message);
        self.0.message = text;
        self
    }

    /// The same text under another kind.
    #[must_use]
    pub fn with_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    /// What callers branch on.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The line.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

/// Whether the system only lacks something now, which says nothing of what it was asked about.
#[must_use]
pub fn is_of_the_moment(errno: Errno) -> bool {
    [Errno::NOMEM, Errno::MFILE, Errno::NFILE, Errno::INTR, Errno::AGAIN].contains(&errno)
}

/// The system's words, without Rust's `(os error 2)`.
#[must_use]
pub fn reason(cause: &io::Error) -> String {
    let mut text = cause.to_string();
    if let Some(at) = text.find(" (os error ") {
        text.truncate(at);
    }
    text
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {}

/// Turns what the system answers into an [`Error`] that names action and object.
pub trait OnError<T> {
    /// `action object: reason`.
    fn on(self, action: &str, object: impl fmt::Display) -> Result<T>;
    /// `action path: reason`.
    fn on_path(self, action: &str, path: &Path) -> Result<T>;
}

#[cold]
fn at_object(action: &str, object: &dyn fmt::Display, cause: &io::Error) -> Error {
    Error::from_io(action, &object.to_string(), cause)
}

impl<T> OnError<T> for std::result::Result<T, io::Error> {
    fn on(self, action: &str, object: impl fmt::Display) -> Result<T> {
        self.map_err(|e| at_object(action, &object, &e))
    }
    fn on_path(self, action: &str, path: &Path) -> Result<T> {
        self.map_err(|e| at_object(action, &path.display(), &e))
    }
}

impl<T> OnError<T> for std::result::Result<T, Errno> {
    fn on(self, action: &str, object: impl fmt::Display) -> Result<T> {
        self.map_err(|e| at_object(action, &object, &e.into()))
    }
    fn on_path(self, action: &str, path: &Path) -> Result<T> {
        self.map_err(|e| at_object(action, &path.display(), &e.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_names_action_object_and_reason() {
        let e = Err::<(), _>(Errno::NOENT).on("open", "/x/config.json").unwrap_err();
        assert_eq!(e.to_string(), "open /x/config.json: No such file or directory");
        assert_eq!(e.kind(), Kind::NotFound);
        assert_eq!(e.context("create web").to_string().split(':').next(), Some("create web"));
    }

    #[test]
    fn kinds_of_errnos() {
        for (errno, kind) in [
            (Errno::NOSPC, Kind::NoSpace),
            (Errno::DQUOT, Kind::NoSpace),
            (Errno::ROFS, Kind::ReadOnly),
            (Errno::ACCESS, Kind::Denied),
            (Errno::PERM, Kind::Denied),
            (Errno::EXIST, Kind::Conflict),
            (Errno::IO, Kind::Other),
            (Errno::NOMEM, Kind::Moment),
            (Errno::MFILE, Kind::Moment),
            (Errno::NFILE, Kind::Moment),
            (Errno::INTR, Kind::Moment),
        ] {
            assert_eq!(Error::os("write", &"x", errno).kind(), kind, "{errno}");
        }
    }
}
