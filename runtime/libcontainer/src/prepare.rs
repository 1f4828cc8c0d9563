//! Work inside the container's root before the child enters it, always by descriptor.

use crate::users::LARGEST_FILE;
use base::paths::{mkdirat, mknodat};
use base::sys::resolve::{Links, beneath};
use base::text::quote::quoted;
use base::{Error, OnError, Result};
use rustix::fs::{FileType, Mode, OFlags, fstat};
use rustix::io::Errno;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The path for the kernel. A NUL in it is refused.
pub(crate) fn c_string(path: &str) -> Result<CString> {
    CString::new(path).map_err(|_| Error::bad_input([&quoted(path), ": a NUL in a path"].concat()))
}

/// Makes a folder and its parents inside, unless they are there. Links inside are followed, but
/// never out of the root.
pub(crate) fn ensure_folder(root: BorrowedFd<'_>, path: &str) -> Result<()> {
    ensure(root, path, FileType::Directory)
}

/// Makes an empty file inside, and its parents, unless it is there.
pub(crate) fn ensure_file(root: BorrowedFd<'_>, path: &str) -> Result<()> {
    ensure(root, path, FileType::RegularFile)
}

fn ensure(root: BorrowedFd<'_>, path: &str, kind: FileType) -> Result<()> {
    let wrong = |errno| Error::os("prepare", &format_args!("/{path} in the container"), errno);
    match beneath(root, &c_string(path)?, Links::Follow) {
        Ok(found) => {
            let folder = FileType::from_raw_mode(fstat(&found).map_err(wrong)?.st_mode)
                == FileType::Directory;
            return match (kind == FileType::Directory, folder) {
                (true, false) => Err(wrong(Errno::NOTDIR)),
                (false, true) => Err(wrong(Errno::ISDIR)),
                _ => Ok(()),
            };
        }
        Err(Errno::NOENT) => (),
        Err(errno) => return Err(wrong(errno)),
    }
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let parent = if parent.is_empty() {
        root.try_clone_to_owned().on("dup", "root")?
    } else {
        ensure(root, parent, FileType::Directory)?;
        beneath(root, &c_string(parent)?, Links::Follow).map_err(wrong)?
    };
    let made = if kind == FileType::Directory {
        mkdirat(&parent, name, Mode::from_raw_mode(0o755))
    } else {
        mknodat(&parent, name, FileType::RegularFile, Mode::from_raw_mode(0o644), 0)
    };
    made.map_err(wrong)
}

/// A small regular file inside, or nothing if there is none. Opened without waiting, so that a
/// FIFO in its place does no harm (CVE-2024-9676), and read up to a cap (CVE-2026-47262).
pub(crate) fn read(root: BorrowedFd<'_>, path: &str) -> Result<Vec<u8>> {
    let wrong = |errno: Errno| Error::os("read", &format_args!("/{path} in the container"), errno);
    let found = match beneath(root, &c_string(path)?, Links::Follow) {
        Ok(found) => found,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(Vec::new()),
        Err(errno) => return Err(wrong(errno)),
    };
    let stat = fstat(&found).map_err(wrong)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Error::bad_input(format!("/{path} in the container is no regular file")));
    }
    if stat.st_size as u64 > LARGEST_FILE {
        return Err(Error::bad_input(format!("/{path} in the container is larger than 1 MiB")));
    }
    let file = reopen(found.as_fd(), OFlags::NONBLOCK).map_err(wrong)?;
    let mut bytes = Vec::new();
    base::read::at_most(&mut std::fs::File::from(file), LARGEST_FILE, &mut bytes)
        .on("read", path)?;
    Ok(bytes)
}

/// The same object, for reading: through the magic link of its descriptor. `flags`: of open(2),
/// besides.
pub(crate) fn reopen(object: BorrowedFd<'_>, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fd/{}", object.as_raw_fd());
    base::paths::open(
        std::path::Path::new(&path),
        OFlags::RDONLY | flags | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_files_are_made_beneath_the_root_only() {
        let folder = std::env::temp_dir().join(format!("coracle-prepare-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("root")).expect("mkdir");
        std::os::unix::fs::symlink("/../../outside", folder.join("root/link")).expect("symlink");
        let root = std::fs::File::open(folder.join("root")).expect("open");
        ensure_folder(root.as_fd(), "a/b/c").expect("ensure");
        ensure_file(root.as_fd(), "etc/hosts").expect("ensure");
        assert!(ensure_folder(root.as_fd(), "etc/hosts").is_err());
        // The link dangles inside: nothing may appear outside.
        assert!(ensure_folder(root.as_fd(), "link/x").is_err());
        assert!(!folder.join("outside").exists());
        assert_eq!(read(root.as_fd(), "missing").expect("read"), b"");
        assert!(read(root.as_fd(), "a").is_err());
        std::fs::remove_dir_all(folder).expect("remove");
    }
}
