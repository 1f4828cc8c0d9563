//! Folders become archives that others read the same: GNU tar, and we ourselves.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;
use common::{Scratch, checkout, import, is_root, tree};
use imgstore::Packer;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

/// Everything that a tree may have.
fn fill(root: &Path) {
    let long = root.join("n".repeat(120)).join("m".repeat(200));
    std::fs::create_dir_all(&long).unwrap();
    std::fs::create_dir_all(root.join("plain/deep")).unwrap();
    for (name, size) in
        [("empty", 0), ("one", 1), ("block", 512), ("more", 513), ("large", 200_001)]
    {
        std::fs::write(root.join("plain").join(name), "x".repeat(size)).unwrap();
    }
    std::fs::write(long.join("f".repeat(200)), "long").unwrap();
    std::fs::write(root.join("é中😀 \\ \"q'"), "name").unwrap();
    std::fs::hard_link(root.join("plain/one"), root.join("zlink")).unwrap();
    symlink("../nowhere", root.join("plain/symlink")).unwrap();
    symlink("t".repeat(300), root.join("longlink")).unwrap();
    mknodat(CWD, root.join("fifo"), FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
    if is_root() {
        let device = rustix::fs::makedev(1, 3);
        mknodat(
            CWD,
            root.join("null"),
            FileType::CharacterDevice,
            Mode::from_raw_mode(0o666),
            device,
        )
        .unwrap();
        std::os::unix::fs::chown(root.join("plain/more"), Some(3_000_000), Some(7)).unwrap();
    }
    std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    for (name, mode) in [("plain", 0o2750), ("plain/one", 0o4751), ("fifo", 0o640)] {
        std::fs::set_permissions(root.join(name), PermissionsExt::from_mode(mode)).unwrap();
    }
    let _ = rustix::fs::setxattr(
        root.join("plain/one"),
        "user.k",
        b"v\0\n",
        rustix::fs::XattrFlags::empty(),
    );
    for (name, seconds, nanos) in [("plain/large", -5, 250_000_000), ("plain/deep", 1 << 34, 1)] {
        let time = rustix::fs::Timespec { tv_sec: seconds, tv_nsec: nanos };
        let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(CWD, root.join(name), &times, rustix::fs::AtFlags::empty()).unwrap();
    }
}

/// Owners, times and numbers of names, by path.
fn details(root: &Path) -> Vec<(String, u32, u32, i64, i64, u64)> {
    let mut all = Vec::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = std::fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let links = if meta.is_dir() { 0 } else { meta.nlink() };
            all.push((name, meta.uid(), meta.gid(), meta.mtime(), meta.mtime_nsec(), links));
            if meta.is_dir() {
                waiting.push(path);
            }
        }
    }
    all.sort();
    all
}

fn packed(root: &Path) -> Vec<u8> {
    let folder = std::fs::File::open(root).unwrap();
    let mut bytes = Vec::new();
    let mut packer = Packer::new(&mut bytes);
    packer.folder(folder.as_fd(), b"").unwrap();
    packer.finish().unwrap();
    bytes
}

#[test]
fn a_tree_comes_back_from_gnu_tar_and_from_us() {
    let scratch = Scratch::new();
    let root = scratch.path.join("tree");
    std::fs::create_dir(&root).unwrap();
    fill(&root);
    let bytes = packed(&root);
    assert_eq!(bytes, packed(&root), "always the same");
    std::fs::remove_file(root.join("socket")).unwrap();
    let archive = scratch.path.join("a.tar");
    std::fs::write(&archive, &bytes).unwrap();
    let other = scratch.path.join("gnu");
    std::fs::create_dir(&other).unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(&other).arg("--warning=no-timestamp");
    tar.args(["--xattrs", "--xattrs-include=*", "-xpf"]).arg(&archive);
    let out = tar.output().unwrap();
    assert!(out.status.success() && out.stderr.is_empty(), "{out:?}");
    let store = scratch.store();
    import(&store, &bytes, "x").unwrap();
    let want = tree(&root);
    assert_eq!(tree(&other), want);
    assert_eq!(checkout(&scratch, &store, "x"), want);
    assert_eq!(details(&other), details(&root));
    assert_eq!(details(&scratch.path.join("out")), details(&root));
    for place in [&other, &scratch.path.join("out")] {
        let mut value = [0; 8];
        match rustix::fs::getxattr(place.join("plain/one"), "user.k", &mut value) {
            Ok(n) => assert_eq!(&value[..n], b"v\0\n"),
            Err(e) => assert_eq!(e, rustix::io::Errno::OPNOTSUPP),
        }
    }
    let python = "import sys,tarfile\nfor m in tarfile.open(sys.argv[1]): print(m.name)";
    let out = Command::new("python3").args(["-c", python]).arg(&archive).output().unwrap();
    assert!(out.status.success());
    assert_eq!(String::from_utf8_lossy(&out.stdout).lines().count(), want.len());
}

#[test]
fn one_entry_under_another_name() {
    let scratch = Scratch::new();
    let root = scratch.path.join("tree");
    std::fs::create_dir_all(root.join("d/e")).unwrap();
    std::fs::write(root.join("d/e/f"), "f").unwrap();
    let folder = std::fs::File::open(&root).unwrap();
    let mut bytes = Vec::new();
    let mut packer = Packer::new(&mut bytes);
    packer.entry(folder.as_fd(), b"d", b"new").unwrap();
    packer.folder(folder.as_fd(), b"all/").unwrap();
    assert!(packer.entry(folder.as_fd(), b"none", b"none").is_err());
    packer.finish().unwrap();
    let store = scratch.store();
    import(&store, &bytes, "x").unwrap();
    let names: Vec<String> = checkout(&scratch, &store, "x")
        .iter()
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["all/", "all/d/", "all/d/e/", "all/d/e/f", "new/", "new/e/", "new/e/f"]);
}

#[test]
fn too_deep_is_an_error() {
    let scratch = Scratch::new();
    let mut deep = scratch.path.join("tree");
    std::fs::create_dir(&deep).unwrap();
    for _ in 0..450 {
        deep.push("d");
        std::fs::create_dir(&deep).unwrap();
    }
    let folder = std::fs::File::open(scratch.path.join("tree")).unwrap();
    let mut sink = std::io::sink();
    let e = Packer::new(&mut sink).folder(folder.as_fd(), b"").unwrap_err();
    assert!(e.message().contains("nested too deep"), "{e}");
}
