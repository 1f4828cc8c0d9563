//! `bake`: the tar of a base store is what the store itself would have made, whoever bakes it from
//! whatever, and always the same bytes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;
use common::{Layout, Scratch, Tar, checkout, docker, gzip, is_root, load, oci};
use imgstore::{Bake, Fsck, Options, Store};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Layers with everything that makes a tree differ from its archive.
fn layers() -> Vec<Vec<u8>> {
    let own = |h: &mut tar::Header| {
        h.set_uid(1234);
        h.set_gid(70_000);
        h.set_mode(0o4751);
    };
    let base = Tar::new()
        .raw("./", b'5', "", b"", |h| h.set_mode(0o711))
        .folder("d/")
        .file("d/f", "content of a file")
        .file("d/twice", "one")
        .file("d/twice", "two")
        .raw("d/owned", b'0', "", b"x", own)
        .pax(&[("SCHILY.xattr.user.a", b"b"), ("mtime", b"1700000000.123456789")])
        .file("d/marked", "marked")
        .raw("null", b'3', "", b"", |h| {
            h.set_device_major(1).unwrap();
            h.set_device_minor(3).unwrap();
        })
        .raw("fifo", b'6', "", b"", |h| h.set_mode(0o620))
        .symlink("l", "d/f")
        .link("h", "d/f")
        .file("empty", "")
        .link("hempty", "empty")
        .raw("o/", b'5', "", b"", |h| h.set_mode(0o2750))
        .file("o/below", "x")
        .file("gone", "x")
        .file("z", "old")
        .link("keeps", "z")
        .file("z", "new")
        .folder("tree/")
        .file("tree/in", "inside")
        .file("tree", "a file now")
        .file(&"n".repeat(99), "long")
        .done();
    let upper = Tar::new()
        .file("d/new", "new")
        .file("d/.wh.f", "")
        .file("o/again", "again")
        .file("o/.wh..wh..opq", "")
        .file(".wh.gone", "")
        .file(".wh.z", "")
        .folder("z/")
        .file("z/in", "folder now")
        .link("up", "d/owned")
        .link("early", "later")
        .file("later", "later")
        .folder("e/")
        .done();
    let top = Tar::new()
        .file("d/.wh.new", "")
        .folder("d/new/")
        .file("d/new/x", "x")
        .file(".wh.o", "")
        .folder("o/")
        .file("o/fresh", "x")
        .file(".wh.z", "")
        .file("z/in2", "x")
        .done();
    vec![base, upper, top]
}

fn bake(store: &Store, bake: &Bake) -> base::Result<Vec<u8>> {
    let mut out = Vec::new();
    store.bake(bake, &mut out).map(|()| out)
}

fn from(path: &Path) -> Bake {
    Bake { from: Some(path.to_owned()), ..Bake::default() }
}

/// The tar as a folder, by GNU tar.
fn unpack(scratch: &Scratch, tar: &[u8]) -> PathBuf {
    let root = scratch.path.join("baked");
    std::fs::create_dir(&root).unwrap();
    let file = scratch.path.join("baked.tar");
    std::fs::write(&file, tar).unwrap();
    let done = Command::new("tar")
        .args(["--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf"])
        .arg(&file)
        .arg("-C")
        .arg(&root)
        .output()
        .unwrap();
    assert!(done.status.success() && done.stderr.is_empty(), "{done:?}");
    root
}

