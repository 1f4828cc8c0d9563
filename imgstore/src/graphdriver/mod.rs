//! Graph drivers: how a container gets a root of its own from an image's layers.
//!
//! A driver makes folders; it mounts nothing. What is to be mounted it says, and libcontainer does
//! it. A container's folder is `uppers/ID`, held by a `flock` as long as it is in use: whoever
//! removes it holds the lock. Which driver: the flag, `CORACLE_DRIVER`, `DOCKER_DRIVER`, the
//! settings, and then a probe, whose outcome is remembered in the run folder.

mod btrfs;
mod overlay;
mod probe;
mod vfs;

use crate::image::Image;
use crate::layer::changes::Own;
use crate::store::Store;
use base::files::{self, Lock};
use base::{Error, Kind, OnError, Result};
use rustix::fs::{Mode, fstat};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// What the writable part of a root must stand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Writable {
    /// It may be lost with the power: it is never synced.
    pub volatile: bool,
    /// It may take so many bytes, if the file system can see to it.
    pub quota: Option<u64>,
}

/// How a root comes to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootSource {
    /// By mounting an overlay.
    Overlay {
        /// The layers, topmost first.
        lower: Vec<PathBuf>,
        /// What the container writes.
        upper: PathBuf,
        /// Overlay's own.
        work: PathBuf,
        /// Mount it with `volatile`.
        volatile: bool,
        /// Mount it with `userxattr`.
        userxattr: bool,
    },
    /// It is this folder.
    Folder(PathBuf),
}

/// A container's root.
#[derive(Debug)]
pub struct Root {
    /// How it comes to be.
    pub source: RootSource,
    /// The `flock` on the container's folder: to be kept open as long as the root is in use.
    pub lock: OwnedFd,
}

/// A graph driver.
pub trait Driver {
    /// `overlay`, `btrfs` or `vfs`.
    fn name(&self) -> &'static str;
    /// Makes a container's folder.
    fn create(&self, id: &str, image: &Image, writable: Writable) -> Result<Root>;
    /// The root of a container that was made before.
    fn existing(&self, id: &str, image: &Image, writable: Writable) -> Result<Root>;
    /// Removes a container's folder; one that is in use is a conflict.
    fn remove(&self, id: &str) -> Result<()>;
    /// Bytes that the container has of its own.
    fn size(&self, id: &str) -> Result<u64>;
    /// Where the container's own files are.
    fn own(&self, id: &str) -> Own;
}

/// The driver that the environment names.
pub(crate) fn from_environment() -> Option<String> {
    let value = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    value("CORACLE_DRIVER").or_else(|| value("DOCKER_DRIVER"))
}

impl Store {
    /// The driver of this store.
    pub fn driver(&self) -> Result<Box<dyn Driver>> {
        match &self.driver {
            Some(name) => self.driver_called(name),
            None => self.driver_called(&probe::remembered(self)?),
        }
    }

    /// The driver of this name: what a container was made with.
    pub fn driver_called(&self, name: &str) -> Result<Box<dyn Driver>> {
        let uppers = self.folder("uppers");
        match name {
            // Docker's name for what is the same here.
            "overlay" | "overlay2" => Ok(Box::new(overlay::Overlay { uppers, marks: self.marks })),
            "btrfs" => Ok(Box::new(btrfs::Btrfs { root: self.root.clone(), style: self.style() })),
            "vfs" => Ok(Box::new(vfs::Vfs { uppers, style: self.style() })),
            // Docker's older ones: their kernels' parts are gone, or were never in it.
            old @ ("aufs" | "devicemapper") => Err(Error::unsupported(format!(
                "storage driver '{old}' is no longer one: overlay replaces it, and vfs works everywhere"
            ))),
            other => {
                let shown: String = other.chars().take(40).filter(|c| !c.is_control()).collect();
                Err(Error::bad_input(format!(
                    "unknown storage driver '{shown}': overlay, btrfs and vfs are known"
                )))
            }
        }
    }
}

fn in_use(id: &str) -> Error {
    Error::conflict(format!("the root of container {} is in use", base::text::id::short(id)))
}

/// Makes `uppers/ID` and takes its lock.
fn make(uppers: &Path, id: &str) -> Result<(PathBuf, OwnedFd)> {
    let path = uppers.join(id);
    for _ in 0..10 {
        base::paths::mkdir(&path, Mode::RWXU).on_path("create", &path)?;
        // A sweep may come between the two; then there is another folder, or none.
        match Lock::try_exclusive(&path) {
            Ok(Some(lock)) if fstat(lock.fd()).is_ok_and(|stat| stat.st_nlink > 0) => {
                return Ok((path, lock.into()));
            }
            Ok(_) => {}
            Err(e) if e.kind() == Kind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Err(in_use(id))
}

/// Takes the lock of `uppers/ID`.
fn take(uppers: &Path, id: &str) -> Result<(PathBuf, OwnedFd)> {
    let path = uppers.join(id);
    match Lock::try_exclusive(&path)? {
        Some(lock) => Ok((path, lock.into())),
        None => Err(in_use(id)),
    }
}

/// The same, for a start. A killed process may still be on its way out with the lock: two seconds.
fn take_soon(uppers: &Path, id: &str) -> Result<(PathBuf, OwnedFd)> {
    for _ in 0..400 {
        match take(uppers, id) {
            Err(error) if error.kind() == Kind::Conflict => {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            result => return result,
        }
    }
    Err(in_use(id))
}

/// Removes `uppers/ID` under its lock, which whoever looks for what was left holds for a moment.
fn remove(uppers: &Path, id: &str) -> Result<()> {
    match take_soon(uppers, id) {
        Ok((path, _held)) => files::remove_tree(&path),
        Err(e) if e.kind() == Kind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

/// Bytes of all files of a tree.
fn tree_size(folder: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut sum = 0;
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(&folder).on_path("read", &folder)? {
            let entry = entry.on_path("read", &folder)?;
            // Files come and go while a container runs.
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if metadata.is_dir() {
                waiting.push(entry.path());
            } else {
                sum += metadata.size() / metadata.nlink().max(1);
            }
        }
    }
    Ok(sum)
}
