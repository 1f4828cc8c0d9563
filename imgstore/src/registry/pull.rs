//! `pull`: from a registry's streams to files, verified before anything is visible.
//!
//! Layers come several at once, each straight from its socket through the hashes and the
//! decompressor into its folder. What is in the store already is not asked for. Whole layers get
//! their places while others still come, so that a cut pull need not fetch them again; the image and
//! its name appear when everything is there.

use super::layers::Layers;
use super::manifest::{self, Manifest};
use super::platform;
use super::policy::Policy;
use super::remote::Remote;
use super::session::Session;
use super::signature;
use super::{Client, Progress};
use crate::archive::documents::{Descriptor, Platform};
use crate::commit::NewImage;
use crate::image::ImageDocument;
use crate::reference::Reference;
use crate::store::Store;
use base::digest::Digest;
use base::text::part::contains;
use base::{Error, Kind, Result, json};

/// Hears what happens; an error ends the pull.
pub type Events<'a> = &'a mut dyn FnMut(Progress<'_>) -> Result<()>;

/// What is to be pulled.
#[derive(Clone, Debug, Default)]
pub struct Pull {
    /// `[REGISTRY/]REPOSITORY[:TAG][@DIGEST]`.
    pub name: String,
    /// All tags of the repository.
    pub all_tags: bool,
    /// `OS/CPU[/VARIANT]`; empty: this machine.
    pub platform: String,
}

impl Client {
    /// Pulls an image, or all of a repository, into the store.
    pub fn pull(&self, store: &Store, pull: &Pull, events: Events<'_>) -> Result<()> {
        let mut name = Reference::parse(&pull.name)?;
        if name.digest.is_some() {
            // The digest says all.
            name.tag = None;
        }
        let wanted = match pull.platform.as_str() {
            "" => None,
            text => Some(platform::parse(text)?),
        };
        let remote = Remote::of(&name);
        let mut first = None;
        for mirror in self.endpoints(&remote) {
            let session = self.session(&remote, mirror.as_ref())?;
            let (policy, wanted) = (&self.policy, wanted.as_ref());
            let one = Puller { store, session: &session, remote: &remote, policy, wanted };
            let done = match pull.all_tags {
                true => one.all(&name, events),
                false => one.tag(&name, events),
            };
            match done {
                // A mirror need not have it, or be there.
                Err(e) if mirror.is_some() && !e.is_final => {
                    first = first.or(Some(e.error));
                }
                other => return other.map_err(|e| e.error),
            }
        }
        Err(first.unwrap_or_else(|| Error::other("no registry")))
    }
}

/// An error, and whether another registry need not be asked.
struct Failure {
    error: Error,
    is_final: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, is_final: true }
    }
}

struct Puller<'a> {
    store: &'a Store,
    session: &'a Session<'a>,
    remote: &'a Remote,
    policy: &'a Policy,
    wanted: Option<&'a Platform>,
}

