//! Contents that a later entry of the same archive replaced: the tree has them no longer, but the
//! archive is only exact with them.
//!
//! They are in the folder `replaced` of the layer, each under its SHA-256. It is a rare thing.

use super::walker::open_folder_at;
use base::copy::open_for_reading;
use base::digest::{Digest, Sha256};
use base::paths::{linkat, statat};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::{Errno, read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

type Result<T> = std::result::Result<T, Errno>;

/// The folder's name.
pub(crate) const FOLDER: &str = "replaced";

/// The digest of an open file, from where it is to its end.
pub(crate) fn digest(file: &OwnedFd) -> Result<Digest> {
    let mut hash = Sha256::new();
    let mut block = vec![0; 64 << 10];
    loop {
        match read(file, &mut block) {
            Ok(0) => return Ok(hash.finish()),
            Ok(n) => hash.update(&block[..n]),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
    }
}

/// Keeps the contents of a file, or of all files of a folder, that is about to be removed.
pub(super) fn keep(layer: &Path, dir: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
    let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile if stat.st_size > 0 => {
            let digest = digest(&open_for_reading(dir, name, OFlags::empty())?)?;
            let folder = layer.join(FOLDER);
            match base::paths::mkdir(&folder, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(e) => return Err(e),
            }
            match linkat(dir, name, CWD, &folder.join(digest.hex()), AtFlags::empty()) {
                Ok(()) | Err(Errno::EXIST) => Ok(()),
                Err(e) => Err(e),
            }
        }
        FileType::Directory => {
            let folder = open_folder_at(dir, name)?;
            let mut entries = Dir::read_from(&folder)?;
            while let Some(entry) = entries.read() {
                let entry = entry?;
                let name = entry.file_name().to_bytes();
                if !matches!(name, b"." | b"..") {
                    keep(layer, folder.as_fd(), name)?;
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}
