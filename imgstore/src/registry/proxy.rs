//! Proxies by environment: HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in either case of letters.
//!
//! HTTP_PROXY in capitals is not heeded where a web server would set it from a request's header
//! (REQUEST_METHOD is set): CVE-2016-5385.

use super::url::Url;
use base::text::part::contains;
use base::text::{base64, percent};
use base::{Error, Result};

/// A proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proxy {
    pub(crate) url: Url,
    /// The value of Proxy-Authorization.
    pub(crate) authorization: Option<String>,
    /// `http://[NAME:PASSWORD@]HOST:PORT`.
    #[cfg(feature = "tls")]
    pub(crate) text: String,
}

/// What the environment says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    none: Vec<String>,
}

impl Proxies {
    /// From the environment.
    pub(crate) fn find(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let either = |name: &str| {
            let found = variable(&name.to_ascii_lowercase()).or_else(|| variable(name));
            found.filter(|value| !value.is_empty())
        };
        let cgi = variable("REQUEST_METHOD").is_some();
        let http = if cgi { variable("http_proxy") } else { either("HTTP_PROXY") };
        let read = |text: Option<String>| text.as_deref().map(parse).transpose();
        let none = either("NO_PROXY").unwrap_or_default();
        let words = none.split([',', ' ']).map(|word| word.trim().to_ascii_lowercase());
        Ok(Self {
            http: read(http)?,
            https: read(either("HTTPS_PROXY"))?,
            none: words.filter(|word| !word.is_empty()).collect(),
        })
    }

    /// The proxy for an address.
    pub(crate) fn of(&self, url: &Url) -> Option<Proxy> {
        let proxy = if url.https { self.https.as_ref() } else { self.http.as_ref() }?;
        (!self.is_exempt(url)).then(|| proxy.clone())
    }

    fn is_exempt(&self, url: &Url) -> bool {
        let host = url.host();
        // As Go has it: this machine never needs one.
        if super::settings::is_loopback(host) {
            return true;
        }
        let port = url.port().to_string();
        self.none.iter().any(|word| {
            if word == "*" {
                return true;
            }
            let (name, wanted) = match word.rsplit_once(':') {
                Some((name, port)) if !name.contains(':') => (name, Some(port)),
                _ => (word.as_str(), None),
            };
            if wanted.is_some_and(|wanted| wanted != port) {
                return false;
            }
            if super::settings::in_network(name, host) {
                return true;
            }
            let bare = name.trim_start_matches("*.").trim_start_matches('.');
            let below = host.strip_suffix(bare).is_some_and(|rest| rest.ends_with('.'));
            below || host == bare && !name.starts_with('.')
        })
    }
}

fn parse(text: &str) -> Result<Proxy> {
    let text = if contains(text, "://") { text.to_owned() } else { ["http://", text].concat() };
    let Some(rest) = text.strip_prefix("http://") else {
        return Err(Error::unsupported("proxy: only proxies that are spoken to by http are known"));
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (user, host) = match rest[..end].rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, &rest[..end]),
    };
    let url = Url::parse(&["http://", host].concat())?;
    let decoded = user.and_then(|user| {
        let (name, secret) = user.split_once(':').unwrap_or((user, ""));
        Some([&percent::decode(name, false)?, ":", &percent::decode(secret, false)?].concat())
    });
    let basic = |text: String| ["Basic ", &base64::encode(text.as_bytes())].concat();
    Ok(Proxy {
        url,
        authorization: decoded.map(basic),
        #[cfg(feature = "tls")]
        text: ["http://", &rest[..end]].concat(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &'static [(&'static str, &'static str)]) -> Proxies {
        let find = |name: &str| {
            pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Proxies::find(&find).unwrap()
    }

    #[test]
    fn environment() {
        let proxies = with(&[
            ("HTTP_PROXY", "http://me:s%40cret@proxy.example:3128/"),
            ("https_proxy", "other:8080"),
            ("NO_PROXY", "local.example, .hidden.example,10.0.0.0/8,x.example:5000"),
        ]);
        let of = |text: &str| proxies.of(&Url::parse(text).unwrap());
        let http = of("http://reg.example/").unwrap();
        assert_eq!(http.url.authority, "proxy.example:3128");
        assert_eq!(http.authorization.unwrap(), format!("Basic {}", base64::encode(b"me:s@cret")));
        assert_eq!(of("https://reg.example/").unwrap().url.port(), 8080);
        for (text, used) in [
            ("http://local.example/", false),
            ("http://a.local.example/", false),
            ("http://notlocal.example/", true),
            ("http://hidden.example/", true),
            ("http://a.hidden.example/", false),
            ("http://10.1.2.3:5000/", false),
            ("http://11.1.2.3:5000/", true),
            ("http://x.example:5000/", false),
            ("http://x.example/", true),
            ("http://127.0.0.1:5000/", false),
            ("http://localhost/", false),
        ] {
            assert_eq!(of(text).is_some(), used, "{text}");
        }
        let cgi = with(&[("HTTP_PROXY", "evil:1"), ("REQUEST_METHOD", "GET")]);
        assert_eq!(cgi.of(&Url::parse("http://a/").unwrap()), None);
    }
}
