//! Whether a layer on the disk is what it was: its archive made again and hashed, each content against
//! the list, each name's state against its header, and no name that is in neither.
//!
//! Reading does all: nothing is written, and the memory is a few bytes for each name.

use super::entry::Entry;
use super::filelist::Lines;
use super::header::Kind;
use super::path::{shown, split};
use super::rebuild::{Checks, rebuild_checked};
use super::walker::{Walker, open_folder_at};
use super::whiteout::{self, Meaning, meaning};
use super::{Style, replaced};
use base::copy::{nanos, seconds, xattrs};
use base::digest::Digest;
use base::files::open_folder;
use base::paths::{readlinkat, statat};
use base::{Kind as ErrorKind, OnError, Result};
use rustix::fs::{AtFlags, Dir, FileType, Stat, fstat};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// How many of a layer's problems are told.
const ENOUGH: usize = 20;

struct Checker<'a> {
    walker: Walker,
    lines: Lines,
    style: Style,
    /// What was not as its header said, and may be as a later one says.
    suspects: Vec<(Vec<u8>, &'static str)>,
    /// A hash of each name that may be there.
    known: Vec<u64>,
    problems: &'a mut Vec<String>,
}

/// FNV-1a: only names of one layer are told apart, and whoever makes two alike hides his own file.
fn hash(path: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    path.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

impl Checker<'_> {
    fn tell(&mut self, path: &[u8], what: &str) {
        if self.problems.len() < ENOUGH {
            self.problems.push(format!("{}: {what}", shown(path)));
        }
    }

    /// A name may be there, and the folders above it.
    fn know(&mut self, path: &[u8]) {
        let ends = path.iter().enumerate().filter(|(_, c)| **c == b'/').map(|(at, _)| at);
        self.known.extend(ends.map(|end| hash(&path[..end])));
        self.known.push(hash(path));
    }

    /// The state of a name; none where it is not there.
    fn stat(&mut self, path: &[u8]) -> Result<Option<Stat>> {
        let (folder, name) = split(path);
        let entered = self.walker.enter(folder).map_err(|stop| stop.errno);
        let stat = entered.and_then(|()| match name {
            b"" => fstat(self.walker.here()),
            _ => statat(self.walker.here(), name, AtFlags::SYMLINK_NOFOLLOW),
        });
        unless_of_the_moment(stat, path)
    }

    /// What is wrong with a name, if anything.
    fn state(&mut self, entry: &Entry, path: &[u8]) -> Result<Option<&'static str>> {
        let wrong = |what| Ok(Some(what));
        let Some(stat) = self.stat(path)? else {
            return wrong("it is not there");
        };
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Folder,
            FileType::Symlink => Kind::Symlink,
            FileType::CharacterDevice => Kind::Char,
            FileType::BlockDevice => Kind::Block,
            _ => Kind::Fifo,
        };
        if kind != entry.kind {
            return wrong("it is something else");
        }
        let squash = self.style.squash;
        let more = match kind {
            _ if !squash => 0,
            Kind::Folder => 0o700,
            _ => 0o400,
        };
        if kind != Kind::Symlink && stat.st_mode & 0o7777 != entry.mode | more {
            return wrong("its mode differs");
        }
        if !squash && (stat.st_uid, stat.st_gid) != (entry.uid, entry.gid) {
            return wrong("its owner differs");
        }
        if !path.is_empty() && seconds(&stat) != entry.mtime.0 {
            return wrong("its time differs");
        }
        let device = rustix::fs::makedev(entry.major, entry.minor);
        Ok(match kind {
            Kind::File if u64::try_from(stat.st_size) != Ok(entry.size) => {
                Some("its length differs")
            }
            Kind::Char | Kind::Block if stat.st_rdev != device => Some("its device differs"),
            Kind::Symlink => {
                let target = readlinkat(self.walker.here(), split(path).1);
                let target = unless_of_the_moment(target, path)?;
                let same = target.is_some_and(|target| target.as_bytes() == entry.link);
                (!same).then_some("its target differs")
            }
            Kind::File | Kind::Folder if nanos(&stat) != entry.mtime.1 && nanos(&stat) != 0 => {
                (!path.is_empty()).then_some("its time differs")
            }
            Kind::File | Kind::Folder if !entry.xattrs.is_empty() => {
                (!self.has_attributes(entry, path)?).then_some("its attributes differ")
            }
            _ => None,
        })
    }

    fn has_attributes(&mut self, entry: &Entry, path: &[u8]) -> Result<bool> {
        let open = super::rebuild::open_any(&mut self.walker, path);
        let Some(fd) = unless_of_the_moment(open, path)? else {
            return Ok(false);
        };
        let kept = |name: &[u8]| name == b"security.capability" || !name.starts_with(b"security.");
        let mut wanted = entry.xattrs.iter().filter(|(name, _)| kept(name)).count();
        let counted = xattrs(fd.as_fd(), &mut |name, value| {
            wanted -= usize::from(entry.xattrs.iter().any(|(n, v)| n == name && v == value));
            Ok(())
        });
        // Where there are none at all, or for ordinary users, they were never set.
        let none = counted.is_err() || wanted == entry.xattrs.len() && self.style.squash;
        Ok(none || wanted == 0)
    }

    /// What is in the tree and in no archive.
    fn strangers(&mut self, folder: &OwnedFd, path: &mut Vec<u8>, depth: usize) -> Result<()> {
        let mut entries = Dir::read_from(folder).on("read", shown(path))?;
        let length = path.len();
        while let Some(entry) = entries.read() {
            let entry = entry.on("read", shown(path))?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            if length > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(name);
            if self.known.binary_search(&hash(path)).is_err() {
                self.tell(path, "it does not belong there");
            } else if let Some(inner) = unless_of_the_moment(open_folder_at(folder, name), path)?
                && depth < 250
            {
                self.strangers(&inner, path, depth + 1)?;
            }
            path.truncate(length);
        }
        Ok(())
    }
}

