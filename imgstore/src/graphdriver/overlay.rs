//! The driver overlay: the layers below, a folder for what the container writes above.
//!
//! Making a root is three folders, and nothing is synced.

use super::{Driver, Root, RootSource, Writable, make, remove, take_soon, tree_size};
use crate::image::Image;
use crate::layer::changes::Own;
use crate::layer::whiteout::Marks;
use base::paths::{chmodat, mkdirat};
use base::sys::quota;
use base::{OnError, Result};
use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

pub(super) struct Overlay {
    pub(super) uppers: PathBuf,
    pub(super) marks: Marks,
}

impl Overlay {
    fn root(&self, path: &Path, lock: OwnedFd, image: &Image, writable: Writable) -> Root {
        let mut lower: Vec<PathBuf> = image.layers.iter().rev().cloned().collect();
        if lower.is_empty() {
            // Its upper folder is empty when it begins, and nothing of it is ever written below.
            lower.push(path.join("none"));
        }
        let source = RootSource::Overlay {
            lower,
            upper: path.join("upper"),
            work: path.join("work"),
            volatile: writable.volatile,
            userxattr: self.marks == Marks::User,
        };
        Root { source, lock }
    }
}

/// Makes the folders that an overlay mount needs, where they are not there yet.
fn fill(folder: &OwnedFd, image: &Image) -> rustix::io::Result<()> {
    let mode = Mode::from_raw_mode(0o755);
    match mkdirat(folder, "upper", mode) {
        // The container's `/` has the mode of this folder, whatever the umask is.
        Ok(()) => chmodat(folder, "upper", mode, AtFlags::empty())?,
        Err(Errno::EXIST) => (),
        Err(errno) => return Err(errno),
    }
    let make = |name, mode| match mkdirat(folder, name, mode) {
        Err(Errno::EXIST) => Ok(()),
        result => result,
    };
    make("work", Mode::RWXU)?;
    if image.layers.is_empty() { make("none", mode) } else { Ok(()) }
}

/// A container's project: 30 bits of its id, far from the small numbers that administrators choose.
fn project(id: &str) -> u32 {
    let bits = id.get(..8).and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or(0);
    0x4000_0000 | (bits & 0x3fff_ffff)
}

impl Driver for Overlay {
    fn name(&self) -> &'static str {
        "overlay"
    }

    fn create(&self, id: &str, image: &Image, writable: Writable) -> Result<Root> {
        let (path, lock) = make(&self.uppers, id)?;
        // While it is empty: what is made in it inherits.
        if let Some(bytes) = writable.quota
            && let Err(e) = quota::limit(lock.as_fd(), project(id), bytes)
        {
            let _ = base::files::remove_tree(&path);
            return Err(e).on_path("limit the size of", &path);
        }
        if let Err(e) = fill(&lock, image) {
            let _ = base::files::remove_tree(&path);
            return Err(e).on_path("create", &path);
        }
        Ok(self.root(&path, lock, image, writable))
    }

    fn existing(&self, id: &str, image: &Image, writable: Writable) -> Result<Root> {
        let (path, lock) = take_soon(&self.uppers, id)?;
        // Whoever made it may have been killed in the middle.
        fill(&lock, image).on_path("create", &path)?;
        Ok(self.root(&path, lock, image, writable))
    }

    fn remove(&self, id: &str) -> Result<()> {
        remove(&self.uppers, id)
    }

    fn size(&self, id: &str) -> Result<u64> {
        tree_size(&self.uppers.join(id).join("upper"))
    }

    fn own(&self, id: &str) -> Own {
        Own::Upper(self.uppers.join(id).join("upper"))
    }
}
