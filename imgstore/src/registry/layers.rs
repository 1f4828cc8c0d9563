//! The layers of an image that is pulled: several on their way at once, completed from the lowest up.

use super::Progress;
use super::blob::Blob;
use super::pull::Events;
use super::session::Session;
use crate::archive::documents::Descriptor;
use crate::commit::Staged;
use crate::image::chain_id;
use crate::layer::content::Content;
use crate::layer::{self, Style, Unpacked};
use crate::store::{Store, Work};
use base::digest::Digest;
use base::text::id::short;
use base::{Error, Result};
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

/// The layers of one image.
pub(super) struct Layers<'a> {
    store: &'a Store,
    session: &'a Session<'a>,
    work: &'a Work,
    /// Lowest first, each complete.
    pub(super) staged: Vec<Staged>,
    /// Bytes that have come since layers last got their places.
    fresh: u64,
}

impl<'a> Layers<'a> {
    pub(super) fn new(store: &'a Store, session: &'a Session<'a>, work: &'a Work) -> Self {
        Self { store, session, work, staged: Vec::new(), fresh: 0 }
    }

    /// Fetches those that the store has not.
    pub(super) fn pull(
        &mut self,
        diffs: &[Digest],
        list: &[Descriptor],
        events: Events<'_>,
    ) -> Result<()> {
        let store = self.store;
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
        let session = self.session;
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
                    self.store.keep_layers(self.work, &mut self.staged)?;
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
        let style = self.store.style();
        let came = match came {
            Some(came) => came,
            None if plan.wanted.iter().any(|wanted| wanted.index == at) => return Ok(None),
            // It came at another place before. If it is right by itself, it is the same here.
            None => {
                let twin = |layer: &&Staged| {
                    layer.record.diff == *diff && layer.record.chain == Digest::default()
                };
                if let Some(found) = self.store.existing_layer(diff, &chain)? {
                    return Ok(Some(found));
                }
                if let Some(twin) = self.staged.iter().find(twin) {
                    let (name, record) = (twin.name.clone(), twin.record.clone());
                    let folder = twin.folder.clone();
                    return Ok(Some(Staged { name, record, folder, chain, lock: None }));
                }
                let folder = self.work.path.join(format!("new-{at}"));
                unpack(self.session, &plan.list[at], diff, folder, style, &|_| ())?
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
