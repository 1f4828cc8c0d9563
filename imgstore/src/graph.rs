//! Finding, listing, naming and removing images; and the holds that keep them.
//!
//! `find` is on the path of every `run`: two small files are read, nothing is listed. Removing takes
//! the store's lock alone: first the names go, then the image's record, then, once that is durable,
//! the layers that no other image uses. A hold is an empty file `IMAGE.CONTAINER`, in the root folder
//! or, for what must not outlive a reboot, in the run folder; it is made before the container looks
//! at the image, and asked for under the lock, so one of the two always sees the other.

mod index;
mod remove;

use crate::bases::{IMAGES, LAYERS, NAMES};
use crate::image::{Image, ImageRecord, read_record};
use crate::reference::Reference;
use crate::store::Store;
use base::digest::Digest;
use base::files::{self, Lock, Sync};
use base::map::Map;
use base::text::id;
use base::{Error, Kind, OnError, Result, log};
use rustix::fs::{Mode, OFlags};
use std::fs;
use std::path::{Path, PathBuf};

/// How long a hold lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Until the next reboot, for `--rm` containers.
    Run,
    /// Until released.
    Root,
}

/// What `remove` did, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// A name is gone.
    Untagged(String),
    /// An image or a layer is gone.
    Deleted(Digest),
}

/// How an image was asked for.
enum Asked {
    Name(Reference),
    Id,
}

fn not_found(text: &str) -> Error {
    let name = Reference::parse(text).map_or_else(|_| text.to_owned(), |name| name.familiar());
    let shown: String = name.chars().take(300).filter(|c| !c.is_control()).collect();
    Error::not_found(format!("No such image: {shown}"))
}

