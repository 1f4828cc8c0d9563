//! The driver btrfs, on a disk of its own: what it makes, that it goes, and where it refuses.

#![allow(clippy::expect_used)]

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use support::{Done, World, busybox_tar, feed};

fn must(program: &str, words: &[&str]) {
    let out = Command::new(program).args(words).output().expect(program);
    assert!(out.status.success(), "{program} {words:?}: {out:?}");
}

/// A world whose root folder is a btrfs, seen in this process's mount namespace alone.
fn world() -> World {
    let world = World::empty();
    std::fs::create_dir(world.root()).expect("mkdir");
    let (image, root) = (world.folder.join("image"), world.root());
    let file = std::fs::File::create(&image).expect("create");
    file.set_len(256 << 20).expect("truncate");
    let (image, root) = (image.to_str().expect("path"), root.to_str().expect("path"));
    must("mkfs.btrfs", &["-q", image]);
    must("mount", &["-t", "btrfs", "-o", "loop", image, root]);
    assert_eq!(feed(&mut world.command(&["import", "-", "bb"]), &busybox_tar()).code, 0);
    world
}

fn entries(folder: &Path) -> Vec<String> {
    let list = std::fs::read_dir(folder).into_iter().flatten().flatten();
    list.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The root of a subvolume has always this number.
fn is_subvolume(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.ino() == 256)
}

fn btrfs(world: &World, words: &[&str]) -> Done {
    world.command(words).env("CORACLE_DRIVER", "btrfs").output().expect("coracle").into()
}

fn ok(world: &World, words: &[&str]) -> String {
    let done = btrfs(world, words);
    assert_eq!(done.code, 0, "{words:?}: {done:?}");
    done.out.trim_end().to_owned()
}

#[test]
fn the_life_of_a_container_on_subvolumes() {
    let world = world();
    let (merged, uppers) = (world.root().join("merged"), world.root().join("uppers"));
    let script = "echo new >/new; rm /etc/passwd; chmod 751 /etc; cat /new";
    let run = ["run", "--name", "one", "--net", "none", "bb", "sh", "-c", script];
    assert_eq!(ok(&world, &run), "new");
    let image = entries(&merged);
    assert_eq!(image.len(), 1);
    assert!(is_subvolume(&merged.join(&image[0])));
    let root = uppers.join(&entries(&uppers)[0]).join("root");
    assert!(is_subvolume(&root) && root.join("new").exists());
    // The image's own tree is as it was, and so is the next container.
    assert!(!merged.join(&image[0]).join("new").exists());
    let see = ["run", "--rm", "--net", "none", "bb", "sh", "-c", "ls /new; wc -l </etc/passwd"];
    assert!(ok(&world, &see).parse::<u32>().is_ok_and(|lines| lines > 0));
    let changes = ok(&world, &["diff", "one"]);
    let mut changes: Vec<&str> = changes.lines().collect();
    changes.sort_unstable();
    assert_eq!(changes, ["A /new", "C /etc", "D /etc/passwd"]);
    ok(&world, &["commit", "one", "next"]);
    let see = ["run", "--rm", "--net", "none", "next", "sh", "-c", "cat /new; ls /etc/passwd"];
    assert!(btrfs(&world, &see).out == "new\n");
    // Started again, it is the same root; another driver sees the image, and this one its container.
    assert_eq!(ok(&world, &["start", "-a", "one"]), "new");
    assert_eq!(world.script(&[], "cat /new; echo $?").out, "1\n");
    assert_eq!(ok(&world, &["diff", "one"]).lines().count(), 3);
    ok(&world, &["rm", "one"]);
    world.until("the snapshots are gone", || entries(&uppers).is_empty());
    // The merged trees go with their images.
    assert_eq!(entries(&merged).len(), 2);
    ok(&world, &["rmi", "next"]);
    assert_eq!(entries(&merged), image);
    ok(&world, &["rmi", "bb"]);
    assert_eq!(entries(&merged), Vec::<String>::new());
    must("umount", &[world.root().to_str().expect("path")]);
    world.finish();
}

#[test]
fn chosen_when_asked_for_and_refused_elsewhere() {
    let world = world();
    // Overlay comes first where both work.
    let run = ["run", "--rm", "--net", "none", "bb", "true"];
    assert_eq!(world.coracle(&run).code, 0);
    let chosen = || std::fs::read_to_string(world.run_folder().join("driver")).expect("driver");
    assert!(chosen().starts_with("overlay "), "{}", chosen());
    must("umount", &[world.root().to_str().expect("path")]);
    world.finish();
    // Elsewhere it says that it cannot, in one line.
    let world = World::new();
    let done = btrfs(&world, &run);
    assert!(done.code != 0 && done.err.contains("is not on btrfs: use overlay or vfs"), "{done:?}");
    world.finish();
}
