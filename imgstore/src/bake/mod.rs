//! `bake`: a base store as one tar, for `sqfstar`, `mkfs.erofs --tar=f` or plain `tar`.
//!
//! Nothing is unpacked, so it needs no root and no particular CPU: each layer's archive is copied
//! aside in the work folder and read once ([`model`]); then all entries are written in the order of
//! their names. The same input gives the same bytes: what the store itself makes has the time of
//! SOURCE_DATE_EPOCH (or 0) and belongs to 0:0; files of images have the owners and times that
//! their image gives them.

mod model;
mod names;
mod spool;

use crate::archive::Found;
use crate::commit::{NewImage, Staged, image_record};
use crate::image::{ImageDocument, LayerRecord, chain_id, record_text};
use crate::layer::content::Content;
use crate::layer::entry::Entry;
use crate::layer::filelist::FileList;
use crate::layer::header::Kind;
use crate::layer::headers::Headers;
use crate::layer::write::TarWriter;
use crate::reference::Reference;
use crate::registry::platform;
use crate::store::{Store, Work};
use base::digest::Digest;
use base::map::Map;
use base::{Error, OnError, Result, json};
use model::{Model, Place};
use spool::Spool;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const BLOCK: usize = 64 << 10;

/// What is baked.
#[derive(Clone, Debug, Default)]
pub struct Bake {
    /// Names or ids; with `from`, none means all.
    pub images: Vec<String>,
    /// An archive or a folder with a layout; else the images are in the store.
    pub from: Option<PathBuf>,
    /// `OS/CPU[/VARIANT]`, for an index of several; empty: this machine.
    pub platform: String,
    /// The time of everything that is no image's own.
    pub epoch: i64,
}

/// A layer that was read.
struct Layer {
    staged: Staged,
    model: Model,
    /// The work folder's files: its archive, its list, its headers.
    archive: File,
    list: PathBuf,
    headers: PathBuf,
}

/// What a name of the new store is.
enum What {
    Folder,
    Text(Vec<u8>),
    File(PathBuf),
    Part(Place),
    /// A node of a layer's tree.
    Node(usize, usize),
}

struct Baker<'a> {
    store: &'a Store,
    work: Work,
    layers: Vec<Layer>,
    images: Vec<NewImage>,
    /// Everything with its name in the new store.
    all: Vec<(Vec<u8>, What)>,
    epoch: i64,
}

impl Store {
    /// Writes images as the tar of a base store.
    pub fn bake(&self, bake: &Bake, out: &mut dyn Write) -> Result<()> {
        let (work, layers, images) = (self.work()?, Vec::new(), Vec::new());
        let (all, epoch) = (Vec::new(), bake.epoch);
        let mut baker = Baker { store: self, work, layers, images, all, epoch };
        match &bake.from {
            Some(path) => baker.archive(path, bake)?,
            None => {
                for text in &bake.images {
                    baker.stored(text)?;
                }
            }
        }
        if baker.images.is_empty() {
            return Err(Error::bad_input("bake: no image is named"));
        }
        baker.collect()?;
        let mut out = BufWriter::with_capacity(BLOCK, out);
        baker.write(&mut out)?;
        out.flush().on("write", "the archive")
    }
}

