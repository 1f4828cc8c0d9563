//! Small files, locks and removal.
//!
//! A file is written aside and renamed, so that a reader sees the old text or the new one. A lock
//! is `flock` on a folder: no lock files, and free when its holder dies. Trees are removed by
//! descriptors, never by string, so that a name inside a hostile tree cannot lead out of it.

use crate::{Error, OnError, Result, paths};
use rustix::fs::{self, AtFlags, CWD, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::CString;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Whether what was written must survive a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// It may be lost.
    No,
    /// File and folder are synced: two calls.
    Yes,
}

/// Writes a file aside and renames it to its name.
pub fn write_then_rename(folder: &Path, name: &str, bytes: &[u8], sync: Sync) -> Result<()> {
    let path = folder.join(name);
    let (aside, file) = new_aside(folder, name)?;
    let done = write_aside(&aside, file, bytes, sync)
        .and_then(|()| paths::rename(&aside, &path).on_path("write", &path));
    if done.is_err() {
        let _ = paths::unlink(&aside);
        return done;
    }
    if sync == Sync::Yes { sync_folder(folder) } else { Ok(()) }
}

/// Makes a file of the user's aside, has it filled, and renames it: the old one or the new one, whole,
/// also after a power cut. What is no regular file (a device, a FIFO) is written to as it is.
pub fn write_aside_then_rename(
    path: &Path,
    fill: &mut dyn FnMut(&mut File) -> Result<()>,
) -> Result<()> {
    if let Ok(metadata) = std::fs::metadata(path)
        && !metadata.is_file()
    {
        let mut file = File::options().write(true).open(path).on_path("open", path)?;
        return fill(&mut file);
    }
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".{}.part", rustix::process::getpid().as_raw_nonzero()));
    let aside = Path::new(&aside);
    let mut file = File::create_new(aside).on_path("create", path)?;
    let done = fill(&mut file)
        .and_then(|()| file.sync_data().on_path("sync", path))
        .and_then(|()| paths::rename(aside, path).on_path("write", path));
    if done.is_err() {
        let _ = paths::unlink(aside);
        return done;
    }
    // One that may not be read cannot be synced; the file is whole in any case.
    match open_folder(path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))
    {
        Ok(above) => fs::fsync(above).on_path("sync", path),
        Err(_) => Ok(()),
    }
}

/// A file of our own. A process of an earlier boot may have had our number and been killed before it
/// could take its file away: that one's is left alone.
fn new_aside(folder: &Path, name: &str) -> Result<(PathBuf, File)> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    const MOST_LEFT: u32 = 1000;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mut left = 0;
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let aside = format!(".{name}.{}.{count}", rustix::process::getpid().as_raw_nonzero());
        let aside = folder.join(aside);
        match paths::open(&aside, flags, Mode::from_raw_mode(0o600)) {
            Err(Errno::EXIST) if left < MOST_LEFT => left += 1,
            opened => return opened.on_path("create", &aside).map(|fd| (aside, File::from(fd))),
        }
    }
}

fn write_aside(path: &Path, mut file: File, bytes: &[u8], sync: Sync) -> Result<()> {
    file.write_all(bytes).on_path("write", path)?;
    if sync == Sync::Yes { file.sync_data().on_path("sync", path) } else { Ok(()) }
}

/// Makes what was made, renamed or removed in a folder durable.
pub fn sync_folder(folder: &Path) -> Result<()> {
    let fd = open_folder(folder)?;
    fs::fsync(fd).on_path("sync", folder)
}

/// Opens a folder for `*at` calls, locks and syncs.
pub fn open_folder(folder: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    paths::open(folder, flags, Mode::empty()).on_path("open", folder)
}

/// Reads a whole file, at most `cap` bytes; never waits on a FIFO, and refuses what is no file.
pub fn read_capped(path: &Path, cap: usize) -> Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(paths::open(path, flags, Mode::empty()).on_path("open", path)?);
    let stat = fs::fstat(&file).on_path("read", path)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        let text = format!("read {}: not a regular file", path.display());
        return Err(Error::bad_input(text));
    }
    // Room for the whole file and for the read that finds its end, so that nothing is moved.
    let size = match usize::try_from(stat.st_size).unwrap_or(usize::MAX) {
        // Files of the kernel do not say how long they are.
        0 => 1024,
        size => size,
    };
    let mut bytes = Vec::with_capacity(size.min(cap) + 1);
    crate::read::at_most(&mut &file, cap as u64 + 1, &mut bytes).on_path("read", path)?;
    if bytes.len() > cap {
        let text = format!("read {}: larger than {cap} bytes", path.display());
        return Err(Error::bad_input(text));
    }
    Ok(bytes)
}

