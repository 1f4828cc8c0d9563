//! Bit rot: each kind of file in the store flipped, cut, removed and emptied. `fsck` finds it, what is
//! broken is not served, and the same archive heals it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;
use common::{Scratch, Tar, checkout, gzip, import, load, oci};
use imgstore::{Fsck, Options, Store};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

fn archive() -> Vec<u8> {
    let base = Tar::new()
        .folder("d/")
        .file("d/f", "content of a file")
        .file("d/twice", "one")
        .file("d/twice", "two")
        .symlink("l", "d/f")
        .link("h", "d/f")
        .file("empty", "")
        .done();
    let upper = Tar::new()
        .file("d/new", "new")
        .file("d/.wh.f", "")
        .folder("o/")
        .file("o/.wh..wh..opq", "")
        .done();
    oci(&[base, upper], "x:1").tar()
}

/// All files of the store, but those that hold nothing.
fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = std::fs::symlink_metadata(&path).unwrap();
            if meta.is_dir() {
                waiting.push(path);
            } else if meta.is_file() && meta.len() > 0 {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

const DEEP: Fsck = Fsck { deep: true, repair: false };
const REPAIR: Fsck = Fsck { deep: true, repair: true };

/// Whether the tree is served at all, and if so, that it is right.
fn served(scratch: &Scratch, store: &Store, want: &[String]) -> bool {
    match store.find("x:1") {
        Ok(_) => {
            assert_eq!(checkout(scratch, store, "x:1"), want);
            true
        }
        Err(_) => false,
    }
}

#[test]
fn every_kind_of_damage_is_found_and_heals() {
    let plain = Scratch::new();
    load(&plain.store(), &archive()).unwrap();
    let want = checkout(&plain, &plain.store(), "x:1");
    let root = plain.path.join("root");
    let all: Vec<PathBuf> =
        files(&root).iter().map(|path| path.strip_prefix(&root).unwrap().to_owned()).collect();
    assert!(all.len() >= 14, "{all:?}");
    let mut tried = 0;
    for file in &all {
        for damage in ["flip first", "flip middle", "flip last", "cut", "empty", "remove", "longer"]
        {
            let scratch = Scratch::new();
            let folders = scratch.folders();
            let store = scratch.store();
            load(&store, &archive()).unwrap();
            let path = scratch.path.join("root").join(file);
            let mut bytes = std::fs::read(&path).unwrap();
            let (middle, last) = (bytes.len() / 2, bytes.len() - 1);
            match damage {
                "flip first" => bytes[0] ^= 1,
                "flip middle" => bytes[middle] ^= 1,
                "flip last" => bytes[last] ^= 4,
                "cut" => bytes.truncate(last),
                "empty" => bytes.clear(),
                "longer" => bytes.push(b'x'),
                _ => {}
            }
            // As a bad sector does it: the file's times are what they were.
            let meta = std::fs::metadata(&path).unwrap();
            let time = |seconds, nanos| rustix::fs::Timespec { tv_sec: seconds, tv_nsec: nanos };
            let times = rustix::fs::Timestamps {
                last_access: time(meta.mtime(), meta.mtime_nsec()),
                last_modification: time(meta.mtime(), meta.mtime_nsec()),
            };
            match damage {
                "remove" => std::fs::remove_file(&path).unwrap(),
                _ => {
                    std::fs::write(&path, bytes).unwrap();
                    rustix::fs::utimensat(
                        rustix::fs::CWD,
                        &path,
                        &times,
                        rustix::fs::AtFlags::empty(),
                    )
                    .unwrap();
                }
            }
            let what = format!("{} of {}", damage, file.display());
            tried += 1;
            let name = file.file_name().unwrap().to_str().unwrap();
            let store = if name == "format" {
                // Another version is no damage that could be told from one; a store without the file is
                // made anew around what is there.
                match Store::open(&folders, Options::default()) {
                    Ok(store) => store,
                    Err(e) if e.message().contains("store of format") && damage != "empty" => {
                        continue;
                    }
                    Err(_) => {
                        Store::repair_format(&folders).unwrap();
                        Store::open(&folders, Options::default()).expect(&what)
                    }
                }
            } else {
                let found = store.fsck(DEEP).unwrap();
                // A name that is gone leaves nothing to be found; the end of a line may be lost, and the
                // same name said in another way.
                let harmless = file.starts_with("names") && store.find("x:1").is_ok();
                let gone = file.starts_with("names") && damage == "remove";
                // Members that newer versions may add are kept.
                assert!(harmless || gone || !found.problems.is_empty(), "{what}");
                if !file.starts_with("names") {
                    assert!(!served(&scratch, &store, &want), "{what}: served");
                }
                store
            };
            // Repaired, and clean.
            store.fsck(REPAIR).unwrap();
            let again = store.fsck(DEEP).unwrap();
            let waits = |text: &str| text.contains("missing or broken");
            assert!(again.problems.iter().all(|p| waits(&p.text)), "{what}: {again:?}");
            // What is gone comes back.
            load(&store, &archive()).unwrap();
            assert_eq!(store.fsck(DEEP).unwrap().problems, [], "{what}");
            assert!(served(&scratch, &store, &want), "{what}");
            assert_eq!(store.gc().unwrap().layers.len(), 0, "{what}");
        }
    }
    assert!(tried > 90, "{tried}");
}

#[test]
fn state_of_files_and_strangers_are_found() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 7] = [
        ("its mode differs", |t| {
            rustix::fs::chmod(t.join("d/f"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
        }),
        ("it does not belong there", |t| std::fs::write(t.join("d/stranger"), "").unwrap()),
        ("its target differs", |t| {
            std::fs::remove_file(t.join("l")).unwrap();
            std::os::unix::fs::symlink("d/g", t.join("l")).unwrap();
            let time = rustix::fs::Timespec { tv_sec: 1_700_000_000, tv_nsec: 0 };
            let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
            let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::utimensat(rustix::fs::CWD, t.join("l"), &times, flags).unwrap();
        }),
        ("it is something else", |t| {
            std::fs::remove_file(t.join("l")).unwrap();
            std::fs::create_dir(t.join("l")).unwrap();
        }),
        ("it is not there", |t| std::fs::remove_file(t.join("h")).unwrap()),
        ("its owner differs", |t| {
            std::os::unix::fs::chown(t.join("empty"), Some(7), Some(7)).unwrap()
        }),
        ("its time differs", |t| drop(std::fs::write(t.join("empty"), ""))),
    ];
    for (want, damage) in damages {
        let scratch = Scratch::new();
        let store = scratch.store();
        load(&store, &archive()).unwrap();
        let tree = store.find("x:1").unwrap().layers[0].clone();
        damage(&tree);
        assert_eq!(
            store.fsck(Fsck::default()).unwrap().problems,
            [],
            "{want}: not of the structure"
        );
        let found = store.fsck(DEEP).unwrap();
        let told = found.problems.iter().any(|problem| problem.text.ends_with(want));
        assert!(told, "{want}: {found:?}");
        assert!(store.find("x:1").is_err());
    }
    let scratch = Scratch::new();
    let store = scratch.store();
    load(&store, &archive()).unwrap();
    let tree = store.find("x:1").unwrap().layers[1].clone();
    std::fs::remove_file(tree.join("d/f")).unwrap();
    let found = store.fsck(DEEP).unwrap();
    assert!(
        found.problems.iter().any(|p| p.text.ends_with("d/f: its removal is gone")),
        "{found:?}"
    );
}

#[test]
fn a_shared_layer_breaks_all_its_images_and_heals_them() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let shared = Tar::new().file("shared", "s").done();
    let one = oci(&[shared.clone(), Tar::new().file("1", "1").done()], "one:1").tar();
    let two = oci(&[shared, Tar::new().file("2", "2").done()], "two:1").tar();
    load(&store, &one).unwrap();
    load(&store, &two).unwrap();
    let layer = store.find("one:1").unwrap().layers[0].clone();
    std::fs::write(layer.join("shared"), "x").unwrap();
    let found = store.fsck(DEEP).unwrap();
    assert_eq!(found.problems.len(), 4, "{found:?}");
    for name in ["one:1", "two:1"] {
        let e = store.find(name).unwrap_err();
        assert!(e.message().ends_with("(it is damaged: load or pull it again)"), "{e}");
        assert_eq!(e.kind(), base::Kind::NotFound);
    }
    assert!(store.list().unwrap().is_empty());
    // gc keeps what the broken images still have.
    assert_eq!(store.gc().unwrap().layers.len(), 0);
    load(&store, &one).unwrap();
    assert_eq!(checkout(&scratch, &store, "one:1"), ["1 644 1", "shared 644 s"]);
    assert_eq!(checkout(&scratch, &store, "two:1"), ["2 644 2", "shared 644 s"]);
    assert_eq!(store.fsck(REPAIR).unwrap().problems, []);
    // Under a container it is marked, not removed.
    let image = store.find("two:1").unwrap();
    store.hold(&image.id, "c", imgstore::Keep::Run).unwrap();
    std::fs::write(layer.join("shared"), "z").unwrap();
    assert!(store.fsck(REPAIR).unwrap().problems.iter().any(|problem| !problem.repaired));
    assert!(layer.exists() && store.find("two:1").is_err());
    store.release(&image.id, "c").unwrap();
    assert!(store.fsck(REPAIR).unwrap().problems.iter().all(|problem| problem.repaired));
    assert!(!layer.exists());
    load(&store, &one).unwrap();
    // A broken one can be removed like any other.
    std::fs::write(layer.join("shared"), "y").unwrap();
    store.fsck(REPAIR).unwrap();
    store.remove("one:1", false).unwrap();
    store.remove("two:1", false).unwrap();
    scratch.assert_empty();
}

