//! Read-only base stores: what is found there, hidden, shared, damaged and gone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;
use common::{Scratch, Tar, checkout, is_root, load, oci};
use imgstore::{Fsck, Keep, Options, Removed, Store};
use std::path::{Path, PathBuf};

fn layer(name: &str) -> Vec<u8> {
    Tar::new().folder("d/").file(&format!("d/{name}"), name).done()
}

/// An archive of an image whose layers have one file each.
fn image(layers: &[&str], name: &str) -> Vec<u8> {
    let layers: Vec<_> = layers.iter().map(|one| layer(one)).collect();
    oci(&layers, name).tar()
}

/// A base store with these images, beside the root folder that is to be.
fn base(scratch: &Scratch, name: &str, images: &[Vec<u8>]) -> PathBuf {
    let root = scratch.path.join(name);
    let folders = base::folders::Folders { root: root.clone(), ..scratch.folders() };
    let store = Store::open(&folders, Options::default()).unwrap();
    for image in images {
        load(&store, image).unwrap();
    }
    root
}

fn open(scratch: &Scratch, bases: &[&PathBuf]) -> base::Result<Store> {
    let mut folders = scratch.folders();
    folders.base_stores = bases.iter().map(|&path| path.clone()).collect();
    Store::open(&folders, Options::default())
}

