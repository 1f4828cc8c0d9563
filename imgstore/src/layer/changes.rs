//! What differs between a container's files and the layers below: for `diff` and `commit`.
//!
//! Of an overlay's upper folder everything in it is a change, whiteouts are removals, and an opaque
//! folder removes what it does not hold itself. A whole tree (vfs) is compared name by name: kind,
//! owner, mode, size, time of contents, target; a folder counts as changed when something in it did,
//! as docker has it. Both trees are walked together, by descriptors, following nothing.

use super::pack::{Packer, names_of};
use super::path::{shown, split};
use super::walker::{Walker, open_folder_at};
use super::whiteout::{self, Marks};
use base::copy::{nanos, seconds};
use base::files::open_folder;
use base::paths::{readlinkat, statat};
use base::{Error, OnError, Result};
use rustix::fs::{AtFlags, FileType, Stat};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

/// Deeper trees are refused: each level is an open folder of each layer that has it.
const DEEPEST: usize = 200;

/// What happened to a name. The numbers are the Engine API's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was there, and is another one.
    Modified = 0,
    /// It was not there.
    Added = 1,
    /// It is gone, with all below it.
    Deleted = 2,
}

/// A name that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// From the root, without a slash before it.
    pub path: Vec<u8>,
}

/// What a container has of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Own {
    /// The upper folder of an overlay.
    Upper(PathBuf),
    /// Its whole tree.
    Whole(PathBuf),
}

/// One folder of the layers below, as each layer that counts has it, the topmost first.
struct Below {
    folders: Vec<OwnedFd>,
    marks: Marks,
}

type Sys<T> = std::result::Result<T, Errno>;

fn is_folder(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

impl Below {
    /// What is seen under a name.
    fn find(&self, name: &[u8]) -> Sys<Option<(&OwnedFd, Stat)>> {
        for folder in &self.folders {
            match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if whiteout::is_whiteout(&stat) => return Ok(None),
                Ok(stat) => return Ok(Some((folder, stat))),
                Err(Errno::NOENT) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(None)
    }

    fn enter(&self, name: &[u8]) -> Sys<Self> {
        let mut folders = Vec::new();
        for folder in &self.folders {
            match open_folder_at(folder, name) {
                Ok(inner) => {
                    let opaque = whiteout::is_opaque(&inner, self.marks);
                    folders.push(inner);
                    if opaque {
                        break;
                    }
                }
                Err(Errno::NOENT) => {}
                // A link, a file or a whiteout hides what is below.
                Err(Errno::NOTDIR | Errno::LOOP) => break,
                Err(e) => return Err(e),
            }
        }
        Ok(Self { folders, marks: self.marks })
    }

    /// All names that are seen, sorted backwards.
    fn names(&self) -> Sys<Vec<Vec<u8>>> {
        let mut all = Vec::new();
        for folder in &self.folders {
            all.extend(names_of(folder)?);
        }
        all.sort_unstable_by(|a, b| b.cmp(a));
        all.dedup();
        let mut seen = Vec::with_capacity(all.len());
        for name in all {
            if self.find(&name)?.is_some() {
                seen.push(name);
            }
        }
        Ok(seen)
    }
}

/// A folder on the way down.
struct Level {
    own: OwnedFd,
    below: Below,
    /// Nothing of the layers below is seen through it.
    hides: bool,
    /// All its names, sorted backwards, and how many of them are still to come.
    names: Vec<Vec<u8>>,
    left: usize,
    /// How long the path is without what is in it.
    length: usize,
    /// How long the list is with the folder itself as its last.
    listed: usize,
    /// It is taken off the list when nothing in it changed …
    quiet: bool,
    /// … or when what changed in it is the runtime's, and it is itself as it was.
    same: bool,
    /// Something in it is the runtime's.
    made: bool,
}

struct Comparison<'a> {
    whole: bool,
    /// What the runtime makes in every root, to mount on it.
    made: &'a [&'a str],
    path: Vec<u8>,
    changes: Vec<Change>,
}

