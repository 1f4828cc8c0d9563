//! The index of `images`: used where it is true, never where something changed since.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;
use common::{Scratch, Tar, import, load, oci};
use imgstore::{Fsck, Store};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// With the images, more than there must be for an index.
const NAMES: usize = 70;

fn layer(text: &str) -> Vec<u8> {
    Tar::new().file("f", text).done()
}

/// A store of two images, one of which has many names.
fn large(scratch: &Scratch) -> Store {
    let store = scratch.store();
    import(&store, &layer("a"), "a:0").unwrap();
    import(&store, &layer("bb"), "b:0").unwrap();
    for number in 1..NAMES {
        // As a store would look after as many tags, which sync twice each.
        let names = scratch.path.join("root/names");
        fs::copy(names.join("a:0"), names.join(format!("a:{number}"))).unwrap();
    }
    store
}

fn index(scratch: &Scratch) -> PathBuf {
    scratch.path.join("root/index")
}

/// Longer than a tick of the clock of files.
fn settle() {
    std::thread::sleep(Duration::from_millis(70));
}

/// Lists until there is an index.
fn make(scratch: &Scratch, store: &Store) {
    settle();
    store.list().unwrap();
    assert!(index(scratch).exists());
}

fn names(store: &Store) -> Vec<String> {
    store.list().unwrap().into_iter().flat_map(|image| image.names).collect()
}

fn has(store: &Store, name: &str) -> bool {
    names(store).iter().any(|known| known == name)
}

/// Writes into a file as it stands: no folder notices.
fn spoil(path: &std::path::Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn it_says_what_the_files_say_and_is_what_is_read() {
    let scratch = Scratch::new();
    let store = large(&scratch);
    let before = store.list().unwrap();
    assert_eq!(before.iter().map(|image| image.names.len()).sum::<usize>(), NAMES + 1);
    make(&scratch, &store);
    assert_eq!(store.list().unwrap(), before);
    // Only who opens the files of each image would see this.
    let id = store.find("b:0").unwrap().id;
    let record = scratch.path.join("root/images").join(id.hex()).join("record");
    spoil(&record, "\"Size\":2", "\"Size\":3");
    assert_eq!(store.list().unwrap(), before);
    fs::remove_file(index(&scratch)).unwrap();
    assert_ne!(store.list().unwrap(), before);
    assert!(!scratch.path.join("root/.index").exists());
}

#[test]
fn a_small_store_has_none() {
    let scratch = Scratch::new();
    let store = scratch.store();
    import(&store, &layer("a"), "a:0").unwrap();
    settle();
    store.list().unwrap();
    assert!(!index(&scratch).exists());
}

#[test]
fn whatever_changes_something_removes_it() {
    let scratch = Scratch::new();
    let store = large(&scratch);
    let archive = oci(&[layer("c")], "c:0").tar();
    type Change<'a> = (&'a str, &'a dyn Fn(), &'a str, bool);
    let changes: [Change<'_>; 6] = [
        ("tag", &|| store.tag("a:0", "new:1").unwrap(), "new:1", true),
        ("load", &|| drop(load(&store, &archive).unwrap()), "c:0", true),
        ("rmi", &|| drop(store.remove("new:1", false).unwrap()), "new:1", false),
        ("rmi of an image", &|| drop(store.remove("c:0", false).unwrap()), "c:0", false),
        ("import", &|| assert!(import(&store, &layer("d"), "d:0").is_ok()), "d:0", true),
        ("gc", &|| drop(store.gc().unwrap()), "d:0", true),
    ];
    for (what, change, name, there) in changes {
        make(&scratch, &store);
        change();
        assert!(!index(&scratch).exists(), "{what}");
        assert_eq!(has(&store, name), there, "{what}");
    }
    assert_eq!(names(&store).len(), NAMES + 2);
    // A name that goes over to another image.
    make(&scratch, &store);
    let of = |name: &str| {
        let list = store.list().unwrap();
        list.into_iter().find(|image| image.names.iter().any(|known| known == name)).unwrap().id
    };
    let before = of("a:1");
    store.tag("b:0", "a:1").unwrap();
    assert_eq!(of("a:1"), store.find("b:0").unwrap().id);
    assert_ne!(of("a:1"), before);
    // No change, no loss.
    make(&scratch, &store);
    store.tag("b:0", "a:1").unwrap();
    assert!(index(&scratch).exists());
}

