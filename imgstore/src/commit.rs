//! How images become visible, and stay after a power cut.
//!
//! Everything of one `load` or `import` is written below one work folder: layers, image folders,
//! names. Then it is synced once (`syncfs`; before Linux 5.8, which hides errors, every file), and
//! then renamed into place: first the layers, then the images, then the names, each folder synced
//! before the next. So whatever is there after a crash refers only to what is whole.

use crate::bases::{IMAGES, LAYERS};
use crate::image::{ImageDocument, ImageRecord, LayerRecord, read_record, record_text};
use crate::layer::Unpacked;
use crate::reference::Reference;
use crate::store::{Store, Work};
use base::digest::Digest;
use base::files::{self, Lock, open_folder};
use base::map::Map;
use base::paths;
use base::paths::openat;
use base::{Error, Kind, OnError, Result};
use rustix::fs::{Dir, FileType, Mode, OFlags, fsync};
use rustix::io::Errno;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// A layer of an image that is to be committed.
pub(crate) struct Staged {
    /// The name of its folder in `layers`.
    pub(crate) name: String,
    pub(crate) record: LayerRecord,
    /// Where it lies now: in the work folder, or in its place already.
    pub(crate) folder: PathBuf,
    pub(crate) chain: Digest,
    /// Keeps it from being removed, when it is in its place.
    pub(crate) lock: Option<Lock>,
}

impl Staged {
    pub(crate) fn tree(&self) -> PathBuf {
        self.folder.join("tree")
    }

    /// The same, of which only names and records count.
    pub(crate) fn same_without_lock(&self) -> Self {
        let (name, record) = (self.name.clone(), self.record.clone());
        Self { name, record, folder: self.folder.clone(), chain: self.chain, lock: None }
    }

    /// A layer that was unpacked and completed. `took`: something from the layers below.
    pub(crate) fn unpacked(layer: &Unpacked, chain: Digest, took: bool) -> Result<Self> {
        let mut record = LayerRecord {
            diff: layer.diff,
            blob: layer.blob,
            size: layer.size,
            archive: layer.archive,
            files: layer.list,
            opaque: layer.opaque,
            ..LayerRecord::default()
        };
        if took {
            record.chain = chain;
        }
        let path = layer.folder.join("record");
        fs::write(&path, record_text(&record)).on_path("write", &path)?;
        let name = if took { chain.hex() } else { layer.diff.hex() };
        Ok(Self { name, record, folder: layer.folder.clone(), chain, lock: None })
    }
}

/// One image that is to be committed.
pub(crate) struct NewImage {
    pub(crate) id: Digest,
    pub(crate) config: Vec<u8>,
    pub(crate) document: ImageDocument,
    pub(crate) manifest: Option<(Digest, Vec<u8>)>,
    /// Indexes of its layers, lowest first.
    pub(crate) layers: Vec<usize>,
    pub(crate) names: Vec<Reference>,
}

impl Store {
    /// A layer that is here already, held so that it stays.
    pub(crate) fn existing_layer(&self, diff: &Digest, chain: &Digest) -> Result<Option<Staged>> {
        for name in [diff, chain] {
            let folder = self.place(LAYERS, &name.hex())?;
            if !files::exists(&folder) {
                continue;
            }
            let Ok(lock) = Lock::shared(&folder) else {
                continue;
            };
            let record: LayerRecord = match read_record(&folder.join("record")) {
                Err(e) if e.kind() == Kind::NotFound => continue,
                other => other?,
            };
            let right = record.diff == *diff
                && (record.chain == Digest::default() || record.chain == *chain);
            if right {
                let (name, chain, lock) = (name.hex(), *chain, Some(lock));
                return Ok(Some(Staged { name, record, folder, chain, lock }));
            }
        }
        Ok(None)
    }