/// Makes a folder and what is missing above it, each with mode 0700.
pub fn create_dir_all(path: &Path) -> Result<()> {
    match paths::mkdir(path, Mode::RWXU) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) if path.is_dir() => Ok(()),
        Err(Errno::NOENT) => {
            let Some(above) = path.parent().filter(|p| !p.as_os_str().is_empty()) else {
                return Err(Errno::NOENT).on_path("create", path);
            };
            create_dir_all(above)?;
            match paths::mkdir(path, Mode::RWXU) {
                Err(Errno::EXIST) => Ok(()),
                other => other.on_path("create", path),
            }
        }
        Err(e) => Err(e).on_path("create", path),
    }
}

/// A lock on a folder, free when dropped.
#[derive(Debug)]
pub struct Lock(OwnedFd);

impl Lock {
    /// Waits until nobody holds it alone.
    pub fn shared(folder: &Path) -> Result<Self> {
        Ok(Self::take(folder, FlockOperation::LockShared)?.0)
    }

    /// Waits until nobody holds it.
    pub fn exclusive(folder: &Path) -> Result<Self> {
        Ok(Self::take(folder, FlockOperation::LockExclusive)?.0)
    }

    /// Alone, if nobody holds it.
    pub fn try_exclusive(folder: &Path) -> Result<Option<Self>> {
        let (lock, taken) = Self::take(folder, FlockOperation::NonBlockingLockExclusive)?;
        Ok(taken.then_some(lock))
    }

    fn take(folder: &Path, operation: FlockOperation) -> Result<(Self, bool)> {
        let fd = open_folder(folder)?;
        loop {
            match fs::flock(&fd, operation) {
                Ok(()) => return Ok((Self(fd), true)),
                Err(Errno::WOULDBLOCK) => return Ok((Self(fd), false)),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e).on_path("lock", folder),
            }
        }
    }

    /// The locked folder.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<Lock> for OwnedFd {
    fn from(lock: Lock) -> Self {
        lock.0
    }
}

/// Removes a file or a whole tree; what is not there is no error. Goes on past errors and gives
/// the first.
pub fn remove_tree(path: &Path) -> Result<()> {
    let Some(name) = path.file_name() else {
        return Err(Error::bad_input(format!("remove {}: not a name", path.display())));
    };
    let above = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let above = match open_folder(above) {
        Err(e) if e.kind() == crate::Kind::NotFound => return Ok(()),
        other => other?,
    };
    let name = CString::new(name.as_encoded_bytes())
        .map_err(std::io::Error::from)
        .on_path("remove", path)?;
    remove_tree_at(&above, &name).on_path("remove", path)
}

/// [`remove_tree`] of one name in an open folder.
pub fn remove_tree_at(above: impl AsFd, name: &std::ffi::CStr) -> std::result::Result<(), Errno> {
    let above = above.as_fd();
    match paths::unlinkat(above, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        // EPERM is what POSIX wants for a folder.
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(e) => return Err(e),
    }
    match paths::unlinkat(above, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTEMPTY | Errno::EXIST) => {}
        Err(e) => return Err(e),
    }
    let top = open_inside(above, name)?;
    // The way down, as open folders: a hostile tree may be thousands deep, so from some depth on
    // the deepest folder is moved up to the top and removed from there.
    let first = remove_below(&top, &top, 0);
    match paths::unlinkat(above, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOENT) | Ok(()) => first,
        Err(e) => first.and(Err(e)),
    }
}

const DEEPEST: u32 = 64;

fn open_inside(dir: BorrowedFd<'_>, name: &std::ffi::CStr) -> std::result::Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match paths::openat(dir, name, flags, Mode::empty()) {
        // A folder of ours without permissions, as an ordinary user finds it.
        Err(Errno::ACCESS) => {
            // chmod follows no link here: a folder cannot be one, and unlink has failed above.
            paths::chmodat(dir, name, Mode::RWXU, AtFlags::empty())?;
            paths::openat(dir, name, flags, Mode::empty())
        }
        other => other,
    }
}

fn remove_below(top: &OwnedFd, dir: &OwnedFd, depth: u32) -> std::result::Result<(), Errno> {
    let mut first = Ok(());
    let mut opened_up = false;
    // Names removed while a folder is read may hide others: read it again until nothing changes.
    loop {
        let mut removed = false;
        let mut failed = Ok(());
        let mut entries = fs::Dir::read_from(dir)?;
        while let Some(entry) = entries.read() {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let done = match entry.file_type() {
                FileType::Directory | FileType::Unknown => remove_entry(top, dir, name, depth),
                _ => paths::unlinkat(dir, name, AtFlags::empty()),
            };
            match done {
                Ok(()) | Err(Errno::NOENT) => removed = true,
                // A folder of ours that may not be written, as an ordinary user finds it.
                Err(Errno::ACCESS) if !opened_up => {
                    opened_up = true;
                    removed |= fs::fchmod(dir, Mode::RWXU).is_ok();
                }
                Err(e) => failed = failed.and(Err(e)),
            }
        }
        if !removed {
            first = first.and(failed);
            return first;
        }
    }
}