impl Comparison<'_> {
    fn add(&mut self, kind: ChangeKind) {
        self.changes.push(Change { kind, path: self.path.clone() });
    }

    fn enter(&mut self, name: &[u8]) {
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name);
    }

    fn level(&self, own: OwnedFd, below: Below, hides: bool) -> Result<Level> {
        let names = names_of(&own).on("read", shown(&self.path))?;
        let (left, length, listed) = (names.len(), self.path.len(), self.changes.len());
        let (quiet, same, made) = (false, false, false);
        Ok(Level { own, below, hides, names, left, length, listed, quiet, same, made })
    }

    /// Whether the runtime makes it.
    fn is_made(&self) -> bool {
        self.made.iter().any(|made| made.as_bytes() == self.path)
    }

    /// Not by recursion: the trees are a container's, and threads have small stacks.
    fn walk(&mut self, own: OwnedFd, below: Below, hides: bool) -> Result<()> {
        let mut levels = vec![self.level(own, below, hides)?];
        while let Some(level) = levels.last_mut() {
            self.path.truncate(level.length);
            if level.left > 0 {
                level.left -= 1;
                let inner = self.name(level)?;
                if levels.len() > DEEPEST {
                    let text = format!("{}: nested too deep", shown(&self.path));
                    return Err(Error::unsupported(text));
                }
                levels.extend(inner);
                continue;
            }
            if level.hides {
                self.removed(level)?;
            }
            let made = level.made && level.same;
            let gone = self.changes.len() == level.listed && (level.quiet || made);
            let made = gone && (made || !level.same);
            levels.pop();
            if gone {
                self.changes.pop();
            }
            if let Some(above) = levels.last_mut() {
                above.made |= made;
            }
        }
        Ok(())
    }

    /// What the layers below have and a folder that hides them has not.
    fn removed(&mut self, level: &Level) -> Result<()> {
        for name in level.below.names().on("read", shown(&self.path))? {
            if level.names.binary_search_by(|known| name.cmp(known)).is_err() {
                self.enter(&name);
                self.add(ChangeKind::Deleted);
                self.path.truncate(level.length);
            }
        }
        Ok(())
    }

    /// The name that is next; gives the folder to go down into, if it is one.
    fn name(&mut self, level: &mut Level) -> Result<Option<Level>> {
        let (own, below, name) = (&level.own, &level.below, &level.names[level.left]);
        self.enter(name);
        let stat = match statat(own, name, AtFlags::SYMLINK_NOFOLLOW) {
            // A container that runs was faster.
            Err(Errno::NOENT) => return Ok(None),
            other => other.on("stat", shown(&self.path))?,
        };
        let found = below.find(name).on("find", shown(&self.path))?;
        if !self.whole && whiteout::is_whiteout(&stat) {
            if found.is_some() {
                self.add(ChangeKind::Deleted);
            }
            return Ok(None);
        }
        let kind = if found.is_some() { ChangeKind::Modified } else { ChangeKind::Added };
        if !is_folder(&stat) {
            let same = |(folder, lower): &(&OwnedFd, Stat)| {
                alike(&stat, lower) && target(own, name, &stat) == target(folder, name, lower)
            };
            let same = self.whole && found.as_ref().is_some_and(same);
            if found.is_none() && stat.st_size == 0 && self.is_made() {
                level.made = true;
            } else if !same {
                self.add(kind);
            }
            return Ok(None);
        }
        let was = found.map(|(_, lower)| lower).filter(is_folder);
        let inner = open_folder_at(own, name).on("open", shown(&self.path))?;
        let lower = match was {
            Some(_) => below.enter(name).on("open", shown(&self.path))?,
            None => Below { folders: Vec::new(), marks: below.marks },
        };
        let hides = level.hides || !self.whole && whiteout::is_opaque(&inner, below.marks);
        self.add(kind);
        let same = was.is_some_and(|lower| alike(&stat, &lower));
        let quiet = same && self.whole || kind == ChangeKind::Added && self.is_made();
        let inner = self.level(inner, lower, hides)?;
        Ok(Some(Level { quiet, same, ..inner }))
    }
}

/// Whether two states say the same of what is not in the content.
fn alike(one: &Stat, other: &Stat) -> bool {
    let device = |stat: &Stat| match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice | FileType::BlockDevice => Some(stat.st_rdev),
        _ => None,
    };
    let content = |stat: &Stat| (stat.st_size, seconds(stat), nanos(stat));
    (one.st_mode, one.st_uid, one.st_gid, device(one))
        == (other.st_mode, other.st_uid, other.st_gid, device(other))
        && (is_folder(one) || content(one) == content(other))
}

