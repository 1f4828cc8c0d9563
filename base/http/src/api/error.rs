//! `{"message": ...}`: the body of every answer with a status of 400 or more.
//!
//! A status stands for one `base::error::Kind` and back; the tables below are the only place that
//! knows it.

use base::error::{Error, Kind};
use base::json_object;

json_object! {
    /// The body of an answer that says why not.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct ErrorMessage {
        /// One sentence for the user.
        "message" => pub message: String,
    }
}

/// The status that an error is answered with.
pub fn status_of(kind: Kind) -> u16 {
    match kind {
        Kind::BadInput => 400,
        Kind::Denied => 403,
        Kind::NotFound => 404,
        Kind::Conflict => 409,
        Kind::NotModified => 304,
        Kind::Unsupported => 501,
        _ => 500,
    }
}

/// The kind that a status of 300 or more stands for.
pub fn kind_of(status: u16) -> Kind {
    match status {
        304 => Kind::NotModified,
        400 => Kind::BadInput,
        401 | 403 => Kind::Denied,
        404 => Kind::NotFound,
        409 => Kind::Conflict,
        501 => Kind::Unsupported,
        _ => Kind::Other,
    }
}

/// The error that an answer with this status and body is: the body's message, or the body itself
/// when it is no such document.
pub fn read(status: u16, body: &[u8]) -> Error {
    let message = match base::json::parse::<ErrorMessage>(body) {
        Ok(said) if !said.message.is_empty() => said.message,
        _ => {
            let text = String::from_utf8_lossy(body);
            match text.trim() {
                "" => String::from("the server answered with status ") + &status.to_string(),
                text => text.to_string(),
            }
        }
    };
    Error::new(kind_of(status), message)
}
