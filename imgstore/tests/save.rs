//! What was loaded is saved again exactly: diff ids, configuration, and the manifest where its blobs
//! are the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;
use base::digest::Digest;
use base::folders::{Folders, Settings};
use common::{Layout, Scratch, Tar, checkout, docker, gzip, import, load, oci};
use imgstore::{Form, Options, Store};
use std::process::Command;

/// Archives that a tree alone does not tell.
fn odd_layers() -> Vec<(&'static str, Vec<u8>)> {
    let mut tailed = Tar::new().file("f", "x").done();
    tailed.extend_from_slice(&[0; 3000]);
    tailed.extend_from_slice(b"text behind the end");
    let mut filled = Tar::new().file("f", "x").done();
    // What fills a block up need not be zeros.
    filled[700] = 7;
    let endless = Tar::new().file("f", "xyz").done();
    let endless = endless[..endless.len() - 1024].to_vec();
    vec![
        ("plain", Tar::new().folder("./").folder("./d/").file("./d/f", "text").done()),
        ("order", Tar::new().file("d/z", "z").file("d/a", "a").folder("d/").done()),
        ("twice", Tar::new().file("f", "first").file("f", "second").file("f", "").done()),
        ("same twice", Tar::new().file("f", "same").file("f", "same").done()),
        (
            "replaced folder",
            Tar::new().folder("d/").file("d/in", "in").link("l", "d/in").file("d", "file").done(),
        ),
        ("replaced by link", Tar::new().file("a", "1").file("b", "2").link("b", "a").done()),
        ("whiteout with content", Tar::new().file(".wh.x", "content").file("y", "y").done()),
        (
            "aufs",
            Tar::new()
                .file(".wh..wh.plnk/1", "kept")
                .file(".wh..wh.aufs", "too")
                .file("y", "")
                .done(),
        ),
        (
            "pax",
            Tar::new()
                .pax(&[("mtime", b"1.5".as_slice()), ("comment", b"x")])
                .file("a", "a")
                .pax(&[("mtime", b"2.5".as_slice()), ("SCHILY.xattr.user.k", b"v")])
                .file("b", "b")
                .done(),
        ),
        ("tail", tailed),
        ("filling", filled),
        ("no end", endless),
        ("empty", Tar::new().done()),
        ("nothing", Vec::new()),
        ("hard links", Tar::new().link("b", "a").file("a", "x").link("c", "b").done()),
        ("large", Tar::new().file("l", &"0123456789".repeat(30_000)).file("s", "s").done()),
    ]
}

/// Saves, and gives the files of the layout.
fn saved(scratch: &Scratch, store: &Store, images: &[&str]) -> Layout {
    let folder = scratch.path.join("saved");
    base::files::remove_tree(&folder).unwrap();
    let images: Vec<String> = images.iter().map(|&image| image.to_owned()).collect();
    store.save_folder(&images, &folder).unwrap();
    let mut files = Vec::new();
    let mut archive = Vec::new();
    store.save(&images, Form::Oci, &mut archive).unwrap();
    for entry in tar::Archive::new(archive.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        // Folder and archive hold the same.
        assert_eq!(std::fs::read(folder.join(&path)).unwrap(), bytes, "{path}");
        if let Some(hex) = path.strip_prefix("blobs/sha256/") {
            assert_eq!(Digest::of(&bytes).hex(), hex);
        }
        files.push((path, bytes));
    }
    Layout { files }
}

#[test]
fn odd_archives_come_back_byte_for_byte() {
    for (what, layer) in odd_layers() {
        let scratch = Scratch::new();
        let store = scratch.store();
        load(&store, &oci(std::slice::from_ref(&layer), "x:1").tar()).unwrap();
        let layout = saved(&scratch, &store, &["x:1"]);
        let name = format!("blobs/sha256/{}", Digest::of(&layer).hex());
        let found = layout.files.iter().find(|(path, _)| *path == name);
        assert!(found.is_some_and(|(_, bytes)| *bytes == layer), "{what}");
    }
}

