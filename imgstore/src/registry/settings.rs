//! What the machine says of registries: which may be spoken to without TLS, which mirrors there
//! are, how long to wait. `docs/registry.md` describes it.

use super::proxy::{Proxies, Proxy};
use super::url::Url;
use base::folders::Settings as File;
use base::{Error, Result};
use std::net::IpAddr;
#[cfg(feature = "tls")]
use std::path::PathBuf;
use std::time::Duration;

/// Seconds of silence, and of a connection that does not come about.
const PATIENCE: u64 = 30;

/// The settings of one command.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    insecure: Vec<String>,
    /// Of docker.io, in their order.
    pub(crate) mirrors: Vec<Url>,
    proxies: Proxies,
    /// How long a server may be silent.
    pub(crate) patience: Duration,
    /// Folders with certificates, the first that has one for a host counts.
    #[cfg(feature = "tls")]
    pub(crate) certificates: Vec<PathBuf>,
}

impl Settings {
    /// From the settings file and the environment.
    pub(crate) fn find(file: &File) -> Result<Self> {
        let list = |name: &str| match file.rest.get(name) {
            Some(raw) => raw.parse::<Vec<String>>().map_err(|e| e.context(name)),
            None => Ok(Vec::new()),
        };
        let variable = |name: &str| std::env::var(name).ok();
        let patience = variable("CORACLE_REGISTRY_PATIENCE").map(|text| text.parse::<u64>());
        let patience = match patience {
            None => PATIENCE,
            Some(Ok(seconds)) if (1..=3600).contains(&seconds) => seconds,
            Some(_) => {
                let text = "CORACLE_REGISTRY_PATIENCE: not a number of seconds from 1 to 3600";
                return Err(Error::bad_input(text));
            }
        };
        #[cfg(feature = "tls")]
        let certificates = match variable("CORACLE_CERTS") {
            Some(folder) => vec![PathBuf::from(folder)],
            None => ["/etc/coracle/certs.d", "/etc/docker/certs.d"].map(PathBuf::from).to_vec(),
        };
        let mirrors = list("registry-mirrors")?;
        let mirrors = mirrors.iter().map(|text| Url::parse(text)).collect::<Result<_>>()?;
        Ok(Self {
            insecure: list("insecure-registries")?,
            mirrors,
            proxies: Proxies::find(&variable)?,
            patience: Duration::from_secs(patience),
            #[cfg(feature = "tls")]
            certificates,
        })
    }

    /// Whether this server may be spoken to without TLS, or with a certificate of nobody's: as with
    /// docker those of this machine, and those that the settings name.
    pub(crate) fn is_insecure(&self, url: &Url) -> bool {
        let host = url.host();
        is_loopback(host)
            || self.insecure.iter().any(|text| *text == url.authority || in_network(text, host))
    }

    pub(crate) fn proxy_of(&self, url: &Url) -> Option<Proxy> {
        self.proxies.of(url)
    }
}

/// Whether it is this machine: by name, or an address of 127.0.0.0/8 or ::1.
pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether `ADDRESS/BITS` has this address in it.
pub(crate) fn in_network(network: &str, host: &str) -> bool {
    let Some((first, bits)) = network.split_once('/') else {
        return false;
    };
    let number = |address: IpAddr| match address {
        IpAddr::V4(four) => (32, u128::from(u32::from(four))),
        IpAddr::V6(six) => (128, u128::from(six)),
    };
    let (Ok(first), Ok(host), Ok(bits)) =
        (first.parse().map(number), host.parse().map(number), bits.parse::<u32>())
    else {
        return false;
    };
    let (width, first) = first;
    let shift = width - bits.min(width);
    width == host.0 && bits <= width && (shift == 128 || first >> shift == host.1 >> shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        for (network, host, inside) in [
            ("10.0.0.0/8", "10.9.8.7", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("::/0", "::5", true),
            ("::/0", "1.2.3.4", false),
            ("fe80::/10", "fe80::1", true),
            ("192.168.1.1/32", "192.168.1.1", true),
            ("192.168.1.1/33", "192.168.1.1", false),
            ("10.0.0.0/8", "name", false),
            ("10.0.0.0", "10.0.0.0", false),
        ] {
            assert_eq!(in_network(network, host), inside, "{network} {host}");
        }
    }

    #[test]
    fn insecure_registries() {
        let text = br#"{"insecure-registries":["reg.example:5000","10.0.0.0/8"]}"#;
        let file: File = base::json::parse(text).unwrap();
        let settings = Settings::find(&file).unwrap();
        for (authority, insecure) in [
            ("reg.example:5000", true),
            ("reg.example", false),
            ("10.1.1.1:5000", true),
            ("127.0.0.1:5000", true),
            ("127.9.9.9", true),
            ("localhost:5000", true),
            ("[::1]:5000", true),
            ("localhost.evil.example", false),
            ("128.0.0.1", false),
        ] {
            let url = Url::parse(&["http://", authority].concat()).unwrap();
            assert_eq!(settings.is_insecure(&url), insecure, "{authority}");
        }
    }
}
