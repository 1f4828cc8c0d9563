//! Where an image's name leads: the registry's host, and what the repository is called there.

use crate::reference::Reference;

/// The registry of names without a host.
const DEFAULT: &str = "docker.io";
/// Where it is reached.
const DEFAULT_HOST: &str = "registry-1.docker.io";

/// A repository in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remote {
    /// `docker.io`, or `HOST[:PORT]` as it stands in the name.
    pub(crate) registry: String,
    /// What it is called there: `library/busybox`.
    pub(crate) path: String,
}

impl Remote {
    /// Of a name.
    pub(crate) fn of(name: &Reference) -> Self {
        match name.server() {
            Some((server, path)) => Self { registry: server.to_owned(), path: path.to_owned() },
            None => {
                let folder = if name.repository.contains('/') { "" } else { "library/" };
                let path = [folder, &name.repository].concat();
                Self { registry: DEFAULT.to_owned(), path }
            }
        }
    }

    pub(crate) fn is_default(&self) -> bool {
        self.registry == DEFAULT
    }

    /// Where the default registry is.
    pub(crate) fn default_host() -> &'static str {
        DEFAULT_HOST
    }

    /// The registry's host, to connect to.
    pub(crate) fn host(&self) -> &str {
        if self.is_default() { DEFAULT_HOST } else { &self.registry }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_registries() {
        for (text, host, path) in [
            ("busybox", DEFAULT_HOST, "library/busybox"),
            ("a/b:1", DEFAULT_HOST, "a/b"),
            ("localhost/x", "localhost", "x"),
            ("h:5000/a/b:2", "h:5000", "a/b"),
            ("docker.io/library/x", DEFAULT_HOST, "library/x"),
        ] {
            let name = Reference::parse(text).unwrap();
            let remote = Remote::of(&name);
            assert_eq!((remote.host(), remote.path.as_str()), (host, path), "{text}");
        }
    }
}
