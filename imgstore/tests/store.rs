//! Names, ids, removal, holds, and stores that are full, read-only, foreign or an ordinary user's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;
use base::Kind;
use common::{Scratch, Tar, checkout, docker, gzip, import, is_root, load, oci};
use imgstore::{Keep, Options, Removed, Store};
use std::process::Command;

fn layer(text: &str) -> Vec<u8> {
    Tar::new().file("f", text).done()
}

#[test]
fn all_forms_of_one_image() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let layers = [layer("1"), layer("2")];
    let folder = scratch.path.join("App.v2");
    oci(&layers, "1.0").write(&folder);
    let loaded = store.load_path(&folder, &mut |_| ()).unwrap();
    assert_eq!(loaded[0].names, ["app.v2:1.0"]);
    for archive in [oci(&layers, "full/name:x").tar(), docker(&layers, "full/name:x").tar()] {
        let file = scratch.path.join("a.tar");
        std::fs::write(&file, &archive).unwrap();
        for again in [
            load(&store, &archive).unwrap(),
            load(&store, &gzip(&archive)).unwrap(),
            store.load_path(&file, &mut |_| ()).unwrap(),
        ] {
            assert_eq!(
                (again[0].id, again[0].names.as_slice()),
                (loaded[0].id, &["full/name:x".to_owned()][..])
            );
        }
    }
    let image = store.find("full/name:x").unwrap();
    assert_eq!((image.config.cmd, image.config.env), (Some(vec!["sh".into()]), vec!["A=b".into()]));
    assert_eq!(image.config.rest.get("New").unwrap().text(), "1");
    assert!(image.manifest.is_some());
    let text = store.config_text(&image.id).unwrap();
    assert_eq!(base::digest::Digest::of(&text), image.id);
    let list = store.list().unwrap();
    assert_eq!(list.len(), 1);
    assert_eq!(list[0].names, ["app.v2:1.0", "full/name:x"]);
    assert_eq!(list[0].created, 1_700_000_000);
    assert_eq!(std::fs::read_dir(scratch.path.join("root/work")).unwrap().count(), 0);
}