fn remove_entry(
    top: &OwnedFd,
    dir: &OwnedFd,
    name: &std::ffi::CStr,
    depth: u32,
) -> std::result::Result<(), Errno> {
    match paths::unlinkat(dir, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOTEMPTY | Errno::EXIST) => {}
        Err(Errno::NOTDIR) => return paths::unlinkat(dir, name, AtFlags::empty()),
        other => return other,
    }
    if depth >= DEEPEST {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let aside = format!(".deep.{}", COUNT.fetch_add(1, Ordering::Relaxed));
        return paths::renameat(dir, name, top, &aside);
    }
    let below = open_inside(dir.as_fd(), name)?;
    let first = remove_below(top, &below, depth + 1);
    first.and(paths::unlinkat(dir, name, AtFlags::REMOVEDIR))
}

/// Whether something has this name; a symbolic link counts itself.
#[must_use]
pub fn exists(path: &Path) -> bool {
    paths::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

/// The same for who acts on the answer: a name that cannot be looked at is neither.
pub fn is_there(path: &Path) -> Result<bool> {
    match paths::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
        Err(e) => Err(e).on_path("stat", path),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A fresh folder.
    pub(crate) fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("coracle-base-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    /// After a reboot the same numbers come again.
    #[test]
    fn what_a_killed_namesake_left_aside_is_no_hindrance() {
        let dir = scratch("aside");
        for count in 0..100 {
            let left = dir.join(format!(".x.{}.{count}", std::process::id()));
            std::fs::write(left, "half").unwrap();
        }
        write_then_rename(&dir, "x", b"whole", Sync::No).unwrap();
        assert_eq!(std::fs::read(dir.join("x")).unwrap(), b"whole");
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 101);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn write_leaves_nothing_aside() {
        let dir = scratch("write");
        write_then_rename(&dir, "a", b"1", Sync::Yes).unwrap();
        write_then_rename(&dir, "a", b"2", Sync::No).unwrap();
        assert_eq!(read_capped(&dir.join("a"), 10).unwrap(), b"2");
        assert!(write_then_rename(&dir.join("none"), "a", b"", Sync::No).is_err());
        std::fs::create_dir(dir.join("d")).unwrap();
        assert!(write_then_rename(&dir, "d", b"", Sync::No).is_err());
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 2);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn reads_are_capped_and_never_wait() {
        let dir = scratch("read");
        std::fs::write(dir.join("f"), b"12345").unwrap();
        assert_eq!(read_capped(&dir.join("f"), 5).unwrap(), b"12345");
        let e = read_capped(&dir.join("f"), 4).unwrap_err();
        assert!(e.message().ends_with("larger than 4 bytes"), "{e}");
        fs::mknodat(CWD, dir.join("p"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        assert!(read_capped(&dir.join("p"), 4).unwrap_err().message().contains("not a regular"));
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn locks_exclude_each_other() {
        let dir = scratch("lock");
        let a = Lock::shared(&dir).unwrap();
        let b = Lock::shared(&dir).unwrap();
        assert!(Lock::try_exclusive(&dir).unwrap().is_none());
        drop((a, b));
        let _held = Lock::try_exclusive(&dir).unwrap().unwrap();
        assert!(Lock::try_exclusive(&dir).unwrap().is_none());
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_tree_goes_and_what_it_links_to_stays() {
        let dir = scratch("tree");
        let tree = dir.join("t");
        std::fs::create_dir_all(dir.join("other")).unwrap();
        std::fs::write(dir.join("other/kept"), b"").unwrap();
        std::fs::create_dir_all(tree.join("a/b/c")).unwrap();
        for i in 0..300 {
            std::fs::write(tree.join(format!("a/f{i}")), b"").unwrap();
        }
        std::os::unix::fs::symlink("../../other", tree.join("a/link")).unwrap();
        let mut deep = tree.join("a");
        for _ in 0..200 {
            deep.push("d");
            std::fs::create_dir(&deep).unwrap();
        }
        std::fs::write(deep.join("f"), b"").unwrap();
        fs::chmod(tree.join("a/b"), Mode::empty()).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!exists(&tree) && exists(&dir.join("other/kept")));
        remove_tree(&tree).unwrap();
        remove_tree(&dir.join("none/at/all")).unwrap();
        remove_tree(&dir).unwrap();
    }
}
