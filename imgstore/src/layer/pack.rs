//! Folders become an archive: for `export` and `cp`, and, with names for what is gone, for `commit`.
//!
//! What is packed may be a running container's: everything is opened by descriptor and never through
//! a link, nothing waits (a FIFO is not opened), and a file that shrinks meanwhile is filled up with
//! zeros to the size that its header says. Names come sorted, so the same tree gives the same bytes.
//! Sockets have no place in an archive. Overlay's own attributes are never packed.

use super::entry::{Attributes, Entry};
use super::header::Kind;
use super::path::shown;
use super::walker::open_folder_at;
use super::write::TarWriter;
use base::copy::{nanos, seconds, xattrs};
use base::map::Map;
use base::paths::{open, openat, readlinkat, statat};
use base::{Error, OnError, Result};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, major, minor};
use rustix::io::{Errno, read};
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Deeper trees are refused: each level is an open folder.
const DEEPEST: usize = 400;

/// Makes an archive of what it is given.
pub struct Packer<'a> {
    tar: TarWriter<'a>,
    /// First name of each file with several, by device and inode.
    links: Map<(u64, u64), Vec<u8>>,
    block: Vec<u8>,
    shift: (u32, u32),
}

/// A folder on the way down, with the names that are still to come, the last first.
struct Level {
    folder: OwnedFd,
    names: Vec<Vec<u8>>,
    /// How long the path is without what is below.
    length: usize,
}

impl<'a> Packer<'a> {
    /// Of plain trees.
    pub fn new(out: &'a mut dyn Write) -> Self {
        Self {
            tar: TarWriter::new(out),
            links: Map::new(),
            block: vec![0; 64 << 10],
            shift: (0, 0),
        }
    }

    /// Owners in the archive are so much lower than on the disk; who would be below 0 is nobody.
    pub fn shift_owners(&mut self, uid: u32, gid: u32) {
        self.shift = (uid, gid);
    }

    /// Packs everything in an open folder, below `path` (empty: at the top of the archive). The folder
    /// itself gets an entry if `path` is not empty.
    pub fn folder(&mut self, folder: BorrowedFd<'_>, path: &[u8]) -> Result<()> {
        let path = path.strip_suffix(b"/").unwrap_or(path).to_vec();
        let folder = open_folder_at(folder, b".").on("open", shown(&path))?;
        if !path.is_empty() {
            let stat = fstat(&folder).on("stat", shown(&path))?;
            self.folder_entry(&folder, &stat, &path)?;
        }
        self.below(folder, path)
    }

    /// Packs what has a name in an open folder, and everything below it, as `path`.
    pub fn entry(&mut self, folder: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> Result<()> {
        let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).on("stat", shown(path))?;
        match self.one(folder, name, &stat, path)? {
            Some(folder) => self.below(folder, path.to_vec()),
            None => Ok(()),
        }
    }

    /// Packs what has a name in an open folder, if it is still there, and nothing below it.
    pub(crate) fn alone(&mut self, folder: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> Result<()> {
        match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(e).on("stat", shown(path)),
            Ok(stat) => self.one(folder, name, &stat, path).map(drop),
        }
    }

    /// Says that a name of the layers below is gone.
    pub(crate) fn gone(&mut self, path: &[u8]) -> Result<()> {
        let (folder, name) = super::path::split(path);
        let slash = if folder.is_empty() { &b""[..] } else { b"/" };
        let path = [folder, slash, b".wh.", name].concat();
        self.tar.entry(&Entry { kind: Kind::File, path, mode: 0o600, ..Entry::default() })
    }

    /// Ends the archive.
    pub fn finish(mut self) -> Result<()> {
        self.tar.finish()
    }

    fn below(&mut self, folder: OwnedFd, mut path: Vec<u8>) -> Result<()> {
        let names = names_of(&folder).on("read", shown(&path))?;
        let mut levels = vec![Level { folder, names, length: path.len() }];
        while let Some(level) = levels.last_mut() {
            path.truncate(level.length);
            let Some(name) = level.names.pop() else {
                levels.pop();
                continue;
            };
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(&name);
            let stat = match statat(&level.folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
                // Somebody was faster.
                Err(Errno::NOENT) => continue,
                other => other.on("stat", shown(&path))?,
            };
            let folder = level.folder.as_fd();
            let Some(folder) = self.one(folder, &name, &stat, &path)? else {
                continue;
            };
            if levels.len() > DEEPEST {
                return Err(Error::unsupported(format!("{}: nested too deep", shown(&path))));
            }
            let names = names_of(&folder).on("read", shown(&path))?;
            levels.push(Level { folder, names, length: path.len() });
        }
        Ok(())
    }

