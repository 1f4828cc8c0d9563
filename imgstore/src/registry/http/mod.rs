//! One request, one answer: [`Agent::fetch`]. What lies above it (redirects, credentials, retries,
//! ranges) is in [`super::session`], and does not know what is below.

mod plain;
pub(crate) mod socket;

use super::settings::Settings;
use super::url::Url;
use base::{Error, Result};
pub(crate) use base_http::Method;
use base_http::head::Headers;
use std::io::Read;

/// The largest document that is read whole.
pub(crate) const DOCUMENT_CAP: u64 = 4 << 20;

/// What a request carries.
pub(crate) enum Payload<'a> {
    None,
    /// Bytes of this type.
    Bytes(&'a str, &'a [u8]),
    /// So many bytes of this type.
    #[allow(dead_code, reason = "for push")]
    Stream(&'a str, u64, &'a mut dyn Read),
}

/// A request.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) url: &'a Url,
    /// Without Host, lengths and types.
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) payload: Payload<'a>,
}

/// An answer.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: Box<dyn Read + Send>,
    /// How long the body says that it is.
    pub(crate) length: Option<u64>,
}

impl Response {
    /// The whole body, at most so many bytes.
    pub(crate) fn whole(mut self, cap: u64) -> Result<Vec<u8>> {
        let large =
            || Error::bad_input(["answer larger than ", &cap.to_string(), " bytes"].concat());
        if self.length.is_some_and(|length| length > cap) {
            return Err(large());
        }
        let mut bytes = Vec::new();
        let read = (&mut self.body).take(cap + 1).read_to_end(&mut bytes);
        read.map_err(|e| Error::os("read", &"answer", e))?;
        if bytes.len() as u64 > cap { Err(large()) } else { Ok(bytes) }
    }
}

/// By https, unless it may be http: then whatever the server speaks.
pub(crate) fn choose_scheme(settings: &Settings, https: Url) -> Url {
    let https_only = !settings.is_insecure(&https);
    Url { https: https_only, ..https }
}

/// Who fetches for one server.
pub(crate) struct Agent<'a> {
    pub(crate) settings: &'a Settings,
}

impl Agent<'_> {
    /// Sends a request and reads the head of its answer.
    pub(crate) fn fetch(&self, request: Request<'_>) -> Result<Response> {
        if request.url.https {
            return Err(Error::unsupported([
                "https://", &request.url.authority,
                ": this program was built without TLS; registries that are reached by plain http are \
                 named in insecure-registries of daemon.json",
            ].concat()));
        }
        plain::fetch(self.settings, request)
    }
}
