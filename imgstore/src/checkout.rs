//! `checkout`: the merged tree of an image, in a folder of the user's.

use crate::layer;
use crate::store::Store;
use base::{Error, OnError, Result, files};
use rustix::fs::{Mode, chmod};
use std::path::Path;

impl Store {
    /// Copies the tree of an image into a folder that is not there yet, or empty.
    pub fn checkout(&self, image: &str, to: &Path) -> Result<()> {
        let image = self.find(image)?;
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
        let done = layer::copy_merged(&image.layers, to, self.style());
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