#[test]
fn gc_takes_what_nobody_needs_and_nothing_else() {
    let scratch = Scratch::new();
    let store = scratch.store();
    load(&store, &archive()).unwrap();
    let root = scratch.path.join("root");
    let image = store.find("x:1").unwrap();
    assert_eq!(store.gc().unwrap(), imgstore::Collected::default());
    // What cut work leaves.
    let other = Scratch::new();
    import(&other.store(), &Tar::new().file("f", "12345").done(), "y").unwrap();
    let lost = other.store().find("y").unwrap().layers[0].parent().unwrap().to_owned();
    let name = lost.file_name().unwrap().to_str().unwrap().to_owned();
    let mut copy = std::process::Command::new("cp");
    assert!(copy.arg("-a").arg(&lost).arg(root.join("layers")).status().unwrap().success());
    std::fs::create_dir_all(root.join("layers").join("0".repeat(64)).join("tree")).unwrap();
    std::fs::create_dir_all(root.join("images").join("1".repeat(64))).unwrap();
    std::fs::write(root.join("names").join("lost:1"), format!("sha256:{}\n", "1".repeat(64)))
        .unwrap();
    std::fs::write(root.join("names").join(".tag.12.0"), "").unwrap();
    std::fs::write(root.join("holds").join(format!("{}.c", "2".repeat(64))), "").unwrap();
    std::fs::create_dir_all(root.join("work/dead/layer/tree")).unwrap();
    let usage = store.usage().unwrap();
    assert_eq!((usage.images, usage.layers, usage.garbage), (1, 4, 5));
    let mut done = store.gc().unwrap();
    done.layers.sort();
    assert_eq!((done.layers, done.others, done.bytes), (vec!["0".repeat(64), name], 4, 5));
    assert_eq!(store.fsck(DEEP).unwrap().problems, []);
    assert_eq!(store.find("x:1").unwrap().id, image.id);
    // Nor what a load holds.
    let held = base::files::Lock::shared(image.layers[0].parent().unwrap()).unwrap();
    std::fs::remove_dir_all(root.join("images").join(image.id.hex())).unwrap();
    assert_eq!(store.gc().unwrap().layers.len(), 1);
    drop(held);
    assert_eq!(store.gc().unwrap().layers.len(), 1);
}

