//! Images from archives: OCI layouts, `docker save`, and plain root file systems.
//!
//! Whatever the archive says is checked against what was read: the digests of manifests, of
//! configurations, of compressed blobs, of decompressed layers. Nothing of it becomes visible
//! unless all of it is right.

pub(crate) mod documents;
mod import;
mod look;
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
use documents::{Descriptor, Document, IMAGE_NAME, Platform, REF_NAME, Saved, choose};
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
        let (layers, images) = (Vec::new(), Vec::new());
        let (folders, gate) = (0, Gate::new()?);
        let (platform, found) = (None, None);
        let mut loader = Loader {
            store: self,
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
        };
        loader.read()?;
        if loader.images.is_empty() {
            return Err(Error::bad_input("archive: no image is in it"));
        }
        self.commit(loader.work, &loader.layers, &loader.images)?;
        let names = |image: &NewImage| image.names.iter().map(Reference::familiar).collect();
        Ok(loader.images.iter().map(|image| Loaded { id: image.id, names: names(image) }).collect())
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

/// Whether a manifest is about the image of an entry of `manifest.json`, blob for blob.
fn same_image(document: &Document, id: &Digest, saved: &Saved) -> bool {
    let blob = |name: &String| name.strip_prefix("blobs/sha256/").map(Digest::from_hex);
    let layers = document.layers.as_deref().unwrap_or_default();
    document.config.as_ref().is_some_and(|config| config.digest == *id)
        && layers.len() == saved.layers.len()
        && layers.iter().zip(&saved.layers).all(|(d, name)| blob(name) == Some(Ok(d.digest)))
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
    /// The manifest for the machine that is asked for, or for this one.
    fn choose<'d>(&self, list: &[&'d Descriptor]) -> Result<&'d Descriptor> {
        let Some(wanted) = self.platform else {
            return choose(list).ok_or_else(no_platform);
        };
        let rank = |d: &&&Descriptor| match &d.platform {
            Some(offered) => platform::fits(wanted, offered),
            None => u8::from(list.len() == 1),
        };
        // The first of the best.
        let best = list.iter().rev().max_by_key(rank).filter(|d| rank(d) > 0).copied();
        best.ok_or_else(|| {
            let wanted = platform::shown(wanted);
            Error::bad_input(format!("archive: no image for {wanted} is in it"))
        })
    }

    fn docker(&mut self, text: &[u8]) -> Result<()> {
        let list: Vec<Saved> = json::parse(text).map_err(|e| e.context("manifest.json"))?;
        let manifests = self.manifests()?;
        for saved in list {
            let config = self.source.needed(saved.config.as_bytes())?;
            let id = Digest::of(&config);
            // Its name is its digest, in all forms of these archives.
            let base = saved.config.rsplit('/').next().unwrap_or_default();
            if let Ok(named) = Digest::from_hex(base.strip_suffix(".json").unwrap_or(base))
                && named != id
            {
                return Err(differs("configuration", &named, &id));
            }
            let names =
                saved.tags.iter().map(|tag| Reference::parse(tag)).collect::<Result<Vec<_>>>()?;
            let wanted = |name: &String| {
                let hex = name.strip_prefix("blobs/sha256/").map(Digest::from_hex);
                let blob = hex.and_then(Result::ok).map(|digest| (digest, u64::MAX));
                Wanted { name: name.as_bytes().to_vec(), blob }
            };
            let layers = saved.layers.iter().map(wanted).collect();
            let manifest =
                manifests.iter().find(|(_, _, document)| same_image(document, &id, &saved));
            let manifest = manifest.map(|(digest, text, _)| (*digest, text.clone()));
            let digests: Vec<Digest> = manifest.iter().map(|(digest, _)| *digest).collect();
            self.gate.admit(&mut self.source, &names, &digests)?;
            self.image(config, manifest, layers, names)?;
        }
        Ok(())
    }

    /// The manifests beside docker's `manifest.json`, in the newer form of its archives.
    fn manifests(&mut self) -> Result<Vec<(Digest, Vec<u8>, Document)>> {
        let mut found = Vec::new();
        let Some(text) = self.source.document(b"index.json")? else {
            return Ok(found);
        };
        let mut index = documents::parse(&text, "").map_err(|e| e.context("index.json"))?;
        self.gate.look(&mut index);
        for descriptor in index.manifests.unwrap_or_default() {
            if self.source.document(&blob_path(&descriptor.digest))?.is_none() {
                continue;
            }
            let text = self.checked(&descriptor, "manifest")?;
            let document = documents::parse(&text, &descriptor.media_type)
                .map_err(|e| e.context(format!("manifest {}", descriptor.digest)))?;
            found.push((descriptor.digest, text, document));
        }
        Ok(found)
    }

    fn oci(&mut self, text: &[u8]) -> Result<()> {
        let mut index = documents::parse(text, "").map_err(|e| e.context("index.json"))?;
        self.gate.look(&mut index);
        let list = index.manifests.unwrap_or_default();
        // Several manifests of one name are one image for several machines.
        let name = |d: &Descriptor| {
            let full = d.annotations.get(IMAGE_NAME).or_else(|| d.annotations.get(REF_NAME));
            full.cloned().unwrap_or_default()
        };
        let mut done: Vec<String> = Vec::new();
        for descriptor in &list {
            let full = name(descriptor);
            if done.contains(&full) {
                continue;
            }
            let group: Vec<&Descriptor> = list.iter().filter(|d| name(d) == full).collect();
            let chosen = self.choose(&group)?;
            let names = self.name(&full)?;
            self.oci_image(chosen, names, &mut Vec::new())?;
            done.push(full);
        }
        Ok(())
    }

    /// A full name, or a tag of the repository that the archive is named after.
    fn name(&self, text: &str) -> Result<Vec<Reference>> {
        if text.contains(['/', ':']) {
            return Ok(vec![Reference::parse(text)?]);
        }
        let Some(repository) = &self.repository else {
            return Ok(Vec::new());
        };
        let full =
            if text.is_empty() { repository.clone() } else { [repository, ":", text].concat() };
        Ok(vec![Reference::parse(&full)?])
    }

    fn oci_image(
        &mut self,
        descriptor: &Descriptor,
        names: Vec<Reference>,
        above: &mut Vec<Digest>,
    ) -> Result<()> {
        let text = self.checked(descriptor, "manifest")?;
        above.push(descriptor.digest);
        let document = documents::parse(&text, &descriptor.media_type)
            .map_err(|e| e.context(format!("manifest {}", descriptor.digest)))?;
        if let Some(list) = &document.manifests {
            if above.len() > 3 {
                return Err(Error::bad_input("archive: indexes nested too deep"));
            }
            let list: Vec<&Descriptor> = list.iter().collect();
            let chosen = self.choose(&list)?;
            return self.oci_image(chosen, names, above);
        }
        let (Some(config), Some(layers)) = (&document.config, &document.layers) else {
            return Err(Error::bad_input(format!(
                "archive: manifest {} has no layers",
                descriptor.digest
            )));
        };
        self.gate.admit(&mut self.source, &names, above)?;
        let config = self.checked(config, "configuration")?;
        let wanted =
            |d: &Descriptor| Wanted { name: blob_path(&d.digest), blob: Some((d.digest, d.size)) };
        let layers = layers.iter().map(wanted).collect();
        self.image(config, Some((descriptor.digest, text)), layers, names)
    }

    /// A document whose digest and size are what its descriptor says.
    fn checked(&mut self, descriptor: &Descriptor, what: &str) -> Result<Vec<u8>> {
        let text = self.source.needed(&blob_path(&descriptor.digest))?;
        let got = Digest::of(&text);
        if got != descriptor.digest {
            return Err(differs(what, &descriptor.digest, &got));
        }
        if text.len() as u64 != descriptor.size {
            let text = format!("archive: {what} {got} is not as long as it should be");
            return Err(Error::bad_input(text));
        }
        Ok(text)
    }

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

fn no_platform() -> Error {
    let (name, variant) = crate::image::architecture();
    let slash = if variant.is_empty() { "" } else { "/" };
    Error::bad_input(format!("archive: no image for linux/{name}{slash}{variant} is in it"))
}
