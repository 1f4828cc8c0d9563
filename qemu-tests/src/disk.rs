//! A disk for a machine: an image with ext4 on it.

use base::{Error, OnError, Result};
use std::path::Path;
use std::process::Command;

/// The disk inside the machine.
pub const DEVICE: &str = "/dev/vda";

/// Makes an image of so many bytes; the file system ends before the last `spare` of them. It has
/// nothing that would be written by itself later.
pub fn make(path: &Path, size: u64, spare: u64) -> Result<()> {
    let file = std::fs::File::create(path).on_path("create", path)?;
    file.set_len(size).on_path("resize", path)?;
    let blocks = ((size - spare) / 4096).to_string();
    let mke2fs = ["/usr/sbin/mke2fs", "/sbin/mke2fs"]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .unwrap_or("mke2fs");
    let output = Command::new(mke2fs)
        .args(["-q", "-F", "-t", "ext4", "-b", "4096"])
        .args(["-E", "lazy_itable_init=0,lazy_journal_init=0"])
        .arg(path)
        .arg(&blocks)
        .output()
        .on("start", "mke2fs")?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(Error::other(format!("mke2fs: {}", text.trim())))
}
