//! A plain archive becomes files in a folder that may have some already: `cp`.
//!
//! Other than a layer it has no marks: every name is what it says. Nothing outside of the folder is
//! touched: each folder on the way is opened without following links. A folder that is there stays and
//! takes the entry's mode; anything else gives way.

use super::entry::Entry;
use super::header::Kind;
use super::headers::Part;
use super::metadata::{self, Made};
use super::parser::{Parser, Sink};
use super::path::{clean, shown, split};
use super::ring::BLOCK;
use super::walker::{Stop, Walker, open_folder_at};
use base::files::remove_tree_at;
use base::paths::{linkat, mkdirat, mknodat, openat, statat, symlinkat, utimensat};
use base::{Error, OnError, Result};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, fchmod, futimens, makedev};
use rustix::io::Errno;
use std::ffi::CString;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};

/// How an archive is extracted.
#[derive(Clone, Debug, Default)]
pub struct Extract {
    /// In place of the first component of every name; empty: without it.
    pub name: Option<Vec<u8>>,
    /// Owners as the archive has them; else those that new files get.
    pub keep_owners: bool,
    /// All files get this owner and group.
    pub owner: Option<(u32, u32)>,
    /// Owners in the archive are so much lower than on the disk.
    pub shift: (u32, u32),
    /// A folder never takes the place of something else, nor something else that of a folder.
    pub keep_kinds: bool,
}

/// Extracts an archive into an open folder.
pub fn extract(archive: &mut dyn Read, folder: OwnedFd, how: &Extract) -> Result<()> {
    let mut extractor = Extractor {
        walker: Walker::new(folder),
        how,
        made: Made {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            // Modes are set whatever it is.
            umask: 0o7777,
            squash: !how.keep_owners && how.owner.is_none(),
        },
        current: None,
        folders: Vec::new(),
        remembered: 0,
    };
    let mut parser = Parser::new();
    let mut block = vec![0; BLOCK];
    loop {
        match archive.read(&mut block) {
            Ok(0) => break,
            Ok(count) => parser.feed(&block[..count], &mut extractor)?,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => (),
            Err(error) => return Err(error).on("read", "archive"),
        }
    }
    parser.finish(false)?;
    extractor.finish()
}

struct Extractor<'a> {
    walker: Walker,
    how: &'a Extract,
    made: Made,
    current: Option<(OwnedFd, Entry, Vec<u8>)>,
    /// Modes and times come last, since entries change them.
    folders: Vec<(Vec<u8>, u32, (i64, u32))>,
    /// Bytes of their names.
    remembered: usize,
}

/// So many bytes of folders' names are remembered.
const FOLDERS_CAP: usize = 16 << 20;

