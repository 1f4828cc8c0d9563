//! `save`: images as an archive or a folder, exactly as they came.
//!
//! An archive is an OCI layout; docker's form adds `manifest.json`, and is what docker itself writes
//! today. Layers are made again from their files ([`crate::layer::rebuild`]), and their diff id is
//! checked as they stream. Where all blobs of an image were kept (setting `keep-blobs`), or came
//! uncompressed, its manifest is the one it came with; else it is a new one over uncompressed
//! layers, always the same for the same image.

use crate::archive::documents::{Descriptor, Document, IMAGE_NAME, REF_NAME, Saved};
use crate::image::{ImageRecord, LayerRecord};
use crate::layer::entry::Entry;
use crate::layer::header::Kind as EntryKind;
use crate::layer::rebuild::rebuild;
use crate::layer::write::TarWriter;
use crate::reference::Reference;
use crate::store::Store;
use base::digest::{Digest, Sha256};
use base::files::{self, Lock};
use base::map::Map;
use base::{Error, Kind, OnError, Result, json};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// What `save` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An OCI layout with docker's `manifest.json`: read by everybody.
    Docker,
    /// An OCI layout alone.
    Oci,
}

/// Where the files of a layout go.
enum Target<'a> {
    Tar(TarWriter<'a>),
    Folder(&'a Path),
}

impl Target<'_> {
    fn file(
        &mut self,
        name: &str,
        size: u64,
        fill: &mut dyn FnMut(&mut dyn Write) -> Result<()>,
    ) -> Result<()> {
        match self {
            Self::Tar(tar) => {
                let path = name.as_bytes().to_vec();
                let kind = EntryKind::File;
                tar.entry(&Entry { kind, path, mode: 0o644, size, ..Entry::default() })?;
                fill(tar)?;
                tar.pad(size)
            }
            Self::Folder(folder) => {
                let path = folder.join(name);
                if let Some(above) = path.parent() {
                    std::fs::create_dir_all(above).on_path("create", above)?;
                }
                let mut file = File::create(&path).on_path("create", &path)?;
                fill(&mut file).map_err(|e| e.context(path.display()))
            }
        }
    }

    fn text(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.file(name, bytes.len() as u64, &mut |out| {
            out.write_all(bytes).on("write", "the archive")
        })
    }
}

/// A blob of an image: a layer in the store.
struct LayerBlob {
    folder: PathBuf,
    record: LayerRecord,
    /// What the manifest says of it.
    descriptor: Descriptor,
    /// The blob as it came is here.
    kept: bool,
    /// So that it stays as long as it is read.
    _lock: Lock,
}

/// One image that is to be saved.
struct Saving {
    record: ImageRecord,
    names: Vec<Reference>,
}

fn blob_name(digest: &Digest) -> String {
    ["blobs/sha256/", &digest.hex()].concat()
}

impl Store {
    /// Writes images as one archive. Each by a name, all names of a repository, or an id.
    pub fn save(&self, images: &[String], form: Form, out: &mut dyn Write) -> Result<()> {
        self.save_to(images, form, Target::Tar(TarWriter::new(out)))
    }