fn target(folder: &OwnedFd, name: &[u8], stat: &Stat) -> Option<std::ffi::CString> {
    let link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
    if link { readlinkat(folder, name).ok() } else { None }
}

/// The layers' roots, the topmost first, as far as they are seen.
fn roots<'a>(layers: impl Iterator<Item = &'a PathBuf>, marks: Marks) -> Result<Below> {
    let mut folders: Vec<OwnedFd> = Vec::new();
    for layer in layers {
        folders.push(open_folder(layer)?);
        if folders.last().is_some_and(|folder| whiteout::is_opaque(folder, marks)) {
            break;
        }
    }
    Ok(Below { folders, marks })
}

/// Packs what a container sees, its volumes left out: its own files over its layers, the topmost
/// first. Nothing is mounted for it.
pub(crate) fn export(
    own: Option<&Own>,
    layers: &[PathBuf],
    marks: Marks,
    out: &mut dyn std::io::Write,
) -> Result<()> {
    let mut packer = Packer::new(out);
    let upper = match own {
        Some(Own::Whole(path)) => {
            packer.folder(open_folder(path)?.as_fd(), b"")?;
            return packer.finish();
        }
        Some(Own::Upper(path)) => Some(path),
        None => None,
    };
    let below = roots(upper.into_iter().chain(layers), marks)?;
    let mut path = Vec::new();
    let mut levels = vec![(below.names().on("read", "the root")?, below, 0)];
    while let Some((names, below, length)) = levels.last_mut() {
        path.truncate(*length);
        let Some(name) = names.pop() else {
            levels.pop();
            continue;
        };
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(&name);
        // What a container that runs has removed meanwhile is not there.
        let Some((folder, stat)) = below.find(&name).on("find", shown(&path))? else {
            continue;
        };
        packer.alone(folder.as_fd(), &name, &path)?;
        if is_folder(&stat) {
            let inner = below.enter(&name).on("open", shown(&path))?;
            if levels.len() > DEEPEST {
                return Err(Error::unsupported(format!("{}: nested too deep", shown(&path))));
            }
            levels.push((inner.names().on("read", shown(&path))?, inner, path.len()));
        }
    }
    packer.finish()
}

/// All differences between a container's files and its layers, the topmost first; sorted by path.
pub(crate) fn changes(
    own: &Own,
    layers: &[PathBuf],
    marks: Marks,
    made: &[&str],
) -> Result<Vec<Change>> {
    let (path, whole) = match own {
        Own::Upper(path) => (path, false),
        Own::Whole(path) => (path, true),
    };
    let root = open_folder(path)?;
    let below = roots(layers.iter(), marks)?;
    let mut comparison = Comparison { whole, made, path: Vec::new(), changes: Vec::new() };
    let hides = whole || whiteout::is_opaque(&root, marks);
    comparison.walk(root, below, hides)?;
    let mut changes = comparison.changes;
    // As in an archive: what is in a folder comes right after it.
    changes.sort_unstable_by(|a, b| a.path.split(|&c| c == b'/').cmp(b.path.split(|&c| c == b'/')));
    Ok(changes)
}

/// Packs what differs as a layer. The list has all that an opaque folder hides, so that the archive
/// needs no mark for it.
pub(crate) fn pack(own: &Own, changes: &[Change], out: &mut dyn std::io::Write) -> Result<()> {
    let (Own::Upper(path) | Own::Whole(path)) = own;
    let mut walker = Walker::new(open_folder(path)?);
    let mut packer = Packer::new(out);
    for Change { kind, path } in changes {
        let (folder, name) = split(path);
        if *kind == ChangeKind::Deleted {
            packer.gone(path)?;
            continue;
        }
        let done = walker.enter(folder).map_err(|stop| stop.errno);
        match done {
            // A container that runs was faster.
            Err(Errno::NOENT) => {}
            Err(e) => return Err(e).on("open", shown(folder)),
            Ok(()) => packer.alone(walker.here(), name, path)?,
        }
    }
    packer.finish()
}
