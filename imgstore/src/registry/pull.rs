//! `pull`: from a registry's streams to files, verified before anything is visible.
//!
//! Layers come several at once, each straight from its socket through the hashes and the
//! decompressor into its folder. What is in the store already is not asked for. Whole layers get
//! their places while others still come, so that a cut pull need not fetch them again; the image and
//! its name appear when everything is there.

use super::blob::Blob;
use super::manifest::{self, Manifest};
use super::platform;
use super::policy::Policy;
use super::remote::Remote;
use super::session::Session;
use super::signature;
use super::{Client, Progress};
use crate::archive::documents::{Descriptor, Platform};
use crate::commit::{NewImage, Staged};
use crate::image::{ImageDocument, chain_id};
use crate::layer::content::Content;
use crate::layer::{self, Style, Unpacked};
use crate::reference::Reference;
use crate::store::{Store, Work};
use base::digest::Digest;
use base::text::id::short;
use base::{Error, Kind, Result, json};
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How often a layer's progress is told.
const TICK: Duration = Duration::from_millis(100);
/// Layers get their places when so many bytes of them have come: each time costs a sync.
const KEEP: u64 = 4 << 20;
/// A layer counts for so much at least: small ones cost a way to the registry and many small files.
/// What is written out while others come need not be waited for at the end.
const LEAST: u64 = KEEP / 16;

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
        let mut layers = Layers { puller: self, work: &work, staged: Vec::new(), fresh: 0 };
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
    let is = |what: &str| text.contains(what);
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

/// One layer on its way.
struct Wanted<'a> {
    descriptor: &'a Descriptor,
    diff: Digest,
    folder: PathBuf,
    index: usize,
}

/// What the threads share.
struct Shared {
    state: Mutex<State>,
    turn: Condvar,
}

struct State {
    /// The next to begin.
    next: usize,
    /// How much of each has come.
    bytes: Vec<u64>,
    done: Vec<(usize, Result<Unpacked>)>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Layers<'a> {
    puller: &'a Puller<'a>,
    work: &'a Work,
    /// Lowest first, each complete.
    staged: Vec<Staged>,
    /// Bytes that have come since layers last got their places.
    fresh: u64,
}