    /// Writes images as an OCI layout into a folder that is not there yet, or empty.
    pub fn save_folder(&self, images: &[String], folder: &Path) -> Result<()> {
        match std::fs::read_dir(folder).map(Iterator::count) {
            Ok(1..) => {
                let text = format!("{}: the folder is not empty", folder.display());
                return Err(Error::conflict(text));
            }
            Ok(0) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                std::fs::create_dir(folder).on_path("create", folder)?;
            }
            Err(e) => return Err(e).on_path("read", folder),
        }
        let done = self.save_to(images, Form::Oci, Target::Folder(folder));
        if done.is_err() {
            for name in ["blobs", "index.json", "oci-layout"] {
                let _ = files::remove_tree(&folder.join(name));
            }
        }
        done
    }

    /// Writes the uncompressed archive of a layer, which `record` describes.
    fn write_layer(&self, layer: &LayerBlob, out: &mut dyn Write) -> Result<()> {
        let digest = if layer.kept {
            let path = layer.folder.join("blob");
            let mut file = File::open(&path).on_path("open", &path)?;
            copy_hashed(&mut file, out, layer.descriptor.size)
                .map_err(|e| e.context(path.display()))?
        } else {
            rebuild(&layer.folder, out)?
        };
        if digest != layer.descriptor.digest {
            let text = format!(
                "layer {} in the store is damaged (its archive has digest {digest}): remove its \
                 images and load them again",
                layer.record.diff
            );
            return Err(Error::other(text));
        }
        Ok(())
    }

    /// The uncompressed archive of a layer, by its diff id on top of the layers below it (`chain`;
    /// the diff id again for a layer that needs none). Fails at the end if it was damaged.
    pub fn layer_archive(&self, diff: &Digest, chain: &Digest, out: &mut dyn Write) -> Result<()> {
        let layer = self.layer_blob(diff, chain)?;
        self.write_layer(&layer, out)
    }

    /// The manifest that an image came with.
    pub(crate) fn manifest_text(&self, id: &Digest) -> Result<Option<Vec<u8>>> {
        let path = self.place(crate::bases::IMAGES, &id.hex())?.join("manifest");
        match files::read_capped(&path, 4 << 20) {
            Ok(text) => Ok(Some(text)),
            Err(e) if e.kind() == Kind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn layer_blob(&self, diff: &Digest, chain: &Digest) -> Result<LayerBlob> {
        let staged = self.existing_layer(diff, chain)?;
        let Some((staged, lock)) = staged.and_then(|mut s| s.lock.take().map(|lock| (s, lock)))
        else {
            return Err(Error::not_found(format!("layer {diff} is not in the store")));
        };
        let descriptor = Descriptor {
            media_type: "application/vnd.oci.image.layer.v1.tar".to_owned(),
            digest: *diff,
            size: staged.record.archive,
            ..Descriptor::default()
        };
        let (folder, record) = (staged.folder, staged.record);
        Ok(LayerBlob { folder, record, descriptor, kept: false, _lock: lock })
    }

    fn save_to(&self, images: &[String], form: Form, mut target: Target<'_>) -> Result<()> {
        let mut list: Vec<Saving> = Vec::new();
        for text in images {
            self.add_named(text, &mut list)?;
        }
        target.text("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        let mut done: Map<Digest, ()> = Map::new();
        let (mut index, mut saved) = (Vec::new(), Vec::new());
        for image in &list {
            let config = self.config_text(&image.record.id)?;
            let document: crate::image::ImageDocument = json::parse(&config)?;
            let mut layers = Vec::new();
            let mut below = None;
            for diff in &document.rootfs.diff_ids {
                let chain = crate::image::chain_id(below.as_ref(), diff);
                layers.push(self.layer_blob(diff, &chain)?);
                below = Some(chain);
            }
            let (manifest, descriptor) = self.manifest(&image.record, &config, &mut layers)?;
            for layer in &layers {
                if done.insert(layer.descriptor.digest, ()).is_none() {
                    let (name, size) = (blob_name(&layer.descriptor.digest), layer.descriptor.size);
                    target.file(&name, size, &mut |out| self.write_layer(layer, out))?;
                }
            }
            for (digest, text) in [(image.record.id, &config), (descriptor.digest, &manifest)] {
                if done.insert(digest, ()).is_none() {
                    target.text(&blob_name(&digest), text)?;
                }
            }
            describe(image, &descriptor, &mut index);
            saved.push(Saved {
                config: blob_name(&image.record.id),
                tags: image.names.iter().map(Reference::familiar).collect(),
                layers: layers.iter().map(|layer| blob_name(&layer.descriptor.digest)).collect(),
            });
        }
        let index = Document {
            version: 2,
            media_type: "application/vnd.oci.image.index.v1+json".to_owned(),
            manifests: Some(index),
            ..Document::default()
        };
        if form == Form::Docker {
            target.text("manifest.json", json::to_string(&saved).as_bytes())?;
        }
        target.text("index.json", json::to_string(&index).as_bytes())?;
        match &mut target {
            Target::Tar(tar) => tar.finish(),
            Target::Folder(_) => Ok(()),
        }
    }

    /// Adds what an operand of `save` means.
    fn add_named(&self, text: &str, list: &mut Vec<Saving>) -> Result<()> {
        let bare =
            !text.contains('@') && !text.rsplit('/').next().unwrap_or_default().contains(':');
        if let (true, Ok(asked)) = (bare, Reference::parse(text)) {
            let mut found = false;
            for (id, names) in self.names()?.iter() {
                for name in names {
                    let name = Reference::parse(name)?;
                    if name.repository == asked.repository {
                        found = true;
                        self.add(*id, Some(name), list)?;
                    }
                }
            }
            if found {
                return Ok(());
            }
        }
        let image = self.find(text)?;
        let name = image.names.first().map(|name| Reference::parse(name)).transpose()?;
        self.add(image.id, name.filter(|name| name.digest.is_none()), list)
    }

    fn add(&self, id: Digest, name: Option<Reference>, list: &mut Vec<Saving>) -> Result<()> {
        let place = match list.iter().position(|image| image.record.id == id) {
            Some(place) => place,
            None => {
                let record = self.record(&id)?;
                list.push(Saving { record, names: Vec::new() });
                list.len() - 1
            }
        };
        let names = &mut list[place].names;
        names.extend(name.filter(|name| !names.contains(name)));
        Ok(())
    }

    /// The manifest that the image came with, if all it names is here; else a new one.
    fn manifest(
        &self,
        record: &ImageRecord,
        config: &[u8],
        layers: &mut [LayerBlob],
    ) -> Result<(Vec<u8>, Descriptor)> {
        if let Some(text) = self.manifest_text(&record.id)?
            && let Some(document) = as_it_came(&text, layers)
        {
            let media_type = match document.media_type.as_str() {
                "" => "application/vnd.oci.image.manifest.v1+json".to_owned(),
                kind => kind.to_owned(),
            };
            let descriptor = describe_text(&text, media_type);
            return Ok((text, descriptor));
        }
        let config = describe_text(config, "application/vnd.oci.image.config.v1+json".to_owned());
        let media_type = "application/vnd.oci.image.manifest.v1+json".to_owned();
        let document = Document {
            version: 2,
            media_type: media_type.clone(),
            config: Some(config),
            layers: Some(layers.iter().map(|layer| layer.descriptor.clone()).collect()),
            ..Document::default()
        };
        let text = json::to_string(&document).into_bytes();
        let descriptor = describe_text(&text, media_type);
        Ok((text, descriptor))
    }
}

/// The manifest of an image, with the layers turned to its blobs, if each is here.
fn as_it_came(text: &[u8], layers: &mut [LayerBlob]) -> Option<Document> {
    let document: Document = json::parse(text).ok()?;
    let named = document.layers.as_ref()?;
    if named.len() != layers.len() {
        return None;
    }
    let kept = |layer: &LayerBlob, wanted: &Descriptor| {
        layer.record.blob == wanted.digest && files::exists(&layer.folder.join("blob"))
    };
    let here = |layer: &LayerBlob, wanted: &Descriptor| {
        wanted.digest == layer.record.diff || kept(layer, wanted)
    };
    if !layers.iter().zip(named).all(|(layer, wanted)| here(layer, wanted)) {
        return None;
    }
    for (layer, wanted) in layers.iter_mut().zip(named) {
        layer.kept = wanted.digest != layer.record.diff;
        layer.descriptor = wanted.clone();
    }
    Some(document)
}

fn describe_text(text: &[u8], media_type: String) -> Descriptor {
    let (digest, size) = (Digest::of(text), text.len() as u64);
    Descriptor { media_type, digest, size, ..Descriptor::default() }
}

/// A line of the index for each name; one without a name for an image that has none.
fn describe(image: &Saving, descriptor: &Descriptor, index: &mut Vec<Descriptor>) {
    for name in &image.names {
        let tag = name.tag.clone().unwrap_or_default();
        let annotations = [(IMAGE_NAME.to_owned(), name.full()), (REF_NAME.to_owned(), tag)];
        index.push(Descriptor { annotations: annotations.into(), ..descriptor.clone() });
    }
    if image.names.is_empty() {
        index.push(descriptor.clone());
    }
}

fn copy_hashed(input: &mut dyn Read, out: &mut dyn Write, size: u64) -> Result<Digest> {
    let mut hash = Sha256::new();
    let mut block = vec![0; 64 << 10];
    let mut left = size;
    while left > 0 {
        let want = block.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let n = input.read(&mut block[..want]).on("read", "the blob")?;
        if n == 0 {
            return Err(Error::other("too short"));
        }
        hash.update(&block[..n]);
        out.write_all(&block[..n]).on("write", "the archive")?;
        left -= n as u64;
    }
    Ok(hash.finish())
}
