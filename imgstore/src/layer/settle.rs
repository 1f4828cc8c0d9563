//! The end of unpacking: what a layer takes from the layers below it, and the folders' times.
//!
//! A layer arrives when it arrives; in an archive from standard input that may be before it is
//! known what lies below. So unpacking never looks down. Here, with the lower layers whole, a hard
//! link to a lower file copies that file up into this layer (so that both names are one file), and
//! a folder without a header of its own gets its owner, mode, times and attributes from below.

use super::hardlink::open_below;
use super::path::{refuse, shown, split};
use super::unpack::{Pending, Unpacker};
use super::walker::{Walker, open_folder_at};
use super::whiteout::{self, Marks};
use base::copy;
use base::digest::Digest;
use base::paths::{chmodat, statat, utimensat};
use base::{OnError, Result};
use rustix::fs::{AtFlags, FileType, Mode, Stat};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};

/// The layers below, topmost first, as one tree.
pub(crate) struct Lowers {
    pub(crate) trees: Vec<OwnedFd>,
    pub(crate) marks: Marks,
}

/// Something found in the layers below: its folder, its state.
pub(crate) struct Found {
    pub(crate) folder: OwnedFd,
    pub(crate) stat: Stat,
}

impl Lowers {
    /// Looks a clean path up, following nothing.
    pub(crate) fn find(&self, path: &[u8]) -> std::result::Result<Option<Found>, Errno> {
        let (folder, name) = split(path);
        'layers: for tree in &self.trees {
            let mut dir = open_folder_at(tree, b".")?;
            let mut opaque = whiteout::is_opaque(&dir, self.marks);
            for part in folder.split(|&c| c == b'/').filter(|part| !part.is_empty()) {
                dir = match open_folder_at(&dir, part) {
                    Ok(fd) => fd,
                    Err(Errno::NOENT) if opaque => return Ok(None),
                    Err(Errno::NOENT) => continue 'layers,
                    // A link or a file or a whiteout hides what is below.
                    Err(Errno::NOTDIR | Errno::LOOP) => return Ok(None),
                    Err(e) => return Err(e),
                };
                opaque |= whiteout::is_opaque(&dir, self.marks);
            }
            match statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if whiteout::is_whiteout(&stat) => return Ok(None),
                Ok(stat) => return Ok(Some(Found { folder: dir, stat })),
                Err(Errno::NOENT) if opaque => return Ok(None),
                Err(Errno::NOENT) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(None)
    }
}

/// Completes a layer on top of these; gives the digest of its list of files.
pub(crate) fn complete(mut unpacker: Unpacker, lowers: &Lowers) -> Result<Digest> {
    let keep_owners = !unpacker.made().squash;
    for link in unpacker.take_links() {
        let (folder, name) = split(&link.path);
        unpacker.enter(folder)?;
        if unpacker.link_inside(name, &link.path, &link.target)? {
            continue;
        }
        let missing = || {
            refuse(&link.path, &format!("hard link to {}, which is not there", shown(&link.target)))
        };
        let found =
            lowers.find(&link.target).on("find", shown(&link.target))?.ok_or_else(missing)?;
        if FileType::from_raw_mode(found.stat.st_mode) == FileType::Directory {
            return Err(refuse(&link.path, "hard link to a folder"));
        }
        let (target_folder, target_name) = split(&link.target);
        unpacker.enter(target_folder)?;
        copy::node(
            found.folder.as_fd(),
            target_name,
            &found.stat,
            unpacker.here(),
            target_name,
            keep_owners,
        )
        .on("copy", shown(&link.target))?;
        unpacker.enter(folder)?;
        if !unpacker.link_inside(name, &link.path, &link.target)? {
            return Err(missing());
        }
    }
    let (mut walker, mut pending, list) = unpacker.finish()?;
    inherit(&mut walker, &mut pending, lowers, keep_owners)?;
    set_folders(&mut walker, pending)?;
    Ok(list)
}

/// Something else took the place of a folder.
fn is_gone(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP)
}

/// Gives folders without a header what they have below.
fn inherit(
    walker: &mut Walker,
    pending: &mut Pending,
    lowers: &Lowers,
    keep_owners: bool,
) -> Result<()> {
    for folder in pending.folders.iter_mut().filter(|folder| !folder.header) {
        let path = &folder.path;
        let Some(found) = lowers.find(path).on("find", shown(path))? else {
            continue;
        };
        if FileType::from_raw_mode(found.stat.st_mode) != FileType::Directory {
            continue;
        }
        let from = open_folder_at(&found.folder, split(path).1).on("open", shown(path))?;
        let to = match open_below(walker.root(), path) {
            Err(errno) if is_gone(errno) => continue,
            other => other.on("open", shown(path))?,
        };
        copy::folder_metadata(from.as_fd(), to.as_fd(), keep_owners)
            .on("copy the state of", shown(path))?;
        folder.mode = found.stat.st_mode & 0o7777;
        folder.set_mode = true;
        folder.mtime = (copy::seconds(&found.stat), copy::nanos(&found.stat));
    }
    Ok(())
}

/// Sets modes and times of folders, the deepest first: a folder may close itself for its user.
pub(crate) fn set_folders(walker: &mut Walker, pending: Pending) -> Result<()> {
    let mut folders = pending.folders;
    walker.forget();
    // A folder that had several headers is as the last one says; one with a header does not
    // inherit. The sort keeps the order of equal paths.
    folders.sort_by(|a, b| b.path.cmp(&a.path));
    let mut at = 0;
    while at < folders.len() {
        let end = at + folders[at..].iter().take_while(|f| f.path == folders[at].path).count();
        let group = &folders[at..end];
        at = end;
        let last = group.iter().rev().find(|folder| folder.header).or(group.last());
        let Some(folder) = last else {
            continue;
        };
        let set_mode = folder.set_mode || group.len() > 1;
        let path = &folder.path;
        let (above, name) = split(path);
        let name = if name.is_empty() { b"." } else { name };
        match walker.enter(above) {
            Ok(()) => {}
            Err(stop) if is_gone(stop.errno) => continue,
            Err(stop) => return Err(stop.errno).on("open", shown(above)),
        }
        if set_mode {
            // Only folders that we made or found to be folders are in the list, and nobody else
            // can enter the tree: this is not a link.
            let mode = Mode::from_raw_mode(folder.mode);
            chmodat(walker.here(), name, mode, AtFlags::empty())
                .on("change mode of", shown(path))?;
        }
        let times = super::metadata::times(folder.mtime);
        utimensat(walker.here(), name, &times, AtFlags::SYMLINK_NOFOLLOW)
            .on("set times of", shown(path))?;
    }
    Ok(())
}