/// What a file of a name says.
pub(crate) fn read_name(path: &Path) -> Result<Option<Digest>> {
    match files::read_capped(path, 256) {
        Ok(text) => Digest::parse(String::from_utf8_lossy(&text).trim_end()).map(Some),
        Err(e) if e.kind() == Kind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

pub(crate) fn list_names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    match fs::read_dir(folder) {
        Ok(entries) => {
            for entry in entries {
                let name = entry.on_path("read", folder)?.file_name();
                names.extend(name.into_string().ok().filter(|name| !name.starts_with('.')));
            }
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(e).on_path("read", folder),
    }
    names.sort_unstable();
    Ok(names)
}

impl Store {
    /// Finds an image by name, by name and digest, or by its id or the beginning of it.
    pub fn find(&self, text: &str) -> Result<Image> {
        let (asked, record) = self.ask(text, false)?;
        let names = match asked {
            Asked::Name(name) => vec![name.familiar()],
            Asked::Id => Vec::new(),
        };
        self.image(record, names)
    }

    /// `any`: also an image that is broken.
    fn ask(&self, text: &str, any: bool) -> Result<(Asked, ImageRecord)> {
        let record = |id: &Digest| if any { self.any_record(id) } else { self.record(id) };
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let missing = |id: &Digest, e: Error| match e.kind() {
            Kind::NotFound if self.any_record(id).is_ok() => {
                let text = format!("{} (it is damaged: load or pull it again)", not_found(text));
                Error::not_found(text)
            }
            Kind::NotFound => not_found(text),
            _ => e,
        };
        if id::is_full(digits) {
            let id = Digest::from_hex(digits)?;
            return Ok((Asked::Id, record(&id).map_err(|e| missing(&id, e))?));
        }
        let name = Reference::parse(text);
        if let Ok(name) = &name {
            let found = match name.digest {
                // An index has another digest than the manifest that was chosen from it.
                Some(digest) => match self.with_digest(&digest)? {
                    None => self.named(&Reference { tag: None, ..name.clone() })?,
                    found => found,
                },
                None => self.named(name)?,
            };
            if let Some(id) = found {
                let record = record(&id).map_err(|e| missing(&id, e))?;
                return Ok((Asked::Name(name.clone()), record));
            }
        }
        if id::is_prefix(digits) {
            let ids = self.everything(IMAGES)?;
            let mut with = ids.iter().filter(|id| id.starts_with(digits));
            match (with.next(), with.next()) {
                (Some(hex), None) => {
                    let id = Digest::from_hex(hex)?;
                    return Ok((Asked::Id, record(&id).map_err(|e| missing(&id, e))?));
                }
                (Some(_), Some(_)) => {
                    return Err(Error::bad_input(format!("image id {digits} is ambiguous")));
                }
                _ => {}
            }
        }
        match name {
            Err(e) if !text.starts_with("sha256:") => Err(e),
            _ => Err(not_found(text)),
        }
    }

    fn named(&self, name: &Reference) -> Result<Option<Digest>> {
        let file = name.file_name();
        match self.name_file(&file)? {
            None => self.base_name(&file),
            found => Ok(found),
        }
    }

    /// What a name leads to in the writable store.
    pub(crate) fn name_file(&self, file: &str) -> Result<Option<Digest>> {
        read_name(&self.folder("names").join(file))
    }

    fn with_digest(&self, digest: &Digest) -> Result<Option<Digest>> {
        if self.record(digest).is_ok() {
            return Ok(Some(*digest));
        }
        let records = self.records()?;
        Ok(records.iter().find(|record| record.manifest == *digest).map(|record| record.id))
    }

    pub(crate) fn record(&self, id: &Digest) -> Result<ImageRecord> {
        read_record(&self.place(IMAGES, &id.hex())?.join("record"))
    }

    /// All images; one that cannot be read is passed over with a line.
    pub(crate) fn records(&self) -> Result<Vec<ImageRecord>> {
        let mut records = Vec::new();
        for hex in self.everything(IMAGES)? {
            match Digest::from_hex(&hex).and_then(|id| self.record(&id)) {
                Ok(record) => records.push(record),
                Err(e) if e.kind() == Kind::NotFound => {}
                Err(e) => log::warn(e.message()),
            }
        }
        Ok(records)
    }

    fn image(&self, record: ImageRecord, names: Vec<String>) -> Result<Image> {
        let folder = |name: &String| Ok(self.place(LAYERS, name)?.join("tree"));
        Ok(Image {
            id: record.id,
            manifest: (record.manifest != Digest::default()).then_some(record.manifest),
            names,
            layers: record.layers.iter().map(folder).collect::<Result<_>>()?,
            architecture: record.architecture,
            variant: record.variant,
            os: record.os,
            created: record.created,
            config: record.config,
            size: record.size,
        })
    }

    /// The configuration document of an image, byte for byte.
    pub fn config_text(&self, id: &Digest) -> Result<Vec<u8>> {
        files::read_capped(&self.place(IMAGES, &id.hex())?.join("config"), 4 << 20)
    }

    pub(crate) fn names(&self) -> Result<Map<Digest, Vec<String>>> {
        let mut names: Map<Digest, Vec<String>> = Map::new();
        for file in self.everything(NAMES)? {
            let Some(name) = Reference::from_file_name(&file) else {
                continue;
            };
            match self.named(&name) {
                Ok(Some(id)) => names.get_or_default(id).push(name.familiar()),
                Ok(None) => {}
                // A damaged one is nobody's; one that cannot be read now may be anybody's.
                Err(e) if e.kind() == Kind::BadInput => {}
                Err(e) => return Err(e),
            }
        }
        Ok(names)
    }

    /// All names of an image.
    pub fn names_of(&self, id: &Digest) -> Result<Vec<String>> {
        Ok(self.names()?.remove(id).unwrap_or_default())
    }

    /// Gives an image one more name.
    pub fn tag(&self, image: &str, name: &str) -> Result<()> {
        let name = Reference::parse(name)?;
        if name.digest.is_some() {
            return Err(Error::bad_input("refusing to create a tag with a digest reference"));
        }
        let _store = Lock::shared(&self.root)?;
        let found = match self.ask(image, false) {
            Ok((_, record)) => Ok(record.id),
            Err(e) => self.back_in_sight(image).and_then(|id| id.ok_or(e)),
        };
        self.write_name(&found?, &name)
    }

    /// The same for an image by its id; the name may have a digest in place of a tag.
    pub(crate) fn name(&self, id: &Digest, name: &Reference) -> Result<()> {
        let _store = Lock::shared(&self.root)?;
        self.record(id)?;
        self.write_name(id, name)
    }

    /// A base store's image that was removed here, by its whole id: seen again.
    fn back_in_sight(&self, text: &str) -> Result<Option<Digest>> {
        let Ok(id) = Digest::from_hex(text.strip_prefix("sha256:").unwrap_or(text)) else {
            return Ok(None);
        };
        if self.is_broken(IMAGES, &id.hex())? {
            return Ok(None);
        }
        self.unhide(IMAGES, &id.hex())?;
        Ok(self.has(IMAGES, &id.hex())?.then_some(id))
    }

    fn write_name(&self, id: &Digest, name: &Reference) -> Result<()> {
        if self.named(name)? == Some(*id) {
            return Ok(());
        }
        self.forget_index()?;
        let text = format!("{id}\n");
        files::write_then_rename(
            &self.folder("names"),
            &name.file_name(),
            text.as_bytes(),
            Sync::Yes,
        )
    }

    fn hold_folder(&self, keep: Keep) -> PathBuf {
        match keep {
            Keep::Run => self.run.join("holds"),
            Keep::Root => self.folder("holds"),
        }
    }

    /// Says that a container needs an image; fails when the image is gone.
    pub fn hold(&self, image: &Digest, container: &str, keep: Keep) -> Result<()> {
        let folder = self.hold_folder(keep);
        let path = folder.join([&image.hex(), ".", container].concat());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
        let make = || base::paths::open(&path, flags, Mode::RUSR | Mode::WUSR);
        let made = match make() {
            Err(rustix::io::Errno::NOENT) => {
                files::create_dir_all(&folder)?;
                make()
            }
            other => other,
        };
        made.on_path("create", &path)?;
        let hex = image.hex();
        if self.has(IMAGES, &hex)? {
            return Ok(());
        }
        self.release(image, container)?;
        Err(Error::not_found(format!("No such image: {hex}")))
    }

    /// The container needs it no longer.
    pub fn release(&self, image: &Digest, container: &str) -> Result<()> {
        let name = [&image.hex(), ".", container].concat();
        for keep in [Keep::Run, Keep::Root] {
            let path = self.hold_folder(keep).join(&name);
            match base::paths::unlink(&path) {
                Ok(()) | Err(rustix::io::Errno::NOENT) => {}
                // A read-only file system says so of what is not there, too.
                Err(rustix::io::Errno::ROFS) if !files::exists(&path) => {}
                Err(e) => return Err(e).on_path("remove", &path),
            }
        }
        Ok(())
    }

    /// Images that containers hold, by their digits.
    pub(crate) fn held_images(&self) -> Result<Map<String, ()>> {
        let mut held = Map::new();
        for keep in [Keep::Run, Keep::Root] {
            for name in list_names(&self.hold_folder(keep))? {
                held.extend(name.split_once('.').map(|(image, _)| (image.to_owned(), ())));
            }
        }
        Ok(held)
    }

    /// Which containers hold an image.
    pub fn holders(&self, image: &Digest) -> Result<Vec<String>> {
        let mut holders = Vec::new();
        let prefix = [&image.hex(), "."].concat();
        for keep in [Keep::Run, Keep::Root] {
            for name in list_names(&self.hold_folder(keep))? {
                holders.extend(name.strip_prefix(&prefix).map(str::to_owned));
            }
        }
        Ok(holders)
    }
}
