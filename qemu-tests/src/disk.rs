//! A disk for a machine: an image with ext4, btrfs or f2fs on it.

use crate::tool::system_tool;
use base::{Error, OnError, Result};
use std::path::Path;

/// The disk inside the machine.
pub const DEVICE: &str = "/dev/vda";
/// The kind of an ext4 that can limit what a project takes.
pub const WITH_QUOTA: &str = "ext4 with quotas";

/// Makes an image of so many bytes; the file system ends before the last `spare` of them. It has
/// nothing that would be written by itself later.
pub fn make(path: &Path, kind: &str, size: u64, spare: u64) -> Result<()> {
    make_with(path, kind, size, spare, None)
}

/// An ext4 image with what is in a folder.
pub fn of_folder(path: &Path, folder: &Path, size: u64) -> Result<()> {
    make_with(path, "ext4", size, 0, Some(folder))
}

fn make_with(path: &Path, kind: &str, size: u64, spare: u64, folder: Option<&Path>) -> Result<()> {
    let file = std::fs::File::create(path).on_path("create", path)?;
    file.set_len(size).on_path("resize", path)?;
    let (program, words, length): (&str, Vec<String>, Option<String>) = if kind == "btrfs" {
        // Mixed: else it wants more than 100 MB.
        let size = (size - spare).to_string();
        ("mkfs.btrfs", ["-q", "-M", "-b", &size].map(String::from).to_vec(), None)
    } else if kind == "f2fs" {
        let sectors = ((size - spare) / 512).to_string();
        ("mkfs.f2fs", ["-q", "-f", "-w", "512"].map(String::from).to_vec(), Some(sectors))
    } else {
        let words = ["-q", "-F", "-t", "ext4", "-b", "4096", "-E"].map(String::from);
        let mut words = words.to_vec();
        let more = if kind == WITH_QUOTA { ",quotatype=prjquota" } else { "" };
        words.push(format!("lazy_itable_init=0,lazy_journal_init=0{more}"));
        if kind == WITH_QUOTA {
            words.extend(["-O", "quota,project", "-I", "256"].map(String::from));
        }
        ("mke2fs", words, Some(((size - spare) / 4096).to_string()))
    };
    let mut command = system_tool(program);
    command.args(words);
    if let Some(folder) = folder {
        command.arg("-d").arg(folder);
    }
    command.arg(path);
    command.args(length);
    let output = command.output().on("start", program)?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(Error::other(format!("{program}: {}", text.trim())))
}

/// QEMU's arguments for one more disk.
#[must_use]
pub fn drive(path: &Path) -> [String; 2] {
    ["-drive".to_string(), format!("file={},if=virtio,format=raw", path.display())]
}
