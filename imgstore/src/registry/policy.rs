//! Which images are let in: containers' `policy.json`, as far as `reject`, `insecureAcceptAnything` and
//! `sigstoreSigned` with a key go.
//!
//! `/etc/coracle/policy.json`, else `/etc/containers/policy.json`; without either everything is let in, as
//! with docker. Of the entries of `transports.docker` the one with the longest name that fits counts:
//! `HOST/PATH:TAG`, `HOST/PATH`, the folders above, `HOST`, `*.DOMAIN`, the empty one; then `default`. What
//! such a file may ask for and we do not do is an error, never passed over.

use super::remote::Remote;
use crate::reference::Reference;
use base::files;
use base::json::{Raw, Rest};
use base::map::Map;
use base::{Error, Kind, Result, json, json_object};
use std::path::{Path, PathBuf};

const FILES: [&str; 2] = ["/etc/coracle/policy.json", "/etc/containers/policy.json"];

json_object! {
    /// The file.
    #[derive(Clone, Debug, Default)]
    struct File {
        "default" => default: Vec<Entry>,
        "transports" ? => transports: Map<String, Map<String, Vec<Entry>>>,
        ..rest: Rest,
    }
}

json_object! {
    /// One requirement.
    #[derive(Clone, Debug, Default)]
    struct Entry {
        "type" => kind: String,
        "keyPath" ? => key_path: String,
        "keyData" ? => key_data: String,
        "signedIdentity" ? => identity: Raw,
        ..rest: Rest,
    }
}

json_object! {
    /// What the name in a signature must be.
    #[derive(Clone, Debug, Default)]
    struct Identity {
        "type" => kind: String,
        "dockerReference" ? => reference: String,
        "dockerRepository" ? => repository: String,
        ..rest: Rest,
    }
}

/// What the name in a signature must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// The very same; for an image by digest the same repository.
    ExactOrDigest,
    Exact,
    Repository,
    ThisReference(String),
    ThisRepository(String),
}

/// What an image must have to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Requirement {
    Anything,
    Nothing,
    Signed { key: Vec<u8>, names: Names },
}

/// The machine's policy.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    path: PathBuf,
    file: Option<File>,
}

impl Policy {
    pub(crate) fn find() -> Result<Self> {
        for path in FILES.map(Path::new) {
            match files::read_capped(path, 1 << 20) {
                Ok(text) => return Self::parse(path, &text),
                Err(e) if e.kind() == Kind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        Ok(Self { path: PathBuf::new(), file: None })
    }

    pub(crate) fn parse(path: &Path, text: &[u8]) -> Result<Self> {
        let named = |e: Error| e.context(path.display());
        let file: File = json::parse(text).map_err(named)?;
        let policy = Self { path: path.to_owned(), file: None };
        if !file.rest.is_empty() || file.default.is_empty() {
            return Err(policy.wrong("it has no \"default\", or members that nobody knows"));
        }
        Ok(Self { file: Some(file), ..policy })
    }

    fn wrong(&self, why: &str) -> Error {
        Error::unsupported([&self.path.display().to_string(), ": ", why].concat())
    }

    /// What is asked of an image of this name; without a name, of everything.
    pub(crate) fn of(&self, name: Option<&Reference>) -> Result<Vec<Requirement>> {
        let Some(file) = &self.file else {
            return Ok(vec![Requirement::Anything]);
        };
        let empty = Map::new();
        let scopes = file.transports.get("docker").unwrap_or(&empty);
        let entries = name.and_then(|name| self.entries(scopes, name)).unwrap_or(&file.default);
        if entries.is_empty() {
            return Err(self.wrong("an empty list of requirements"));
        }
        entries.iter().map(|entry| self.requirement(entry)).collect()
    }

    fn entries<'a>(
        &self,
        scopes: &'a Map<String, Vec<Entry>>,
        name: &Reference,
    ) -> Option<&'a Vec<Entry>> {
        let full = full(name);
        if let Some(found) = scopes.get(&full) {
            return Some(found);
        }
        let remote = Remote::of(name);
        let whole = [&remote.registry, "/", &remote.path].concat();
        let mut scope = whole.as_str();
        loop {
            if let Some(found) = scopes.get(scope) {
                return Some(found);
            }
            match scope.rfind('/') {
                Some(at) => scope = &scope[..at],
                None => break,
            }
        }
        // `*.example.com`, the longest first.
        let mut host = remote.registry.as_str();
        while let Some((_, domain)) = host.split_once('.') {
            if let Some(found) = scopes.get(&["*.", domain].concat()) {
                return Some(found);
            }
            host = domain;
        }
        scopes.get("")
    }

