//! Which module files a kernel needs for what the tests use, and in which order.
//!
//! Packages come without `modules.dep`; each module says itself what it depends on, in its section
//! `.modinfo` (`depends=a,b`), which is found here by its text.

use base::{Error, OnError, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the tests want, in words of their own; a kernel that has one built in has no file for it.
pub const WANTED: &[&str] = &[
    // crc32c is asked for by name at run time: no module names it as a dependency.
    "crc32c_generic",
    "virtio_pci",
    "virtio_mmio",
    "virtio_blk",
    "ext4",
    "loop",
    "overlay",
    "veth",
    "bridge",
    "nf_tables",
    "nft_chain_nat",
];

/// The modules for these names, those that others need first.
pub fn ordered(folder: &Path, wanted: &[&str]) -> Result<Vec<PathBuf>> {
    let mut files = BTreeMap::new();
    find(&folder.join("kernel"), &mut files)?;
    let mut order = Vec::new();
    for name in wanted {
        add(name, &files, &mut order, 0)?;
    }
    Ok(order)
}

/// A module's file name says its name; `-` and `_` are the same.
fn name_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let name = name.strip_suffix(".xz").unwrap_or(name).strip_suffix(".ko")?;
    Some(name.replace('-', "_"))
}

fn find(folder: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).on_path("read", folder)?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if let Some(name) = name_of(&path) {
            files.insert(name, path);
        }
    }
    Ok(())
}

fn add(
    name: &str,
    files: &BTreeMap<String, PathBuf>,
    order: &mut Vec<PathBuf>,
    depth: u32,
) -> Result<()> {
    let Some(path) = files.get(name) else { return Ok(()) };
    if order.contains(path) {
        return Ok(());
    }
    if depth > 20 {
        return Err(Error::other(format!("{}: modules depend on each other", path.display())));
    }
    for dependency in dependencies(&read(path)?) {
        add(&dependency.replace('-', "_"), files, order, depth + 1)?;
    }
    order.push(path.clone());
    Ok(())
}

/// A module's bytes, unpacked.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    if path.extension() != Some("xz".as_ref()) {
        return std::fs::read(path).on_path("read", path);
    }
    let output = Command::new("xz").arg("-dc").arg(path).output().on("start", "xz")?;
    if !output.status.success() {
        return Err(Error::other(format!("xz -dc {}: failed", path.display())));
    }
    Ok(output.stdout)
}

fn dependencies(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(place) = module.windows(KEY.len()).position(|part| part == KEY) else {
        return Vec::new();
    };
    let rest = &module[place + KEY.len()..];
    let end = rest.iter().position(|byte| *byte == 0).unwrap_or(0);
    let text = String::from_utf8_lossy(&rest[..end]).into_owned();
    text.split(',').filter(|name| !name.is_empty()).map(str::to_string).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]
    use super::*;

    #[test]
    fn what_others_need_comes_first() {
        let folder = std::env::temp_dir().join(format!("coracle-modules-{}", std::process::id()));
        let kernel = folder.join("kernel/deep");
        std::fs::create_dir_all(&kernel).expect("mkdir");
        for (name, text) in [
            ("top.ko", &b"ELF\0license=GPL\0depends=mid-dle,base\0"[..]),
            ("mid_dle.ko", b"ELF\0depends=base\0x"),
            ("base.ko", b"ELF\0depends=\0"),
        ] {
            std::fs::write(kernel.join(name), text).expect("write");
        }
        let order = ordered(&folder, &["not_a_module", "top"]).expect("order");
        let names: Vec<String> = order.iter().filter_map(|path| name_of(path)).collect();
        assert_eq!(names, ["base", "mid_dle", "top"]);
        std::fs::remove_dir_all(folder).expect("remove");
    }
}
