//! `checkout`: the merged tree of an image, in a folder of the user's.

use crate::image::Image;
use crate::layer;
use crate::layer::merge::Files;
use crate::store::Store;
use base::files::{self, Lock};
use base::paths::chmod;
use base::{Error, OnError, Result};
use rustix::fs::Mode;
use std::path::Path;

impl Store {
    /// Finds an image, and keeps its layers from being removed as long as the locks are held.
    fn find_and_hold(&self, text: &str) -> Result<(Image, Vec<Lock>)> {
        let image = self.find(text)?;
        let mut held = Ok(Vec::new());
        for folder in image.layers.iter().filter_map(|tree| tree.parent()) {
            held = held.and_then(|mut locks: Vec<Lock>| {
                locks.push(Lock::shared(folder)?);
                Ok(locks)
            });
        }
        // Whoever removed it before that says so now.
        self.find(&image.id.to_string())?;
        let meanwhile = |e: Error| e.context("a layer was removed meanwhile: try again");
        Ok((image, held.map_err(meanwhile)?))
    }

    /// Copies the tree of an image into a folder that is not there yet, or empty.
    pub fn checkout(&self, image: &str, to: &Path) -> Result<()> {
        self.check_out(image, to, Files::Copied)
    }

    /// The same with the store's own files as hard links, where that can be: whoever writes to one of
    /// them damages the store.
    pub fn checkout_read_only(&self, image: &str, to: &Path) -> Result<()> {
        self.check_out(image, to, Files::Linked)
    }

    fn check_out(&self, image: &str, to: &Path, kind: Files) -> Result<()> {
        let (image, _held) = self.find_and_hold(image)?;
        let made = match std::fs::read_dir(to).map(Iterator::count) {
            Ok(1..) => {
                return Err(Error::conflict(format!("{}: the folder is not empty", to.display())));
            }
            Ok(0) => false,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                std::fs::create_dir(to).on_path("create", to)?;
                chmod(to, Mode::from_raw_mode(0o755)).on_path("change mode of", to)?;
                true
            }
            Err(e) => return Err(e).on_path("read", to),
        };
        let done = layer::copy_merged(&image.layers, to, self.style(), kind);
        if done.is_err() {
            let entries = std::fs::read_dir(to).map(|list| list.flatten().collect::<Vec<_>>());
            for entry in entries.unwrap_or_default() {
                let _ = files::remove_tree(&entry.path());
            }
            if made {
                let _ = std::fs::remove_dir(to);
            }
        }
        done
    }
}