fn names(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

/// Everything below a folder, to see that nothing was written there.
fn listing(folder: &Path) -> Vec<String> {
    let mut lines = common::tree(folder);
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(folder).unwrap();
    lines.push(format!("{} {}", meta.mtime(), meta.mtime_nsec()));
    lines
}

const CHECK: Fsck = Fsck { deep: true, repair: false };

#[test]
fn images_layers_and_names_come_from_all_stores() {
    let scratch = Scratch::new();
    let one = base(&scratch, "one", &[image(&["a", "b"], "x:1"), image(&["a"], "both:1")]);
    let two = base(&scratch, "two", &[image(&["c"], "y:1"), image(&["c", "d"], "both:1")]);
    let before = (listing(&one), listing(&two));
    let store = open(&scratch, &[&one, &two]).unwrap();
    assert_eq!(store.list().unwrap().len(), 4);
    let all: Vec<_> = store.list().unwrap().into_iter().flat_map(|image| image.names).collect();
    assert_eq!(all.iter().filter(|name| *name == "both:1").count(), 1);
    // The first base store wins.
    assert_eq!(store.find("both:1").unwrap().layers.len(), 1);
    assert_eq!(checkout(&scratch, &store, "x:1"), ["d/ 755", "d/a 644 a", "d/b 644 b"]);
    // A load stores only the layer that is new; its tree has both.
    load(&store, &image(&["a", "new"], "mine:1")).unwrap();
    let root = scratch.path.join("root");
    assert_eq!(names(&root.join("layers")), 1);
    assert_eq!(checkout(&scratch, &store, "mine:1"), ["d/ 755", "d/a 644 a", "d/new 644 new"]);
    // What a base store has is not stored at all.
    load(&store, &image(&["c"], "y:2")).unwrap();
    assert_eq!((names(&root.join("layers")), names(&root.join("images"))), (1, 1));
    assert_eq!(store.names_of(&store.find("y:2").unwrap().id).unwrap(), ["y:1", "y:2"]);
    let mut saved = Vec::new();
    store
        .save(&["mine:1".to_owned(), "x:1".to_owned()], imgstore::Form::Docker, &mut saved)
        .unwrap();
    assert_eq!(store.fsck(CHECK).unwrap().problems, []);
    assert_eq!(store.gc().unwrap().layers, Vec::<String>::new());
    assert_eq!(before, (listing(&one), listing(&two)));
    // The same archive is whole in a store of its own.
    let other = Scratch::new();
    load(&other.store(), &saved).unwrap();
    assert_eq!(checkout(&other, &other.store(), "x:1").len(), 3);
}

#[test]
fn what_is_removed_is_hidden_until_it_comes_again() {
    let scratch = Scratch::new();
    let x = image(&["a", "b"], "x:1");
    let one = base(&scratch, "one", &[x.clone(), image(&["a"], "y:1")]);
    let before = listing(&one);
    let store = open(&scratch, &[&one]).unwrap();
    let id = store.find("x:1").unwrap().id;
    let removed = store.remove("x:1", false).unwrap();
    assert_eq!(removed, [Removed::Untagged("x:1".into()), Removed::Deleted(id)]);
    // By another opening of the same store, too.
    let store = open(&scratch, &[&one]).unwrap();
    assert!(store.find("x:1").is_err() && store.find(&id.to_string()).is_err());
    assert!(store.find(&id.hex()[..12]).is_err());
    assert_eq!(store.list().unwrap().len(), 1);
    assert!(store.hold(&id, "c", Keep::Root).is_err());
    assert_eq!(store.fsck(CHECK).unwrap().problems, []);
    // A load brings it back, and stores nothing but the name.
    load(&store, &x).unwrap();
    assert_eq!(store.find("x:1").unwrap().id, id);
    assert_eq!(names(&scratch.path.join("root/layers")), 0);
    store.remove("x:1", false).unwrap();
    assert!(store.find("x:1").is_err());
    // So does a name for its id.
    store.tag(&id.to_string(), "again:1").unwrap();
    assert_eq!(store.find("again:1").unwrap().id, id);
    assert!(store.find("x:1").is_err());
    // A name given to something else is removed for good: the base store's does not shine through.
    store.tag("again:1", "y:1").unwrap();
    assert_eq!(store.find("y:1").unwrap().id, id);
    store.remove("y:1", false).unwrap();
    assert!(store.find("y:1").is_err());
    assert_eq!(before, listing(&one));
}

#[test]
fn a_container_keeps_what_it_stands_on() {
    let scratch = Scratch::new();
    let x = image(&["a", "b"], "x:1");
    // The writable store had the layers before the base store came.
    load(&scratch.store(), &image(&["a"], "z:1")).unwrap();
    let one = base(&scratch, "one", &[x]);
    let store = open(&scratch, &[&one]).unwrap();
    let image = store.find("x:1").unwrap();
    store.hold(&image.id, "c", Keep::Root).unwrap();
    store.remove("z:1", false).unwrap();
    store.gc().unwrap();
    assert!(image.layers.iter().all(|tree| tree.is_dir()), "{:?}", image.layers);
    assert!(store.remove("x:1", false).is_err());
    store.release(&image.id, "c").unwrap();
    assert_eq!(store.gc().unwrap().layers.len(), 1);
    assert_eq!(checkout(&scratch, &store, "x:1").len(), 3);
}

#[test]
fn damage_below_is_found_and_a_load_heals_it() {
    let scratch = Scratch::new();
    let (x, y) = (image(&["a", "b"], "x:1"), image(&["a", "c"], "y:1"));
    let one = base(&scratch, "one", &[x.clone(), y]);
    let store = open(&scratch, &[&one]).unwrap();
    let tree = store.find("x:1").unwrap().layers[0].clone();
    let rotten = tree.join("d/a");
    std::fs::write(&rotten, "b").unwrap();
    let found = store.fsck(CHECK).unwrap().problems;
    // The layer, and both images on it.
    assert!(found.len() >= 3, "{found:?}");
    assert!(found.iter().all(|p| p.text.starts_with(&format!("base store {}: ", one.display()))));
    assert!(store.find("x:1").is_err() && store.find("y:1").is_err());
    let id = Store::open(
        &base::folders::Folders { root: one.clone(), ..scratch.folders() },
        Options::default(),
    );
    let id = id.unwrap().find("x:1").unwrap().id;
    // No name brings back what is damaged.
    assert!(store.tag(&id.to_string(), "again").is_err());
    assert!(store.find("x:1").is_err());
    load(&store, &x).unwrap();
    assert_eq!(checkout(&scratch, &store, "x:1")[1], "d/a 644 a");
    // The other one waited for the same layer; gc and rmi leave it.
    assert_eq!(checkout(&scratch, &store, "y:1")[1], "d/a 644 a");
    store.gc().unwrap();
    store.remove("x:1", false).unwrap();
    store.gc().unwrap();
    assert_eq!(checkout(&scratch, &store, "y:1")[1], "d/a 644 a");
    assert_eq!(store.fsck(CHECK).unwrap().problems, []);
}

#[test]
fn a_broken_copy_heals_from_below_at_once() {
    let scratch = Scratch::new();
    let x = image(&["a", "b"], "x:1");
    load(&scratch.store(), &x).unwrap();
    let one = base(&scratch, "one", &[x]);
    let store = open(&scratch, &[&one]).unwrap();
    let own = store.find("x:1").unwrap();
    assert!(own.layers.iter().all(|tree| tree.starts_with(scratch.path.join("root"))));
    std::fs::write(own.layers[1].join("d/b"), "x").unwrap();
    let found = store.fsck(Fsck { deep: true, repair: true }).unwrap().problems;
    assert!(!found.is_empty() && found.iter().all(|problem| problem.repaired), "{found:?}");
    assert_eq!(checkout(&scratch, &store, "x:1"), ["d/ 755", "d/a 644 a", "d/b 644 b"]);
    assert!(store.find("x:1").unwrap().layers[1].starts_with(&one));
    assert_eq!(store.fsck(CHECK).unwrap().problems, []);
}

#[test]
fn a_base_store_that_is_gone_or_foreign_is_named() {
    let scratch = Scratch::new();
    let one = base(&scratch, "one", &[image(&["a"], "x:1")]);
    let shown = format!("base store {}: ", one.display());
    let store = open(&scratch, &[&one]).unwrap();
    let aside = scratch.path.join("aside");
    std::fs::rename(&one, &aside).unwrap();
    // One that is open hears of it, too, and does not say that there is no such image.
    for error in [open(&scratch, &[&one]).unwrap_err(), store.find("x:1").unwrap_err()] {
        assert!(error.message().starts_with(&shown), "{error}");
        assert_ne!(error.kind(), base::Kind::NotFound);
    }
    assert!(store.list().unwrap_err().message().starts_with(&shown));
    std::fs::rename(&aside, &one).unwrap();
    assert!(store.find("x:1").is_ok());
    let format = std::fs::read(one.join("format")).unwrap();
    std::fs::write(one.join("format"), "2.0\nmarks trusted\n").unwrap();
    let error = open(&scratch, &[&one]).unwrap_err();
    assert!(error.message().starts_with(&shown) && error.message().contains("'2.0'"), "{error}");
    let other = if is_root() { "1.0\nmarks user\n" } else { "1.0\nmarks trusted\n" };
    std::fs::write(one.join("format"), other).unwrap();
    assert!(open(&scratch, &[&one]).unwrap_err().message().contains("another kind of user"));
    std::fs::write(one.join("format"), format).unwrap();
    assert!(open(&scratch, &[&one]).is_ok());
}
