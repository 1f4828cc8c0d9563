//! Copies files and folders with everything they have: content, owner, mode, times, attributes.
//!
//! Content is shared where the file system can (FICLONE), else copied by the kernel, else read and
//! written. Attributes of overlay itself are never copied: they mean something only in a layer.

use crate::paths::{
    chmodat, chownat, fgetxattr, fsetxattr, linkat, mkdirat, mknodat, openat, readlinkat, statat,
    symlinkat, utimensat,
};
use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags,
    copy_file_range, fchmod, fchown, flistxattr, futimens, ioctl_ficlone,
};
use rustix::io::{Errno, read, write};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

type Result<T> = std::result::Result<T, Errno>;

/// Seconds of the time of change of contents.
#[allow(
    clippy::useless_conversion,
    clippy::unnecessary_cast,
    reason = "the width depends on the target"
)]
pub fn seconds(stat: &Stat) -> i64 {
    stat.st_mtime as i64
}

/// Its nanoseconds.
#[allow(
    clippy::useless_conversion,
    clippy::unnecessary_cast,
    reason = "the width depends on the target"
)]
pub fn nanos(stat: &Stat) -> u32 {
    stat.st_mtime_nsec as u32
}

/// The times that a copy gets.
pub fn times(stat: &Stat) -> Timestamps {
    let time = Timespec { tv_sec: seconds(stat), tv_nsec: nanos(stat) as _ };
    Timestamps { last_access: time, last_modification: time }
}

fn owner(stat: &Stat) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))
}