impl Layers<'_> {
    fn pull(&mut self, diffs: &[Digest], list: &[Descriptor], events: Events<'_>) -> Result<()> {
        let store = self.puller.store;
        let mut below: Option<Digest> = None;
        let mut chains = Vec::with_capacity(diffs.len());
        let mut existing = Vec::with_capacity(diffs.len());
        let mut wanted: Vec<Wanted<'_>> = Vec::new();
        for (index, (diff, descriptor)) in diffs.iter().zip(list).enumerate() {
            let chain = chain_id(below.as_ref(), diff);
            below = Some(chain);
            chains.push(chain);
            let found = store.existing_layer(diff, &chain)?;
            let hex = descriptor.digest.hex();
            let status = if found.is_some() { "Already exists" } else { "Pulling fs layer" };
            events(Progress { id: short(&hex), status, ..Progress::default() })?;
            let twin = wanted.iter().any(|other| other.diff == *diff);
            if found.is_none() && !twin {
                let folder = self.work.path.join(format!("new-{index}"));
                wanted.push(Wanted { descriptor, diff: *diff, folder, index });
            }
            existing.push(found);
        }
        let sizes = wanted.iter().map(|wanted| wanted.descriptor.size);
        store.check_room(sizes.fold(0, u64::saturating_add)).map_err(|e| e.context("pull"))?;
        let most = if layer::processors() > 1 { 3 } else { 2 };
        let workers = wanted.len().min(most);
        let state = State { next: 0, bytes: vec![0; wanted.len()], done: Vec::new() };
        let shared = Shared { state: Mutex::new(state), turn: Condvar::new() };
        let session = self.puller.session;
        let style = store.style();
        let fetched = thread::scope(|scope| {
            let work = || worker(session, style, &shared, &wanted);
            let begin = || {
                let builder = thread::Builder::new().name("layer".into()).stack_size(256 << 10);
                builder.spawn_scoped(scope, work).map(drop)
            };
            let result = (0..workers)
                .try_for_each(|_| begin().map_err(|e| Error::os("start", &"a thread", e)))
                .and_then(|()| {
                    let plan = Plan { diffs, list, chains: &chains, wanted: &wanted };
                    self.collect(&plan, existing, &shared, events)
                });
            // The others hear of it at their next piece.
            if result.is_err() {
                session.stop();
            }
            result
        });
        // What arrived in the same moment as the error.
        fetched
    }

    /// Takes what the workers bring, and completes it from the lowest layer up.
    fn collect(
        &mut self,
        plan: &Plan<'_>,
        mut existing: Vec<Option<Staged>>,
        shared: &Shared,
        events: Events<'_>,
    ) -> Result<()> {
        let mut unpacked: Vec<Option<Unpacked>> = Vec::new();
        unpacked.resize_with(plan.diffs.len(), || None);
        let mut told = vec![0; plan.wanted.len()];
        let mut failed = None;
        loop {
            while self.staged.len() < plan.diffs.len() {
                let at = self.staged.len();
                let came = unpacked[at].take();
                let Some(layer) = self.complete(plan, at, &mut existing[at], came)? else { break };
                self.staged.push(layer);
                if plan.wanted.iter().any(|wanted| wanted.index == at) {
                    let hex = plan.list[at].digest.hex();
                    events(Progress {
                        id: short(&hex),
                        status: "Pull complete",
                        ..Progress::default()
                    })?;
                    self.fresh += plan.list[at].size.max(LEAST);
                }
                // The last one gets its place with the image.
                if self.fresh >= KEEP && self.staged.len() < plan.diffs.len() {
                    self.fresh = 0;
                    self.puller.store.keep_layers(self.work, &mut self.staged)?;
                }
            }
            if let Some(e) = failed {
                return Err(e);
            }
            if self.staged.len() == plan.diffs.len() {
                return Ok(());
            }
            let mut state = shared.lock();
            if state.done.is_empty() {
                state =
                    shared.turn.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner).0;
            }
            let bytes = state.bytes.clone();
            let done = std::mem::take(&mut state.done);
            drop(state);
            for (at, wanted) in plan.wanted.iter().enumerate() {
                let over = done.iter().any(|(other, _)| *other == at);
                if bytes[at] > told[at] && !over {
                    told[at] = bytes[at];
                    let (current, total) = (bytes[at], wanted.descriptor.size);
                    let hex = wanted.descriptor.digest.hex();
                    events(Progress { id: short(&hex), status: "Downloading", current, total })?;
                }
            }
            for (at, result) in done {
                let wanted = &plan.wanted[at];
                let hex = wanted.descriptor.digest.hex();
                match result {
                    Ok(layer) => {
                        told[at] = u64::MAX;
                        for status in ["Verifying Checksum", "Download complete"] {
                            events(Progress { id: short(&hex), status, ..Progress::default() })?;
                        }
                        unpacked[wanted.index] = Some(layer);
                    }
                    // Those that came with it are still taken in.
                    Err(e) => failed = failed.or(Some(e)),
                }
            }
        }
    }

    /// A layer on top of those below it; None when it has not come yet.
    fn complete(
        &self,
        plan: &Plan<'_>,
        at: usize,
        existing: &mut Option<Staged>,
        came: Option<Unpacked>,
    ) -> Result<Option<Staged>> {
        if let Some(layer) = existing.take() {
            return Ok(Some(layer));
        }
        let (diff, chain) = (&plan.diffs[at], plan.chains[at]);
        let puller = self.puller;
        let style = puller.store.style();
        let came = match came {
            Some(came) => came,
            None if plan.wanted.iter().any(|wanted| wanted.index == at) => return Ok(None),
            // It came at another place before. If it is right by itself, it is the same here.
            None => {
                let twin = |layer: &&Staged| {
                    layer.record.diff == *diff && layer.record.chain == Digest::default()
                };
                if let Some(found) = puller.store.existing_layer(diff, &chain)? {
                    return Ok(Some(found));
                }
                if let Some(twin) = self.staged.iter().find(twin) {
                    let (name, record) = (twin.name.clone(), twin.record.clone());
                    let folder = twin.folder.clone();
                    return Ok(Some(Staged { name, record, folder, chain, lock: None }));
                }
                let folder = self.work.path.join(format!("new-{at}"));
                unpack(puller.session, &plan.list[at], diff, folder, style, &|_| ())?
            }
        };
        let mut layer = came;
        let mut trees: Vec<PathBuf> = Vec::new();
        for below in self.staged.iter().rev() {
            trees.push(below.tree());
            if below.record.opaque {
                break;
            }
        }
        let took = layer.complete(&trees, style.marks)?;
        Staged::unpacked(&layer, chain, took).map(Some)
    }
}

/// What is to be collected.
struct Plan<'a> {
    diffs: &'a [Digest],
    list: &'a [Descriptor],
    chains: &'a [Digest],
    wanted: &'a [Wanted<'a>],
}

/// Fetches one layer after another, until there are none or one failed.
fn worker(session: &Session<'_>, style: Style, shared: &Shared, list: &[Wanted<'_>]) {
    loop {
        let mut state = shared.lock();
        let at = state.next;
        state.next += 1;
        drop(state);
        let Some(wanted) = list.get(at) else { return };
        // The last one need not share the processors.
        let one_of_several = at + 1 < list.len();
        let style = Style { one_of_several, ..style };
        let count = |bytes: u64| shared.lock().bytes[at] += bytes;
        let folder = wanted.folder.clone();
        let result = unpack(session, wanted.descriptor, &wanted.diff, folder, style, &count);
        let failed = result.is_err();
        shared.lock().done.push((at, result));
        shared.turn.notify_one();
        if failed {
            return;
        }
    }
}

/// Fetches and unpacks one layer, and checks all that is said of it.
fn unpack(
    session: &Session<'_>,
    descriptor: &Descriptor,
    diff: &Digest,
    folder: PathBuf,
    style: Style,
    count: &(dyn Fn(u64) + Sync),
) -> Result<Unpacked> {
    let named = |e: Error| e.context(["layer ", short(&descriptor.digest.hex())].concat());
    let mut blob = Blob::new(session, &descriptor.digest, descriptor.size, count);
    let content = Content::new(&mut blob).map_err(named)?;
    let layer = layer::unpack(content, folder, style, &mut |_| ()).map_err(named)?;
    let wrong = if layer.blob != descriptor.digest {
        Some((descriptor.digest, layer.blob))
    } else {
        (layer.diff != *diff).then_some((*diff, layer.diff))
    };
    match wrong {
        Some((want, got)) => {
            let text =
                format!("filesystem layer verification failed for digest {want}: it has {got}");
            Err(Error::bad_input(text))
        }
        None => Ok(layer),
    }
}