impl Baker<'_> {
    /// An image of the store.
    fn stored(&mut self, text: &str) -> Result<()> {
        let image = self.store.find(text)?;
        let config = self.store.config_text(&image.id)?;
        let document: ImageDocument = json::parse(&config)?;
        let manifest = self.store.manifest_text(&image.id)?;
        // By its id: all its names.
        let names = match image.names.is_empty() {
            true => self.store.names_of(&image.id)?,
            false => image.names,
        };
        let names = names.iter().map(|name| Reference::parse(name));
        let names: Vec<Reference> = names.collect::<Result<_>>()?;
        let mut numbers = Vec::new();
        let mut below = None;
        for diff in &document.rootfs.diff_ids {
            let chain = chain_id(below.as_ref(), diff);
            below = Some(chain);
            let blob = self.store.existing_layer(diff, &chain)?;
            let blob = blob.map_or_else(Digest::default, |layer| layer.record.blob);
            let store = self.store;
            let number = self.layer(diff, chain, &numbers, &mut |out| {
                store.layer_archive(diff, &chain, out).map(|()| blob)
            })?;
            numbers.push(number);
        }
        let manifest = manifest.map(|text| (Digest::of(&text), text));
        self.image(NewImage { id: image.id, config, document, manifest, layers: numbers, names });
        Ok(())
    }

    /// Images of an archive.
    fn archive(&mut self, path: &Path, bake: &Bake) -> Result<()> {
        let wanted = match bake.platform.as_str() {
            "" => None,
            text => Some(platform::parse(text)?),
        };
        let (mut source, found) = self.store.images_of(path, &self.work, wanted.as_ref())?;
        let mut missing = bake.images.clone();
        let window = self.store.window;
        for Found { image, blobs } in found {
            let is_it = |text: &String| {
                let name = Reference::parse(text).ok();
                let hex = text.strip_prefix("sha256:").unwrap_or(text);
                name.is_some_and(|name| image.names.contains(&name)) || image.id.hex() == *hex
            };
            if !bake.images.is_empty() && !bake.images.iter().any(is_it) {
                continue;
            }
            missing.retain(|text| !is_it(text));
            let mut numbers = Vec::new();
            let mut below = None;
            for (diff, wanted) in image.document.rootfs.diff_ids.iter().zip(&blobs) {
                let chain = chain_id(below.as_ref(), diff);
                below = Some(chain);
                let number = self.layer(diff, chain, &numbers, &mut |out| {
                    let mut got = None;
                    source.blob(&wanted.name, &mut |input| {
                        let mut content = Content::new(input)?;
                        content.allow_window(window);
                        got = Some(copy(content, out)?);
                        Ok(())
                    })?;
                    let (blob, size) = got.unwrap_or_default();
                    wanted.check(&blob, size)?;
                    Ok(blob)
                })?;
                numbers.push(number);
            }
            self.image(NewImage { layers: numbers, ..image });
        }
        match missing.first() {
            Some(text) => Err(Error::not_found(format!("No such image: {text}"))),
            None => Ok(()),
        }
    }

    fn image(&mut self, image: NewImage) {
        match self.images.iter_mut().find(|other| other.id == image.id) {
            Some(same) => same.names.extend(image.names),
            None => self.images.push(image),
        }
    }

    /// Reads a layer, unless it was read before. `fill` writes its archive and gives its blob.
    fn layer(
        &mut self,
        diff: &Digest,
        chain: Digest,
        below: &[usize],
        fill: &mut dyn FnMut(&mut Spool) -> Result<Digest>,
    ) -> Result<usize> {
        let same = |layer: &Layer| {
            let record = &layer.staged.record;
            record.diff == *diff && [chain, Digest::default()].contains(&record.chain)
        };
        if let Some(number) = self.layers.iter().position(same) {
            return Ok(number);
        }
        let number = self.layers.len();
        let file = |kind: &str| self.work.path.join(format!("{kind}-{number}"));
        let (list, headers, path) = (file("files"), file("headers"), file("archive"));
        let model = Model::new(number, FileList::create(&list)?, Headers::create(&headers)?);
        let mut spool = Spool::create(path, model)?;
        let filled = fill(&mut spool);
        if let Some(e) = spool.failed.take() {
            return Err(e.context(format!("layer {diff}")));
        }
        let blob = filled?;
        spool.flush_block()?;
        spool.parser.finish(false)?;
        let got = spool.hash.finish();
        if got != *diff {
            return Err(Error::bad_input(format!("archive: layer {diff} has digest {got}")));
        }
        let mut lowers = Vec::new();
        for &number in below.iter().rev() {
            lowers.push(&self.layers[number].model);
            if self.layers[number].model.opaque() {
                break;
            }
        }
        let mut model = spool.model;
        let (files, took) = model.complete(&lowers)?;
        let record = LayerRecord {
            diff: *diff,
            blob,
            size: model.size,
            archive: spool.length,
            files,
            opaque: model.opaque(),
            chain: if took { chain } else { Digest::default() },
            ..LayerRecord::default()
        };
        let name = if took { chain.hex() } else { diff.hex() };
        let staged = Staged { name, record, folder: PathBuf::new(), chain, lock: None };
        self.layers.push(Layer { staged, model, archive: spool.file, list, headers });
        Ok(number)
    }

    fn add(&mut self, name: &str, what: What) {
        self.all.push((name.as_bytes().to_vec(), what));
    }

    /// Gives everything its name in the new store.
    fn collect(&mut self) -> Result<()> {
        for name in ["", "holds", "images", "layers", "names", "uppers", "work"] {
            self.add(name, What::Folder);
        }
        self.add("format", What::Text(crate::store::format_of_base().into_bytes()));
        let staged: Vec<Staged> =
            self.layers.iter().map(|layer| layer.staged.same_without_lock()).collect();
        for image in std::mem::take(&mut self.images) {
            let folder = ["images/", &image.id.hex()].concat();
            let record = record_text(&image_record(&image, &staged));
            self.add(&folder, What::Folder);
            for name in image.names.iter().filter(|name| name.digest.is_none()) {
                let file = ["names/", &name.file_name()].concat();
                self.add(&file, What::Text(format!("{}\n", image.id).into_bytes()));
            }
            self.add(&[&folder, "/config"].concat(), What::Text(image.config));
            self.add(&[&folder, "/record"].concat(), What::Text(record.into_bytes()));
            if let Some((_, text)) = image.manifest {
                self.add(&[&folder, "/manifest"].concat(), What::Text(text));
            }
        }
        for number in 0..self.layers.len() {
            let layer = &self.layers[number];
            let folder = ["layers/", &layer.staged.name].concat();
            let record = record_text(&layer.staged.record).into_bytes();
            let (list, headers) = (layer.list.clone(), layer.headers.clone());
            let replaced: Vec<(String, Place)> =
                layer.model.replaced.iter().map(|(hex, place)| (hex.clone(), *place)).collect();
            self.add(&folder, What::Folder);
            self.add(&[&folder, "/record"].concat(), What::Text(record));
            self.add(&[&folder, "/files"].concat(), What::File(list));
            self.add(&[&folder, "/headers"].concat(), What::File(headers));
            if !replaced.is_empty() {
                self.add(&[&folder, "/replaced"].concat(), What::Folder);
            }
            for (hex, place) in replaced {
                self.add(&[&folder, "/replaced/", &hex].concat(), What::Part(place));
            }
            let tree = [&folder, "/tree"].concat();
            self.add(&tree, What::Node(number, 0));
            for (name, node) in self.layers[number].model.names.iter() {
                let path = [tree.as_bytes(), b"/", &name].concat();
                self.all.push((path, What::Node(number, node)));
            }
        }
        Ok(())
    }

    /// Writes it all, in the order of the names.
    fn write(&mut self, out: &mut dyn Write) -> Result<()> {
        let mut tar = TarWriter::new(out);
        self.all.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        // A name that two images have is there once.
        self.all.dedup_by(|(a, _), (b, _)| a == b);
        let mut first: Map<(usize, usize), Vec<u8>> = Map::new();
        for (path, what) in std::mem::take(&mut self.all) {
            let mtime = (self.epoch, 0);
            let (kind, mode) = (Kind::File, 0o600);
            let file = Entry { kind, mode, mtime, path: path.clone(), ..Entry::default() };
            let folder = [if path.is_empty() { b"." } else { &path[..] }, b"/"].concat();
            match what {
                What::Folder => {
                    tar.entry(&Entry { kind: Kind::Folder, path: folder, mode: 0o700, ..file })?;
                }
                What::Text(text) => {
                    let size = text.len() as u64;
                    tar.entry(&Entry { size, ..file })?;
                    tar.data(&text)?;
                    tar.pad(size)?;
                }
                What::File(path) => {
                    let mut input = File::open(&path).on_path("open", &path)?;
                    let size = input.metadata().on_path("stat", &path)?.len();
                    tar.entry(&Entry { size, ..file })?;
                    content(&mut input, size, &mut tar)?;
                }
                What::Part(place) => {
                    tar.entry(&Entry { size: place.2, ..file })?;
                    self.part(place, &mut tar)?;
                }
                What::Node(layer, number) => {
                    let node = &self.layers[layer].model.nodes[number];
                    let mut entry = Entry { path, ..node.entry.clone() };
                    if entry.kind == Kind::Folder {
                        entry.path = folder;
                        if node.opaque {
                            let mark = (b"trusted.overlay.opaque".to_vec(), b"y".to_vec());
                            entry.xattrs.push(mark);
                        }
                    } else if let Some(target) = first.get(&(layer, number)) {
                        let (kind, link) = (Kind::HardLink, target.clone());
                        let (size, xattrs) = (0, Vec::new());
                        tar.entry(&Entry { kind, link, size, xattrs, ..entry })?;
                        continue;
                    } else {
                        first.insert((layer, number), entry.path.clone());
                    }
                    if node.white {
                        entry.mtime = mtime;
                    }
                    let place = node.place;
                    tar.entry(&entry)?;
                    if entry.kind == Kind::File {
                        self.part(place, &mut tar)?;
                    }
                }
            }
        }
        tar.finish()
    }

    fn part(&self, (layer, offset, size): Place, tar: &mut TarWriter<'_>) -> Result<()> {
        let mut file = &self.layers[layer].archive;
        file.seek(SeekFrom::Start(offset)).on("read", "the layer")?;
        content(&mut file, size, tar)
    }
}

/// The content of an entry, and what fills it up.
fn content(input: &mut dyn Read, size: u64, tar: &mut TarWriter<'_>) -> Result<()> {
    let copied = io::copy(&mut input.take(size), tar).on("write", "the archive")?;
    match copied == size {
        true => tar.pad(size),
        false => Err(Error::other("read the layer: too short")),
    }
}

/// Copies what is in a blob; gives the digest and the size of the blob.
fn copy(mut content: Content<'_>, out: &mut Spool) -> Result<(Digest, u64)> {
    let mut block = vec![0; BLOCK];
    loop {
        match content.read_some(&mut block)? {
            0 => return content.finish(),
            n => out.write_all(&block[..n]).on("write", "the layer")?,
        }
    }
}

/// The time that SOURCE_DATE_EPOCH gives; 0 without it.
pub(crate) fn epoch() -> Result<i64> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) if !text.is_empty() => text
            .parse()
            .ok()
            .filter(|&seconds| seconds >= 0)
            .ok_or_else(|| Error::bad_input(format!("SOURCE_DATE_EPOCH: '{text}' is no time"))),
        _ => Ok(0),
    }
}