#[test]
fn the_same_bytes_from_everywhere() {
    let scratch = Scratch::new();
    let layout: Layout = oci(&layers(), "x:1");
    let store = scratch.store();
    load(&store, &layout.tar()).unwrap();
    let stored = bake(&store, &Bake { images: vec!["x:1".into()], ..Bake::default() }).unwrap();
    let folder = scratch.path.join("layout");
    layout.write(&folder);
    let (plain, packed) = (scratch.path.join("a.tar"), scratch.path.join("a.tar.gz"));
    std::fs::write(&plain, layout.tar()).unwrap();
    std::fs::write(&packed, gzip(&layout.tar())).unwrap();
    // A store that has nothing is only where the work is done.
    let other = Scratch::new();
    for path in [&folder, &plain, &packed] {
        assert!(bake(&other.store(), &from(path)).unwrap() == stored, "{}", path.display());
    }
    other.assert_empty();
    let epoch = Bake { epoch: 1_000_000_000, ..from(&plain) };
    let later = bake(&other.store(), &epoch).unwrap();
    assert!(later != stored && later.len() == stored.len());
    // Names in order, no names of owners, and nothing younger than the images.
    let mut archive = tar::Archive::new(&stored[..]);
    let mut before = Vec::new();
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let path = entry.path_bytes().strip_suffix(b"/").map(<[u8]>::to_vec);
        let path = path.unwrap_or_else(|| entry.path_bytes().to_vec());
        let path = if path == b"." { Vec::new() } else { path };
        assert!(before.is_empty() || path > before, "{:?}", String::from_utf8_lossy(&path));
        before = path;
        let header = entry.header();
        assert_eq!(header.username_bytes().unwrap_or_default(), b"");
        assert!(header.mtime().unwrap() <= 1_700_000_000);
    }
}

#[test]
fn it_is_the_store_that_a_load_makes() {
    assert!(is_root(), "unpacking devices needs root");
    let scratch = Scratch::new();
    let store = scratch.store();
    let archive = scratch.path.join("a.tar");
    // Two images that share layers, one of docker's oldest form.
    let all = layers();
    std::fs::write(&archive, docker(&all[..2], "y:2").tar()).unwrap();
    store.load_path(&archive, &mut |_| ()).unwrap();
    load(&store, &oci(&all, "x:1").tar()).unwrap();
    let images = vec!["x:1".to_owned(), "y:2".to_owned()];
    let tar = bake(&store, &Bake { images, ..Bake::default() }).unwrap();
    let root = unpack(&scratch, &tar);
    for kind in ["layers", "images", "names"] {
        let names = |root: &Path| {
            let list = std::fs::read_dir(root.join(kind)).unwrap();
            let mut names: Vec<_> = list.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let loaded = scratch.path.join("root");
        assert_eq!(names(&root), names(&loaded));
        for name in names(&root) {
            for file in ["record", "files", "config", "manifest"] {
                let text = |root: &Path| std::fs::read(root.join(kind).join(&name).join(file)).ok();
                assert_eq!(text(&root), text(&loaded), "{kind} {name:?} {file}");
            }
        }
    }
    // As a base store of an empty one.
    let other = Scratch::new();
    let mut folders = other.folders();
    folders.base_stores = vec![root];
    let based = Store::open(&folders, Options::default()).unwrap();
    assert_eq!(based.fsck(Fsck { deep: true, repair: false }).unwrap().problems, []);
    for image in ["x:1", "y:2"] {
        assert_eq!(checkout(&other, &based, image), checkout(&scratch, &store, image));
    }
    let saved = |store: &Store| {
        let mut out = Vec::new();
        store.save(&["x:1".to_owned()], imgstore::Form::Docker, &mut out).unwrap();
        out
    };
    assert!(saved(&based) == saved(&store));
}

#[test]
fn what_cannot_be_baked_is_said() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let archive = scratch.path.join("a.tar");
    let mut layout = oci(&layers(), "x:1");
    std::fs::write(&archive, layout.tar()).unwrap();
    let error = |bake: &Bake| self::bake(&store, bake).unwrap_err().message().to_owned();
    assert_eq!(error(&Bake::default()), "bake: no image is named");
    let named = Bake { images: vec!["other".into()], ..from(&archive) };
    assert_eq!(error(&named), "No such image: other");
    let arm = Bake { platform: "linux/arm".into(), ..from(&archive) };
    assert!(error(&arm).contains("is for linux/amd64"), "{}", error(&arm));
    assert!(error(&from(Path::new("/nonexistent"))).contains("/nonexistent"));
    // A layer that is not what the manifest says.
    let blob = layout.files.iter_mut().find(|(_, bytes)| bytes.starts_with(&[0x1f, 0x8b])).unwrap();
    blob.1 = gzip(&Tar::new().file("evil", "x").done());
    std::fs::write(&archive, layout.tar()).unwrap();
    assert!(error(&from(&archive)).contains("has digest"), "{}", error(&from(&archive)));
    scratch.assert_empty();
}
