//! Images from archives: OCI layouts, `docker save`, and plain root file systems.
//!
//! Whatever the archive says is checked against what was read: the digests of manifests, of
//! configurations, of compressed blobs, of decompressed layers. Nothing of it becomes visible
//! unless all of it is right.

pub(crate) mod documents;
mod import;
mod look;
mod manifests;
mod outer;
mod signed;
mod source;

pub use import::ImportOptions;
pub(crate) use look::Found;

use crate::bases::LAYERS;
use crate::commit::{NewImage, Staged};
use crate::image::{ImageDocument, chain_id};
use crate::layer::content::Content;
use crate::layer::path::shown;
use crate::reference::Reference;
use crate::registry::platform;
use crate::store::{Store, Work};
use base::digest::Digest;
use base::{Error, OnError, Result, files, json};
use documents::Platform;
use signed::Gate;
use source::Source;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

/// What happens while an archive is loaded.
#[derive(Clone, Copy, Debug)]
pub enum LoadEvent<'a> {
    /// So many more bytes of this layer were unpacked.
    Layer {
        /// Its name in the archive.
        name: &'a str,
        /// Bytes since the last event.
        bytes: u64,
    },
    /// This layer is in the store already.
    Exists {
        /// Its diff id.
        layer: &'a Digest,
    },
}

/// An image that was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Its id.
    pub id: Digest,
    /// The names it got.
    pub names: Vec<String>,
}

type Events<'a> = &'a mut dyn FnMut(LoadEvent<'_>);

struct Loader<'a> {
    store: &'a Store,
    work: &'a Work,
    source: Source,
    events: Events<'a>,
    layers: Vec<Staged>,
    images: Vec<NewImage>,
    /// The repository of an image whose archive gives only a tag.
    repository: Option<String>,
    folders: usize,
    gate: Gate,
    /// For another machine than this one.
    platform: Option<&'a Platform>,
    /// Images are only looked at, and go here.
    found: Option<Vec<Found>>,
}

impl Store {
    /// Loads all images of an archive that comes as a stream, compressed or not.
    pub fn load(&self, input: &mut dyn Read, events: Events<'_>) -> Result<Vec<Loaded>> {
        let work = self.work()?;
        let mut content = Content::new(input)?;
        content.allow_window(self.window);
        let mut progress = |name: &str, bytes: u64| events(LoadEvent::Layer { name, bytes });
        let source = Source::stream(&mut content, &work.path, self.style(), &mut progress)?;
        self.load_source(&work, source, None, events)
    }

    /// Loads all images of a folder with an OCI layout, or of an archive in a file.
    pub fn load_path(&self, path: &Path, events: Events<'_>) -> Result<Vec<Loaded>> {
        let name = repository_of(path);
        if path.is_dir() {
            let source = layout(path)?;
            return self.load_source(&self.work()?, source, name, events);
        }
        let mut file = File::open(path).on_path("open", path)?;
        base::checksum::verify(path, &file)?;
        let packed = Content::new(&mut file)?.is_packed();
        let seekable = file.rewind().is_ok();
        let work = self.work()?;
        let source = if seekable && !packed {
            Source::tar(file)?
        } else {
            // A pipe by name lost its first bytes to the look at them.
            let mut file = if seekable { file } else { File::open(path).on_path("open", path)? };
            let mut content = Content::new(&mut file)?;
            content.allow_window(self.window);
            let mut progress = |name: &str, bytes: u64| events(LoadEvent::Layer { name, bytes });
            Source::stream(&mut content, &work.path, self.style(), &mut progress)?
        };
        self.load_source(&work, source, name, events)
    }

    fn load_source(
        &self,
        work: &Work,
        source: Source,
        repository: Option<String>,
        events: Events<'_>,
    ) -> Result<Vec<Loaded>> {
        let mut loader = Loader::new(self, work, source, repository, events)?;
        loader.read()?;
        if loader.images.is_empty() {
            return Err(Error::bad_input("archive: no image is in it"));
        }
        self.commit(loader.work, &loader.layers, &loader.images)?;
        let names = |image: &NewImage| image.names.iter().map(Reference::familiar).collect();
        Ok(loader.images.iter().map(|image| Loaded { id: image.id, names: names(image) }).collect())
    }
}

impl<'a> Loader<'a> {
    /// One that loads images for this machine.
    fn new(
        store: &'a Store,
        work: &'a Work,
        source: Source,
        repository: Option<String>,
        events: Events<'a>,
    ) -> Result<Self> {
        let (layers, images) = (Vec::new(), Vec::new());
        let (folders, gate) = (0, Gate::new()?);
        let (platform, found) = (None, None);
        Ok(Self {
            store,
            work,
            source,
            events,
            layers,
            images,
            repository,
            folders,
            gate,
            platform,
            found,
        })
    }
}

impl Loader<'_> {
    fn read(&mut self) -> Result<()> {
        let loader = self;
        if let Some(text) = loader.source.document(b"manifest.json")? {
            loader.docker(&text)?;
        } else if let Some(text) = loader.source.document(b"index.json")? {
            loader.oci(&text)?;
        } else {
            let text = "archive: neither manifest.json nor index.json is in it";
            return Err(Error::bad_input(text));
        }
        Ok(())
    }
}

/// The repository that a folder or a file is named after.
fn repository_of(path: &Path) -> Option<String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let name = name.split(".tar").next().unwrap_or_default();
    let name = name.strip_suffix(".tgz").unwrap_or(name).to_owned();
    Reference::parse(&name).is_ok_and(|r| r.repository == name).then_some(name)
}