impl Extractor<'_> {
    /// The name with another first component.
    fn renamed(&self, path: Vec<u8>) -> Vec<u8> {
        let Some(name) = &self.how.name else { return path };
        let rest = path.iter().position(|byte| *byte == b'/').map(|at| &path[at + 1..]);
        match (name.is_empty(), rest) {
            (true, rest) => rest.unwrap_or_default().to_vec(),
            (false, None) => name.clone(),
            (false, Some(rest)) => [name, &b"/"[..], rest].concat(),
        }
    }

    fn enter(&mut self, folder: &[u8]) -> Result<()> {
        let mut last = 0;
        while let Err(Stop { end, errno }) = self.walker.enter(folder) {
            let path = &folder[..end];
            if errno != Errno::NOENT || end == last {
                return Err(errno).on("open", shown(path));
            }
            last = end;
            let mode = Mode::from_raw_mode(0o755);
            mkdirat(self.walker.here(), split(path).1, mode).on("create", shown(path))?;
        }
        Ok(())
    }

    /// Takes away what has the name already.
    fn make_way(&mut self, name: &[u8], path: &[u8], folder: bool) -> Result<()> {
        let dir = self.walker.here();
        let stat = match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(()),
            other => other.on("stat", shown(path))?,
        };
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if self.how.keep_kinds && is_folder != folder {
            return Err(Error::bad_input(format!(
                "cannot overwrite {} \"{}\" with {}",
                if is_folder { "directory" } else { "non-directory" },
                shown(path),
                if folder { "directory" } else { "non-directory" },
            )));
        }
        let name = CString::new(name).map_err(std::io::Error::from).on("remove", shown(path))?;
        remove_tree_at(dir, &name).on("remove", shown(path))
    }

    fn owner(&self, entry: &Entry) -> (u32, u32) {
        let (uid, gid) = self.how.owner.unwrap_or((entry.uid, entry.gid));
        (uid.saturating_add(self.how.shift.0), gid.saturating_add(self.how.shift.1))
    }

    fn folder(&mut self, entry: &Entry, name: &[u8], path: Vec<u8>) -> Result<()> {
        if !name.is_empty() {
            let there = open_folder_at(self.walker.here(), name).is_ok();
            if !there {
                self.make_way(name, &path, true)?;
                mkdirat(self.walker.here(), name, Mode::RWXU).on("create", shown(&path))?;
            }
            let fd = open_folder_at(self.walker.here(), name).on("open", shown(&path))?;
            metadata::own(fd.as_fd(), &self.made, self.owner(entry), entry.mode | 0o700, false)
                .on("change owner or mode of", shown(&path))?;
            metadata::set_xattrs(&fd, &path, &entry.xattrs, &self.made)?;
        }
        self.remembered += path.len() + 64;
        if self.remembered > FOLDERS_CAP {
            return Err(Error::bad_input("archive: too many folders"));
        }
        self.folders.push((path, entry.mode, entry.mtime));
        Ok(())
    }

    fn hard_link(&mut self, entry: &Entry, name: &[u8], path: &[u8]) -> Result<()> {
        let target = self.renamed(clean(&entry.link)?);
        let (target_folder, target_name) = split(&target);
        let (folder, _) = split(path);
        self.enter(target_folder)?;
        let from = open_folder_at(self.walker.here(), b".").on("open", shown(target_folder))?;
        self.enter(folder)?;
        self.make_way(name, path, false)?;
        linkat(&from, target_name, self.walker.here(), name, AtFlags::empty())
            .on("link", shown(path))
    }

    fn special(&mut self, entry: &Entry, name: &[u8], path: &[u8]) -> Result<()> {
        self.make_way(name, path, false)?;
        let dir = self.walker.here();
        let mode = Mode::from_raw_mode(entry.mode);
        let device = makedev(entry.major, entry.minor);
        let made = match entry.kind {
            Kind::Symlink => symlinkat(entry.link.as_slice(), dir, name),
            Kind::Char => mknodat(dir, name, FileType::CharacterDevice, mode, device),
            Kind::Block => mknodat(dir, name, FileType::BlockDevice, mode, device),
            _ => mknodat(dir, name, FileType::Fifo, mode, 0),
        };
        made.on("create", shown(path))?;
        metadata::own_at(dir, name, &self.made, self.owner(entry))
            .on("change owner of", shown(path))?;
        let times = metadata::times(entry.mtime);
        utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW).on("set times of", shown(path))
    }

    /// Modes and times of the folders, the inner before the outer.
    fn finish(mut self) -> Result<()> {
        self.folders.sort_by(|a, b| b.0.cmp(&a.0));
        for (path, mode, mtime) in std::mem::take(&mut self.folders) {
            // The folder that the archive is extracted into is somebody else's.
            if path.is_empty() {
                continue;
            }
            self.enter(&path)?;
            let here = self.walker.here();
            fchmod(here, Mode::from_raw_mode(mode)).on("change mode of", shown(&path))?;
            futimens(here, &metadata::times(mtime)).on("set times of", shown(&path))?;
        }
        Ok(())
    }
}

