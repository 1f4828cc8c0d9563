//! The jobs of registries: `pull`, `push`, `search`, `tags`, `auth`.

use crate::{Engine, builtin};
use base::Result;
use base_http::api::auth::AuthAnswer;
use imgstore::registry::{self, Client, Credentials, Found, Progress};

/// `pull`: images from a registry; the built-in one from this binary.
#[derive(Clone)]
pub(crate) struct Pull {
    /// Name, without tag and digest.
    pub(crate) image: String,
    /// A tag or a digest; empty: all tags.
    pub(crate) tag: String,
    pub(crate) platform: String,
    pub(crate) credentials: Credentials,
}

impl Pull {
    pub(crate) fn run(self, engine: &Engine, events: registry::Events<'_>) -> Result<()> {
        let name = self.image.trim_start_matches("docker.io/").trim_start_matches("library/");
        if name == builtin::NAME && ["", "latest"].contains(&self.tag.as_str()) {
            builtin::make(engine.store()?)?;
            let status = ["Made ", name, ":latest from this binary"].concat();
            return events(Progress { status: &status, ..Progress::default() });
        }
        let mark = match self.tag.as_str() {
            "" => "",
            tag if tag.contains(':') => "@",
            _ => ":",
        };
        let pull = registry::Pull {
            name: [&self.image, mark, &self.tag].concat(),
            all_tags: self.tag.is_empty(),
            platform: self.platform,
        };
        let client = Client::new(&engine.folders().settings, self.credentials)?;
        client.pull(engine.store()?, &pull, events)?;
        crate::events::of(engine.folders(), "image", "pull", &pull.name, &[("name", &pull.name)]);
        Ok(())
    }
}

/// `auth`: whether a registry knows these credentials.
pub(crate) struct Auth {
    pub(crate) credentials: Credentials,
}

impl Auth {
    pub(crate) fn run(self, engine: &Engine) -> Result<AuthAnswer> {
        let server = self.credentials.server.clone();
        Client::new(&engine.folders().settings, self.credentials.spread())?.login(&server)?;
        Ok(AuthAnswer { status: "Login Succeeded".to_owned(), ..AuthAnswer::default() })
    }
}

/// `push`: an image to a registry.
#[derive(Clone)]
pub(crate) struct Push {
    /// Name, with its tag.
    pub(crate) name: String,
    pub(crate) all_tags: bool,
    pub(crate) credentials: Credentials,
}

impl Push {
    pub(crate) fn run(self, engine: &Engine, events: registry::Events<'_>) -> Result<()> {
        let client = Client::new(&engine.folders().settings, self.credentials)?;
        client.push(engine.store()?, &self.name, self.all_tags, events)
    }
}

/// `tags`: of a repository.
pub(crate) struct Tags {
    pub(crate) name: String,
    pub(crate) credentials: Credentials,
}

impl Tags {
    pub(crate) fn run(self, engine: &Engine) -> Result<Vec<String>> {
        Client::new(&engine.folders().settings, self.credentials)?.tags(&self.name)
    }
}

/// `search`: repositories of a registry.
pub(crate) struct Search {
    pub(crate) term: String,
    pub(crate) limit: usize,
    pub(crate) credentials: Credentials,
}

impl Search {
    pub(crate) fn run(self, engine: &Engine) -> Result<Vec<Found>> {
        Client::new(&engine.folders().settings, self.credentials)?.search(&self.term, self.limit)
    }
}
