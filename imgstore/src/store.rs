//! The store: a root folder with a fixed set of folders below it. `README.md` has the format.
//!
//! Opening it is cheap, since every `run` does: one small file is read. Nothing is visible under
//! its final name before it is whole, verified and durable: see [`crate::commit`].

use crate::bases;
use crate::layer::Style;
use crate::layer::content::WINDOW;
use crate::layer::whiteout::Marks;
use base::files::{self, Lock, Sync};
use base::folders::Folders;
use base::{Error, Kind, OnError, Result, log, text};
use rustix::fs::{Mode, fstat};
use rustix::io::Errno;
use std::fs;
use std::path::{Path, PathBuf};

/// The newest format that this program writes.
const FORMAT: &str = "1.0";
const SUBFOLDERS: [&str; 6] = ["names", "images", "layers", "holds", "uppers", "work"];

/// How a store is opened.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `overlay`, `btrfs` or `vfs`; none: by environment, settings, probe.
    pub driver: Option<String>,
    /// It is not made where it is not.
    pub existing_only: bool,
}

/// An open store.
#[derive(Debug)]
pub struct Store {
    pub(crate) root: PathBuf,
    pub(crate) run: PathBuf,
    pub(crate) driver: Option<String>,
    pub(crate) marks: Marks,
    /// Blobs are kept as they came, beside the layers made of them.
    pub(crate) keep_blobs: bool,
    /// The largest window of zstd: memory.
    pub(crate) window: u64,
    /// Read-only stores below this one: see [`crate::bases`].
    pub(crate) bases: Vec<PathBuf>,
}

impl Store {
    /// Opens the store in the root folder, or makes it.
    pub fn open(folders: &Folders, options: Options) -> Result<Self> {
        let root = folders.root.clone();
        let driver = options.driver.or_else(|| {
            let setting = &folders.settings.storage_driver;
            crate::graphdriver::from_environment()
                .or((!setting.is_empty()).then(|| setting.clone()))
        });
        let marks = match files::read_capped(&root.join("format"), 4096) {
            Ok(text) => read_format(&text).map_err(|e| e.context(root.display()))?,
            Err(e) if e.kind() == Kind::NotFound && !options.existing_only => create(folders)?,
            Err(e) => return Err(e),
        };
        let keep_blobs = folders.settings.keep_blobs;
        let window = window(&folders.settings.max_window)?;
        let bases = bases::open(&folders.base_stores, marks)?;
        Ok(Self { root, run: folders.run.clone(), driver, marks, keep_blobs, window, bases })
    }

    /// Writes the file `format` anew where it is damaged; one of another version is left alone.
    pub fn repair_format(folders: &Folders) -> Result<()> {
        let root = folders.root.as_path();
        let text = files::read_capped(&root.join("format"), 4096)?;
        let text = String::from_utf8_lossy(&text);
        let version = text.lines().next().unwrap_or_default();
        let number = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
        let is_version = version.split_once('.').is_some_and(|(a, b)| number(a) && number(b));
        let known = version.split('.').next() == FORMAT.split('.').next();
        if is_version && !known || read_format(text.as_bytes()).is_ok() {
            return Ok(());
        }
        if !SUBFOLDERS.iter().all(|name| root.join(name).is_dir()) {
            return Err(Error::other(format!("{}: not a store", root.display())));
        }
        let _alone = Lock::exclusive(root)?;
        write_format(root).map(drop)
    }

    /// Whether so many bytes more have room: asked before the first one is written, of what is known
    /// to come. Compressed ones take more once they are unpacked, never less.
    pub fn check_room(&self, bytes: u64) -> Result<()> {
        let free = crate::layer::room(&self.root)?;
        if bytes <= free {
            return Ok(());
        }
        let (bytes, free) = (text::size::human(bytes), text::size::human(free));
        let text = format!("no space left: {bytes} more would come, and {free} may be used");
        Err(Error::new(Kind::NoSpace, text))
    }

    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// How layers are unpacked here.
    pub(crate) fn style(&self) -> Style {
        Style {
            marks: self.marks,
            squash: self.marks == Marks::User,
            strict: false,
            keep_blobs: self.keep_blobs,
            window: self.window,
            one_of_several: false,
        }
    }

    /// A folder of our own below `work`; what dead processes left there goes.
    pub(crate) fn work(&self) -> Result<Work> {
        work_in(&self.folder("work"))
    }
}

/// The same, below this folder.
pub(crate) fn work_in(work: &Path) -> Result<Work> {
    sweep(work)?;
    for _ in 0..10 {
        let mut name = [0; 8];
        text::id::random(&mut name)?;
        let path = work.join(text::hex::encode(&name));
        base::paths::mkdir(&path, Mode::RWXU).on_path("create", &path)?;
        // Between the two calls somebody else may sweep it away.
        let lock = match Lock::try_exclusive(&path) {
            Ok(Some(lock)) => lock,
            Ok(None) => continue,
            Err(e) if e.kind() == Kind::NotFound => continue,
            Err(e) => {
                let _ = base::paths::rmdir(&path);
                return Err(e);
            }
        };
        if fstat(lock.fd()).is_ok_and(|stat| stat.st_nlink > 0) {
            return Ok(Work { path, lock });
        }
    }
    Err(Error::conflict(format!("create {}: swept away each time", work.display())))
}

