//! What a container changed: listed as docker lists it, and kept as a layer that gives the same tree.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;
use common::{Scratch, Tar, checkout, is_root, load, oci, tree};
use imgstore::graphdriver::{RootSource, Writable};
use imgstore::{CommitOptions, Container, Image, Store};
use std::path::Path;
use std::process::Command;

fn two_layers() -> Vec<u8> {
    let base = Tar::new()
        .folder("d/")
        .file("d/kept", "k")
        .file("d/old", "o")
        .folder("gone/")
        .file("gone/x", "x")
        .folder("again/")
        .file("again/was", "w")
        .file("f", "f")
        .symlink("s", "f")
        .file("mode", "m")
        .folder("deep/")
        .folder("deep/er/")
        .file("deep/er/x", "x")
        .file("twin", "t")
        .done();
    let upper = Tar::new().folder("d/").file("d/two", "2").file("second", "s").done();
    oci(&[base, upper], "x:1").tar()
}

/// What somebody does inside.
const SCRIPT: &str = "cd \"$1\" && rm d/old second && rm -r gone && rm -r again && mkdir again \
    && echo n >again/new && rm f && mkdir f && echo in >f/in && ln -sfn nowhere s && chmod 600 mode \
    && echo e >deep/er/y && echo a >added && ln added added2 && rm twin && mkfifo twin \
    && mkdir empty && mkdir -p made/er deep/made && touch madefile";

const WANT: [&str; 19] = [
    "C again",
    "A again/new",
    "D again/was",
    "A added",
    "A added2",
    "C d",
    "D d/old",
    "C deep",
    "C deep/er",
    "A deep/er/y",
    "A empty",
    "C f",
    "A f/in",
    "D gone",
    "C mode",
    "C s",
    "D second",
    "C twin",
    "",
];

/// What the runtime would make.
const MADE: [&str; 4] = ["deep/made", "made", "made/er", "madefile"];

fn container<'a>(driver: &'a str, image: &'a Image) -> Container<'a> {
    Container { driver, id: "c", image, made: &MADE }
}

fn listed(store: &Store, driver: &str) -> Vec<String> {
    let image = store.find("x:1").unwrap();
    let changes = store.changes(&container(driver, &image)).unwrap();
    let line = |change: &imgstore::Change| {
        let letter = ["C", "A", "D"][change.kind as usize];
        format!("{letter} {}", String::from_utf8_lossy(&change.path))
    };
    let lines: Vec<String> = changes.iter().map(line).collect();
    let mut sorted: Vec<_> =
        changes.iter().map(|c| String::from_utf8_lossy(&c.path).replace('/', "\0")).collect();
    sorted.sort();
    assert!(changes.iter().map(|c| String::from_utf8_lossy(&c.path).replace('/', "\0")).eq(sorted));
    lines
}

fn want() -> Vec<String> {
    let mut want: Vec<String> =
        WANT.iter().filter(|line| !line.is_empty()).map(|&line| line.to_owned()).collect();
    want.sort_by_key(|line| line[2..].replace('/', "\0"));
    want
}

