//! One request, one answer: [`Agent::fetch`]. What lies above it (redirects, credentials, retries,
//! ranges) is in [`super::session`], and does not know what is below: with the feature `tls` it is
//! ureq, for https and http, without it base/http, for http alone.

#[cfg(feature = "tls")]
mod certificates;
mod plain;
mod socket;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod watch;

use super::settings::Settings;
use super::url::Url;
#[cfg(feature = "tls")]
use base::Kind;
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
        let read = base::read::at_most(&mut self.body, cap + 1, &mut bytes);
        read.map_err(|e| Error::os("read", &"answer", e))?;
        if bytes.len() as u64 > cap { Err(large()) } else { Ok(bytes) }
    }
}

/// Who fetches for one registry.
pub(crate) struct Agent<'a> {
    pub(crate) settings: &'a Settings,
    #[cfg(feature = "tls")]
    agents: tls::Agents,
}

impl<'a> Agent<'a> {
    pub(crate) fn new(settings: &'a Settings) -> Self {
        Agent {
            settings,
            #[cfg(feature = "tls")]
            agents: tls::Agents::new(),
        }
    }

    /// By https, unless it may be http: then what the server speaks. Servers that speak https say so
    /// to a request by http, while one that speaks http may wait for the end of a line.
    #[cfg(feature = "tls")]
    pub(crate) fn choose_scheme(&self, https_url: Url) -> Url {
        if !self.settings.is_insecure(&https_url) {
            return https_url;
        }
        let probe = |https: bool| {
            let url = Url { https, target: "/v2/".to_owned(), ..https_url.clone() };
            let payload = Payload::None;
            self.fetch(Request { method: Method::Get, url: &url, headers: &[], payload })
        };
        let perhaps = match probe(false) {
            Ok(answer) => {
                let to = answer.headers.get("location").unwrap_or_default();
                answer.status == 400 || answer.status / 100 == 3 && to.starts_with("https://")
            }
            // No answer by http at all. Another failure would be one by https too.
            Err(e) => e.kind() == Kind::BadInput,
        };
        // A certificate that is refused is one.
        let is_https = perhaps
            && match probe(true) {
                Ok(_) => true,
                Err(e) => e.kind() == Kind::Unsupported,
            };
        Url { https: is_https, ..https_url }
    }

    /// By https, unless it may be http.
    #[cfg(not(feature = "tls"))]
    pub(crate) fn choose_scheme(&self, https: Url) -> Url {
        let https_only = !self.settings.is_insecure(&https);
        Url { https: https_only, ..https }
    }

    /// Sends a request and reads the head of its answer.
    #[cfg(feature = "tls")]
    pub(crate) fn fetch(&self, request: Request<'_>) -> Result<Response> {
        // ureq would ask the proxy for a tunnel, which proxies grant to port 443 alone.
        if !request.url.https && self.settings.proxy_of(request.url).is_some() {
            return plain::fetch(self.settings, request);
        }
        tls::fetch(&self.agents, self.settings, request)
    }

    /// Sends a request and reads the head of its answer.
    #[cfg(not(feature = "tls"))]
    pub(crate) fn fetch(&self, request: Request<'_>) -> Result<Response> {
        if request.url.https {
            return Err(Error::unsupported(
                [
                    "this program was built without TLS, and reaches ",
                    &request.url.authority,
                    " only if insecure-registries of daemon.json names it",
                ]
                .concat(),
            ));
        }
        plain::fetch(self.settings, request)
    }
}
