//! `push`: an image of the store to a registry.
//!
//! The configuration goes byte for byte. A layer that came from a registry is looked for there by
//! the digest it had, and mounted from another repository of that registry if it is there; if all of
//! them are found, the manifest too is the one that the image came with. Another layer is made anew
//! from its files, packed and sent in pieces; how it was packed is remembered beside it
//! (`layers/LAYER/packed`), so that it is sent once.

use super::manifest::{CONFIG, OCI_LAYER, OCI_MANIFEST};
use super::remote::Remote;
use super::session::{Ask, Session};
use super::upload::{self, Begun, Upload};
use super::{Client, Progress};
use crate::archive::documents::{self, Descriptor, Document};
use crate::bases::IMAGES;
use crate::image::{ImageDocument, chain_id};
use crate::reference::Reference;
use crate::registry::http::Method;
use crate::registry::pull::Events;
use crate::store::Store;
use base::digest::Digest;
use base::files::{self, Sync};
use base::map::Map;
use base::text::id::short;
use base::text::part::contains;
use base::{Error, Kind, Result, json};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Lines are slower than processors, but not by much.
const LEVEL: Compression = Compression::new(4);
/// How often a layer is begun anew.
const RESTARTS: u32 = 4;
const TICK: Duration = Duration::from_millis(100);

/// A blob as some manifest of the store describes it, and where it came from.
#[derive(Default)]
struct Source {
    descriptor: Descriptor,
    /// Names of images with it.
    names: Vec<String>,
}

impl Client {
    /// Pushes one name, or with `all_tags` every tag of the repository that the store has.
    pub fn push(
        &self,
        store: &Store,
        name: &str,
        all_tags: bool,
        events: Events<'_>,
    ) -> Result<()> {
        let name = Reference::parse(name)?;
        if name.digest.is_some() {
            return Err(Error::bad_input("cannot push a digest reference"));
        }
        let mut names = vec![name.clone()];
        if all_tags {
            let of = |text: &String| Reference::parse(text).ok();
            let all = store.list()?.into_iter().flat_map(|image| image.names);
            names = all.filter_map(|text| of(&text)).filter(|r| r.digest.is_none()).collect();
            names.retain(|other| other.repository == name.repository);
            names.sort_unstable_by(|a, b| a.tag.cmp(&b.tag));
        }
        let local = |name: &Reference| {
            store.find(&name.familiar()).map_err(|e| match e.kind() {
                Kind::NotFound => Error::not_found(format!(
                    "An image does not exist locally with the tag: {}",
                    name.repository
                )),
                _ => e,
            })
        };
        if names.is_empty() {
            return local(&name).map(drop);
        }
        let remote = Remote::of(&name);
        let sources = sources(store)?;
        let whole = [&remote.registry, "/", &remote.path].concat();
        let status = ["The push refers to repository [", &whole, "]"].concat();
        for name in names {
            let image = local(&name)?;
            events(Progress { status: &status, ..Progress::default() })?;
            let others = others(&remote, &sources);
            let session = self.pushing(&remote, &others)?;
            let push = Push { store, session: &session, remote: &remote, sources: &sources };
            push.image(&image.id, &name, events).map_err(|e| refused(&name, e))?;
        }
        Ok(())
    }
}

/// Docker's words.
fn refused(name: &Reference, error: Error) -> Error {
    match error.kind() {
        Kind::Denied if contains(error.message(), "unauthorized") => {
            let text = ["push access denied for ", &name.repository, ": ", error.message()];
            Error::other(text.concat())
        }
        Kind::Denied => Error::other(error.message()),
        _ => error,
    }
}

/// All layers that manifests of the store describe.
fn sources(store: &Store) -> Result<Map<Digest, Source>> {
    let mut found: Map<Digest, Source> = Map::new();
    for image in store.list()?.into_iter().filter(|image| image.manifest.is_some()) {
        let Ok(Some((_, document))) = stored_manifest(store, &image.id) else { continue };
        for descriptor in document.layers.unwrap_or_default() {
            let source = found.get_or_default(descriptor.digest);
            source.descriptor = descriptor;
            source.names.extend(image.names.iter().cloned());
        }
    }
    Ok(found)
}

/// Repositories of this registry from which something could be mounted.
fn others(remote: &Remote, sources: &Map<Digest, Source>) -> Vec<String> {
    let mut paths: Vec<String> = sources
        .values()
        .flat_map(|source| source.names.iter())
        .filter_map(|name| Reference::parse(name).ok())
        .map(|name| Remote::of(&name))
        .filter(|other| other.registry == remote.registry && other.path != remote.path)
        .map(|other| other.path)
        .collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}

