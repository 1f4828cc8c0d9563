//! Hard links: to a file of the same layer at once, to anything else when the lower layers are there.
//!
//! The target's folder is opened by descriptor, following nothing (CVE-2014-6407): a link can only
//! be made to what lies in the layer itself.

use super::entry::Entry;
use super::path::refuse;
use super::path::{clean, is_below, shown, split};
use super::unpack::{Link, Unpacker};
use super::walker::open_folder_at;
use super::whiteout::{self, Meaning, meaning};
use base::paths::{linkat, statat};
use base::{OnError, Result};
use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

impl Unpacker {
    pub(super) fn hard_link(&mut self, entry: &Entry, name: &[u8], path: Vec<u8>) -> Result<()> {
        let target = clean(&entry.link)?;
        if target.is_empty() || target == path {
            return Err(refuse(&path, "hard link to itself or to the root"));
        }
        if !matches!(meaning(split(&target).1), Meaning::Plain) {
            return Err(refuse(&path, "hard link to a whiteout"));
        }
        // Before the target is looked for: it must not be found below what is replaced.
        if statat(self.walker.here(), name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            if is_below(&target, &path) {
                return Err(refuse(&path, "hard link to what it replaces"));
            }
            self.replace(name, &path)?;
        }
        self.list.add(b'h', None, None, &path, &target)?;
        if self.link_inside(name, &path, &target)? {
            return Ok(());
        }
        self.wait_for(path.len() + target.len())?;
        self.pending.links.push(Link { path, target });
        Ok(())
    }

    /// Links to a target in this layer, if it is there.
    pub(crate) fn link_inside(&mut self, name: &[u8], path: &[u8], target: &[u8]) -> Result<bool> {
        let (folder, target_name) = split(target);
        let here = self.walker.here();
        let other;
        let from = if folder == split(path).0 {
            here
        } else {
            match open_below(self.walker.root(), folder) {
                Ok(fd) => other = fd,
                Err(Errno::NOENT) => return Ok(false),
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    return Err(refuse(path, "hard link through a link or a file"));
                }
                Err(e) => return Err(e).on("open", shown(folder)),
            }
            other.as_fd()
        };
        let stat = match statat(from, target_name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(false),
            Err(e) => return Err(e).on("stat", shown(target)),
        };
        if whiteout::is_whiteout(&stat)
            || FileType::from_raw_mode(stat.st_mode) == FileType::Directory
        {
            return Err(refuse(path, "hard link to a folder or to what was removed"));
        }
        linkat(from, target_name, here, name, AtFlags::empty()).on("link", shown(path))?;
        Ok(true)
    }
}

/// Opens a folder below a root, following nothing.
pub(crate) fn open_below(
    root: BorrowedFd<'_>,
    folder: &[u8],
) -> std::result::Result<OwnedFd, Errno> {
    let mut fd = open_folder_at(root, b".")?;
    for part in folder.split(|&c| c == b'/').filter(|part| !part.is_empty()) {
        fd = open_folder_at(&fd, part)?;
    }
    Ok(fd)
}