impl Sink for Extractor<'_> {
    fn frame(&mut self, _: Part, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn entry(&mut self, entry: Entry) -> Result<()> {
        let path = self.renamed(clean(&entry.path)?);
        let (folder, name) = split(&path);
        let (folder, name) = (folder.to_vec(), name.to_vec());
        if name.is_empty() && entry.kind != Kind::Folder {
            let text = format!("archive: {}: it has no name here", shown(&entry.path));
            return Err(Error::bad_input(text));
        }
        self.enter(&folder)?;
        match entry.kind {
            Kind::Folder => self.folder(&entry, &name, path),
            Kind::HardLink => self.hard_link(&entry, &name, &path),
            Kind::File => {
                self.make_way(&name, &path, false)?;
                let flags = OFlags::WRONLY
                    | OFlags::CREATE
                    | OFlags::EXCL
                    | OFlags::NOFOLLOW
                    | OFlags::CLOEXEC;
                let fd = openat(self.walker.here(), &name, flags, Mode::RUSR | Mode::WUSR)
                    .on("create", shown(&path))?;
                self.current = Some((fd, entry, path));
                Ok(())
            }
            _ => self.special(&entry, &name, &path),
        }
    }

    fn data(&mut self, mut bytes: &[u8]) -> Result<()> {
        let Some((fd, _, path)) = &self.current else { return Ok(()) };
        while !bytes.is_empty() {
            match rustix::io::write(fd, bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(Errno::INTR) => (),
                Err(errno) => return Err(errno).on("write", shown(path)),
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        let Some((fd, entry, path)) = self.current.take() else { return Ok(()) };
        metadata::own(fd.as_fd(), &self.made, self.owner(&entry), entry.mode, false)
            .on("change owner or mode of", shown(&path))?;
        metadata::set_xattrs(&fd, &path, &entry.xattrs, &self.made)?;
        futimens(&fd, &metadata::times(entry.mtime)).on("set times of", shown(&path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Packer;
    use std::os::unix::fs::{MetadataExt, symlink};

    #[test]
    fn a_tree_travels_under_another_name() {
        let base = std::env::temp_dir().join(format!("coracle-extract-{}", std::process::id()));
        let (from, to) = (base.join("from"), base.join("to"));
        std::fs::create_dir_all(from.join("a/b")).expect("mkdir");
        std::fs::create_dir_all(&to).expect("mkdir");
        std::fs::write(from.join("a/b/f"), "text").expect("write");
        std::fs::hard_link(from.join("a/b/f"), from.join("a/g")).expect("link");
        symlink("b/f", from.join("a/l")).expect("symlink");
        let open = |path| -> OwnedFd { std::fs::File::open(path).expect("open").into() };
        let mut tar = Vec::new();
        let mut packer = Packer::new(&mut tar);
        packer.entry(open(&from).as_fd(), b"a", b"a").expect("pack");
        packer.finish().expect("pack");
        let with = |name: Option<&[u8]>, keep_kinds| {
            let name = name.map(<[u8]>::to_vec);
            let how = Extract { name, keep_owners: true, keep_kinds, ..Extract::default() };
            extract(&mut tar.as_slice(), open(&to), &how)
        };
        with(Some(b"new"), true).expect("extract");
        let read = |path: &str| std::fs::read_to_string(to.join(path)).expect("read");
        assert_eq!((read("new/b/f"), read("new/g"), read("new/l")).0, "text");
        let inode = |path: &str| to.join(path).metadata().expect("stat").ino();
        assert_eq!(inode("new/b/f"), inode("new/g"));
        with(Some(b""), true).expect("contents");
        assert_eq!(read("b/f"), "text");
        // A link in the way is never followed.
        let outside = base.join("outside");
        std::fs::create_dir_all(&outside).expect("mkdir");
        symlink(&outside, to.join("a")).expect("symlink");
        assert!(with(None, true).is_err());
        with(None, false).expect("replaced");
        assert_eq!(std::fs::read_dir(&outside).expect("read").count(), 0);
        assert_eq!(read("a/b/f"), "text");
        std::fs::remove_dir_all(base).expect("remove");
    }
}
