//! Entries that are neither files nor folders: symbolic links, devices, FIFOs, and whiteouts.

use super::entry::Entry;
use super::header::Kind;
use super::metadata;
use super::path::refuse;
use super::path::shown;
use super::unpack::{Unpacker, set_opaque};
use super::whiteout;
use base::paths::{mknodat, statat, symlinkat, utimensat};
use base::{Error, OnError, Result};
use rustix::fs::{AtFlags, FileType, Mode};
use rustix::io::Errno;
use std::os::fd::BorrowedFd;

impl Unpacker {
    pub(super) fn special(&mut self, entry: &Entry, name: &[u8], path: &[u8]) -> Result<()> {
        let device = rustix::fs::makedev(entry.major, entry.minor);
        let (kind, letter) = match entry.kind {
            Kind::Char if device == 0 => {
                return Err(refuse(path, "character device 0:0, which would remove a file"));
            }
            Kind::Char => (FileType::CharacterDevice, b'c'),
            Kind::Block => (FileType::BlockDevice, b'b'),
            Kind::Symlink => (FileType::Symlink, b'l'),
            _ => (FileType::Fifo, b'p'),
        };
        if matches!(letter, b'c' | b'b') && self.made.squash {
            return Ok(());
        }
        if kind == FileType::Symlink && (entry.link.is_empty() || entry.link.len() > 4095) {
            return Err(refuse(path, "symbolic link with an impossible target"));
        }
        let mode = Mode::from_raw_mode(entry.mode);
        let make = |dir: BorrowedFd<'_>| match kind {
            FileType::Symlink => symlinkat(entry.link.as_slice(), dir, name),
            FileType::Fifo => mknodat(dir, name, kind, mode, 0),
            _ => mknodat(dir, name, kind, mode, device),
        };
        let mut done = make(self.walker.here());
        if let Err(Errno::EXIST) = done {
            self.replace(name, path)?;
            done = make(self.walker.here());
        }
        done.on("create", shown(path))?;
        let dir = self.walker.here();
        metadata::own_at(dir, name, &self.made, (entry.uid, entry.gid))
            .on("change owner of", shown(path))?;
        let again = self.made.differs(entry.uid, entry.gid) || entry.mode & self.made.umask != 0;
        if kind != FileType::Symlink && again {
            // Just made by us in a folder that only we can enter: no link can be in its place.
            base::paths::chmodat(dir, name, mode, AtFlags::empty())
                .on("change mode of", shown(path))?;
        }
        let times = metadata::times(entry.mtime);
        utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW).on("set times of", shown(path))?;
        let target = if kind == FileType::Symlink { entry.link.as_slice() } else { b"" };
        self.list.add(letter, Some(entry.mode), None, path, target)
    }

    pub(super) fn white_out(&mut self, name: &[u8], path: &[u8]) -> Result<()> {
        let dir = self.walker.here();
        match whiteout::make(dir, name) {
            Ok(()) => {}
            // The layer has its own: a file hides what is below it, a folder must be told to.
            Err(Errno::EXIST) => {
                let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).on("stat", shown(path))?;
                if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                    set_opaque(dir, name, path, self.marks)?;
                }
            }
            Err(Errno::PERM) => {
                let text =
                    "an ordinary user can only remove files of lower layers on Linux 5.8 and newer";
                return Err(Error::unsupported(format!("remove {}: {text}", shown(path))));
            }
            Err(e) => return Err(e).on("remove", shown(path)),
        }
        self.list.add(b'w', None, None, path, b"")
    }
}