impl Puller<'_> {
    fn all(&self, name: &Reference, events: Events<'_>) -> std::result::Result<(), Failure> {
        let tags = super::tags::list(self.session);
        let tags = tags.map_err(|e| Failure { error: refused(name, e), is_final: false })?;
        for tag in tags {
            let name = Reference { tag: Some(tag), ..name.clone() };
            self.tag(&name, events)?;
        }
        Ok(())
    }

    fn tag(&self, name: &Reference, events: Events<'_>) -> std::result::Result<(), Failure> {
        let reference = match (&name.digest, &name.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.clone().unwrap_or_default(),
        };
        let platform = self.wanted.cloned().unwrap_or_else(platform::own);
        let manifest = manifest::fetch(self.session, &reference, &platform)
            .map_err(|e| Failure { error: refused(name, e), is_final: false })?;
        // Before anything of it is fetched, let alone kept.
        let digests = [manifest.top, manifest.digest];
        signature::check(self.policy, self.session, name, &digests)?;
        events(Progress {
            id: &reference,
            status: &["Pulling from ", &self.remote.path].concat(),
            ..Progress::default()
        })?;
        let newer = self.image(name, &manifest, events)?;
        let tell =
            |events: Events<'_>, status: &str| events(Progress { status, ..Progress::default() });
        tell(events, &["Digest: ", &manifest.top.to_string()].concat())?;
        let what = if newer { "Downloaded newer image for " } else { "Image is up to date for " };
        tell(events, &["Status: ", what, &name.familiar()].concat())?;
        Ok(())
    }

    /// Says whether the name means another image than before.
    fn image(&self, name: &Reference, manifest: &Manifest, events: Events<'_>) -> Result<bool> {
        let id = manifest.config.digest;
        let before = self.store.find(&name.familiar()).ok().map(|image| image.id);
        if let Ok(found) = self.store.find(&id.to_string()) {
            self.check_platform(name, &found.architecture, &found.variant)?;
            self.store.name(&id, name)?;
            return Ok(before != Some(id));
        }
        let work = self.store.work()?;
        let config = self.config(&manifest.config)?;
        let document: ImageDocument =
            json::parse(&config).map_err(|e| e.context(format!("configuration {id}")))?;
        self.check(name, &document, manifest.layers.len())?;
        let diffs = &document.rootfs.diff_ids;
        let mut layers = Layers::new(self.store, self.session, &work);
        let pulled = layers.pull(diffs, &manifest.layers, events);
        let mut staged = layers.staged;
        if let Err(e) = pulled {
            // What came whole stays.
            if let Err(other) = self.store.keep_layers(&work, &mut staged) {
                base::log::debug(other.message());
            }
            return Err(e);
        }
        let image = NewImage {
            id,
            config,
            document,
            manifest: Some((manifest.digest, manifest.text.clone())),
            layers: (0..staged.len()).collect(),
            names: vec![name.clone()],
        };
        self.store.commit(&work, &staged, &[image])?;
        Ok(true)
    }

    fn config(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let id = descriptor.digest;
        let target = self.session.target(&["blobs/", &id.to_string()].concat());
        let (_, text) = self.session.document(&target, "")?;
        let got = Digest::of(&text);
        if got != id || text.len() as u64 != descriptor.size {
            let text = format!("configuration verification failed for digest {id}: it has {got}");
            return Err(Error::bad_input(text));
        }
        Ok(text)
    }

    fn check(&self, name: &Reference, document: &ImageDocument, layers: usize) -> Result<()> {
        let os = document.os.as_str();
        if !matches!(os, "" | "linux") {
            let os: String = os.chars().take(40).filter(|c| !c.is_control()).collect();
            let text = format!("image operating system \"{os}\" cannot be used on this platform");
            return Err(Error::bad_input(text));
        }
        let diffs = document.rootfs.diff_ids.len();
        if diffs != layers {
            let text = format!("the configuration has {diffs} layers, and the manifest {layers}");
            return Err(Error::bad_input(text));
        }
        self.check_platform(name, &document.architecture, &document.variant)
    }

    fn check_platform(&self, name: &Reference, cpu: &str, variant: &str) -> Result<()> {
        let (os, architecture) = ("linux".into(), cpu.into());
        let offered = Platform { os, architecture, variant: variant.into() };
        match self.wanted {
            Some(wanted) if platform::fits(wanted, &offered) == 0 => {
                Err(Error::not_found(format!(
                    "image with reference {} was found but does not match the specified platform: \
                     wanted {}, actual: {}",
                    name.familiar(),
                    platform::shown(wanted),
                    platform::shown(&offered)
                )))
            }
            _ => Ok(()),
        }
    }
}

/// Docker's words for what the registry does not give.
fn refused(name: &Reference, error: Error) -> Error {
    let text = error.message();
    let is = |what: &str| contains(text, what);
    match error.kind() {
        Kind::NotFound if is("manifest unknown") => {
            Error::not_found(format!("manifest for {} not found: {text}", name.familiar()))
        }
        Kind::NotFound | Kind::Denied
            if is("name unknown") || is("denied: ") || is("unauthorized: auth") =>
        {
            Error::not_found(format!(
                "pull access denied for {}, repository does not exist or may require 'coracle login': \
                 {text}",
                name.repository
            ))
        }
        // Credentials that are missing or wrong are not the caller's right.
        Kind::Denied => Error::other(text),
        _ => error,
    }
}