    fn requirement(&self, entry: &Entry) -> Result<Requirement> {
        let known = entry.rest.is_empty();
        match entry.kind.as_str() {
            "insecureAcceptAnything" | "reject" | "sigstoreSigned" if !known => {
                Err(self.wrong(&[&entry.kind, ": it asks for more than a key"].concat()))
            }
            "insecureAcceptAnything" => Ok(Requirement::Anything),
            "reject" => Ok(Requirement::Nothing),
            "sigstoreSigned" => {
                let key = match (entry.key_path.as_str(), entry.key_data.as_str()) {
                    (path, "") if !path.is_empty() => {
                        files::read_capped(Path::new(path), 64 << 10)?
                    }
                    ("", data) if !data.is_empty() => base::text::base64::decode(data)
                        .ok_or_else(|| self.wrong("keyData is no Base64"))?,
                    _ => return Err(self.wrong("sigstoreSigned wants keyPath or keyData")),
                };
                Ok(Requirement::Signed { key, names: self.names(&entry.identity)? })
            }
            other => {
                let shown: String = other.chars().take(40).filter(|c| !c.is_control()).collect();
                Err(self.wrong(&["requirement of type \"", &shown, "\" is not known"].concat()))
            }
        }
    }

    fn names(&self, raw: &Raw) -> Result<Names> {
        if raw.text() == "null" {
            return Ok(Names::ExactOrDigest);
        }
        let identity: Identity = raw.parse().map_err(|e| e.context(self.path.display()))?;
        let Identity { kind, reference, repository, rest } = identity;
        let normal = |text: &str| Reference::parse(text).map(|name| full(&name));
        match kind.as_str() {
            _ if !rest.is_empty() => Err(self.wrong("signedIdentity: a member that nobody knows")),
            "matchRepoDigestOrExact" => Ok(Names::ExactOrDigest),
            "matchExact" => Ok(Names::Exact),
            "matchRepository" => Ok(Names::Repository),
            "exactReference" => normal(&reference).map(Names::ThisReference),
            "exactRepository" => {
                Reference::parse(&repository).map(|name| Names::ThisRepository(whole(&name)))
            }
            _ => Err(self.wrong("signedIdentity: a type that is not known")),
        }
    }
}

/// Registry, path, and tag or digest.
fn full(name: &Reference) -> String {
    let rest = &name.familiar()[name.repository.len()..];
    [&whole(name), rest].concat()
}

/// Registry and path.
fn whole(name: &Reference) -> String {
    let remote = Remote::of(name);
    [&remote.registry, "/", &remote.path].concat()
}