    /// One entry; gives the folder if it is one.
    fn one(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        stat: &Stat,
        path: &[u8],
    ) -> Result<Option<OwnedFd>> {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let folder = open_folder_at(dir, name).on("open", shown(path))?;
                self.folder_entry(&folder, stat, path)?;
                return Ok(Some(folder));
            }
            FileType::RegularFile => Kind::File,
            FileType::Symlink => Kind::Symlink,
            FileType::CharacterDevice => Kind::Char,
            FileType::BlockDevice => Kind::Block,
            FileType::Fifo => Kind::Fifo,
            // A socket.
            _ => return Ok(None),
        };
        let mut entry = describe(kind, stat, path, self.shift);
        if stat.st_nlink > 1 {
            #[allow(clippy::useless_conversion, clippy::unnecessary_cast, reason = "32-bit CPUs")]
            let key = (stat.st_dev as u64, stat.st_ino as u64);
            if let Some(first) = self.links.get(&key) {
                entry.link.clone_from(first);
                (entry.kind, entry.size) = (Kind::HardLink, 0);
                self.tar.entry(&entry)?;
                return Ok(None);
            }
            self.links.insert(key, path.to_vec());
        }
        match kind {
            Kind::File => self.file(dir, name, entry)?,
            Kind::Symlink => {
                let target = readlinkat(dir, name).on("read", shown(path))?;
                entry.link = target.into_bytes();
                self.tar.entry(&entry)?;
            }
            _ => self.tar.entry(&entry)?,
        }
        Ok(None)
    }

    fn folder_entry(&mut self, folder: &OwnedFd, stat: &Stat, path: &[u8]) -> Result<()> {
        let mut entry = describe(Kind::Folder, stat, path, self.shift);
        entry.path.push(b'/');
        entry.xattrs = attributes(folder.as_fd()).on("read attributes of", shown(path))?;
        self.tar.entry(&entry)
    }

    fn file(&mut self, dir: BorrowedFd<'_>, name: &[u8], mut entry: Entry) -> Result<()> {
        let path = std::mem::take(&mut entry.path);
        let what = || shown(&path);
        let (file, stat) = open_file(dir, name).on("open", what())?;
        entry.size = u64::try_from(stat.st_size).unwrap_or(0);
        entry.xattrs = attributes(file.as_fd()).on("read attributes of", what())?;
        entry.path.clone_from(&path);
        self.tar.entry(&entry)?;
        let mut left = entry.size;
        while left > 0 {
            let want = self.block.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let n = match read(&file, &mut self.block[..want]) {
                Ok(0) => {
                    // It became shorter.
                    self.block[..want].fill(0);
                    want
                }
                Ok(n) => n,
                Err(Errno::INTR) => continue,
                Err(e) => return Err(e).on("read", what()),
            };
            self.tar.data(&self.block[..n])?;
            left -= n as u64;
        }
        self.tar.pad(entry.size)
    }
}

/// Opens a file for reading, and nothing else: a container that runs may put a device in its place,
/// and the mere opening of a watchdog does something. So the name is opened once, without reading, and
/// what it then is, is opened again.
fn open_file(dir: BorrowedFd<'_>, name: &[u8]) -> std::result::Result<(OwnedFd, Stat), Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = openat(dir, name, flags, Mode::empty())?;
    let stat = fstat(&found)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Errno::BUSY);
    }
    let again = format!("/proc/self/fd/{}", found.as_raw_fd());
    let file = open(&again, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    Ok((file, stat))
}

fn describe(kind: Kind, stat: &Stat, path: &[u8], shift: (u32, u32)) -> Entry {
    /// The kernel's nobody.
    const NOBODY: u32 = 65534;
    let lower = |id: u32, by: u32| id.checked_sub(by).unwrap_or(NOBODY);
    let device = matches!(kind, Kind::Char | Kind::Block);
    Entry {
        kind,
        path: path.to_vec(),
        mode: stat.st_mode & 0o7777,
        uid: lower(stat.st_uid, shift.0),
        gid: lower(stat.st_gid, shift.1),
        mtime: (seconds(stat), nanos(stat)),
        major: if device { major(stat.st_rdev) } else { 0 },
        minor: if device { minor(stat.st_rdev) } else { 0 },
        ..Entry::default()
    }
}

/// The attributes of an open file or folder, sorted.
fn attributes(fd: BorrowedFd<'_>) -> std::result::Result<Attributes, Errno> {
    let mut list = Vec::new();
    xattrs(fd, &mut |name, value| {
        list.push((name.to_vec(), value.to_vec()));
        Ok(())
    })?;
    list.sort_unstable();
    Ok(list)
}

/// The names in a folder, sorted backwards.
pub(super) fn names_of(folder: &OwnedFd) -> std::result::Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    let mut entries = Dir::read_from(folder)?;
    while let Some(entry) = entries.read() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push(name.to_vec());
        }
    }
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names)
}