#[test]
fn find_by_all_that_identifies() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let loaded = load(&store, &oci(&[layer("1")], "a/b:1").tar()).unwrap();
    let id = loaded[0].id;
    let manifest = store.find("a/b:1").unwrap().manifest.unwrap();
    for text in [
        "a/b:1",
        "docker.io/a/b:1",
        &id.to_string(),
        &id.hex(),
        &id.hex()[..12],
        &id.hex()[..3],
        &format!("sha256:{}", &id.hex()[..9]),
        &format!("a/b@{manifest}"),
        &format!("a/b:1@{manifest}"),
    ] {
        assert_eq!(store.find(text).map(|image| image.id), Ok(id), "{text}");
    }
    for (text, want) in [
        ("a/b", "No such image: a/b:latest"),
        ("none:2", "No such image: none:2"),
        (&"0".repeat(64), "No such image: "),
        ("../../etc", "invalid reference format"),
    ] {
        let e = store.find(text).unwrap_err();
        assert!(e.message().starts_with(want), "{e}");
    }
    assert_eq!(store.find("none").unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn removal_as_docker_does_it() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let a = load(&store, &oci(&[layer("1"), layer("a")], "a:1").tar()).unwrap()[0].id;
    let b = load(&store, &oci(&[layer("1"), layer("b")], "b:1").tar()).unwrap()[0].id;
    store.tag("a:1", "c").unwrap();
    store.tag("a:1", "c").unwrap();
    let e = store.remove(&a.hex(), false).unwrap_err();
    assert!(e.message().contains("referenced in multiple repositories"), "{e}");
    assert_eq!(store.remove("c", false).unwrap(), [Removed::Untagged("c:latest".into())]);
    let container = "4c01db0b339c".repeat(5) + "abcd";
    store.hold(&a, &container, Keep::Run).unwrap();
    let e = store.remove("a:1", false).unwrap_err();
    let want = format!(
        "conflict: unable to remove repository reference \"a:1\" (must force) - container 4c01db0b339c is using its referenced image {}",
        &a.hex()[..12]
    );
    assert_eq!((e.message(), e.kind()), (want.as_str(), Kind::Conflict));
    assert_eq!(store.holders(&a).unwrap(), std::slice::from_ref(&container));
    // By force the name goes, the image stays for its container.
    assert_eq!(store.remove("a:1", true).unwrap(), [Removed::Untagged("a:1".into())]);
    assert!(store.find(&a.hex()).is_ok());
    store.release(&a, &container).unwrap();
    let removed = store.remove(&a.hex(), false).unwrap();
    // The shared layer stays for b.
    assert_eq!(removed.len(), 2, "{removed:?}");
    assert_eq!(checkout(&scratch, &store, "b:1"), ["f 644 b"]);
    assert_eq!(store.hold(&a, "x", Keep::Root).unwrap_err().kind(), Kind::NotFound);
    assert_eq!(store.remove("b:1", false).unwrap().len(), 4);
    assert_eq!(store.find(&b.hex()).unwrap_err().kind(), Kind::NotFound);
    scratch.assert_empty();
    assert_eq!(store.remove("b:1", false).unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn a_new_image_takes_the_name() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let first = import(&store, &layer("1"), "x").unwrap();
    let second = import(&store, &layer("2"), "x").unwrap();
    assert_eq!(store.find("x").unwrap().id, second);
    assert!(store.names_of(&first).unwrap().is_empty());
    assert_eq!(store.list().unwrap().len(), 2);
}

#[test]
fn half_removed_layers_and_dead_work_are_healed() {
    let scratch = Scratch::new();
    let store = scratch.store();
    load(&store, &oci(&[layer("1")], "a:1").tar()).unwrap();
    let image = store.find("a:1").unwrap();
    // As a cut removal leaves it.
    let folder = image.layers[0].parent().unwrap();
    std::fs::remove_file(folder.join("record")).unwrap();
    let dead = scratch.path.join("root/work/dead");
    std::fs::create_dir_all(dead.join("tree")).unwrap();
    load(&store, &oci(&[layer("1")], "a:1").tar()).unwrap();
    assert!(!dead.exists() && folder.join("record").exists());
    assert_eq!(checkout(&scratch, &store, "a:1"), ["f 644 1"]);
}

#[test]
fn formats_and_checkouts_that_are_refused() {
    let scratch = Scratch::new();
    let store = scratch.store();
    import(&store, &layer("1"), "x").unwrap();
    let e = store.checkout("x", &scratch.path).unwrap_err();
    assert!(e.message().contains("not empty"), "{e}");
    assert!(store.checkout("x", &scratch.path.join("no/such")).is_err());
    std::fs::write(scratch.path.join("root/format"), "2.0\n").unwrap();
    let e = Store::open(&scratch.folders(), Options::default()).unwrap_err();
    assert!(e.message().contains("store of format '2.0'"), "{e}");
}

#[test]
fn the_probe_is_remembered() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let name = store.driver().unwrap().name();
    let text = std::fs::read_to_string(scratch.path.join("run/driver")).unwrap();
    assert!(text.starts_with(name), "{text}");
    assert_eq!(std::fs::read_dir(scratch.path.join("root/work")).unwrap().count(), 0);
    let options = Options { driver: Some("vfs".into()), ..Options::default() };
    let store = Store::open(&scratch.folders(), options).unwrap();
    assert_eq!(store.driver().unwrap().name(), "vfs");
    assert!(store.driver_called("zfs").is_err());
}

fn tool(scratch: &Scratch) -> String {
    let (root, run) = (scratch.path.join("root"), scratch.path.join("run"));
    format!("{} --root={} --run={}", env!("CARGO_BIN_EXE_imgstore"), root.display(), run.display())
}