/// What the setting `max-window` allows; never more than 1 GiB.
fn window(text: &str) -> Result<u64> {
    match text {
        "" => Ok(WINDOW),
        _ => match text::size::parse(text).map_err(|e| e.context("max-window"))? {
            bytes if bytes <= 1 << 30 => Ok(bytes.max(WINDOW)),
            _ => Err(Error::bad_input("max-window: more than 1g")),
        },
    }
}

/// A folder for one piece of work, gone at its end.
pub(crate) struct Work {
    pub(crate) path: PathBuf,
    /// Held, so that nobody sweeps it; and opened before anything is written, so that a sync by it tells of
    /// every error since.
    pub(crate) lock: Lock,
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Err(e) = files::remove_tree(&self.path) {
            log::warn(e.message());
        }
    }
}

/// Removes what nobody holds.
pub(crate) fn sweep(work: &Path) -> Result<()> {
    for entry in fs::read_dir(work).on_path("read", work)? {
        let path = entry.on_path("read", work)?.path();
        if let Ok(Some(_held)) = Lock::try_exclusive(&path) {
            files::remove_tree(&path)?;
        }
    }
    Ok(())
}

/// `1.0` and `marks trusted` or `marks user`, a line each; what else there is, is for newer ones.
pub(crate) fn read_format(text: &[u8]) -> Result<Marks> {
    let text = String::from_utf8_lossy(text);
    let version = text.lines().next().unwrap_or_default();
    if version.split('.').next() != FORMAT.split('.').next() {
        let shown: String = version.chars().take(20).filter(|c| !c.is_control()).collect();
        let text = format!("store of format '{shown}', and this program knows {FORMAT}");
        return Err(Error::unsupported(text));
    }
    match text.lines().find_map(|line| line.strip_prefix("marks ")) {
        Some("user") => Ok(Marks::User),
        Some("trusted") => Ok(Marks::Trusted),
        _ => Err(Error::other("format: damaged: it does not say which marks layers have")),
    }
}

fn create(folders: &Folders) -> Result<Marks> {
    let root = folders.root.as_path();
    if !folders.is_named && is_in_ram(root) {
        return Err(Error::bad_input(format!(
            "the root folder {} lies in RAM: what is kept there would be gone after a reboot; to \
             have it so, name it with --root, CORACLE_ROOT or data-root",
            root.display()
        )));
    }
    files::create_dir_all(root)?;
    let _alone = Lock::exclusive(root)?;
    // Somebody else may have been faster.
    if let Ok(text) = files::read_capped(&root.join("format"), 4096) {
        return read_format(&text);
    }
    let names = fs::read_dir(root).on_path("read", root)?.filter_map(std::result::Result::ok);
    let foreign = |name: &std::ffi::OsStr| name == "aufs" || name == "overlay2" || name == "image";
    if names.into_iter().any(|entry| foreign(&entry.file_name())) {
        let text = format!("{} is a folder of another program", root.display());
        return Err(Error::conflict(text));
    }
    for name in SUBFOLDERS {
        let path = root.join(name);
        match base::paths::mkdir(&path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(e).on_path("create", &path),
        }
    }
    let marks = write_format(root)?;
    if marks == Marks::User {
        log::warn("images of an ordinary user: owners and devices of their files are not kept");
    }
    Ok(marks)
}

/// The file `format` of a base store that is baked: always for root.
pub(crate) fn format_of_base() -> String {
    format!("{FORMAT}\nmarks trusted\n")
}

fn write_format(root: &Path) -> Result<Marks> {
    let marks = if privileged() { Marks::Trusted } else { Marks::User };
    let kind = if marks == Marks::User { "user" } else { "trusted" };
    let text = format!("{FORMAT}\nmarks {kind}\n");
    files::write_then_rename(root, "format", text.as_bytes(), Sync::Yes)?;
    Ok(marks)
}

/// On a tmpfs, or on the kernel's first root file system: it, or where it would be made.
fn is_in_ram(folder: &Path) -> bool {
    // TMPFS_MAGIC and RAMFS_MAGIC of linux/magic.h; 32-bit CPUs have the second as a negative number.
    let in_ram = |kind: u32| [0x0102_1994, 0x8584_58f6].contains(&kind);
    let found = folder.ancestors().find_map(|folder| base::paths::statfs(folder).ok());
    found.is_some_and(|stat| in_ram(stat.f_type as u32))
}

/// Root of the whole machine, not of a user namespace: only he may set `trusted.*`.
fn privileged() -> bool {
    let whole = |map: Vec<u8>| {
        let map = String::from_utf8_lossy(&map);
        let mut fields = map.split_whitespace();
        fields.nth(2).is_some_and(|count| count == "4294967295")
    };
    rustix::process::geteuid().is_root()
        && fs::read("/proc/self/uid_map").map(whole).unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        assert_eq!(read_format(b"1.0\nmarks trusted\n").unwrap(), Marks::Trusted);
        assert_eq!(read_format(b"1.7\nnew thing\nmarks user\n").unwrap(), Marks::User);
        for text in ["", "2.0\n", "x", "10.0\n", "1.0\n", "1.0\nmarks trustee\n"] {
            assert!(read_format(text.as_bytes()).is_err(), "{text}");
        }
    }
}
