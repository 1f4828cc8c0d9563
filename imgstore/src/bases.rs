//! Base stores: read-only ones below the writable one, on squashfs or another partition.
//!
//! Names, images and layers are looked for in the writable store first, then in each base store in
//! its order. Nothing is ever written there, not even a lock that needs writing. What is removed is
//! hidden: a mark below `hidden` in the writable store, by the name of what it hides. A mark that
//! `fsck` made says so (`broken`), since it goes when what is missing comes again; one of `rmi` is
//! empty, and goes when somebody loads, pulls or names the same again.

use crate::graph::list_names;
use crate::image::read_record;
use crate::layer::whiteout::Marks;
use crate::store::{Store, read_format};
use base::digest::Digest;
use base::files::{self, Sync};
use base::map::Map;
use base::{Error, Kind, OnError, Result, paths};
use std::path::{Path, PathBuf};

/// What can be hidden: the folder that it is in.
pub(crate) const NAMES: &str = "names";
pub(crate) const IMAGES: &str = "images";
pub(crate) const LAYERS: &str = "layers";

/// What a mark says that `fsck` made.
const BROKEN: &[u8] = b"broken\n";

/// Opens the base stores: each must be there, of our format, and have the marks of the writable one.
pub(crate) fn open(roots: &[PathBuf], marks: Marks) -> Result<Vec<PathBuf>> {
    for root in roots {
        let wrong = |e: Error| named(root, &e);
        let text = files::read_capped(&root.join("format"), 4096).map_err(wrong)?;
        if read_format(&text).map_err(wrong)? != marks {
            let text = "its layers have the marks of another kind of user (see the file format)";
            return Err(wrong(Error::other(text)));
        }
    }
    Ok(roots.to_vec())
}

/// Never "not found": that would mean the image, and have it pulled.
fn named(root: &Path, e: &Error) -> Error {
    let kind = match e.kind() {
        Kind::NotFound => Kind::Other,
        kind => kind,
    };
    Error::new(kind, format!("base store {}: {}", root.display(), e.message()))
}

impl Store {
    /// The base stores, in the order in which they are looked at.
    #[must_use]
    pub fn base_stores(&self) -> &[PathBuf] {
        &self.bases
    }

    fn mark_of(&self, kind: &str, name: &str) -> PathBuf {
        self.root.join("hidden").join(kind).join(name)
    }

    /// Whether what base stores have of this name is out of sight.
    pub(crate) fn is_hidden(&self, kind: &str, name: &str) -> Result<bool> {
        files::is_there(&self.mark_of(kind, name))
    }

    /// Where base stores have it, if it is in sight. `file`: what must be in it; empty for itself.
    fn in_base(&self, kind: &str, name: &str, file: &str) -> Result<Option<PathBuf>> {
        if self.bases.is_empty() || self.is_hidden(kind, name)? {
            return Ok(None);
        }
        for root in &self.bases {
            let path = root.join(kind).join(name);
            let there = if file.is_empty() { path.clone() } else { path.join(file) };
            if files::is_there(&there).map_err(|e| named(root, &e))? {
                return Ok(Some(path));
            }
        }
        // Not there, or all of the store is gone: who asks must hear which.
        for root in &self.bases {
            if !files::is_there(&root.join("format")).map_err(|e| named(root, &e))? {
                return Err(named(root, &Error::other("it is not there any more")));
            }
        }
        Ok(None)
    }

    /// The folder of an image or a layer: the writable one where it has a record, else that of a base
    /// store, else where it would be.
    pub(crate) fn place(&self, kind: &str, name: &str) -> Result<PathBuf> {
        let own = self.folder(kind).join(name);
        if self.bases.is_empty() || files::is_there(&own.join("record"))? {
            return Ok(own);
        }
        Ok(self.in_base(kind, name, "record")?.unwrap_or(own))
    }

    /// Whether an image or a layer is there, in any of the stores.
    pub(crate) fn has(&self, kind: &str, name: &str) -> Result<bool> {
        files::is_there(&self.place(kind, name)?.join("record"))
    }

    /// The base store's folder of an image or a layer, if it is in sight.
    pub(crate) fn base_place(&self, kind: &str, name: &str) -> Result<Option<PathBuf>> {
        self.in_base(kind, name, "record")
    }