fn shell(scratch: &Scratch, script: &str) -> (bool, String) {
    let script =
        script.replace("IMGSTORE", &tool(scratch)).replace("DIR", scratch.path.to_str().unwrap());
    let flags = if is_root() { "-m" } else { "-Urm" };
    let out = Command::new("unshare").args([flags, "sh", "-c", &script]).output().unwrap();
    let text = [out.stdout, out.stderr].concat();
    (out.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn a_full_disk_leaves_nothing_and_removal_works() {
    let scratch = Scratch::new();
    std::fs::write(scratch.path.join("small.tar"), layer("1")).unwrap();
    let big = Tar::new().folder("d/").file("d/big", &"x".repeat(3 << 20)).done();
    std::fs::write(scratch.path.join("big.tar.gz"), gzip(&big)).unwrap();
    let script = "mkdir DIR/root && mount -t tmpfs -o size=2m t DIR/root && IMGSTORE import DIR/small.tar s \
        && ! IMGSTORE import DIR/big.tar.gz b && find DIR/root/work -mindepth 1 && IMGSTORE images -q | wc -l \
        && ! dd if=/dev/zero of=DIR/root/fill 2>/dev/null && IMGSTORE rmi s && find DIR/root/layers -mindepth 1";
    let (done, text) = shell(&scratch, script);
    assert!(done, "{text}");
    assert!(text.contains("coracle: ") && text.contains("big"), "{text}");
    assert!(text.contains("\n1\n") && text.contains("Untagged: s:latest"), "{text}");
    assert!(!text.contains("root/work/") && !text.contains("root/layers/"), "{text}");
}

#[test]
fn a_read_only_store_can_be_read() {
    let scratch = Scratch::new();
    std::fs::write(scratch.path.join("small.tar"), layer("1")).unwrap();
    let script = "mkdir DIR/root && mount -t tmpfs t DIR/root && IMGSTORE import DIR/small.tar s \
        && mount -o remount,ro DIR/root && IMGSTORE images && IMGSTORE checkout s DIR/out && cat DIR/out/f \
        && ! IMGSTORE import DIR/small.tar t && ! IMGSTORE rmi s && ! IMGSTORE tag s t";
    let (done, text) = shell(&scratch, script);
    assert!(done, "{text}");
    assert_eq!(
        text.matches(
            "Read-only file system
"
        )
        .count(),
        3,
        "{text}"
    );
}

#[test]
fn the_store_of_an_ordinary_user() {
    let scratch = Scratch::new();
    let tar = Tar::new()
        .raw("f", b'0', "", b"x", |h| {
            h.set_uid(0);
            h.set_gid(12345);
            h.set_mode(0o4750);
        })
        .raw("closed/", b'5', "", b"", |h| h.set_mode(0o000))
        .raw("closed/none", b'0', "", b"y", |h| h.set_mode(0o000))
        .raw("null", b'3', "", b"", |h| {
            h.set_device_major(1).unwrap();
            h.set_device_minor(3).unwrap();
        })
        .done();
    let upper = Tar::new().file(".wh.f", "").folder("o/").file("o/.wh..wh..opq", "").done();
    std::fs::write(scratch.path.join("a.tar"), oci(&[tar, upper], "x:1").tar()).unwrap();
    let program = scratch.path.join("imgstore");
    std::fs::copy(env!("CARGO_BIN_EXE_imgstore"), &program).unwrap();
    rustix::fs::chmod(&scratch.path, rustix::fs::Mode::from_raw_mode(0o777)).unwrap();
    let script = format!(
        "cd {0} && T='./imgstore --root {0}/root --run {0}/run' && $T load a.tar && $T checkout x:1 out \
         && find out -printf '%P %M %U\\n' && $T rmi x:1 && find root/layers root/work -mindepth 1",
        scratch.path.display()
    );
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command.args([
            "--reuid",
            "65534",
            "--regid",
            "65534",
            "--clear-groups",
            "sh",
            "-c",
            &script,
        ]);
        command
    } else {
        let mut command = Command::new("sh");
        command.args(["-c", &script]);
        command
    };
    let out = command.output().unwrap();
    let text = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
    assert!(out.status.success(), "{text}");
    let uid = if is_root() { 65534 } else { rustix::process::geteuid().as_raw() };
    assert!(text.contains(&format!("closed drwx------ {uid}\n")), "{text}");
    assert!(!text.contains("\nf ") && !text.contains("null"), "{text}");
    assert_eq!(text.matches("ordinary user").count(), 1, "{text}");
    assert!(!text.contains("root/layers/"), "{text}");
}

#[test]
fn a_read_only_checkout_has_the_files_of_the_store() {
    use std::os::unix::fs::MetadataExt;
    let scratch = Scratch::new();
    let store = scratch.store();
    let lower = Tar::new()
        .folder("d/")
        .file("d/f", "one")
        .link("d/same", "d/f")
        .symlink("s", "d/f")
        .file("gone", "x")
        .file("over", "old")
        .done();
    let upper = Tar::new().file(".wh.gone", "").file("over", "new").link("far", "d/f").done();
    load(&store, &oci(&[lower, upper], "x:1").tar()).unwrap();
    let wanted = checkout(&scratch, &store, "x:1");
    let to = scratch.path.join("linked");
    store.checkout_read_only("x:1", &to).unwrap();
    assert_eq!(common::tree(&to), wanted);
    let inode = |path: &str| std::fs::metadata(to.join(path)).unwrap().ino();
    // A link to a lower layer's file took a copy of it up.
    assert_eq!(inode("d/f"), inode("far"));
    let layer = &store.find("x:1").unwrap().layers[1];
    assert_eq!(inode("over"), std::fs::metadata(layer.join("over")).unwrap().ino());
    let copied = std::fs::metadata(scratch.path.join("out/over")).unwrap();
    assert_ne!(inode("over"), copied.ino());
    // It outlives the image, and the store is as it was.
    let clean = |deep| {
        assert!(store.fsck(imgstore::Fsck { deep, repair: false }).unwrap().problems.is_empty())
    };
    clean(true);
    let again = scratch.path.join("again");
    store.checkout_read_only("x:1", &again).unwrap();
    assert_eq!(common::tree(&again), wanted);
    store.remove("x:1", false).unwrap();
    store.gc().unwrap();
    assert_eq!(common::tree(&to), wanted);
    clean(false);
}
