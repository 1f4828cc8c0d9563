//! The way to the folder of the entry at hand, as open descriptors.
//!
//! Each component is opened once, by its parent's descriptor and with O_NOFOLLOW: no name is ever
//! resolved by the kernel across a link, and a folder that many entries share is not looked up for
//! each of them.

use base::paths::openat;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// An open folder below a root, and the open folders above it.
pub(crate) struct Walker {
    root: OwnedFd,
    path: Vec<u8>,
    /// Where each component ends in `path`, and its descriptor.
    levels: Vec<(usize, OwnedFd)>,
}

/// Why a folder could not be entered: the component that ends at this place of the path.
pub(crate) struct Stop {
    pub(crate) end: usize,
    pub(crate) errno: Errno,
}

/// Opens a folder by name, following nothing.
pub(crate) fn open_folder_at(dir: impl AsFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(dir, name, flags, Mode::empty())
}

impl Walker {
    pub(crate) fn new(root: OwnedFd) -> Self {
        Self { root, path: Vec::new(), levels: Vec::new() }
    }

    /// The folder entered last.
    pub(crate) fn here(&self) -> BorrowedFd<'_> {
        self.levels.last().map_or(&self.root, |(_, fd)| fd).as_fd()
    }

    /// The root.
    pub(crate) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Enters a folder given by a clean path. Where it stops, `here` is the folder above the
    /// component that could not be entered.
    pub(crate) fn enter(&mut self, folder: &[u8]) -> Result<(), Stop> {
        if self.path == folder {
            return Ok(());
        }
        while let Some(&(end, _)) = self.levels.last() {
            let shared = folder.get(..end) == Some(&self.path[..end]);
            if shared && (folder.len() == end || folder[end] == b'/') {
                break;
            }
            self.levels.pop();
        }
        let mut at = self.levels.last().map_or(0, |&(end, _)| end);
        self.path.truncate(at);
        while at < folder.len() {
            let start = if at == 0 { 0 } else { at + 1 };
            let rest = &folder[start..];
            let end = start + rest.iter().position(|&c| c == b'/').unwrap_or(rest.len());
            match open_folder_at(self.here(), &folder[start..end]) {
                Ok(fd) => self.levels.push((end, fd)),
                Err(errno) => return Err(Stop { end, errno }),
            }
            self.path.clear();
            self.path.extend_from_slice(&folder[..end]);
            at = end;
        }
        Ok(())
    }

    /// Forgets all that is open, since the tree was changed below it.
    pub(crate) fn forget(&mut self) {
        self.levels.clear();
        self.path.clear();
    }
}