#[test]
fn what_takes_from_below_comes_back() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let base = Tar::new().folder("a/").file("a/one", "1").done();
    let hidden = Tar::new().file("gone", "x").done();
    let upper = Tar::new().link("b", "a/one").file("a/two", "2").done();
    let opaque = Tar::new().file(".wh..wh..opq", "").file("only", "o").done();
    for (name, layers) in [
        ("takes:1", vec![base.clone(), upper.clone()]),
        ("opaque:1", vec![base.clone(), hidden, opaque]),
        ("again:1", vec![base.clone(), upper, base]),
    ] {
        let archive = oci(&layers, name).tar();
        load(&store, &archive).unwrap();
        let want = checkout(&scratch, &store, name);
        let layout = saved(&scratch, &store, &[name]);
        for layer in &layers {
            let path = format!("blobs/sha256/{}", Digest::of(layer).hex());
            assert!(layout.files.iter().any(|(name, _)| *name == path), "{name}");
        }
        let other = Scratch::new();
        let again = load(&other.store(), &layout.tar()).unwrap();
        assert_eq!(again[0].id, store.find(name).unwrap().id);
        assert_eq!(checkout(&other, &other.store(), name), want);
    }
    for name in ["takes:1", "opaque:1", "again:1"] {
        store.remove(name, false).unwrap();
    }
    scratch.assert_empty();
}

#[test]
fn saved_again_it_is_the_same() {
    let layers = [Tar::new().file("f", "1").done(), Tar::new().file("g", "2").done()];
    let first = Scratch::new();
    load(&first.store(), &docker(&layers, "a/b:1").tar()).unwrap();
    first.store().tag("a/b:1", "localhost:5000/c:2").unwrap();
    first.store().tag("a/b:1", "a/b:3").unwrap();
    let mut archive = Vec::new();
    first.store().save(&["a/b".to_owned()], Form::Docker, &mut archive).unwrap();
    let second = Scratch::new();
    let loaded = load(&second.store(), &archive).unwrap();
    assert_eq!(loaded.len(), 1);
    assert_eq!(loaded[0].names, ["a/b:1", "a/b:3"]);
    let mut again = Vec::new();
    second.store().save(&["a/b".to_owned()], Form::Docker, &mut again).unwrap();
    assert_eq!(archive, again);
    // The manifest of the saved archive is kept, and an id gives no name.
    let image = second.store().find("a/b:1").unwrap();
    assert!(image.manifest.is_some());
    let mut by_id = Vec::new();
    second.store().save(&[image.id.hex()], Form::Oci, &mut by_id).unwrap();
    let third = Scratch::new();
    let loaded = load(&third.store(), &by_id).unwrap();
    assert_eq!((loaded[0].id, loaded[0].names.len()), (image.id, 0));
    assert_eq!(third.store().find(&image.id.hex()).unwrap().manifest, image.manifest);
    let e = second.store().save(&["none".to_owned()], Form::Oci, &mut Vec::new()).unwrap_err();
    assert_eq!(e.message(), "No such image: none:latest");
}

/// A store that keeps blobs.
fn keeping(scratch: &Scratch) -> Store {
    let settings = Settings { keep_blobs: true, ..Settings::default() };
    let folders = Folders { settings, ..scratch.folders() };
    Store::open(&folders, Options::default()).unwrap()
}

#[test]
fn with_kept_blobs_the_manifest_is_the_same() {
    for packed in [true, false] {
        let layers = [Tar::new().file("f", "1").done(), Tar::new().file("g", "2").done()];
        let layout = oci(&layers, "x:1");
        for how in ["stream", "file", "folder"] {
            let scratch = Scratch::new();
            let store = if packed { keeping(&scratch) } else { scratch.store() };
            let file = scratch.path.join("x.tar");
            match how {
                "stream" => drop(load(&store, &layout.tar()).unwrap()),
                "file" => {
                    std::fs::write(&file, layout.tar()).unwrap();
                    store.load_path(&file, &mut |_| ()).unwrap();
                }
                _ => {
                    layout.write(&scratch.path.join("layout"));
                    store.load_path(&scratch.path.join("layout"), &mut |_| ()).unwrap();
                    store.tag(&store.list().unwrap()[0].id.hex(), "x:1").unwrap();
                }
            }
            let back = saved(&scratch, &store, &["x:1"]);
            let same = |path: &str| {
                let bytes =
                    |l: &Layout| l.files.iter().find(|(p, _)| p == path).map(|(_, b)| b.clone());
                bytes(&layout) == bytes(&back)
            };
            let blobs: Vec<_> =
                layout.files.iter().filter(|(path, _)| path.starts_with("blobs/")).collect();
            assert_eq!(blobs.iter().all(|(path, _)| same(path)), packed, "{how}");
        }
    }
}

