//! Stores that released versions made, opened by this one. `data/make-store` made them, with the binary
//! of the release; what is in them is the nasty image, whose tree is known, and a container.

#![allow(clippy::expect_used)]

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::nasty::{archive, config, expected, layers_with, oci, tree};
use support::{Done, World, binary, feed};

/// In place of busybox, which would be too large to keep; a volume lies over it.
const PROGRAM: &str = "not a program";
const VOLUME: &str = "/bin/busybox:/bin/busybox:ro";

/// The image's id.
fn id() -> String {
    let config = config(&layers_with(PROGRAM.as_bytes()));
    base::digest::Digest::of(config.as_bytes()).to_string()
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn image() -> Vec<u8> {
    archive(&oci(&layers_with(PROGRAM.as_bytes())))
}

fn tar(words: &[&str], file: &Path, folder: &Path) {
    let mut command = Command::new("tar");
    command.args(["--xattrs", "--xattrs-include=*", "--numeric-owner"]).args(words);
    let done = command.arg("-f").arg(file).arg("-C").arg(folder).arg("root").output();
    let done = done.expect("tar");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

fn imgstore(world: &World, words: &[&str]) -> Done {
    let mut command = Command::new(binary());
    command.arg0("imgstore").args(words);
    command.env("CORACLE_ROOT", world.root()).env("CORACLE_RUN", world.run_folder());
    command.output().expect("imgstore").into()
}

fn load(world: &World) {
    let done = feed(&mut world.command(&["load"]), &image());
    assert_eq!((done.code, done.out.as_str()), (0, "Loaded image: nasty:oci\n"), "{done:?}");
}

/// For `data/make-store`: makes the store, with CORACLE_BIN.
fn make(file: &Path) {
    let world = World::empty();
    load(&world);
    let done = imgstore(&world, &["tag", "nasty:oci", "host.example:5000/old/name:1.0"]);
    assert_eq!(done.code, 0, "{done:?}");
    let changed = world.folder.join("changed");
    std::fs::write(&changed, "changed\n").expect("write");
    let create = ["create", "--name", "kept", "--net", "none", "-v", VOLUME, "nasty:oci"];
    let command = ["/bin/busybox", "cat", "/changed", "/a/file"];
    world.ok(&[&create[..], &command].concat());
    world.ok(&["cp", changed.to_str().expect("path"), "kept:/changed"]);
    let done = imgstore(&world, &["fsck", "--deep"]);
    assert_eq!(done.code, 0, "{done:?}");
    tar(&["--sort=name", "-cz"], file, &world.folder);
    std::fs::remove_dir_all(&world.folder).expect("remove");
}

/// Unpacks a store, as if the power had come back.
fn unpack(file: &Path) -> World {
    let world = World::empty();
    tar(&["-xpz"], file, &world.folder);
    world
}

fn names(world: &World) -> Vec<String> {
    let (text, id) = (world.ok(&["images", "--no-trunc"]), id());
    let name = |line: &str| {
        let mut words = line.split_whitespace();
        let mut word = || words.next().unwrap_or_default();
        let name = [word(), ":", word()].concat();
        assert_eq!(word(), id, "{line}");
        name
    };
    let mut names: Vec<String> = text.lines().skip(1).map(name).collect();
    names.sort();
    names
}

fn check(file: &Path) {
    let world = unpack(file);
    let all = ["host.example:5000/old/name:1.0", "nasty:oci"];
    let clean = |what: &str| {
        let done = imgstore(&world, &["fsck", "--deep"]);
        assert_eq!(done.code, 0, "{what}: {done:?}");
        assert_eq!(names(&world), all, "{what}");
    };
    clean("as it was");
    for what in ["as it was", "after a load over it"] {
        let out = world.folder.join("out");
        let done = imgstore(&world, &["checkout", "nasty:oci", out.to_str().expect("path")]);
        assert_eq!(done.code, 0, "{what}: {done:?}");
        // tar keeps no hard links between devices.
        let kept = |line: &String| {
            line.replace(" BUSYBOX", &format!(" {PROGRAM:?}"))
                .replace("\"null2\" is \"null\"", "\"null2\" 1:3")
        };
        let wanted: Vec<String> = expected().iter().map(kept).collect();
        let found = tree(&out);
        for (found, wanted) in found.iter().zip(&wanted) {
            assert_eq!(found, wanted, "{what}");
        }
        assert_eq!(found.len(), wanted.len(), "{what}");
        std::fs::remove_dir_all(&out).expect("remove");
        let run = ["run", "--rm", "--net", "none", "-v", VOLUME, "nasty:oci"];
        assert_eq!(world.ok(&[&run[..], &["/bin/busybox", "cat", "/a/file"]].concat()), "one");
        assert_eq!(world.ok(&["start", "-a", "kept"]), "changed\none", "{what}");
        let layers = || std::fs::read_dir(world.root().join("layers")).expect("layers").count();
        let before = layers();
        load(&world);
        assert_eq!(layers(), before, "nothing comes twice");
        let done = imgstore(&world, &["gc"]);
        assert_eq!(done.code, 0, "{what}: {done:?}");
        assert_eq!(layers(), before, "{what}");
        clean(what);
    }
    world.ok(&["rm", "kept"]);
    world.ok(&["rmi", "-f", &id()]);
    let done = imgstore(&world, &["gc"]);
    assert_eq!(done.code, 0, "{done:?}");
    for folder in ["names", "images", "layers", "holds", "uppers", "work"] {
        let left = std::fs::read_dir(world.root().join(folder)).expect("read").count();
        assert_eq!(left, 0, "{folder}");
    }
    world.finish();
}

#[test]
fn stores_of_each_release_are_opened() {
    if let Some(file) = std::env::var_os("CORACLE_MAKE_STORE") {
        return make(Path::new(&file));
    }
    let mut releases = 0;
    for entry in std::fs::read_dir(data()).expect("data").flatten() {
        let path = entry.path();
        if path.to_string_lossy().ends_with(".tar.gz") {
            eprintln!("{}", path.display());
            check(&path);
            releases += 1;
        }
    }
    assert!(releases > 0);
}
