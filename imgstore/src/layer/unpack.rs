//! Entries become files: the second half of unpacking a layer.
//!
//! The rules. Nothing outside the tree is touched: every folder on the way is opened by descriptor
//! without following links, and what would pass through a link is refused. A name that occurs
//! again replaces what it was. Nothing below is looked at: hard links whose target is not in this
//! layer, and folders without a header of their own, are kept for [`super::settle`]. Folders get
//! their modes and times at the end, since their entries change them.

use super::entry::Entry;
use super::filelist::FileList;
use super::header::Kind;
use super::headers::{Headers, Part};
use super::metadata::{self, Made};
use super::parser::Sink;
use super::path::{clean, is_below, refuse, shown, split};
use super::replaced;
use super::walker::{Stop, Walker, open_folder_at};
use super::whiteout::{self, Marks, Meaning, meaning, place};
use base::digest::{Digest, Sha256};
use base::files::remove_tree_at;
use base::paths::{mkdirat, openat, statat};
use base::{Error, Kind as ErrorKind, OnError, Result};
use rustix::fs::{Advice, AtFlags, FileType, Mode, OFlags, fadvise, futimens};
use rustix::io::Errno;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// Files from this size on are handed to the disk as soon as they are whole, so that the sync at
/// the end finds little to do.
const WRITE_OUT: u64 = 64 << 10;
/// How much may wait for the layers below before it is taken for an attack.
const PENDING_CAP: usize = 16 << 20;

/// A folder whose mode and times are still to be set.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) path: Vec<u8>,
    /// It had a header; else its mode, owner and times come from the layers below.
    pub(crate) header: bool,
    pub(crate) mode: u32,
    pub(crate) set_mode: bool,
    pub(crate) mtime: (i64, u32),
}

/// A hard link whose target was not in this layer when it came.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) path: Vec<u8>,
    pub(crate) target: Vec<u8>,
}

/// What is left to do when all entries have come.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) folders: Vec<Folder>,
    pub(crate) links: Vec<Link>,
    size: usize,
}

struct Current {
    fd: OwnedFd,
    entry: Entry,
    path: Vec<u8>,
    hash: Sha256,
}

/// Where and how a layer is unpacked.
pub(crate) struct Unpacker {
    pub(super) walker: Walker,
    pub(super) list: FileList,
    headers: Headers,
    /// The layer's folder.
    folder: PathBuf,
    pub(super) made: Made,
    pub(super) marks: Marks,
    current: Option<Current>,
    pub(super) pending: Pending,
    /// The root hides all layers below.
    pub(crate) opaque: bool,
    /// Bytes of all files, and how many there are.
    pub(crate) size: u64,
    pub(super) files: u64,
    budget: u64,
}

impl Unpacker {
    /// Into the empty folder `tree` of a layer's folder; `budget` is how many bytes it may have.
    pub(crate) fn new(
        folder: PathBuf,
        root: OwnedFd,
        (list, headers): (FileList, Headers),
        made: Made,
        marks: Marks,
        budget: u64,
    ) -> Self {
        Self {
            walker: Walker::new(root),
            list,
            headers,
            folder,
            made,
            marks,
            current: None,
            pending: Pending::default(),
            opaque: false,
            size: 0,
            files: 0,
            budget,
        }
    }

    /// Whether something of the layers below is needed.
    pub(crate) fn waits(&self) -> bool {
        let folders = &self.pending.folders;
        if !self.pending.links.is_empty() {
            return true;
        }
        if folders.iter().all(|folder| folder.header) {
            return false;
        }
        // A header may have come after the first entry of its folder.
        let mut own: Vec<&[u8]> = Vec::with_capacity(folders.len());
        own.extend(folders.iter().filter(|f| f.header).map(|f| f.path.as_slice()));
        own.sort_unstable();
        folders.iter().any(|f| !f.header && own.binary_search(&f.path.as_slice()).is_err())
    }

    /// What new files get.
    pub(crate) fn made(&self) -> &Made {
        &self.made
    }

