//! The driver vfs: a full copy of the merged tree, for where no overlay can be mounted.
//!
//! The copy shares its content with the layers where the file system can do that.

use super::{Driver, Root, RootSource, Writable, make, remove, take_soon, tree_size};
use crate::image::Image;
use crate::layer::changes::Own;
use crate::layer::merge::Files;
use crate::layer::{self, Style};
use base::paths::{chmodat, mkdirat, renameat};
use base::{OnError, Result, files};
use rustix::fs::{AtFlags, Mode};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

pub(super) struct Vfs {
    pub(super) uppers: PathBuf,
    pub(super) style: Style,
}

impl Vfs {
    /// Copies the tree aside, and renames it when it is whole.
    fn copy(&self, path: &Path, lock: &OwnedFd, image: &Image) -> Result<PathBuf> {
        let aside = path.join("new");
        let root = path.join("root");
        let mode = Mode::from_raw_mode(0o755);
        files::remove_tree(&aside)?;
        mkdirat(lock, "new", mode)
            .and_then(|()| chmodat(lock, "new", mode, AtFlags::empty()))
            .on_path("create", &aside)?;
        layer::copy_merged(&image.layers, &aside, self.style, Files::Copied)?;
        renameat(lock, "new", lock, "root").on_path("create", &root)?;
        Ok(root)
    }
}

impl Driver for Vfs {
    fn name(&self) -> &'static str {
        "vfs"
    }

    fn create(&self, id: &str, image: &Image, _writable: Writable) -> Result<Root> {
        let (path, lock) = make(&self.uppers, id)?;
        let made = self.copy(&path, &lock, image);
        if made.is_err() {
            let _ = files::remove_tree(&path);
        }
        made.map(|root| Root { source: RootSource::Folder(root), lock })
    }

    fn existing(&self, id: &str, image: &Image, _writable: Writable) -> Result<Root> {
        let (path, lock) = take_soon(&self.uppers, id)?;
        let root = match path.join("root") {
            root if files::exists(&root) => root,
            // The copying was killed.
            _ => self.copy(&path, &lock, image)?,
        };
        Ok(Root { source: RootSource::Folder(root), lock })
    }

    fn remove(&self, id: &str) -> Result<()> {
        remove(&self.uppers, id)
    }

    fn size(&self, id: &str) -> Result<u64> {
        tree_size(&self.uppers.join(id).join("root"))
    }

    fn own(&self, id: &str) -> Own {
        Own::Whole(self.uppers.join(id).join("root"))
    }
}
