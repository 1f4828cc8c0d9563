//! An empty volume gets what the image has at its place, as Docker has it.

use crate::mapped::Mapping;
use crate::prepare::{c_string, reopen};
use crate::spec::{Bind, Spec};
use base::sys::resolve::{Links, beneath};
use base::text::path::clean;
use base::{Error, OnError, Result, copy, paths};
use rustix::fs::{FileType, Mode, OFlags, fstat};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// Fills the binds that ask for it. The caller holds what keeps others away from them.
/// `mapping`: of the ids that are seen in the root.
pub(crate) fn fill(spec: &Spec, root: BorrowedFd<'_>, mapping: Option<&Mapping>) -> Result<()> {
    for bind in &spec.binds {
        if let Some(aside) = &bind.copy_up {
            fill_one(bind, aside, root, !spec.is_ordinary(), mapping)?;
        }
    }
    Ok(())
}

fn fill_one(
    bind: &Bind,
    aside: &Path,
    root: BorrowedFd<'_>,
    keep_owners: bool,
    mapping: Option<&Mapping>,
) -> Result<()> {
    let target = clean(&bind.target);
    let path = c_string(&target)?;
    let wrong =
        |errno| Error::os("copy", &format_args!("/{target} of the image into a volume"), errno);
    let found = match beneath(root, &path, Links::Follow) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        result => result.map_err(wrong)?,
    };
    let kind = FileType::from_raw_mode(fstat(&found).map_err(wrong)?.st_mode);
    if kind != FileType::Directory {
        return Ok(());
    }
    // What a copy that was cut off has left.
    base::files::remove_tree(aside)?;
    paths::mkdir(aside, Mode::RWXU).on_path("mkdir", aside)?;
    let made = match mapping {
        None => base::files::open_folder(aside)?,
        // Written through what maps the owners back.
        Some(mapping) => reopen(mapping.tree(aside)?.as_fd(), OFlags::DIRECTORY).map_err(wrong)?,
    };
    let owner = mapping.map(Mapping::own_files).transpose()?;
    let copied = reopen(found.as_fd(), OFlags::DIRECTORY)
        .and_then(|folder| copy::tree(folder.as_fd(), made.as_fd(), keep_owners));
    drop(owner);
    let done = copied
        .map_err(wrong)
        .and_then(|()| rustix::fs::syncfs(&made).on_path("sync", aside))
        // Over the empty folder: rename(2) allows that.
        .and_then(|()| paths::rename(aside, &bind.source).on_path("rename", aside));
    if done.is_err() {
        let _ = base::files::remove_tree(aside);
    }
    done
}
