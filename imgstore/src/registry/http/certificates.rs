//! Whom to trust: the system's roots, and what `certs.d/HOST[:PORT]/` has for one server.
//!
//! As with docker `*.crt` there are more roots, and `NAME.cert` with `NAME.key` says who we are.

use crate::registry::settings::Settings;
use crate::registry::url::Url;
use base::files::read_capped;
use base::{Error, Kind, Result};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use ureq::tls::{Certificate, PemItem, PrivateKey, parse_pem};

/// Where systems keep their roots.
const SYSTEM: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
];
const CAP: usize = 4 << 20;

/// What is known for one server.
pub(super) struct Known {
    pub(super) roots: Vec<Certificate<'static>>,
    /// Some of them are for this server alone.
    pub(super) has_own_roots: bool,
    pub(super) client: Option<(Vec<Certificate<'static>>, PrivateKey<'static>)>,
}

/// Reads it.
pub(super) fn find(
    settings: &Settings,
    url: &Url,
    provider: &Arc<CryptoProvider>,
) -> Result<Known> {
    let mut known = Known { roots: system()?, has_own_roots: false, client: None };
    let folders = settings.certificates.iter().map(|folder| folder.join(&url.authority));
    let Some(folder) = folders.into_iter().find(|folder| folder.is_dir()) else {
        return Ok(known);
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(|e| Error::os("read", &folder.display(), e))? {
        files.extend(entry.map(|entry| entry.path()).ok());
    }
    files.sort_unstable();
    let ends = |path: &PathBuf, end: &str| path.extension().is_some_and(|name| name == end);
    for path in files.iter().filter(|path| ends(path, "crt")) {
        let (certificates, _) = read(path)?;
        known.roots.extend(certificates);
        known.has_own_roots = true;
    }
    if let Some(path) = files.iter().find(|path| ends(path, "cert")) {
        let key = path.with_extension("key");
        let (chain, _) = read(path)?;
        let key = read(&key)?.1.ok_or_else(|| wrong(&key, "no private key is in it"))?;
        check(&chain, &key, provider).map_err(|e| wrong(path, &e.to_string()))?;
        known.client = Some((chain, key));
    }
    Ok(known)
}

fn wrong(path: &Path, why: &str) -> Error {
    Error::bad_input([&path.display().to_string(), ": ", why].concat())
}

fn system() -> Result<Vec<Certificate<'static>>> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let all = named.into_iter().chain(SYSTEM.map(PathBuf::from));
    for path in all {
        match read(&path) {
            Ok((certificates, _)) => return Ok(certificates),
            Err(e) if e.kind() == Kind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(Vec::new())
}

fn read(path: &Path) -> Result<(Vec<Certificate<'static>>, Option<PrivateKey<'static>>)> {
    let text = read_capped(path, CAP)?;
    let (mut certificates, mut key) = (Vec::new(), None);
    for item in parse_pem(&text) {
        match item.map_err(|e| wrong(path, &e.to_string()))? {
            PemItem::Certificate(certificate) => certificates.push(certificate),
            PemItem::PrivateKey(found) => key = key.or(Some(found)),
            _ => {}
        }
    }
    Ok((certificates, key))
}

/// A key that is of no use, or of another certificate, is found out here and not in a handshake.
fn check(
    chain: &[Certificate<'static>],
    key: &PrivateKey<'static>,
    provider: &Arc<CryptoProvider>,
) -> std::result::Result<(), rustls::Error> {
    let chain: Vec<CertificateDer<'static>> =
        chain.iter().map(|one| CertificateDer::from(one.der().to_vec())).collect();
    let key = PrivateKeyDer::try_from(key.der().to_vec())
        .map_err(|why| rustls::Error::General(why.to_owned()))?;
    if chain.is_empty() {
        return Err(rustls::Error::NoCertificatesPresented);
    }
    rustls::sign::CertifiedKey::from_der(chain, key, provider).map(drop)
}
