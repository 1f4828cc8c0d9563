//! Which driver works here: found out once after each boot, and remembered in the run folder.
//!
//! Root tries it: an overlay is made on folders of the store as a detached mount, which nobody sees
//! and which is gone when its descriptor is closed. Before Linux 5.2, and for ordinary users (whose
//! overlay is mounted in a user namespace that does not exist yet), it is judged by what the kernel
//! and the file system say.

use crate::commit::kernel_is_at_least;
use crate::layer::whiteout::{self, Marks};
use crate::store::Store;
use base::files::{self, Sync, open_folder};
use base::paths::statfs;
use base::{Kind, Result, log};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// File systems that cannot hold an overlay's upper folder: overlayfs, NFS.
const UNFIT: [u64; 2] = [0x794c_7630, 0x6969];

/// The outcome of the last probe, or of one now.
pub(super) fn remembered(store: &Store) -> Result<String> {
    // Several root folders may share a run folder, one after the other.
    let text = match files::read_capped(&store.run.join("driver"), 8192) {
        Ok(text) => text,
        Err(e) if e.kind() == Kind::NotFound => Vec::new(),
        Err(e) => return Err(e),
    };
    let root = store.root.to_string_lossy();
    let text = String::from_utf8_lossy(&text);
    if let Some((driver, folder)) = text.trim_end().split_once(' ')
        && folder == root
        && matches!(driver, "overlay" | "btrfs" | "vfs")
    {
        return Ok(driver.to_owned());
    }
    let driver = if overlay_works(store) {
        "overlay"
    } else if store.work().is_ok_and(|work| super::btrfs::works(&work.path)) {
        "btrfs"
    } else {
        "vfs"
    };
    let line = [driver, " ", &root, "\n"].concat();
    let kept = files::create_dir_all(&store.run)
        .and_then(|()| files::write_then_rename(&store.run, "driver", line.as_bytes(), Sync::No));
    if let Err(e) = kept {
        log::debug(e.message());
    }
    Ok(driver.to_owned())
}

fn overlay_works(store: &Store) -> bool {
    let unfit =
        statfs(&store.root).is_ok_and(|fs| UNFIT.contains(&(fs.f_type as u64 & 0xffff_ffff)));
    if unfit {
        return false;
    }
    let Ok(work) = store.work() else {
        return true;
    };
    if store.marks == Marks::User {
        let marked = open_folder(&work.path)
            .is_ok_and(|folder| whiteout::set_opaque(folder, Marks::User).is_ok());
        return kernel_is_at_least(5, 11) && known() && marked;
    }
    match try_mount(&work.path) {
        Ok(()) => true,
        Err(Errno::NOSYS | Errno::PERM) => known(),
        Err(_) => false,
    }
}

fn try_mount(folder: &Path) -> std::result::Result<(), Errno> {
    for name in ["lower", "upper", "work"] {
        base::paths::mkdir(&folder.join(name), rustix::fs::Mode::RWXU)?;
    }
    let fs = fsopen(c"overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    base::paths::set_option(fs.as_fd(), "lowerdir", folder.join("lower").as_os_str().as_bytes())?;
    base::paths::set_option(fs.as_fd(), "upperdir", folder.join("upper").as_os_str().as_bytes())?;
    base::paths::set_option(fs.as_fd(), "workdir", folder.join("work").as_os_str().as_bytes())?;
    fsconfig_create(&fs)?;
    fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    Ok(())
}

/// Whether the kernel says that it knows overlay, or could load it.
fn known() -> bool {
    let list = std::fs::read("/proc/filesystems").unwrap_or_default();
    let has = String::from_utf8_lossy(&list).lines().any(|line| line.ends_with("\toverlay"));
    has || files::exists(Path::new("/sys/module/overlay"))
}