    /// Makes layers durable and puts them into their places, before there is an image of them: what
    /// was fetched whole is not fetched again after a cut. Their names become durable with the next
    /// sync; until then a power cut may take them back, never break them.
    pub(crate) fn keep_layers(&self, work: &Work, layers: &mut [Staged]) -> Result<()> {
        if layers.iter().all(|layer| layer.lock.is_some()) {
            return Ok(());
        }
        sync_all(work)?;
        let _store = Lock::shared(&self.root)?;
        let mut moved = Map::new();
        for layer in layers.iter_mut().filter(|layer| layer.lock.is_none()) {
            let folder = self.folder("layers").join(&layer.name);
            if moved.insert(layer.name.clone(), ()).is_none() {
                place(&layer.folder, &folder)?;
            }
            layer.lock = Some(Lock::shared(&folder)?);
            layer.folder = folder;
        }
        Ok(())
    }

    /// Makes it all durable and visible.
    pub(crate) fn commit(&self, work: &Work, layers: &[Staged], images: &[NewImage]) -> Result<()> {
        for (number, image) in images.iter().enumerate() {
            self.write_image(work, number, layers, image)?;
        }
        sync_all(work)?;
        let _store = Lock::shared(&self.root)?;
        self.forget_index()?;
        let mut moved = Map::new();
        for layer in layers.iter().filter(|layer| layer.lock.is_none()) {
            // A layer may have several places in one load.
            if moved.insert(&layer.name, ()).is_none() {
                place(&layer.folder, &self.folder("layers").join(&layer.name))?;
            }
        }
        // Also where nothing was moved: what a cut pull or another load has put there must be durable
        // before an image relies on it.
        files::sync_folder(&self.folder("layers"))?;
        for layer in layers {
            // One that was here already lies where it was found: maybe in a base store.
            let folder = match layer.lock {
                Some(_) => layer.folder.clone(),
                None => self.folder("layers").join(&layer.name),
            };
            if !files::exists(&folder.join("record")) {
                return Err(Error::conflict("a layer was removed meanwhile: try again"));
            }
        }
        for (number, image) in images.iter().enumerate() {
            let from = work.path.join(format!("image-{number}"));
            if self.bases_have(image, layers)? {
                self.unhide(IMAGES, &image.id.hex())?;
            } else {
                place(&from, &self.folder("images").join(image.id.hex()))?;
            }
        }
        files::sync_folder(&self.folder("images"))?;
        self.heal()?;
        let mut named = false;
        for (number, image) in images.iter().enumerate() {
            for (at, name) in image.names.iter().enumerate() {
                let from = work.path.join(format!("name-{number}-{at}"));
                let to = self.folder("names").join(name.file_name());
                paths::rename(&from, &to).on_path("write", &to)?;
                named = true;
            }
        }
        if named { files::sync_folder(&self.folder("names")) } else { Ok(()) }
    }

    /// Whether base stores have all of an image: then it is only to be seen again.
    fn bases_have(&self, image: &NewImage, layers: &[Staged]) -> Result<bool> {
        let below = |layer: &Staged| self.bases.iter().any(|root| layer.folder.starts_with(root));
        let id = image.id.hex();
        let has = |root: &PathBuf| files::is_there(&root.join(IMAGES).join(&id).join("record"));
        if self.bases.is_empty() || !image.layers.iter().all(|&at| below(&layers[at])) {
            return Ok(false);
        }
        Ok(!self.is_broken(IMAGES, &id)?
            && self.bases.iter().map(has).collect::<Result<Vec<_>>>()?.contains(&true))
    }

    fn write_image(
        &self,
        work: &Work,
        number: usize,
        layers: &[Staged],
        image: &NewImage,
    ) -> Result<()> {
        let folder = work.path.join(format!("image-{number}"));
        paths::mkdir(&folder, Mode::RWXU).on_path("create", &folder)?;
        let record = image_record(image, layers);
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            fs::write(&path, bytes).on_path("write", &path)
        };
        write("config", &image.config)?;
        if let Some((_, text)) = &image.manifest {
            write("manifest", text)?;
        }
        write("record", record_text(&record).as_bytes())?;
        for at in 0..image.names.len() {
            let path = work.path.join(format!("name-{number}-{at}"));
            fs::write(&path, format!("{}\n", image.id)).on_path("write", &path)?;
        }
        Ok(())
    }
}