    /// The tree.
    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.walker.root()
    }

    /// The folder entered last.
    pub(crate) fn here(&self) -> BorrowedFd<'_> {
        self.walker.here()
    }

    /// The links that wait for their targets.
    pub(crate) fn take_links(&mut self) -> Vec<Link> {
        std::mem::take(&mut self.pending.links)
    }

    /// Ends the list; gives the tree, what is left to do, and the list's digest.
    pub(crate) fn finish(mut self) -> Result<(Walker, Pending, Digest)> {
        self.headers.finish()?;
        let list = self.list.finish()?;
        Ok((self.walker, self.pending, list))
    }

    /// Enters the folder of an entry and makes what is missing on the way.
    pub(crate) fn enter(&mut self, folder: &[u8]) -> Result<()> {
        let mut last = 0;
        loop {
            let Err(Stop { end, errno }) = self.walker.enter(folder) else {
                return Ok(());
            };
            let path = &folder[..end];
            // Twice at the same place: what was made is not there.
            if end == last {
                return Err(errno).on("open", shown(path));
            }
            last = end;
            let (_, name) = split(path);
            let dir = self.walker.here();
            let hide = match errno {
                Errno::NOENT => false,
                Errno::NOTDIR | Errno::LOOP => {
                    if !whiteout::is_whiteout_at(dir, name).on("stat", shown(path))? {
                        let text = "the way to it passes through a link or a file";
                        return Err(refuse(folder, &format!("{text}: {}", shown(path))));
                    }
                    remove(dir, name, path)?;
                    true
                }
                _ => return Err(errno).on("open", shown(path)),
            };
            mkdirat(dir, name, Mode::from_raw_mode(0o755)).on("create", shown(path))?;
            if hide {
                set_opaque(dir, name, path, self.marks)?;
            }
            let set_mode = self.made.umask & 0o755 != 0;
            let path = path.to_vec();
            self.wait_for(path.len())?;
            self.pending.folders.push(Folder {
                path,
                header: false,
                mode: 0o755,
                set_mode,
                mtime: (0, 0),
            });
        }
    }

    pub(super) fn wait_for(&mut self, bytes: usize) -> Result<()> {
        self.pending.size += bytes + 64;
        if self.pending.size > PENDING_CAP {
            return Err(Error::bad_input("archive: too many folders and links in one layer"));
        }
        Ok(())
    }

    /// Removes what stands in the way of an entry. Gives whether it was a whiteout.
    pub(super) fn replace(&mut self, name: &[u8], path: &[u8]) -> Result<bool> {
        let dir = self.walker.here();
        let was = whiteout::is_whiteout_at(dir, name).on("stat", shown(path))?;
        // The archive has it still.
        replaced::keep(&self.folder, dir, name).on("keep", shown(path))?;
        remove(dir, name, path)?;
        if !self.pending.links.is_empty() {
            self.pending.links.retain(|link| !is_below(&link.path, path));
        }
        self.pending.folders.retain(|folder| !is_below(&folder.path, path));
        Ok(was)
    }

    fn folder(&mut self, entry: &Entry, name: &[u8], path: Vec<u8>) -> Result<()> {
        let mut is_new = true;
        if !name.is_empty() {
            // No set-id bits yet: entries would inherit the group.
            let mode = Mode::from_raw_mode(entry.mode & 0o777 | 0o700);
            let mut tries = 0;
            while let Err(errno) = mkdirat(self.walker.here(), name, mode) {
                let dir = self.walker.here();
                tries += 1;
                if errno != Errno::EXIST || tries > 1 {
                    return Err(errno).on("create", shown(&path));
                }
                let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).on("stat", shown(&path))?;
                if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                    is_new = false;
                    break;
                }
                if self.replace(name, &path)? {
                    mkdirat(self.walker.here(), name, mode).on("create", shown(&path))?;
                    set_opaque(self.walker.here(), name, &path, self.marks)?;
                    break;
                }
            }
        } else {
            is_new = false;
        }
        let owner = (entry.uid, entry.gid);
        let chown = self.made.differs(owner.0, owner.1);
        if !is_new || chown || !entry.xattrs.is_empty() {
            let fd = match name {
                b"" => None,
                _ => Some(open_folder_at(self.walker.here(), name).on("open", shown(&path))?),
            };
            let fd = fd.as_ref().map_or(self.walker.root(), AsFd::as_fd);
            if !is_new && !self.made.squash || chown {
                let (uid, gid) = (Some(metadata_uid(owner.0)), Some(metadata_gid(owner.1)));
                rustix::fs::fchown(fd, uid, gid).on("change owner of", shown(&path))?;
            }
            metadata::set_xattrs(fd, &path, &entry.xattrs, &self.made)?;
        }
        self.list.add(b'd', Some(entry.mode), None, &path, b"")?;
        self.wait_for(path.len())?;
        let got = (entry.mode & 0o777 | 0o700) & !self.made.umask;
        let set_mode = !is_new || chown || got != entry.mode;
        let (mode, mtime) = (entry.mode, entry.mtime);
        self.pending.folders.push(Folder { path, header: true, mode, set_mode, mtime });
        Ok(())
    }

    fn file(&mut self, entry: Entry, name: &[u8], path: Vec<u8>) -> Result<()> {
        self.size = self.size.saturating_add(entry.size);
        self.files += 1;
        self.has_room(&path)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(entry.mode);
        let mut fd = openat(self.walker.here(), name, flags, mode);
        if let Err(Errno::EXIST) = fd {
            self.replace(name, &path)?;
            fd = openat(self.walker.here(), name, flags, mode);
        }
        let fd = fd.on("create", shown(&path))?;
        self.current = Some(Current { fd, entry, path, hash: Sha256::new() });
        Ok(())
    }

    fn has_room(&self, path: &[u8]) -> Result<()> {
        if self.size.saturating_add(self.headers.length) <= self.budget {
            return Ok(());
        }
        let text = "the layer needs more room than the disk has";
        let text = match path {
            b"" => text.to_owned(),
            _ => format!("write {}: {text}", shown(path)),
        };
        Err(Error::new(ErrorKind::NoSpace, text))
    }

    fn close(&mut self, current: Current) -> Result<()> {
        let Current { fd, entry, path, hash } = current;
        let at = || shown(&path);
        metadata::own(fd.as_fd(), &self.made, (entry.uid, entry.gid), entry.mode, true)
            .on("change owner or mode of", at())?;
        metadata::set_xattrs(&fd, &path, &entry.xattrs, &self.made)?;
        futimens(&fd, &metadata::times(entry.mtime)).on("set times of", at())?;
        if entry.size >= WRITE_OUT {
            // Begins to write, and lets go of what is written: an image must not push the running
            // application out of memory. A file system that cannot do it loses nothing.
            let _ = fadvise(&fd, 0, None, Advice::DontNeed);
        }
        self.list.add(b'f', Some(entry.mode), Some((entry.size, hash.finish())), &path, b"")
    }
}