#[test]
fn what_fsck_marks_is_not_listed() {
    let scratch = Scratch::new();
    let store = large(&scratch);
    make(&scratch, &store);
    // The mark changes neither of the two folders that the index knows.
    fs::remove_dir_all(&store.find("b:0").unwrap().layers[0]).unwrap();
    assert!(!store.fsck(Fsck::default()).unwrap().problems.is_empty());
    assert!(!has(&store, "b:0"));
    // What is damaged is told each time.
    settle();
    store.list().unwrap();
    assert!(!index(&scratch).exists());
    import(&store, &layer("bb"), "e:0").unwrap();
    assert!(has(&store, "b:0"));
    make(&scratch, &store);
    // Healed by fsck alone: the layer comes back by hand.
    let tree = store.find("b:0").unwrap().layers[0].clone();
    let aside = scratch.path.join("tree");
    fs::rename(&tree, &aside).unwrap();
    assert!(!store.fsck(Fsck::default()).unwrap().problems.is_empty());
    fs::rename(&aside, &tree).unwrap();
    let layer = tree.parent().unwrap();
    fs::rename(layer.join("broken"), layer.join("record")).unwrap();
    assert!(!has(&store, "b:0"));
    store.fsck(Fsck::default()).unwrap();
    assert!(has(&store, "b:0"));
}

#[test]
fn a_damaged_one_is_not_read() {
    let scratch = Scratch::new();
    let store = large(&scratch);
    let before = store.list().unwrap();
    make(&scratch, &store);
    let whole = fs::read(index(&scratch)).unwrap();
    let mut damaged = vec![Vec::new(), b"{}\n".to_vec(), vec![0; whole.len()], vec![0xff; 9]];
    for at in (0..whole.len()).step_by(whole.len() / 40) {
        damaged.push(whole[..at].to_vec());
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        damaged.push(flipped);
    }
    for bytes in damaged {
        fs::write(index(&scratch), &bytes).unwrap();
        assert_eq!(store.list().unwrap(), before, "{}", String::from_utf8_lossy(&bytes));
    }
    fs::remove_file(index(&scratch)).unwrap();
    fs::create_dir(index(&scratch)).unwrap();
    assert_eq!(store.list().unwrap(), before);
}

/// A program that knows nothing of the index, or a hand: within one tick of the clock the folder has the
/// same time before and after.
#[test]
fn changes_by_hand_are_seen_in_the_same_tick() {
    let scratch = Scratch::new();
    let store = large(&scratch);
    let folder = scratch.path.join("root/names");
    let (mut with, mut without) = (0, 0);
    for round in 0..150 {
        let name = format!("hand:{round}");
        // Now long after the last change, now right after it.
        std::thread::sleep(Duration::from_millis([0, 1, 3, 9, 30, 49, 51, 60][round % 8]));
        // With the one that the last round has made old, and with a new one or none.
        let new = round % 3 != 0;
        if new {
            let _ = fs::remove_file(index(&scratch));
        }
        store.list().unwrap();
        if new && index(&scratch).exists() {
            with += 1;
        } else {
            without += 1;
        }
        fs::copy(folder.join("a:0"), folder.join(&name)).unwrap();
        assert!(has(&store, &name), "round {round}");
        fs::remove_file(folder.join(&name)).unwrap();
        assert!(!has(&store, &name), "round {round}");
    }
    assert!(with > 10 && without > 10, "{with} {without}");
}

#[test]
fn what_was_acknowledged_is_listed_while_others_list() {
    let scratch = Scratch::new();
    let store = large(&scratch);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let lister = || {
            let mut used = 0;
            while !done.load(Ordering::Relaxed) {
                assert!(has(&store, "a:0"));
                used += usize::from(index(&scratch).exists());
            }
            used
        };
        let listers = [scope.spawn(lister), scope.spawn(lister)];
        let changer = |who: usize| {
            for round in 0..40 {
                let name = format!("by{who}:{round}");
                store.tag("a:0", &name).unwrap();
                assert!(has(&store, &name), "{name} was tagged");
                std::thread::sleep(Duration::from_millis((round * 7 + who as u64 * 13) % 90));
                assert!(has(&store, &name), "{name} is there");
                store.remove(&name, false).unwrap();
                assert!(!has(&store, &name), "{name} was removed");
            }
        };
        let changers = [scope.spawn(move || changer(0)), scope.spawn(move || changer(1))];
        let changed = changers.map(std::thread::ScopedJoinHandle::join);
        done.store(true, Ordering::Relaxed);
        let used: usize = listers.map(|lister| lister.join().unwrap()).iter().sum();
        assert!(changed.iter().all(Result::is_ok));
        assert!(used > 0);
    });
    assert_eq!(names(&store).len(), NAMES + 1);
}

#[test]
fn where_it_cannot_be_written_all_works() {
    let scratch = Scratch::new();
    let store = large(&scratch);
    fs::create_dir(scratch.path.join("root/.index")).unwrap();
    settle();
    assert_eq!(names(&store).len(), NAMES + 1);
    assert!(!index(&scratch).exists());
}