#[test]
fn the_tool_tells_and_repairs() {
    let scratch = Scratch::new();
    let store = scratch.store();
    import(&store, &gzip(&Tar::new().file("f", "text").done()), "x").unwrap();
    let tool = |args: &[&str]| {
        let out = std::process::Command::new(env!("CARGO_BIN_EXE_imgstore"))
            .arg("--root")
            .arg(scratch.path.join("root"))
            .arg("--run")
            .arg(scratch.path.join("run"))
            .args(args)
            .output()
            .unwrap();
        let text = String::from_utf8([out.stdout, out.stderr].concat()).unwrap();
        (out.status.code(), text)
    };
    assert_eq!(tool(&["fsck", "--deep"]), (Some(0), "1 images, 1 layers: clean\n".into()));
    let layer = store.find("x").unwrap().layers[0].clone();
    let name = layer.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    std::fs::write(layer.join("f"), "tesT").unwrap();
    assert_eq!(tool(&["fsck"]).0, Some(0));
    let (code, text) = tool(&["fsck", "--deep"]);
    assert_eq!(code, Some(1));
    assert!(text.contains(&format!("layer {name}: f: its content differs\n")), "{text}");
    assert!(text.ends_with("problems\n"), "{text}");
    let (code, text) = tool(&["fsck", "--repair"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(&format!("layer {name}: broken: removed\n")), "{text}");
    std::fs::write(scratch.path.join("root/format"), "").unwrap();
    assert_eq!(tool(&["images"]).0, Some(1));
    assert_eq!(tool(&["fsck", "--repair"]).0, Some(0));
    assert!(tool(&["df"]).1.contains("Images"));
    assert!(tool(&["gc"]).1.contains("Total reclaimed space: 0B"));
}
