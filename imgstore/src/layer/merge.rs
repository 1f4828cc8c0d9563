//! Lays a layer over a tree: what overlay does when it is mounted, done by copying.
//!
//! Used by the driver vfs and by `checkout`. Layers come lowest first; whiteouts remove, opaque
//! folders empty, everything else replaces what has its name. Hard links within a layer stay. A tree that
//! nobody will write to may take the layers' own files, as hard links.

use super::hardlink::open_below;
use super::path::{shown, split};
use super::walker::open_folder_at;
use super::whiteout::{self, Marks};
use base::copy;
use base::files::remove_tree_at;
use base::map::Map;
use base::paths::{linkat, mkdirat, statat};
use base::{OnError, Result};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fchmod, futimens};
use rustix::io::Errno;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// What becomes of a layer's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Files {
    /// The tree has its own.
    Copied,
    /// It has the layer's where it can, and is never written to.
    Linked,
}

/// A tree that layers are laid over.
pub(crate) struct Merge<'a> {
    root: BorrowedFd<'a>,
    marks: Marks,
    keep_owners: bool,
    files: Files,
    /// First name of each file of the layer that has several.
    links: Map<u64, Vec<u8>>,
    path: Vec<u8>,
    /// Nothing was there before: nothing needs to be replaced.
    empty: bool,
}

impl<'a> Merge<'a> {
    /// Over this folder, which must be empty.
    pub(crate) fn new(root: BorrowedFd<'a>, marks: Marks, keep_owners: bool, files: Files) -> Self {
        let (links, path) = (Map::new(), Vec::new());
        Self { root, marks, keep_owners, files, links, path, empty: true }
    }

    /// Lays the next layer over the tree.
    pub(crate) fn layer(&mut self, tree: &Path) -> Result<()> {
        let from = base::files::open_folder(tree)?;
        self.links.clear();
        self.path.clear();
        let to = open_folder_at(self.root, b".").on("open", "the root")?;
        let fresh = self.empty;
        self.folder(&from, &to, fresh)?;
        self.empty = false;
        Ok(())
    }

    fn folder(&mut self, from: &OwnedFd, to: &OwnedFd, fresh: bool) -> Result<()> {
        let length = self.path.len();
        let mut entries = Dir::read_from(from).on("read", shown(&self.path))?;
        while let Some(entry) = entries.read() {
            let entry = entry.on("read", shown(&self.path))?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if length > 0 {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name.to_bytes());
            self.entry(from, to, name, fresh)?;
            self.path.truncate(length);
        }
        Ok(())
    }

    fn entry(&mut self, from: &OwnedFd, to: &OwnedFd, name: &CStr, fresh: bool) -> Result<()> {
        let bytes = name.to_bytes();
        let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW).on("stat", shown(&self.path))?;
        if whiteout::is_whiteout(&stat) {
            return remove_tree_at(to, name).on("remove", shown(&self.path));
        }
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            return self.subfolder(from, to, name, &stat, fresh);
        }
        if !fresh {
            remove_tree_at(to, name).on("remove", shown(&self.path))?;
        }
        // Another file system, or one without them, or a file that has as many as it may: a copy.
        if self.files == Files::Linked && linkat(from, name, to, name, AtFlags::empty()).is_ok() {
            return Ok(());
        }
        if stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&stat.st_ino) {
                let (folder, first_name) = split(first);
                return open_below(self.root, folder)
                    .and_then(|dir| linkat(dir, first_name, to, bytes, AtFlags::empty()))
                    .on("link", shown(&self.path));
            }
            self.links.insert(stat.st_ino, self.path.clone());
        }
        copy::node(from.as_fd(), bytes, &stat, to.as_fd(), bytes, self.keep_owners)
            .on("copy", shown(&self.path))
    }

    fn subfolder(
        &mut self,
        from: &OwnedFd,
        to: &OwnedFd,
        name: &CStr,
        stat: &Stat,
        fresh: bool,
    ) -> Result<()> {
        let source = copy::open_for_reading(from.as_fd(), name.to_bytes(), OFlags::DIRECTORY)
            .on("open", shown(&self.path))?;
        let mut made = mkdirat(to, name, Mode::RWXU);
        let mut fresh_below = true;
        if let Err(Errno::EXIST) = made {
            let there =
                statat(to, name, AtFlags::SYMLINK_NOFOLLOW).on("stat", shown(&self.path))?;
            let is_folder = FileType::from_raw_mode(there.st_mode) == FileType::Directory;
            if fresh || !is_folder || whiteout::is_opaque(&source, self.marks) {
                remove_tree_at(to, name).on("remove", shown(&self.path))?;
                made = mkdirat(to, name, Mode::RWXU);
            } else {
                fresh_below = false;
                made = Ok(());
            }
        }
        made.on("create", shown(&self.path))?;
        let target = open_folder_at(to, name.to_bytes()).on("open", shown(&self.path))?;
        self.folder(&source, &target, fresh_below)?;
        copy::folder_metadata(source.as_fd(), target.as_fd(), self.keep_owners)
            .and_then(|()| fchmod(&target, Mode::from_raw_mode(stat.st_mode & 0o7777)))
            .and_then(|()| futimens(&target, &copy::times(stat)))
            .on("set owner, mode and times of", shown(&self.path))
    }
}