#[test]
fn damage_is_found_and_nothing_is_left() {
    let layer = Tar::new().file("f", "text").file("g", "more").done();
    type Damage = fn(&std::path::Path);
    let damages: [(&str, Damage); 6] = [
        ("flip", |l| std::fs::write(l.join("tree/f"), "tezt").unwrap()),
        ("short", |l| std::fs::write(l.join("tree/f"), "te").unwrap()),
        ("gone", |l| std::fs::remove_file(l.join("tree/f")).unwrap()),
        ("link", |l| {
            std::fs::remove_file(l.join("tree/f")).unwrap();
            std::os::unix::fs::symlink("g", l.join("tree/f")).unwrap();
        }),
        ("headers", |l| {
            let mut bytes = std::fs::read(l.join("headers")).unwrap();
            let at = bytes.len() / 2;
            bytes[at] ^= 1;
            std::fs::write(l.join("headers"), bytes).unwrap();
        }),
        ("no headers", |l| std::fs::remove_file(l.join("headers")).unwrap()),
    ];
    for (what, damage) in damages {
        let scratch = Scratch::new();
        let store = scratch.store();
        import(&store, &layer, "x").unwrap();
        damage(store.find("x").unwrap().layers[0].parent().unwrap());
        let folder = scratch.path.join("saved");
        let e = store.save_folder(&["x".to_owned()], &folder).expect_err(what);
        assert!(!e.message().contains('\n'), "{what}: {e}");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "{what}");
        assert!(store.save(&["x".to_owned()], Form::Docker, &mut Vec::new()).is_err(), "{what}");
    }
}

#[test]
fn archives_of_gnu_tar_come_back() {
    let scratch = Scratch::new();
    let root = scratch.path.join("tree");
    std::fs::create_dir_all(root.join("d".repeat(150)).join("e".repeat(120))).unwrap();
    std::fs::write(root.join("f"), "x".repeat(1000)).unwrap();
    std::fs::hard_link(root.join("f"), root.join("g")).unwrap();
    std::os::unix::fs::symlink("y".repeat(200), root.join("s")).unwrap();
    for format in ["gnu", "pax", "ustar", "v7"] {
        // The older ones cannot hold the long names.
        let what = if matches!(format, "ustar" | "v7") { "./f" } else { "." };
        let archive = scratch.path.join("a.tar");
        let made = Command::new("tar")
            .arg("-C")
            .arg(&root)
            .args([&format!("--format={format}"), "-cf"])
            .arg(&archive)
            .arg(what)
            .status();
        assert!(made.unwrap().success());
        let bytes = std::fs::read(&archive).unwrap();
        let inner = Scratch::new();
        let store = inner.store();
        import(&store, &bytes, "x").unwrap();
        let diff = Digest::of(&bytes);
        let mut back = Vec::new();
        store.layer_archive(&diff, &diff, &mut back).unwrap();
        assert!(back == bytes, "{format}");
    }
}

#[test]
fn the_tool_saves() {
    let scratch = Scratch::new();
    let store = scratch.store();
    import(&store, &Tar::new().file("f", "x").done(), "x").unwrap();
    let run = |args: &[&str]| {
        let (root, run) = (scratch.path.join("root"), scratch.path.join("run"));
        let out = Command::new(env!("CARGO_BIN_EXE_imgstore"))
            .arg("--root")
            .arg(root)
            .arg("--run")
            .arg(run)
            .args(args)
            .current_dir(&scratch.path)
            .output()
            .unwrap();
        (out.status.code(), out.stdout, String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let (code, archive, _) = run(&["save", "x"]);
    assert_eq!(code, Some(0));
    for args in [
        &["save", "-o", "a.tar", "x"][..],
        &["save", "--format", "oci-archive", "-o", "b.tar", "x"],
        &["save", "--format", "oci-layout", "-o", "c", "x"],
    ] {
        let (code, out, error) = run(args);
        assert!(code == Some(0) && out.is_empty(), "{args:?}: {error}");
    }
    assert_eq!(std::fs::read(scratch.path.join("a.tar")).unwrap(), archive);
    assert!(scratch.path.join("c/index.json").exists());
    for (args, want) in [
        (&["save", "-o", "a.tar", "none"][..], "coracle: No such image: none:latest\n"),
        (&["save", "-o", "no/a.tar", "x"], "coracle: create no/a.tar: No such file or directory\n"),
        (
            &["save", "--format", "oci-layout", "x"],
            "coracle: save: an oci-layout needs a folder: --output\n",
        ),
        (&["save", "--format", "zip", "x"], "coracle: save: unknown format 'zip'\n"),
    ] {
        let (code, _, error) = run(args);
        assert_eq!((code, error.as_str()), (Some(1), want), "{args:?}");
    }
    assert_eq!(std::fs::read(scratch.path.join("a.tar")).unwrap(), archive, "the old one stays");
    let other = Scratch::new();
    let bytes = gzip(&archive);
    assert_eq!(load(&other.store(), &bytes).unwrap()[0].names, ["x:latest"]);
}
