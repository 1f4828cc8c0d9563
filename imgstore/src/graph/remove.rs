//! Removing: first the names go, then the image's record, then, once that is durable, the layers that
//! no other image uses. What base stores have is hidden.

use super::{Asked, Removed, list_names};
use crate::bases::{IMAGES, NAMES};
use crate::fsck::BROKEN;
use crate::store::Store;
use base::digest::Digest;
use base::files::{self, Lock};
use base::map::Map;
use base::text::id;
use base::{Error, Kind, OnError, Result};

impl Store {
    /// Removes a name, and the image with its last one. `force`: all names of an image given by id,
    /// and the name of one that a container uses.
    pub fn remove(&self, text: &str, force: bool) -> Result<Vec<Removed>> {
        let _alone = Lock::exclusive(&self.root)?;
        let (asked, record) = self.ask(text, true)?;
        let names = self.names_of(&record.id)?;
        let holders = self.holders(&record.id)?;
        let hex = record.id.hex();
        let short = id::short(&hex);
        let held = |holder: &String| id::short(holder).to_owned();
        let going = match &asked {
            Asked::Name(name) if names.len() > 1 && names.contains(&name.familiar()) => {
                vec![name.familiar()]
            }
            Asked::Name(name) => {
                if let (Some(holder), false) = (holders.first(), force) {
                    let (name, holder) = (name.familiar(), held(holder));
                    return Err(Error::conflict(format!(
                        "conflict: unable to remove repository reference \"{name}\" (must force) - container {holder} is using its referenced image {short}"
                    )));
                }
                names.clone()
            }
            Asked::Id => {
                if names.len() > 1 && !force {
                    return Err(Error::conflict(format!(
                        "conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories"
                    )));
                }
                if let (Some(holder), false) = (holders.first(), force) {
                    let holder = held(holder);
                    return Err(Error::conflict(format!(
                        "conflict: unable to delete {short} (must be forced) - image is being used by container {holder}"
                    )));
                }
                names.clone()
            }
        };
        let mut removed = Vec::new();
        self.forget_index()?;
        for name in &going {
            let file = name.replace('/', "+");
            let path = self.folder("names").join(&file);
            // First, so that no other image is seen under this name.
            if self.base_name(&file)?.is_some() {
                self.hide(NAMES, &file)?;
            }
            match base::paths::unlink(&path) {
                Err(rustix::io::Errno::NOENT) if !self.bases.is_empty() => {}
                other => other.on_path("remove", &path)?,
            }
            removed.push(Removed::Untagged(name.clone()));
        }
        // A name must not come back after a power cut when its image does not.
        files::sync_folder(&self.folder("names"))?;
        if going.len() < names.len() || !holders.is_empty() {
            return Ok(removed);
        }
        if self.base_place(IMAGES, &hex)?.is_some() {
            self.hide(IMAGES, &hex)?;
        }
        self.drop_merged(&hex)?;
        let image = self.folder("images").join(&hex);
        if !files::is_there(&image)? {
            removed.push(Removed::Deleted(record.id));
            return Ok(removed);
        }
        // Without its record it is not there for anybody.
        for record in ["record", BROKEN] {
            match base::paths::unlink(&image.join(record)) {
                Ok(()) | Err(rustix::io::Errno::NOENT) => {}
                Err(e) => return Err(e).on_path("remove", &image),
            }
        }
        files::remove_tree(&image)?;
        files::sync_folder(&self.folder("images"))?;
        removed.push(Removed::Deleted(record.id));
        self.drop_layers(record.stack(), &mut removed)?;
        Ok(removed)
    }

    /// Removes those of these layers that no image uses, the topmost first.
    fn drop_layers(&self, layers: &[String], removed: &mut Vec<Removed>) -> Result<()> {
        let mut records = Vec::new();
        for hex in list_names(&self.folder("images"))? {
            match Digest::from_hex(&hex).and_then(|id| self.own_record(&id)) {
                Ok(record) => records.push(record),
                Err(e) if e.kind() == Kind::NotFound => {}
                // It may need any of them: gc takes them when it is known.
                Err(_) => return Ok(()),
            }
        }
        let mut needed = Map::new();
        self.needed_by_bases(&mut needed)?;
        let used =
            |name| needed.contains_key(name) || records.iter().any(|r| r.stack().contains(name));
        let mut first = Ok(());
        for name in layers.iter().rev().filter(|name| !used(name)) {
            let folder = self.folder("layers").join(name);
            // Somebody is just about to use it again.
            let Ok(Some(_alone)) = Lock::try_exclusive(&folder) else {
                continue;
            };
            let _ = base::paths::unlink(&folder.join("record"));
            match files::remove_tree(&folder) {
                Ok(()) => removed.extend(Digest::from_hex(name).map(Removed::Deleted)),
                Err(e) => first = first.and(Err(e)),
            }
        }
        first
    }
}