impl Names {
    /// Whether a signature that names this is one for the image of that name.
    pub(crate) fn fits(&self, signed: &str, image: Option<&Reference>) -> bool {
        // `host/path` in a signature is a repository, not its `latest`.
        let Ok(parsed) = Reference::parse(signed) else { return false };
        let last = signed.rfind('/').map_or(0, |at| at + 1);
        let is_repository = !signed[last..].contains([':', '@']);
        let exact = |wanted: &str| !is_repository && full(&parsed) == wanted;
        match self {
            Self::ThisReference(wanted) => return exact(wanted),
            Self::ThisRepository(wanted) => return whole(&parsed) == *wanted,
            _ => (),
        }
        let Some(image) = image else { return false };
        match self {
            Self::Exact => exact(&full(image)),
            Self::ExactOrDigest if image.digest.is_none() => exact(&full(image)),
            _ => whole(&parsed) == whole(image),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Result<Policy> {
        Policy::parse(Path::new("p"), text.as_bytes())
    }

    #[test]
    fn the_most_specific_entry_counts() {
        let (yes, no) = (r#"[{"type":"insecureAcceptAnything"}]"#, r#"[{"type":"reject"}]"#);
        let policy = policy(&format!(
            r#"{{"default":{no},"transports":{{"docker":{{"a.example":{yes},"a.example/bad":{no},
            "a.example/bad/good:1":{yes},"*.b.example":{yes},"docker.io/library":{yes},
            "c.example:5000/x":{yes}}},"oci":{{"":{yes}}}}}}}"#
        ))
        .unwrap();
        for (name, good) in [
            ("a.example/x", true),
            ("a.example/bad", false),
            ("a.example/bad/x", false),
            ("a.example/badly", true),
            ("a.example/bad/good:1", true),
            ("a.example/bad/good:2", false),
            ("x.b.example/y", true),
            ("b.example/y", false),
            ("evil-b.example/y", false),
            ("busybox", true),
            ("someone/busybox", false),
            ("c.example:5000/x:9", true),
            ("c.example/x:9", false),
            ("a.example:5000/x", false),
        ] {
            let want = if good { Requirement::Anything } else { Requirement::Nothing };
            assert_eq!(
                policy.of(Some(&Reference::parse(name).unwrap())).unwrap(),
                [want],
                "{name}"
            );
        }
    }

    #[test]
    fn what_is_not_known_is_not_passed_over() {
        for text in [
            "{}",
            r#"{"default":[]}"#,
            r#"{"default":[{"type":"reject"}],"more":1}"#,
            r#"{"default":"#,
        ] {
            assert!(policy(text).is_err(), "{text}");
        }
        let name = Reference::parse("a").unwrap();
        for entry in [
            r#"{"type":"signedBy","keyType":"GPGKeys"}"#,
            r#"{"type":"sigstoreSigned"}"#,
            r#"{"type":"sigstoreSigned","keyData":"eA==","keyPath":"/x"}"#,
            r#"{"type":"sigstoreSigned","keyData":"eA==","rekorPublicKeyPath":"/x"}"#,
            r#"{"type":"sigstoreSigned","keyData":"eA==","signedIdentity":{"type":"remapIdentity"}}"#,
            r#"{"type":"insecureAcceptAnything","but":1}"#,
            r#"{"type":""}"#,
        ] {
            let policy = policy(&format!(r#"{{"default":[{entry}]}}"#)).unwrap();
            assert!(policy.of(Some(&name)).is_err(), "{entry}");
        }
    }

    #[test]
    fn names_of_signatures() {
        let digest = format!("h.example/r@sha256:{}", "a".repeat(64));
        let this = Names::ThisRepository("h.example/r".into());
        let exactly = Names::ThisReference("h.example/r:1".into());
        for (names, signed, image, fits) in [
            (&Names::Exact, "h.example/r:1", "h.example/r:1", true),
            (&Names::Exact, "h.example/r", "h.example/r", false),
            (&Names::ExactOrDigest, "h.example/r", "h.example/r:1", false),
            (&Names::ExactOrDigest, "h.example/r", &digest, true),
            (&Names::ExactOrDigest, "h.example/s", &digest, false),
            (&Names::Repository, "h.example/r", "h.example/r:1", true),
            (&Names::Repository, "busybox", "docker.io/library/busybox:2", true),
            (&Names::Repository, "h.example/r/s", "h.example/r:1", false),
            (&Names::Repository, "", "h.example/r:1", false),
            (&this, "h.example/r:7", "other/name", true),
            (&this, "h.example/s", "other/name", false),
            (&exactly, "h.example/r:1", "other/name", true),
            (&exactly, "h.example/r", "h.example/r:1", false),
        ] {
            let image = Reference::parse(image).unwrap();
            assert_eq!(names.fits(signed, Some(&image)), fits, "{names:?} {signed}");
        }
    }
}