/// Opens for reading, following nothing and waiting for nothing.
pub fn open_for_reading(dir: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> Result<OwnedFd> {
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    openat(dir, name, flags, Mode::empty())
}

fn content(from: &OwnedFd, to: &OwnedFd) -> Result<()> {
    if ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    let mut copied = false;
    loop {
        match copy_file_range(from, None, to, None, 1 << 24) {
            Ok(0) if copied => return Ok(()),
            // Some file systems say 0 where they mean that they cannot.
            Ok(0) => break,
            Ok(_) => copied = true,
            Err(Errno::INTR) => {}
            Err(Errno::NOSPC) => return Err(Errno::NOSPC),
            Err(e) if copied => return Err(e),
            Err(_) => break,
        }
    }
    let mut block = vec![0u8; 64 << 10];
    loop {
        let n = match read(from, &mut block) {
            Ok(0) => return Ok(()),
            Err(Errno::INTR) => continue,
            other => other?,
        };
        let mut rest = &block[..n];
        while !rest.is_empty() {
            match write(to, rest) {
                Ok(n) => rest = &rest[n..],
                Err(Errno::INTR) => {}
                Err(e) => return Err(e),
            }
        }
    }
}

/// Takes the name and the value of an attribute.
pub type EachAttribute<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<()>;

/// Gives the attributes that belong to the file: not overlay's own, and not the host's labels.
pub fn xattrs(from: BorrowedFd<'_>, each: EachAttribute<'_>) -> Result<()> {
    let mut small = [0u8; 256];
    let mut large = Vec::new();
    let names: &[u8] = match flistxattr(from, &mut small) {
        Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(()),
        Ok(n) => &small[..n],
        Err(Errno::RANGE) => {
            large.resize(64 << 10, 0);
            let n = flistxattr(from, &mut large[..])?;
            &large[..n]
        }
        Err(e) => return Err(e),
    };
    let mut value = Vec::new();
    for name in names.split(|&c| c == 0).filter(|name| !name.is_empty()) {
        let kept = name == b"security.capability" || !name.starts_with(b"security.");
        if !kept || name.starts_with(b"trusted.") || name.starts_with(b"user.overlay.") {
            continue;
        }
        value.resize(64 << 10, 0);
        match fgetxattr(from, name, &mut value[..]) {
            Ok(n) => each(name, &value[..n])?,
            // Taken away meanwhile.
            Err(Errno::NODATA) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Copies the attributes.
fn copy_xattrs(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
    xattrs(from, &mut |name, value| match fsetxattr(to, name, value, XattrFlags::empty()) {
        Ok(()) | Err(Errno::OPNOTSUPP) => Ok(()),
        Err(Errno::PERM) if !rustix::process::geteuid().is_root() => Ok(()),
        Err(e) => Err(e),
    })
}

/// Owner and attributes of a folder; modes and times come when its entries are there.
pub fn folder_metadata(from: BorrowedFd<'_>, to: BorrowedFd<'_>, keep_owners: bool) -> Result<()> {
    if keep_owners {
        let (uid, gid) = owner(&rustix::fs::fstat(from)?);
        fchown(to, uid, gid)?;
    }
    copy_xattrs(from, to)
}

/// Copies anything but a folder.
pub fn node(
    from: BorrowedFd<'_>,
    name: &[u8],
    stat: &Stat,
    to: BorrowedFd<'_>,
    new: &[u8],
    keep_owners: bool,
) -> Result<()> {
    let kind = FileType::from_raw_mode(stat.st_mode);
    let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
    let (uid, gid) = owner(stat);
    if kind == FileType::RegularFile {
        let source = open_for_reading(from, name, OFlags::empty())?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let copy = openat(to, new, flags, Mode::RUSR | Mode::WUSR)?;
        if stat.st_size > 0 {
            content(&source, &copy)?;
        }
        if keep_owners {
            fchown(&copy, uid, gid)?;
        }
        fchmod(&copy, mode)?;
        // After the owner: a change of owner takes capabilities away.
        copy_xattrs(source.as_fd(), copy.as_fd())?;
        return futimens(&copy, &times(stat));
    }
    if kind == FileType::Symlink {
        let target = readlinkat(from, name)?;
        symlinkat(target.as_c_str(), to, new)?;
    } else {
        mknodat(to, new, kind, mode, stat.st_rdev)?;
    }
    if keep_owners {
        chownat(to, new, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    if kind != FileType::Symlink {
        chmodat(to, new, mode, AtFlags::empty())?;
    }
    utimensat(to, new, &times(stat), AtFlags::SYMLINK_NOFOLLOW)
}

/// Folders lie at most so deep in a tree that is copied: each level holds two descriptors.
const DEEPEST: usize = 200;

/// Copies everything in a folder into another one, which is empty, and then that folder's own owner,
/// mode and times. Names of one file stay names of one file.
pub fn tree(from: BorrowedFd<'_>, to: BorrowedFd<'_>, keep_owners: bool) -> Result<()> {
    let mut copier = Copier { keep_owners, links: Vec::new() };
    copier.folder(from, to, 0)
}

/// A file with several names: device, inode, and the folder and name of its first copy.
type Link = ((u64, u64), OwnedFd, CString);

struct Copier {
    keep_owners: bool,
    links: Vec<Link>,
}

impl Copier {
    fn folder(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: usize) -> Result<()> {
        if depth > DEEPEST {
            return Err(Errno::LOOP);
        }
        for entry in Dir::read_from(from)? {
            let name = entry?.file_name().to_owned();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let stat = statat(from, &name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                mkdirat(to, &name, Mode::RWXU)?;
                let below = open_for_reading(from, name.to_bytes(), OFlags::DIRECTORY)?;
                let copy = open_for_reading(to, name.to_bytes(), OFlags::DIRECTORY)?;
                self.folder(below.as_fd(), copy.as_fd(), depth + 1)?;
            } else if !self.link(&stat, to, &name)? {
                node(from, name.to_bytes(), &stat, to, name.to_bytes(), self.keep_owners)?;
            }
        }
        let stat = rustix::fs::fstat(from)?;
        folder_metadata(from, to, self.keep_owners)?;
        fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
        futimens(to, &times(&stat))
    }

    /// Whether it is one more name of a file that was copied.
    fn link(&mut self, stat: &Stat, to: BorrowedFd<'_>, name: &CStr) -> Result<bool> {
        if stat.st_nlink < 2 {
            return Ok(false);
        }
        #[allow(
            clippy::useless_conversion,
            clippy::unnecessary_cast,
            reason = "the width depends on the target"
        )]
        let key = (stat.st_dev as u64, stat.st_ino as u64);
        if let Some((_, folder, first)) = self.links.iter().find(|link| link.0 == key) {
            linkat(folder, first, to, name, AtFlags::empty())?;
            return Ok(true);
        }
        self.links.push((key, to.try_clone_to_owned().map_err(|_| Errno::MFILE)?, name.to_owned()));
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    #[test]
    fn a_tree_is_copied_with_modes_times_links() {
        let base = std::env::temp_dir().join(format!("coracle-copy-{}", std::process::id()));
        let (from, to) = (base.join("from"), base.join("to"));
        std::fs::create_dir_all(from.join("a/b")).expect("mkdir");
        std::fs::create_dir_all(&to).expect("mkdir");
        std::fs::write(from.join("a/b/f"), "text").expect("write");
        std::fs::hard_link(from.join("a/b/f"), from.join("g")).expect("link");
        symlink("a/b", from.join("l")).expect("symlink");
        let mode = |bits| std::fs::Permissions::from_mode(bits);
        std::fs::set_permissions(from.join("a"), mode(0o2750)).expect("chmod");
        std::fs::set_permissions(&from, mode(0o711)).expect("chmod");
        let open = |path| std::fs::File::open(path).expect("open");
        tree(open(&from).as_fd(), open(&to).as_fd(), true).expect("copy");
        let same = |name: &str| {
            let look = |base: &std::path::Path| base.join(name).symlink_metadata().expect("stat");
            let (old, new) = (look(&from), look(&to));
            assert_eq!(
                (old.mode(), old.len(), old.mtime_nsec(), old.nlink()),
                (new.mode(), new.len(), new.mtime_nsec(), new.nlink()),
                "{name}"
            );
        };
        for name in ["", "a", "a/b", "a/b/f", "g", "l"] {
            same(name);
        }
        assert_eq!(std::fs::read_to_string(to.join("g")).expect("read"), "text");
        assert_eq!(
            to.join("g").metadata().expect("stat").ino(),
            to.join("a/b/f").metadata().expect("stat").ino()
        );
        std::fs::remove_dir_all(base).expect("remove");
    }
}