fn stored_manifest(store: &Store, id: &Digest) -> Result<Option<(Vec<u8>, Document)>> {
    let path = store.place(IMAGES, &id.hex())?.join("manifest");
    match files::read_capped(&path, 4 << 20) {
        Ok(text) => {
            let document = documents::parse(&text, "")?;
            Ok(Some((text, document)))
        }
        Err(e) if e.kind() == Kind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

struct Push<'a> {
    store: &'a Store,
    session: &'a Session<'a>,
    remote: &'a Remote,
    sources: &'a Map<Digest, Source>,
}

/// One layer of the image that is pushed.
struct Layer {
    diff: Digest,
    chain: Digest,
    folder: PathBuf,
    /// Bytes of its archive.
    size: u64,
    /// What it may be called in the registry.
    known: Vec<Descriptor>,
}

impl Push<'_> {
    fn image(&self, id: &Digest, name: &Reference, events: Events<'_>) -> Result<()> {
        let config = self.store.config_text(id)?;
        let document: ImageDocument =
            json::parse(&config).map_err(|e| e.context(format!("configuration {id}")))?;
        let stored = stored_manifest(self.store, id)?;
        let layers = self.layers(&document.rootfs.diff_ids, stored.as_ref().map(|(_, d)| d))?;
        for layer in &layers {
            say(events, &layer.diff, "Preparing")?;
        }
        let mut done: Vec<(Digest, Descriptor)> = Vec::new();
        let mut list = Vec::new();
        for layer in &layers {
            let before = done.iter().find(|(diff, _)| *diff == layer.diff);
            let descriptor = match before {
                Some((_, descriptor)) => descriptor.clone(),
                None => self.layer(layer, events)?,
            };
            done.push((layer.diff, descriptor.clone()));
            list.push(descriptor);
        }
        upload::document(self.session, &config)?;
        let (kind, text) = match stored {
            Some((text, document)) if same(&document, id, &list) => {
                let kind = document.media_type;
                (if kind.is_empty() { OCI_MANIFEST.to_owned() } else { kind }, text)
            }
            _ => {
                let size = config.len() as u64;
                let config = Descriptor {
                    media_type: CONFIG.to_owned(),
                    digest: *id,
                    size,
                    ..Descriptor::default()
                };
                let manifest = Document {
                    version: 2,
                    media_type: OCI_MANIFEST.to_owned(),
                    config: Some(config),
                    layers: Some(list),
                    ..Document::default()
                };
                (OCI_MANIFEST.to_owned(), json::to_string(&manifest).into_bytes())
            }
        };
        let tag = name.tag.as_deref().unwrap_or_default();
        let digest = put_manifest(self.session, tag, &kind, &text)?;
        let (digest, size) = (digest.to_string(), text.len().to_string());
        let status = [tag, ": digest: ", &digest, " size: ", &size].concat();
        events(Progress { status: &status, ..Progress::default() })
    }

    fn layers(&self, diffs: &[Digest], stored: Option<&Document>) -> Result<Vec<Layer>> {
        let mut below: Option<Digest> = None;
        let mut layers = Vec::new();
        let described = stored.and_then(|document| document.layers.as_ref());
        let described = described.filter(|list| list.len() == diffs.len());
        for (at, diff) in diffs.iter().enumerate() {
            let chain = chain_id(below.as_ref(), diff);
            below = Some(chain);
            let Some(found) = self.store.existing_layer(diff, &chain)? else {
                return Err(Error::not_found(format!("layer {diff} is not in the store")));
            };
            let mut known: Vec<Descriptor> = Vec::new();
            known.extend(described.map(|list| list[at].clone()));
            let source = self.sources.get(&found.record.blob);
            known.extend(source.map(|source| source.descriptor.clone()));
            known.extend(packed(&found.folder));
            known.dedup_by(|a, b| a.digest == b.digest);
            let size = found.record.archive;
            layers.push(Layer { diff: *diff, chain, folder: found.folder, size, known });
        }
        Ok(layers)
    }

    /// Sees to it that the registry has a layer.
    fn layer(&self, layer: &Layer, events: Events<'_>) -> Result<Descriptor> {
        let mut upload = None;
        for known in &layer.known {
            if upload::exists(self.session, &known.digest)?.is_some_and(|size| size == known.size) {
                say(events, &layer.diff, "Layer already exists")?;
                return Ok(known.clone());
            }
        }
        for known in &layer.known {
            for from in self.mounts(&known.digest) {
                match Upload::begin(self.session, Some((&known.digest, &from)))? {
                    Begun::Mounted => {
                        say(events, &layer.diff, &["Mounted from ", &from].concat())?;
                        return Ok(known.clone());
                    }
                    Begun::Upload(begun) => upload = Some(begun),
                }
            }
        }
        let mut attempt = 0;
        let (digest, size) = loop {
            match self.send(layer, upload.take(), events) {
                Ok(sent) => break sent,
                // Some registries lose an upload that was cut within a piece: docker's among them.
                Err(e) if attempt < RESTARTS && contains(e.message(), "upload ") => {
                    base::log::debug(e.message());
                    self.session.pause(attempt)?;
                    attempt += 1;
                }
                Err(e) => return Err(e),
            }
        };
        say(events, &layer.diff, "Pushed")?;
        let text = format!("{digest} {size}\n");
        // If it is forgotten, it is made once more.
        if let Err(e) = files::write_then_rename(&layer.folder, "packed", text.as_bytes(), Sync::No)
        {
            base::log::debug(e.message());
        }
        Ok(gzip(digest, size))
    }

    /// Where a blob may be mounted from.
    fn mounts(&self, digest: &Digest) -> Vec<String> {
        let names = self.sources.get(digest).map(|source| source.names.as_slice());
        let mut paths: Vec<String> = names
            .unwrap_or_default()
            .iter()
            .filter_map(|name| Reference::parse(name).ok())
            .map(|name| Remote::of(&name))
            .filter(|other| {
                other.registry == self.remote.registry && other.path != self.remote.path
            })
            .map(|other| other.path)
            .collect();
        paths.sort_unstable();
        paths.dedup();
        paths.truncate(3);
        paths
    }

    fn send(
        &self,
        layer: &Layer,
        upload: Option<Upload<'_>>,
        events: Events<'_>,
    ) -> Result<(Digest, u64)> {
        let upload = match upload {
            Some(upload) => upload,
            None => match Upload::begin(self.session, None)? {
                Begun::Upload(upload) => upload,
                Begun::Mounted => {
                    return Err(Error::bad_input("upload: nothing was to be mounted"));
                }
            },
        };
        let hex = layer.diff.hex();
        let mut gz = Counted {
            inner: GzEncoder::new(upload, LEVEL),
            count: 0,
            total: layer.size,
            id: short(&hex),
            told: Instant::now(),
            events,
        };
        self.store.layer_archive(&layer.diff, &layer.chain, &mut gz)?;
        let upload = gz.inner.finish().map_err(|e| Error::other(base::error::reason(&e)))?;
        upload.finish()
    }
}

