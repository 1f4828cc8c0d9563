//! Another root than the initramfs: a disk with a system of its own, as an initramfs does it on a
//! device.

use super::{TESTS, mounted};
use rustix::mount::{MountFlags, mount_move};
use std::path::Path;

const PLACE: &str = "/new-root";

/// Makes the disk's file system the root of everything. Gives the tests' new folder.
pub(super) fn enter(device: &str) -> Result<String, String> {
    let said = |what: &str| {
        let what = what.to_string();
        move |error: std::io::Error| format!("{what}: {error}")
    };
    mounted(device, PLACE, "ext4", MountFlags::empty(), c"")?;
    // The initramfs will be out of reach; /run moves along.
    let tests = format!("/run{TESTS}");
    copy(Path::new(TESTS), Path::new(&tests)).map_err(said(&tests))?;
    for folder in ["/proc", "/sys", "/dev", "/run"] {
        mount_move(folder, format!("{PLACE}{folder}"))
            .map_err(|errno| format!("move {folder}: {errno}"))?;
    }
    std::env::set_current_dir(PLACE).map_err(said(PLACE))?;
    mount_move(".", "/").map_err(|errno| format!("move {PLACE} to /: {errno}"))?;
    rustix::process::chroot(".").map_err(|errno| format!("chroot: {errno}"))?;
    std::env::set_current_dir("/").map_err(said("/"))?;
    let safe = MountFlags::NOSUID | MountFlags::NODEV;
    mounted("shm", "/dev/shm", "tmpfs", safe, c"mode=1777")?;
    Ok(tests)
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    if !from.is_dir() {
        return std::fs::copy(from, to).map(drop);
    }
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)?.flatten() {
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