fn layout(path: &Path) -> Result<Source> {
    if files::exists(&path.join("index.json")) {
        return Ok(Source::Folder(path.to_owned()));
    }
    let text = format!("{}: no OCI layout: index.json is missing", path.display());
    Err(Error::bad_input(text))
}

/// The path of a blob in an OCI layout.
fn blob_path(digest: &Digest) -> Vec<u8> {
    ["blobs/sha256/", &digest.hex()].concat().into_bytes()
}

fn differs(what: &str, want: &Digest, got: &Digest) -> Error {
    Error::bad_input(format!("archive: {what} {want} has digest {got}"))
}

/// What the archive says of a layer.
pub(crate) struct Wanted {
    pub(crate) name: Vec<u8>,
    blob: Option<(Digest, u64)>,
}

impl Wanted {
    /// Whether a blob is the one that the archive means.
    pub(crate) fn check(&self, blob: &Digest, length: u64) -> Result<()> {
        let Some((digest, size)) = &self.blob else {
            return Ok(());
        };
        if blob != digest {
            return Err(differs("layer", digest, blob));
        }
        if *size != u64::MAX && length != *size {
            let text = format!("archive: layer {digest} is not as long as it should be");
            return Err(Error::bad_input(text));
        }
        Ok(())
    }
}

impl Loader<'_> {
    fn image(
        &mut self,
        config: Vec<u8>,
        manifest: Option<(Digest, Vec<u8>)>,
        wanted: Vec<Wanted>,
        names: Vec<Reference>,
    ) -> Result<()> {
        let id = Digest::of(&config);
        let document: ImageDocument =
            json::parse(&config).map_err(|e| e.context(format!("configuration {id}")))?;
        let diffs = &document.rootfs.diff_ids;
        if !matches!(document.os.as_str(), "" | "linux") {
            let os: String = document.os.chars().take(40).filter(|c| !c.is_control()).collect();
            return Err(Error::bad_input(format!("cannot load {os} image on linux")));
        }
        if diffs.len() != wanted.len() {
            let text = format!(
                "archive: image {id} has {} layers, and {} are named",
                diffs.len(),
                wanted.len()
            );
            return Err(Error::bad_input(text));
        }
        if let Some(found) = &mut self.found {
            let offered = Platform {
                os: "linux".into(),
                architecture: document.architecture.clone(),
                variant: document.variant.clone(),
            };
            if self.platform.is_some_and(|wanted| platform::fits(wanted, &offered) == 0) {
                let offered = platform::shown(&offered);
                return Err(Error::bad_input(format!("archive: image {id} is for {offered}")));
            }
            let image = NewImage { id, config, document, manifest, layers: Vec::new(), names };
            found.push(Found { image, blobs: wanted });
            return Ok(());
        }
        let mut bytes = 0;
        for (diff, wanted) in diffs.iter().zip(&wanted) {
            let known = self.layers.iter().any(|layer| layer.record.diff == *diff);
            if !known && !files::exists(&self.store.place(LAYERS, &diff.hex())?) {
                bytes += self.source.size(&wanted.name).unwrap_or(0);
            }
        }
        self.store.check_room(bytes).map_err(|e| e.context("load"))?;
        let mut layers: Vec<usize> = Vec::new();
        for (diff, wanted) in diffs.iter().zip(&wanted) {
            let below = layers.last().map(|&at| self.layers[at].chain);
            let chain = chain_id(below.as_ref(), diff);
            let at = self.layer(diff, chain, wanted, &layers)?;
            // The chain goes on from this place, also where the layer was met elsewhere before.
            layers.push(at);
        }
        self.images.push(NewImage { id, config, document, manifest, layers, names });
        Ok(())
    }

    fn layer(
        &mut self,
        diff: &Digest,
        chain: Digest,
        wanted: &Wanted,
        below: &[usize],
    ) -> Result<usize> {
        if let Some(at) =
            self.layers.iter().position(|l| l.record.diff == *diff && l.chain == chain)
        {
            return Ok(at);
        }
        let independent =
            |l: &&Staged| l.record.diff == *diff && l.record.chain == Digest::default();
        if let Some(same) = self.layers.iter().find(independent) {
            let (name, folder) = (same.name.clone(), same.folder.clone());
            let record = same.record.clone();
            let lock = match &same.lock {
                Some(_) => files::Lock::shared(&folder).ok(),
                None => None,
            };
            self.layers.push(Staged { name, record, folder, chain, lock });
            return Ok(self.layers.len() - 1);
        }
        if let Some(existing) = self.store.existing_layer(diff, &chain)? {
            (self.events)(LoadEvent::Exists { layer: diff });
            self.layers.push(existing);
            return Ok(self.layers.len() - 1);
        }
        let folder = self.work.path.join(format!("new-{}", self.folders));
        self.folders += 1;
        let name = String::from_utf8_lossy(&wanted.name).into_owned();
        let events = &mut self.events;
        let mut progress = |bytes: u64| events(LoadEvent::Layer { name: &name, bytes });
        let style = self.store.style();
        let mut unpacked = self
            .source
            .layer(&wanted.name, folder, style, &mut progress)
            .map_err(|e| e.context(format!("layer {}", shown(&wanted.name))))?;
        wanted.check(&unpacked.blob, unpacked.blob_size)?;
        if unpacked.diff != *diff {
            return Err(differs("layer", diff, &unpacked.diff));
        }
        let mut trees: Vec<PathBuf> = Vec::new();
        for &at in below.iter().rev() {
            trees.push(self.layers[at].tree());
            if self.layers[at].record.opaque {
                break;
            }
        }
        let took = unpacked.complete(&trees, style.marks)?;
        self.layers.push(Staged::unpacked(&unpacked, chain, took)?);
        Ok(self.layers.len() - 1)
    }
}