/// Whether a manifest describes just these.
fn same(document: &Document, id: &Digest, list: &[Descriptor]) -> bool {
    let config = document.config.as_ref().is_some_and(|config| config.digest == *id);
    let layers = document.layers.as_deref().unwrap_or_default();
    let equal = |(a, b): (&Descriptor, &Descriptor)| a.digest == b.digest;
    config && layers.len() == list.len() && layers.iter().zip(list).all(equal)
}

fn say(events: Events<'_>, diff: &Digest, status: &str) -> Result<()> {
    events(Progress { id: short(&diff.hex()), status, ..Progress::default() })
}

fn gzip(digest: Digest, size: u64) -> Descriptor {
    Descriptor { media_type: OCI_LAYER.to_owned(), digest, size, ..Descriptor::default() }
}

/// How a layer was packed when it was pushed before.
fn packed(folder: &std::path::Path) -> Option<Descriptor> {
    let text = files::read_capped(&folder.join("packed"), 256).ok()?;
    let text = String::from_utf8(text).ok()?;
    let (digest, size) = text.trim_end().split_once(' ')?;
    Some(gzip(Digest::parse(digest).ok()?, size.parse().ok()?))
}

/// Puts a manifest; its digest, as the registry confirms it.
pub(crate) fn put_manifest(
    session: &Session<'_>,
    reference: &str,
    kind: &str,
    text: &[u8],
) -> Result<Digest> {
    let target = session.target(&["manifests/", reference].concat());
    let body = Some((kind, text));
    let answer = session.ask(&Ask { method: Method::Put, target: &target, headers: &[], body })?;
    let digest = Digest::of(text);
    match answer.headers.get("docker-content-digest") {
        Some(said) if said != digest.to_string() => {
            let text = ["the registry took manifest ", &digest.to_string(), " for ", said];
            Err(Error::bad_input(text.concat().chars().take(200).collect::<String>()))
        }
        _ => Ok(digest),
    }
}

/// Tells how much has gone through.
struct Counted<'a, 'e, W> {
    inner: W,
    count: u64,
    total: u64,
    id: &'a str,
    told: Instant,
    events: &'a mut (dyn FnMut(Progress<'_>) -> Result<()> + 'e),
}

impl<W: Write> Write for Counted<'_, '_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.count += count as u64;
        if self.told.elapsed() >= TICK {
            self.told = Instant::now();
            let (id, current, total) = (self.id, self.count, self.total);
            let progress = Progress { id, status: "Pushing", current, total };
            (self.events)(progress).map_err(io::Error::other)?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
