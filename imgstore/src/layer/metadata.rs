//! Owners, modes, times and attributes: what of them is set, and with how few calls.
//!
//! What the kernel gave a new file already is not set again. `security.capability` is kept, other
//! `security.*` dropped (labels belong to the host), `trusted.*` and overlay's own attributes are
//! refused. In the store of an ordinary user all owners become that user, and what only root may
//! set is dropped.

use super::path::shown;
use base::paths::{chownat, fsetxattr};
use base::{Error, OnError, Result};
use rustix::fs::{AtFlags, Mode, Timespec, Timestamps, XattrFlags, fchmod, fchown};
use rustix::fs::{Gid, Uid};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};

/// What new files get by themselves, and whether owners are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Bits that the umask takes away.
    pub(crate) umask: u32,
    /// All owners become the user.
    pub(crate) squash: bool,
}

impl Made {
    /// Whether a new file must change its owner.
    pub(crate) fn differs(&self, uid: u32, gid: u32) -> bool {
        !self.squash && (uid != self.uid || gid != self.gid)
    }
}

fn ids(uid: u32, gid: u32) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
}

/// Sets owner and mode of an open new file or folder. `sure`: the mode is right unless the umask
/// or a change of owner took bits away.
pub(crate) fn own(
    fd: BorrowedFd<'_>,
    made: &Made,
    (uid, gid): (u32, u32),
    mode: u32,
    sure: bool,
) -> std::result::Result<(), Errno> {
    let differs = made.differs(uid, gid);
    if differs {
        let (uid, gid) = ids(uid, gid);
        fchown(fd, uid, gid)?;
    }
    // Writing may take set-id bits away, and so may a change of owner.
    if !sure || mode & made.umask != 0 || mode & 0o6000 != 0 {
        fchmod(fd, Mode::from_raw_mode(mode))?;
    }
    Ok(())
}

/// Sets the owner of what has no descriptor.
pub(crate) fn own_at(
    dir: BorrowedFd<'_>,
    name: &[u8],
    made: &Made,
    (uid, gid): (u32, u32),
) -> std::result::Result<(), Errno> {
    if !made.differs(uid, gid) {
        return Ok(());
    }
    let (uid, gid) = ids(uid, gid);
    chownat(dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
}

/// Both times of a file.
pub(crate) fn times((seconds, nanos): (i64, u32)) -> Timestamps {
    let time = || Timespec { tv_sec: seconds, tv_nsec: nanos as _ };
    Timestamps { last_access: time(), last_modification: time() }
}

/// Whether an attribute is kept; refused ones are an error.
pub(crate) fn keeps(path: &[u8], name: &[u8]) -> Result<bool> {
    if name.starts_with(b"trusted.") || name.starts_with(b"user.overlay.") {
        let text = format!("archive: {}: attribute {} is not allowed", shown(path), shown(name));
        return Err(Error::bad_input(text));
    }
    Ok(name == b"security.capability" || !name.starts_with(b"security."))
}

/// Sets the attributes of an open file or folder.
pub(crate) fn set_xattrs(
    fd: impl AsFd,
    path: &[u8],
    xattrs: &[(Vec<u8>, Vec<u8>)],
    made: &Made,
) -> Result<()> {
    for (name, value) in xattrs {
        if !keeps(path, name)? {
            continue;
        }
        match fsetxattr(&fd, name.as_slice(), value, XattrFlags::empty()) {
            // A file system without attributes: docker, too, goes on without them.
            Ok(()) | Err(Errno::OPNOTSUPP) => {}
            Err(Errno::PERM | Errno::INVAL) if made.squash => {}
            Err(e) => return Err(e).on("set attribute of", shown(path)),
        }
    }
    Ok(())
}
