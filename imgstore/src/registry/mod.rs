//! Registries: the OCI distribution specification 1.1, and Docker's registry API v2.
//!
//! A [`Client`] is made for one command from the machine's settings and the user's credentials;
//! [`Client::pull`] brings images. Read in this order: `remote` (where a name leads), `http` (one
//! request: `fetch`), `session` (redirects, credentials, retries), `manifest`, `blob`, `pull`.

mod auth;
mod blob;
mod challenge;
mod copy;
mod errors;
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod layers;
mod link;
mod login;
mod manifest;
pub(crate) mod platform;
mod policy;
mod proxy;
mod pull;
mod push;
mod remote;
mod search;
mod session;
mod settings;
mod signature;
mod tags;
mod upload;
mod url;

pub use auth::Credentials;
pub use copy::{Place, copy};
pub(crate) use policy::Policy;
pub use pull::{Events, Pull};
pub use search::Found;
pub(crate) use signature::{Wanted, check_with as check_signatures};

use base::Result;
use base::folders;
use remote::Remote;
use session::Session;
use url::Url;

/// How we call ourselves.
const USER_AGENT: &str = concat!("coracle/", env!("CARGO_PKG_VERSION"));

/// A step of a long job, as docker's API tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress<'a> {
    /// A layer's short id, or a tag; empty for a line about all.
    pub id: &'a str,
    /// What is done.
    pub status: &'a str,
    /// Bytes so far.
    pub current: u64,
    /// Bytes in all; 0 when there is nothing to count.
    pub total: u64,
}

/// Who speaks to registries, for one command.
pub struct Client {
    settings: settings::Settings,
    credentials: Credentials,
    nobody: Credentials,
    policy: Policy,
}

impl Client {
    /// With the settings file's registries, and these credentials.
    pub fn new(file: &folders::Settings, credentials: Credentials) -> Result<Self> {
        let settings = settings::Settings::find(file)?;
        let nobody = Credentials::default();
        Ok(Self { settings, credentials, nobody, policy: Policy::find()? })
    }

    /// Where to ask: the mirrors of docker.io first. None is the registry itself.
    fn endpoints(&self, remote: &Remote) -> Vec<Option<Url>> {
        let mirrors = self.settings.mirrors.iter().filter(|_| remote.is_default());
        mirrors.cloned().map(Some).chain([None]).collect()
    }

    /// For a push, with leave to mount from other repositories.
    fn pushing(&self, remote: &Remote, others: &[String]) -> Result<Session<'_>> {
        let mut scopes = vec![["repository:", &remote.path, ":pull,push"].concat()];
        scopes.extend(others.iter().map(|path| ["repository:", path, ":pull"].concat()));
        Session::new(&self.settings, remote.host(), &remote.path, scopes, &self.credentials)
    }

    /// The tags of a repository.
    pub fn tags(&self, name: &str) -> Result<Vec<String>> {
        let name = crate::reference::Reference::parse(name)?;
        let remote = Remote::of(&name);
        tags::list(&self.session(&remote, None)?)
    }

    /// With the registry itself, or with a mirror, which does not hear who we are.
    fn session(&self, remote: &Remote, mirror: Option<&Url>) -> Result<Session<'_>> {
        let scope = vec![["repository:", &remote.path, ":pull"].concat()];
        match mirror {
            Some(url) => Ok(Session::at(&self.settings, url, &remote.path, scope, &self.nobody)),
            None => {
                Session::new(&self.settings, remote.host(), &remote.path, scope, &self.credentials)
            }
        }
    }
}