fn check(scratch: &Scratch, store: &Store, driver: &str, merged: &[String]) {
    assert_eq!(listed(store, driver), want(), "{driver}");
    let image = store.find("x:1").unwrap();
    let mut exported = Vec::new();
    store.export(&container(driver, &image), &mut exported).unwrap();
    common::import(store, &exported, "exported").unwrap();
    assert_eq!(checkout(scratch, store, "exported"), merged, "{driver}");
    store.remove("exported", false).unwrap();
    let options = CommitOptions {
        name: Some("y".into()),
        config: image.config.clone(),
        author: "me".into(),
        message: "why".into(),
        command: "sh -c x".into(),
    };
    let id = store.commit_container(&container(driver, &image), options).unwrap();
    let own = |line: &&String| !MADE.iter().any(|made| line.starts_with(made));
    let merged: Vec<&String> = merged.iter().filter(own).collect();
    assert_eq!(checkout(scratch, store, "y").iter().collect::<Vec<_>>(), merged, "{driver}");
    let text = String::from_utf8(store.config_text(&id).unwrap()).unwrap();
    for part in [r#""author":"me""#, r#""comment":"why""#, r#""created_by":"sh -c x""#, r#""A=b""#]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    // The new layer stands on the old ones; it goes and they stay.
    let new = store.find("y").unwrap();
    assert_eq!(new.layers[..2], image.layers[..]);
    assert_eq!(new.layers.len(), 3);
    assert_eq!(store.remove("y", false).unwrap().len(), 3);
    assert_eq!(std::fs::read_dir(scratch.path.join("root/layers")).unwrap().count(), 2);
}

#[test]
fn of_a_copied_tree() {
    let scratch = Scratch::new();
    let store = scratch.store();
    load(&store, &two_layers()).unwrap();
    let image = store.find("x:1").unwrap();
    let root =
        store.driver_called("vfs").unwrap().create("c", &image, Writable::default()).unwrap();
    let RootSource::Folder(folder) = &root.source else { panic!("vfs mounts nothing") };
    assert!(listed(&store, "vfs").is_empty());
    assert!(Command::new("sh").args(["-c", SCRIPT, "sh"]).arg(folder).status().unwrap().success());
    check(&scratch, &store, "vfs", &tree(folder));
}

#[test]
fn of_an_overlay() {
    assert!(is_root(), "mounting an overlay needs root");
    let scratch = Scratch::new();
    let store = scratch.store();
    load(&store, &two_layers()).unwrap();
    let image = store.find("x:1").unwrap();
    let driver = store.driver_called("overlay").unwrap();
    let root = driver.create("c", &image, Writable::default()).unwrap();
    let RootSource::Overlay { lower, upper, work, .. } = &root.source else { panic!("a mount") };
    assert!(listed(&store, "overlay").is_empty());
    let merged = scratch.path.join("merged");
    std::fs::create_dir(&merged).unwrap();
    let copy = scratch.path.join("copy");
    std::fs::create_dir(&copy).unwrap();
    let text = |path: &Path| path.display().to_string();
    let options = format!(
        "lowerdir={}:{},upperdir={},workdir={}",
        text(&lower[0]),
        text(&lower[1]),
        text(upper),
        text(work)
    );
    let script = format!(
        "mount -t overlay o -o {options} {0} && {{ {SCRIPT}; }} && tar -C {0} -cf - . | tar -C {1} -xpf -",
        text(&merged),
        text(&copy)
    );
    let done =
        Command::new("unshare").args(["-m", "sh", "-c", &script, "sh"]).arg(&merged).status();
    assert!(done.unwrap().success());
    check(&scratch, &store, "overlay", &tree(&copy));
}

#[test]
fn of_one_that_was_never_started() {
    let scratch = Scratch::new();
    let store = scratch.store();
    load(&store, &two_layers()).unwrap();
    let image = store.find("x:1").unwrap();
    let want = checkout(&scratch, &store, "x:1");
    for driver in ["overlay", "vfs"] {
        assert!(listed(&store, driver).is_empty());
        let mut exported = Vec::new();
        store.export(&container(driver, &image), &mut exported).unwrap();
        common::import(&store, &exported, "exported").unwrap();
        assert_eq!(checkout(&scratch, &store, "exported"), want);
        let options = CommitOptions { name: Some("y".into()), ..CommitOptions::default() };
        store.commit_container(&container(driver, &image), options).unwrap();
        assert_eq!(checkout(&scratch, &store, "y"), want);
    }
}

#[test]
fn what_cannot_be_packed_leaves_no_image() {
    let scratch = Scratch::new();
    let store = scratch.store();
    load(&store, &two_layers()).unwrap();
    let image = store.find("x:1").unwrap();
    let root =
        store.driver_called("vfs").unwrap().create("c", &image, Writable::default()).unwrap();
    let RootSource::Folder(folder) = &root.source else { panic!("vfs mounts nothing") };
    // Too deep to be packed: the packer fails, and its reason is told.
    let mut deep = folder.clone();
    for _ in 0..250 {
        deep.push("q");
        std::fs::create_dir(&deep).unwrap();
    }
    let e =
        store.commit_container(&container("vfs", &image), CommitOptions::default()).unwrap_err();
    assert!(e.message().contains("nested too deep"), "{e}");
    assert_eq!(store.list().unwrap().len(), 1);
    assert_eq!(std::fs::read_dir(scratch.path.join("root/work")).unwrap().count(), 0);
}