/// The record of an image with these layers.
pub(crate) fn image_record(image: &NewImage, layers: &[Staged]) -> ImageRecord {
    let document = &image.document;
    let shown = visible(layers, &image.layers);
    let stack: Vec<String> = image.layers.iter().map(|&at| layers[at].name.clone()).collect();
    ImageRecord {
        id: image.id,
        manifest: image.manifest.as_ref().map(|(digest, _)| *digest).unwrap_or_default(),
        architecture: document.architecture.clone(),
        variant: document.variant.clone(),
        os: document.os.clone(),
        created: document.created.clone(),
        size: image.layers.iter().map(|&at| layers[at].record.size).sum(),
        stack: if stack == shown { Vec::new() } else { stack },
        layers: shown,
        config: document.config.clone(),
        ..ImageRecord::default()
    }
}

/// The folders that make the tree: below one that hides everything there is nothing to see, and of
/// one that comes twice the upper shows all (overlay refuses a folder twice).
fn visible(layers: &[Staged], image: &[usize]) -> Vec<String> {
    let mut seen = Map::new();
    let mut names = Vec::new();
    for &at in image.iter().rev() {
        if seen.insert(&layers[at].name, ()).is_none() {
            names.push(layers[at].name.clone());
        }
        if layers[at].record.opaque {
            break;
        }
    }
    names.reverse();
    names
}

/// Renames a folder to a name that says what it holds: what is there already is the same, unless it
/// is half removed.
fn place(from: &Path, to: &Path) -> Result<()> {
    for _ in 0..3 {
        match paths::rename_new(from, to) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST | Errno::NOTEMPTY) => {}
            // Before Linux 3.15, and on some file systems: a folder that is not empty stays.
            Err(Errno::INVAL | Errno::NOSYS) => match paths::rename(from, to) {
                Ok(()) => return Ok(()),
                Err(Errno::EXIST | Errno::NOTEMPTY) => {}
                Err(e) => return Err(e).on_path("write", to),
            },
            Err(e) => return Err(e).on_path("write", to),
        }
        if files::is_there(&to.join("record"))? {
            return Ok(());
        }
        if let Some(_alone) = Lock::try_exclusive(to)? {
            files::remove_tree(to)?;
        }
    }
    Err(Error::conflict(format!("write {}: it is being removed", to.display())))
}

/// Syncs everything below a work folder.
fn sync_all(work: &Work) -> Result<()> {
    let folder = &work.path;
    if kernel_is_at_least(5, 8) {
        return rustix::fs::syncfs(work.lock.fd()).on_path("sync", folder);
    }
    sync_each(&open_folder(folder)?).on_path("sync", folder)
}

fn sync_each(folder: &OwnedFd) -> std::result::Result<(), Errno> {
    let mut entries = Dir::read_from(folder)?;
    while let Some(entry) = entries.read() {
        let entry = entry?;
        let name = entry.file_name();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        match entry.file_type() {
            FileType::Directory if !matches!(name.to_bytes(), b"." | b"..") => {
                sync_each(&openat(folder, name, flags | OFlags::DIRECTORY, Mode::empty())?)?;
            }
            FileType::RegularFile => fsync(openat(folder, name, flags, Mode::empty())?)?,
            _ => {}
        }
    }
    fsync(folder)
}

/// Whether this kernel is at least so new.
pub(crate) fn kernel_is_at_least(major: u32, minor: u32) -> bool {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let mut parts = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>());
    match (parts.next(), parts.next()) {
        (Some(Ok(a)), Some(Ok(b))) => (a, b) >= (major, minor),
        _ => false,
    }
}
