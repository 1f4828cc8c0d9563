//! What registries say when they say no: `{"errors":[{"code":"DENIED","message":"…"}]}`.

use super::http::Response;
use base::{Error, Kind, json, json_object};

json_object! {
    #[derive(Default)]
    struct Said {
        "errors" => errors: Vec<One>,
        // Token servers of some makers.
        "details" => details: String,
    }
}

json_object! {
    #[derive(Default)]
    struct One {
        "code" => code: String,
        "message" => message: String,
    }
}

/// At most so much of a server's words is shown.
const SHOWN: usize = 300;

/// The error that this answer is, in docker's words: `manifest unknown: manifest unknown`.
pub(crate) fn of(response: Response) -> Error {
    let status = response.status;
    let kind = match status {
        401 | 403 => Kind::Denied,
        404 => Kind::NotFound,
        _ => Kind::Other,
    };
    let retry = response.headers.get("retry-after").map(str::to_owned);
    let body = response.whole(64 << 10).unwrap_or_default();
    let said: Said = json::parse(&body).unwrap_or_default();
    let text = match said.errors.first() {
        Some(One { code, message }) if !code.is_empty() || !message.is_empty() => {
            let code = code.to_ascii_lowercase().replace('_', " ");
            let colon = if code.is_empty() || message.is_empty() { "" } else { ": " };
            [&code, colon, message].concat()
        }
        _ if !said.details.is_empty() => said.details,
        _ => match (status, retry) {
            (401, _) => String::from("unauthorized: authentication required"),
            (429, Some(after)) => ["toomanyrequests: again in ", &after, " seconds"].concat(),
            (429, None) => String::from("toomanyrequests"),
            _ => ["the registry answered with status ", &status.to_string()].concat(),
        },
    };
    Error::new(kind, text.chars().filter(|c| !c.is_control()).take(SHOWN).collect::<String>())
}
