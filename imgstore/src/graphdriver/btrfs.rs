//! The driver btrfs: each image's merged tree is a subvolume, each container's root a snapshot of it.
//!
//! The merged tree is made at the first container of an image, in `merged/IMAGE`; its files share
//! their content with the layers. It goes with the image, or with `gc`.

use super::{Driver, Root, RootSource, Writable, make, remove, take_soon, tree_size};
use crate::image::Image;
use crate::layer::changes::Own;
use crate::layer::merge::Files;
use crate::layer::{self, Style};
use crate::store::{Store, work_in};
use base::sys::btrfs;
use base::{Error, OnError, Result, files, paths};
use rustix::fs::{Mode, fchmod};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

pub(super) struct Btrfs {
    pub(super) root: PathBuf,
    pub(super) style: Style,
}

fn merged(root: &Path) -> PathBuf {
    root.join("merged")
}

/// What the kernel answers where there are no subvolumes.
fn on_subvolume<T>(result: std::result::Result<T, Errno>, path: &Path) -> Result<T> {
    match result {
        Err(Errno::NOTTY | Errno::OPNOTSUPP | Errno::INVAL) => Err(Error::unsupported(format!(
            "storage driver btrfs: {} is not on btrfs: use overlay or vfs",
            path.display()
        ))),
        other => other.on_path("create subvolume", path),
    }
}

impl Btrfs {
    /// The subvolume with the merged tree of an image: made if it is not there.
    fn merged(&self, image: &Image) -> Result<OwnedFd> {
        let folder = merged(&self.root);
        let path = folder.join(image.id.hex());
        if files::is_there(&path)? {
            return files::open_folder(&path);
        }
        files::create_dir_all(&folder)?;
        let work = work_in(&self.root.join("work"))?;
        let aside = work.path.join("tree");
        on_subvolume(btrfs::create(files::open_folder(&work.path)?.as_fd(), "tree"), &aside)?;
        let tree = files::open_folder(&aside)?;
        fchmod(&tree, Mode::from_raw_mode(0o755)).on_path("change mode of", &aside)?;
        layer::copy_merged(&image.layers, &aside, self.style, Files::Copied)?;
        match paths::rename(&aside, &path) {
            Ok(()) => Ok(tree),
            // Somebody else was faster.
            Err(Errno::EXIST | Errno::NOTEMPTY) => files::open_folder(&path),
            Err(e) => Err(e).on_path("write", &path),
        }
    }

    fn snapshot(&self, path: &Path, lock: &OwnedFd, image: &Image) -> Result<PathBuf> {
        let root = path.join("root");
        let merged = self.merged(image)?;
        on_subvolume(btrfs::snapshot(merged.as_fd(), lock.as_fd(), "root"), &root)?;
        Ok(root)
    }
}

impl Driver for Btrfs {
    fn name(&self) -> &'static str {
        "btrfs"
    }

    fn create(&self, id: &str, image: &Image, _writable: Writable) -> Result<Root> {
        let (path, lock) = make(&self.root.join("uppers"), id)?;
        let made = self.snapshot(&path, &lock, image);
        if made.is_err() {
            let _ = files::remove_tree(&path);
        }
        made.map(|root| Root { source: RootSource::Folder(root), lock })
    }

    fn existing(&self, id: &str, image: &Image, _writable: Writable) -> Result<Root> {
        let (path, lock) = take_soon(&self.root.join("uppers"), id)?;
        let root = match path.join("root") {
            root if files::is_there(&root)? => root,
            _ => self.snapshot(&path, &lock, image)?,
        };
        Ok(Root { source: RootSource::Folder(root), lock })
    }

    fn remove(&self, id: &str) -> Result<()> {
        let uppers = self.root.join("uppers");
        if let Ok((_path, lock)) = take_soon(&uppers, id) {
            // At once; where that is not allowed, name by name.
            let _ = btrfs::destroy(lock.as_fd(), "root");
        }
        remove(&uppers, id)
    }

    fn size(&self, id: &str) -> Result<u64> {
        tree_size(&self.root.join("uppers").join(id).join("root"))
    }

    fn own(&self, id: &str) -> Own {
        Own::Whole(self.root.join("uppers").join(id).join("root"))
    }
}

/// Whether subvolumes can be made and copied here.
pub(super) fn works(folder: &Path) -> bool {
    let Ok(folder) = files::open_folder(folder) else {
        return false;
    };
    let made = btrfs::create(folder.as_fd(), "one").is_ok();
    let copied = made
        && paths::openat(
            &folder,
            "one",
            rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC,
            Mode::empty(),
        )
        .is_ok_and(|one| btrfs::snapshot(one.as_fd(), folder.as_fd(), "two").is_ok());
    for name in ["one", "two"] {
        let _ = btrfs::destroy(folder.as_fd(), name);
    }
    copied
}

impl Store {
    /// The merged tree of an image that is gone goes, too.
    pub(crate) fn drop_merged(&self, image: &str) -> Result<()> {
        let folder = merged(&self.root);
        if !files::is_there(&folder.join(image))? {
            return Ok(());
        }
        let _ = btrfs::destroy(files::open_folder(&folder)?.as_fd(), image);
        files::remove_tree(&folder.join(image))
    }

    /// The images that have a merged tree.
    pub(crate) fn merged_images(&self) -> Result<Vec<String>> {
        crate::graph::list_names(&merged(&self.root))
    }
}