impl Checks for Checker<'_> {
    fn entry(&mut self, entry: &Entry, path: &[u8]) -> Result<()> {
        let (folder, name) = split(path);
        let plain = |part: &[u8]| matches!(meaning(part), Meaning::Plain);
        if !folder.split(|&c| c == b'/').all(plain) {
            return Ok(());
        }
        match meaning(name) {
            Meaning::Plain => {}
            Meaning::Gone(gone) => {
                let slash = if folder.is_empty() { &b""[..] } else { b"/" };
                let path = [folder, slash, gone].concat();
                self.know(&path);
                // Unless the layer has a name of its own there.
                if self.stat(&path)?.is_none() {
                    self.tell(&path, "its removal is gone");
                }
                return Ok(());
            }
            Meaning::Opaque => {
                self.know(folder);
                let open = super::rebuild::open_any(&mut self.walker, folder);
                let open = unless_of_the_moment(open, folder)?;
                if !open.is_some_and(|fd| whiteout::is_opaque(fd, self.style.marks)) {
                    self.tell(folder, "it no longer hides what is below");
                }
                return Ok(());
            }
            _ => return Ok(()),
        }
        self.know(path);
        let device = matches!(entry.kind, Kind::Char | Kind::Block);
        if device && self.style.squash {
            return Ok(());
        }
        let folder = entry.kind == Kind::Folder;
        let replaced = |suspect: &[u8]| match folder {
            true => suspect == path,
            false => super::path::is_below(suspect, path),
        };
        self.suspects.retain(|(suspect, _)| !replaced(suspect));
        if entry.kind == Kind::HardLink {
            let target = super::path::clean(&entry.link)?;
            self.know(&target);
            let same = |a: Stat, b: Stat| (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino);
            let (one, other) = (self.stat(path)?, self.stat(&target)?);
            // What the target was may have been replaced after the link was made.
            if !matches!((one, other), (Some(a), Some(b)) if same(a, b)) && one.is_none() {
                self.suspects.push((path.to_vec(), "it is not there"));
            }
        } else if let Some(what) = self.state(entry, path)? {
            self.suspects.push((path.to_vec(), what));
        }
        Ok(())
    }

    fn content(&mut self, path: &[u8], size: u64, digest: &Digest) -> Result<()> {
        match self.lines.next_file() {
            Ok(Some((listed, want))) if want == *digest && listed == size => {}
            Ok(Some(_)) => self.tell(path, "its content differs"),
            Ok(None) => self.tell(path, "the list of files lacks it"),
            Err(e) if e.kind() == ErrorKind::Moment => return Err(e),
            Err(e) => self.tell(path, e.message()),
        }
        Ok(())
    }
}

/// What is wrong with a layer.
pub(crate) fn verify(layer: &Path, diff: &Digest, style: Style) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    match check(layer, diff, style, &mut problems) {
        Err(e) if e.kind() == ErrorKind::Moment => return Err(e),
        Err(e) => problems.push(e.message().to_owned()),
        Ok(()) => {}
    }
    Ok(problems)
}

/// What was asked for, or nothing where it is not there or cannot be had; an error of the moment
/// (no memory, no descriptor) says nothing of the layer, and goes on.
fn unless_of_the_moment<T>(
    result: std::result::Result<T, Errno>,
    path: &[u8],
) -> Result<Option<T>> {
    match result {
        Err(e) if base::is_of_the_moment(e) => Err(e).on("look at", shown(path)),
        other => Ok(other.ok()),
    }
}

fn check(layer: &Path, diff: &Digest, style: Style, problems: &mut Vec<String>) -> Result<()> {
    let tree = open_folder(&layer.join("tree"))?;
    let walker = Walker::new(open_folder(&layer.join("tree"))?);
    let lines = Lines::open(&layer.join("files"))?;
    let (suspects, known) = (Vec::new(), Vec::new());
    let mut checker = Checker { walker, lines, style, suspects, known, problems };
    let digest = rebuild_checked(layer, &mut std::io::sink(), Some(&mut checker))?;
    for (path, what) in std::mem::take(&mut checker.suspects) {
        checker.tell(&path, what);
    }
    checker.known.sort_unstable();
    checker.strangers(&tree, &mut Vec::new(), 0)?;
    while let Ok(Some(line)) = checker.lines.next() {
        if line.kind == b'f' {
            checker.tell(&line.path, "the list of files has it, and the archive not");
        }
    }
    if digest != *diff && problems.is_empty() {
        problems.push(format!("its archive has digest {digest}"));
    }
    for entry in std::fs::read_dir(layer.join(replaced::FOLDER)).into_iter().flatten().flatten() {
        let path = entry.path();
        let file = std::fs::File::open(&path).on_path("open", &path)?;
        let digest = replaced::digest(&file.into()).on_path("read", &path)?;
        if path.file_name().is_none_or(|name| name.to_string_lossy() != digest.hex()) {
            problems.push(format!("{}: its content differs", path.display()));
        }
    }
    Ok(())
}
