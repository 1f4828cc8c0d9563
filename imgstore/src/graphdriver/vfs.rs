//! The driver vfs: a full copy of the merged tree, for where no overlay can be mounted.
//!
//! The copy shares its content with the layers where the file system can do that.

use super::{Driver, Root, RootSource, Writable, make, remove, take, tree_size};
use crate::image::Image;
use crate::layer::{self, Style};
use base::{OnError, Result, files};
use rustix::fs::{AtFlags, Mode, chmodat, mkdirat};
use std::path::PathBuf;

pub(super) struct Vfs {
    pub(super) uppers: PathBuf,
    pub(super) style: Style,
}

impl Driver for Vfs {
    fn name(&self) -> &'static str {
        "vfs"
    }

    fn create(&self, id: &str, image: &Image, _writable: Writable) -> Result<Root> {
        let (path, lock) = make(&self.uppers, id)?;
        let root = path.join("root");
        let mode = Mode::from_raw_mode(0o755);
        let made = mkdirat(&lock, "root", mode)
            .and_then(|()| chmodat(&lock, "root", mode, AtFlags::empty()))
            .on_path("create", &root)
            .and_then(|()| layer::copy_merged(&image.layers, &root, self.style));
        if made.is_err() {
            let _ = files::remove_tree(&path);
        }
        made.map(|()| Root { source: RootSource::Folder(root), lock })
    }

    fn existing(&self, id: &str, _image: &Image, _writable: Writable) -> Result<Root> {
        let (path, lock) = take(&self.uppers, id)?;
        Ok(Root { source: RootSource::Folder(path.join("root")), lock })
    }

    fn remove(&self, id: &str) -> Result<()> {
        remove(&self.uppers, id)
    }

    fn size(&self, id: &str) -> Result<u64> {
        tree_size(&self.uppers.join(id).join("root"))
    }
}
