//! What a layer takes away: names in the archive, marks on the disk.
//!
//! In an archive, `.wh.NAME` removes NAME of the layers below and `.wh..wh..opq` everything in its
//! folder. On the disk these are overlay's own marks, so that the folder can be mounted as it is:
//! a character device 0:0, and the attribute `overlay.opaque=y` in the namespace `trusted.`, or
//! `user.` in the store of an ordinary user (mounted with `userxattr`). Making a device 0:0 needs
//! no privilege since Linux 5.8; before 5.11 an ordinary user cannot mount an overlay anyway.

use super::header::Kind;
use super::path::{refuse, split};
use base::paths::{fgetxattr, fsetxattr, mknodat, statat};
use rustix::fs::{AtFlags, FileType, Mode, XattrFlags};
use rustix::io::Errno;
use std::os::fd::AsFd;

/// Which namespace of attributes holds overlay's marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marks {
    /// `trusted.overlay.*`, for root.
    Trusted,
    /// `user.overlay.*`, for ordinary users.
    User,
}

impl Marks {
    fn opaque(self) -> &'static str {
        match self {
            Self::Trusted => "trusted.overlay.opaque",
            Self::User => "user.overlay.opaque",
        }
    }
}

/// What a name in an archive means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meaning<'a> {
    /// An ordinary name.
    Plain,
    /// This name is gone.
    Gone(&'a [u8]),
    /// The folder hides what is below.
    Opaque,
    /// Bookkeeping of aufs.
    Ignored,
    /// A whiteout of nothing.
    Wrong,
}

/// What the last component of a path means.
pub(crate) fn meaning(name: &[u8]) -> Meaning<'_> {
    match name.strip_prefix(b".wh.") {
        None => Meaning::Plain,
        Some(b".wh..opq") => Meaning::Opaque,
        Some(rest) if rest.starts_with(b".wh.") => Meaning::Ignored,
        Some(b"" | b"." | b"..") => Meaning::Wrong,
        Some(rest) => Meaning::Gone(rest),
    }
}

/// The folder and the name of a layer's entry; none for what aufs keeps for itself.
pub(crate) fn place(path: &[u8], kind: Kind) -> base::Result<Option<(&[u8], &[u8])>> {
    let (folder, name) = split(path);
    if name.is_empty() && kind != Kind::Folder {
        return Err(refuse(path, "the root can only be a folder"));
    }
    let parts = || folder.split(|&c| c == b'/');
    if parts().any(|part| matches!(meaning(part), Meaning::Ignored)) {
        return Ok(None);
    }
    if parts().any(|part| !matches!(meaning(part), Meaning::Plain)) {
        return Err(refuse(path, "name below a whiteout"));
    }
    Ok(Some((folder, name)))
}

/// Whether this is a whiteout on the disk.
pub(crate) fn is_whiteout(stat: &rustix::fs::Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Whether a whiteout has this name.
pub(crate) fn is_whiteout_at(dir: impl AsFd, name: &[u8]) -> Result<bool, Errno> {
    match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(is_whiteout(&stat)),
        Err(Errno::NOENT) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Makes a whiteout.
pub(crate) fn make(dir: impl AsFd, name: &[u8]) -> Result<(), Errno> {
    mknodat(dir, name, FileType::CharacterDevice, Mode::empty(), 0)
}

/// Marks a folder as hiding what is below it.
pub(crate) fn set_opaque(folder: impl AsFd, marks: Marks) -> Result<(), Errno> {
    fsetxattr(folder, marks.opaque(), b"y", XattrFlags::empty())
}

/// Whether a folder hides what is below it.
pub(crate) fn is_opaque(folder: impl AsFd, marks: Marks) -> bool {
    let mut value = [0u8; 2];
    matches!(fgetxattr(folder, marks.opaque(), &mut value), Ok(1)) && value[0] == b'y'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, want) in [
            ("a", Meaning::Plain),
            (".wh", Meaning::Plain),
            (".wh.a", Meaning::Gone(b"a")),
            (".wh..a", Meaning::Gone(b".a")),
            (".wh..wh..opq", Meaning::Opaque),
            (".wh..wh.plnk", Meaning::Ignored),
            (".wh.", Meaning::Wrong),
            (".wh...", Meaning::Wrong),
            (".wh..", Meaning::Wrong),
        ] {
            assert_eq!(meaning(name.as_bytes()), want, "{name}");
        }
    }
}