    /// What a name leads to in the base stores.
    pub(crate) fn base_name(&self, file: &str) -> Result<Option<Digest>> {
        match self.in_base(NAMES, file, "")? {
            Some(path) => crate::graph::read_name(&path),
            None => Ok(None),
        }
    }

    /// The names of what is in sight in base stores.
    fn base_list(&self, kind: &str) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for root in &self.bases {
            let folder = root.join(kind);
            // Empty folders need not have been packed, the store itself must be there.
            for name in list_names(&folder).map_err(|e| named(root, &e))? {
                if !self.is_hidden(kind, &name)? {
                    all.push(name);
                }
            }
            if !files::is_there(&root.join("format")).map_err(|e| named(root, &e))? {
                return Err(named(root, &Error::other("it is not there any more")));
            }
        }
        Ok(all)
    }

    /// Everything of a kind that is in sight: in the writable store, and in the base stores.
    pub(crate) fn everything(&self, kind: &str) -> Result<Vec<String>> {
        let mut all = list_names(&self.folder(kind))?;
        if !self.bases.is_empty() {
            all.extend(self.base_list(kind)?);
            all.sort_unstable();
            all.dedup();
        }
        Ok(all)
    }

    /// Hides what base stores have of this name. Durable once it returns.
    pub(crate) fn hide(&self, kind: &str, name: &str) -> Result<()> {
        self.write_mark(kind, name, b"")
    }

    /// The same for what is damaged there.
    pub(crate) fn hide_broken(&self, kind: &str, name: &str) -> Result<()> {
        self.write_mark(kind, name, BROKEN)
    }

    fn write_mark(&self, kind: &str, name: &str, text: &[u8]) -> Result<()> {
        let folder = self.root.join("hidden").join(kind);
        if !files::is_there(&folder)? {
            files::create_dir_all(&folder)?;
            files::sync_folder(&self.root.join("hidden"))?;
            files::sync_folder(&self.root)?;
        }
        files::write_then_rename(&folder, name, text, Sync::Yes)
    }

    /// Brings back into sight what was hidden.
    pub(crate) fn unhide(&self, kind: &str, name: &str) -> Result<()> {
        let path = self.mark_of(kind, name);
        match paths::unlink(&path) {
            Ok(()) => files::sync_folder(&self.root.join("hidden").join(kind)),
            Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(e) => Err(e).on_path("remove", &path),
        }
    }

    /// Whether `fsck` found it damaged in a base store.
    pub(crate) fn is_broken(&self, kind: &str, name: &str) -> Result<bool> {
        match files::read_capped(&self.mark_of(kind, name), 64) {
            Ok(text) => Ok(text == BROKEN),
            Err(e) if e.kind() == Kind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Images of base stores that wait for layers, and have them now, are seen again.
    pub(crate) fn heal_hidden(&self, has: &dyn Fn(&String) -> bool) -> Result<()> {
        for name in list_names(&self.root.join("hidden").join(IMAGES))? {
            if !self.is_broken(IMAGES, &name)? {
                continue;
            }
            for root in &self.bases {
                let folder = root.join(IMAGES).join(&name);
                if crate::fsck::image_problem(&folder, &name, "record", has)?.is_none() {
                    self.unhide(IMAGES, &name)?;
                    break;
                }
            }
        }
        Ok(())
    }

    /// Layers of the writable store that images of base stores need: all of those that containers
    /// stand on, and what base stores themselves lack.
    pub(crate) fn needed_by_bases(&self, needed: &mut Map<String, ()>) -> Result<()> {
        if self.bases.is_empty() {
            return Ok(());
        }
        let held = self.held_images()?;
        for hex in self.base_list(IMAGES)? {
            let Some(folder) = self.base_place(IMAGES, &hex)? else { continue };
            let record: crate::image::ImageRecord = read_record(&folder.join("record"))?;
            for layer in record.stack() {
                if held.contains_key(&hex) || self.base_place(LAYERS, layer)?.is_none() {
                    needed.insert(layer.clone(), ());
                }
            }
        }
        Ok(())
    }
}