impl Sink for Unpacker {
    fn frame(&mut self, part: Part, bytes: &[u8]) -> Result<()> {
        self.headers.add(part, bytes)?;
        self.has_room(b"")
    }

    fn entry(&mut self, mut entry: Entry) -> Result<()> {
        if self.made.squash {
            // An ordinary user must be able to read and remove what is his.
            entry.mode |= if entry.kind == Kind::Folder { 0o700 } else { 0o400 };
        }
        let path = clean(&entry.path)?;
        let Some((folder, name)) = place(&path, entry.kind)? else { return Ok(()) };
        self.enter(folder)?;
        match meaning(name) {
            Meaning::Plain => {}
            Meaning::Ignored => return Ok(()),
            Meaning::Wrong => return Err(refuse(&path, "whiteout of nothing")),
            Meaning::Opaque => {
                self.opaque |= folder.is_empty();
                let done = whiteout::set_opaque(self.walker.here(), self.marks);
                done.on("mark as opaque", shown(folder))?;
                return self.list.add(b'o', None, None, folder, b"");
            }
            Meaning::Gone(gone) => {
                let gone_path = [folder, if folder.is_empty() { b"" } else { b"/" }, gone].concat();
                return self.white_out(gone, &gone_path);
            }
        }
        let name = name.to_vec();
        match entry.kind {
            Kind::File => self.file(entry, &name, path),
            Kind::Folder => self.folder(&entry, &name, path),
            Kind::HardLink => self.hard_link(&entry, &name, path),
            _ => self.special(&entry, &name, &path),
        }
    }

    fn data(&mut self, mut bytes: &[u8]) -> Result<()> {
        let Some(current) = &mut self.current else {
            // Of a whiteout, or of something that is passed over.
            return self.frame(Part::Filling, bytes);
        };
        current.hash.update(bytes);
        while !bytes.is_empty() {
            match rustix::io::write(&current.fd, bytes) {
                Ok(n) => bytes = &bytes[n..],
                Err(Errno::INTR) => {}
                Err(e) => return Err(e).on("write", shown(&current.path)),
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        match self.current.take() {
            Some(current) => self.close(current),
            None => Ok(()),
        }
    }
}

fn metadata_uid(uid: u32) -> rustix::fs::Uid {
    rustix::fs::Uid::from_raw(uid)
}

fn metadata_gid(gid: u32) -> rustix::fs::Gid {
    rustix::fs::Gid::from_raw(gid)
}

fn remove(dir: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> Result<()> {
    let name = CString::new(name).map_err(std::io::Error::from).on("remove", shown(path))?;
    remove_tree_at(dir, &name).on("remove", shown(path))
}

pub(super) fn set_opaque(
    dir: BorrowedFd<'_>,
    name: &[u8],
    path: &[u8],
    marks: Marks,
) -> Result<()> {
    open_folder_at(dir, name)
        .and_then(|fd| whiteout::set_opaque(fd, marks))
        .on("mark as opaque", shown(path))
}
