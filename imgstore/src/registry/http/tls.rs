//! `fetch` by ureq, for https and http: one agent for each server, with the certificates that the
//! machine keeps for it.

use super::certificates;
use super::watch::Watched;
use super::{Payload, Request, Response};
use crate::registry::settings::Settings;
use crate::registry::url::Url;
use base::text::time;
use base::{Error, Kind, Result};
use base_http::head::ResponseHead;
use base_http::{BodyKind, Method};
use rustls::CertificateError;
use rustls::crypto::CryptoProvider;
use std::sync::{Arc, Mutex, PoisonError};
use ureq::SendBody;
use ureq::tls::{ClientCert, RootCerts, TlsConfig};

/// More than a record of TLS brings, and than a head may have.
const BUFFER: usize = 32 << 10;
const HEAD_CAP: usize = 24 << 10;

/// Agents by server.
pub(super) struct Agents(Mutex<Vec<(String, ureq::Agent)>>);

impl Agents {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    fn of(&self, settings: &Settings, url: &Url) -> Result<ureq::Agent> {
        let key = [url.scheme(), "://", &url.authority].concat();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, agent)) = known.iter().find(|(name, _)| *name == key) {
            return Ok(agent.clone());
        }
        let agent = make(settings, url)?;
        known.push((key, agent.clone()));
        Ok(agent)
    }
}

fn make(settings: &Settings, url: &Url) -> Result<ureq::Agent> {
    let patience = Some(settings.patience);
    let mut config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(super::super::USER_AGENT)
        .accept("")
        .input_buffer_size(BUFFER)
        .output_buffer_size(BUFFER)
        .max_response_header_size(HEAD_CAP)
        .max_idle_connections(3)
        .timeout_connect(patience)
        .timeout_per_read(patience)
        .timeout_per_write(patience)
        .timeout_recv_response(Some(settings.patience * 2))
        .proxy(None);
    if let Some(proxy) = settings.proxy_of(url) {
        let proxy = ureq::Proxy::new(&proxy.text);
        config = config.proxy(Some(proxy.map_err(|e| said(&e, url))?));
    }
    if url.https {
        config = config.tls_config(tls(settings, url)?);
    }
    Ok(config.build().new_agent())
}

fn tls(settings: &Settings, url: &Url) -> Result<TlsConfig> {
    let provider: Arc<CryptoProvider> = Arc::new(rustls::crypto::ring::default_provider());
    let known = certificates::find(settings, url, &provider)?;
    let client = known.client.map(|(chain, key)| ClientCert::new_with_certs(&chain, key));
    // One that anybody may have made is good enough for what may be spoken to without TLS, unless
    // somebody took the trouble to say which are right.
    let blind = settings.is_insecure(url) && !known.has_own_roots;
    Ok(TlsConfig::builder()
        .unversioned_rustls_crypto_provider(provider)
        .root_certs(RootCerts::Specific(Arc::new(known.roots)))
        .client_cert(client)
        .disable_verification(blind)
        .build())
}

pub(super) fn fetch(
    agents: &Agents,
    settings: &Settings,
    request: Request<'_>,
) -> Result<Response> {
    let agent = agents.of(settings, request.url)?;
    let method = request.method;
    let mut builder =
        ureq::http::Request::builder().method(method.name()).uri(request.url.to_string());
    for (name, value) in request.headers {
        builder = builder.header(*name, *value);
    }
    let length = match &request.payload {
        Payload::None => 0,
        Payload::Bytes(kind, bytes) => {
            builder = builder.header("Content-Type", *kind);
            bytes.len() as u64
        }
        Payload::Stream(kind, length, _) => {
            builder = builder.header("Content-Type", *kind);
            *length
        }
    };
    if !matches!(method, Method::Get | Method::Head) {
        builder = builder.header("Content-Length", length.to_string());
    }
    let wrong = |e: ureq::http::Error| Error::bad_input(["request: ", &e.to_string()].concat());
    let answer = match request.payload {
        Payload::None if matches!(method, Method::Get | Method::Head | Method::Delete) => {
            agent.run(builder.body(()).map_err(wrong)?)
        }
        Payload::None => agent.run(builder.body(&[][..]).map_err(wrong)?),
        Payload::Bytes(_, bytes) => agent.run(builder.body(bytes).map_err(wrong)?),
        Payload::Stream(_, _, reader) => {
            agent.run(builder.body(SendBody::from_reader(reader)).map_err(wrong)?)
        }
    };
    let answer = answer.map_err(|e| said(&e, request.url))?;
    // Read again, by the rules of base/http.
    let mut head = ["HTTP/1.1 ", answer.status().as_str(), " \r\n"].concat();
    for (name, value) in answer.headers() {
        let value = value.to_str().unwrap_or_default();
        for part in [name.as_str(), ": ", value, "\r\n"] {
            head.push_str(part);
        }
    }
    head.push_str("\r\n");
    let head = ResponseHead::parse(head.into_bytes(), method)?;
    let length = match head.body {
        BodyKind::None => Some(0),
        BodyKind::Length(length) => Some(length),
        BodyKind::Chunked | BodyKind::UntilClose => None,
    };
    let reader = answer.into_body().into_with_config().limit(u64::MAX).reader();
    let body = Box::new(Watched::new(reader, settings.patience));
    Ok(Response { status: head.status, headers: head.headers, body, length })
}

/// What went wrong, in the words of the other parts.
fn said(error: &ureq::Error, url: &Url) -> Error {
    match error {
        ureq::Error::Io(e) => match e.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(inner) => refused(inner),
            None => {
                let port = url.port().to_string();
                let what = ["connection to ", url.host(), ":", &port, ": "].concat();
                Error::other([&what, base::error::reason(e).as_str()].concat())
            }
        },
        ureq::Error::Rustls(inner) => refused(inner),
        ureq::Error::HostNotFound => {
            Error::not_found(["look up ", url.host(), ": no such host"].concat())
        }
        ureq::Error::LargeResponseHeader(..) | ureq::Error::Protocol(_) => {
            Error::bad_input(["read answer: ", &error.to_string()].concat())
        }
        other => Error::other(other.to_string()),
    }
}

/// A handshake that failed: trying again does not help.
fn refused(error: &rustls::Error) -> Error {
    let early = matches!(
        error,
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }
        )
    );
    let text = if early {
        let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |now| now.as_secs());
        too_early(now as i64, time::now().0)
    } else {
        ["tls: ", &error.to_string()].concat()
    };
    // Who speaks no TLS is not refused for its certificate.
    let no_tls = matches!(error, rustls::Error::InvalidMessage(_));
    Error::new(if no_tls { Kind::BadInput } else { Kind::Unsupported }, text)
}

/// With a clock that was never set, every certificate is one of the future.
fn too_early(now: i64, built: i64) -> String {
    let clock = time::rfc3339(now, 0);
    let unset = if built > now { ", before this program was built: set it first" } else { "" };
    ["tls: the certificate is not valid yet: the clock of this machine says ", &clock, unset]
        .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unset_clock_is_named() {
        let text = too_early(12, 1_700_000_000);
        assert!(text.contains("1970-01-01T00:00:12Z, before this program was built"), "{text}");
        assert!(!too_early(1_700_000_001, 1_700_000_000).contains("built"));
    }
}
