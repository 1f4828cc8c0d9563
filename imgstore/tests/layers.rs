//! What layers mean: whiteouts, opaque folders, replaced names, links to lower layers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;
use common::{Scratch, Tar, checkout, import, load, oci, tree};
use imgstore::graphdriver::{RootSource, Writable};
use std::os::unix::fs::MetadataExt;

fn base_layer() -> Vec<u8> {
    Tar::new()
        .folder("a/")
        .file("a/one", "1")
        .file("a/two", "2")
        .folder("opq/")
        .file("opq/old", "old")
        .raw("priv/", b'5', "", b"", |h| h.set_mode(0o700))
        .file("priv/x", "x")
        .folder("gone/")
        .file("gone/x", "x")
        .symlink("link", "a")
        .done()
}

#[test]
fn upper_layers_remove_hide_and_replace() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let upper = Tar::new()
        .file("a/.wh.one", "")
        .file(".wh.gone", "")
        .folder("opq/")
        .file("opq/.wh..wh..opq", "")
        .file("opq/new", "new")
        .file("priv/y", "y")
        .file(".wh.link", "")
        .folder("link/")
        .file("link/z", "z")
        .done();
    load(&store, &oci(&[base_layer(), upper], "x/y:1").tar()).unwrap();
    let want = [
        "a/ 755",
        "a/two 644 2",
        "link/ 755",
        "link/z 644 z",
        "opq/ 755",
        "opq/new 644 new",
        "priv/ 700",
        "priv/x 644 x",
        "priv/y 644 y",
    ];
    assert_eq!(checkout(&scratch, &store, "x/y:1"), want);
    // The lower folder's mode was taken, so the layer is named by its chain.
    let image = store.find("x/y:1").unwrap();
    let record = |at: usize| {
        let path: &std::path::Path = &image.layers[at];
        std::fs::read_to_string(path.parent().unwrap().join("record")).unwrap()
    };
    assert!(!record(0).contains("Chain") && record(1).contains("Chain"), "{}", record(1));
}

#[test]
fn hard_links_to_a_lower_layer_copy_it_up() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let upper = Tar::new().folder("b/").link("b/new", "a/one").link("b/more", "a/one").done();
    load(&store, &oci(&[base_layer(), upper], "x:1").tar()).unwrap();
    checkout(&scratch, &store, "x:1");
    let out = scratch.path.join("out");
    let inode = |name: &str| std::fs::metadata(out.join(name)).unwrap().ino();
    assert_eq!(inode("a/one"), inode("b/new"));
    assert_eq!(inode("a/one"), inode("b/more"));
    assert_eq!(std::fs::read_to_string(out.join("b/new")).unwrap(), "1");
}

#[test]
fn links_may_come_before_their_target() {
    let scratch = Scratch::new();
    let store = scratch.store();
    import(&store, &Tar::new().link("b", "a").file("a", "x").done(), "x").unwrap();
    assert_eq!(checkout(&scratch, &store, "x"), ["a 644 x", "b 644 x"]);
}

#[test]
fn a_link_to_what_was_removed_is_refused() {
    let scratch = Scratch::new();
    let store = scratch.store();
    for upper in [
        Tar::new().file("a/.wh.one", "").link("b", "a/one"),
        Tar::new().file(".wh.a", "").link("b", "a/one"),
        Tar::new().link("b", "link/one"),
        Tar::new().link("b", "a/none"),
        Tar::new().link("b", "a"),
    ] {
        let e = load(&store, &oci(&[base_layer(), upper.done()], "x:1").tar()).unwrap_err();
        assert!(e.message().contains("hard link"), "{e}");
        scratch.assert_empty();
    }
}

#[test]
fn a_name_that_comes_again_replaces_what_it_was() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let tar = Tar::new()
        .file("f", "1")
        .file("f", "2")
        .folder("d/")
        .file("d/in", "")
        .file("d", "file now")
        .symlink("s", "/etc")
        .folder("s/")
        .file("s/in", "x")
        .folder("m/")
        .raw("m/", b'5', "", b"", |h| h.set_mode(0o1777))
        .done();
    import(&store, &tar, "x").unwrap();
    let want = ["d 644 file now", "f 644 2", "m/ 1777", "s/ 755", "s/in 644 x"];
    assert_eq!(checkout(&scratch, &store, "x"), want);
}

#[test]
fn a_whiteout_and_its_name_in_one_layer() {
    let scratch = Scratch::new();
    let store = scratch.store();
    // Both orders: the layer's own name stays, what is below it goes.
    for upper in [
        Tar::new().file(".wh.a", "").folder("a/").file("a/new", "n"),
        Tar::new().folder("a/").file("a/new", "n").file(".wh.a", ""),
        Tar::new().file(".wh.a", "").file("a/new", "n"),
    ] {
        let name = "x:1";
        load(&store, &oci(&[base_layer(), upper.done()], name).tar()).unwrap();
        let tree = checkout(&scratch, &store, name);
        let below: Vec<_> = tree.iter().filter(|line| line.starts_with("a/")).collect();
        assert_eq!(below, ["a/ 755", "a/new 644 n"]);
    }
}

#[test]
fn a_layer_that_comes_twice_is_there_once() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let empty = Tar::new().done();
    let layers = [base_layer(), empty.clone(), Tar::new().file("n", "n").done(), empty];
    load(&store, &oci(&layers, "x:1").tar()).unwrap();
    assert_eq!(store.find("x:1").unwrap().layers.len(), 3);
    // And once more from the store.
    load(&store, &oci(&layers, "x:2").tar()).unwrap();
    assert_eq!(std::fs::read_dir(scratch.path.join("root/layers")).unwrap().count(), 3);
}

#[test]
fn an_opaque_root_hides_all_layers_below() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let upper = Tar::new().file(".wh..wh..opq", "").file("only", "").done();
    load(&store, &oci(&[base_layer(), upper], "x:1").tar()).unwrap();
    assert_eq!(store.find("x:1").unwrap().layers.len(), 1);
    assert_eq!(checkout(&scratch, &store, "x:1"), ["only 644 "]);
}

#[test]
fn long_names_times_and_attributes() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let long = format!("{}/{}", "d".repeat(150), "f".repeat(200));
    let mut tar = Tar::new().pax(&[
        ("path", b"attr".as_slice()),
        ("mtime", b"1700000000.25"),
        ("SCHILY.xattr.user.k", b"v\0\n"),
    ]);
    tar = tar.file("short", "x");
    let mut h = tar::Header::new_gnu();
    h.set_size(1);
    h.set_mode(0o6755);
    h.set_uid(u64::from(rustix::process::geteuid().as_raw()));
    h.set_gid(u64::from(rustix::process::getegid().as_raw()));
    tar.0.append_data(&mut h, &long, &b"y"[..]).unwrap();
    import(&store, &tar.done(), "x").unwrap();
    checkout(&scratch, &store, "x");
    let out = scratch.path.join("out");
    let meta = std::fs::metadata(out.join("attr")).unwrap();
    assert_eq!((meta.mtime(), meta.mtime_nsec()), (1_700_000_000, 250_000_000));
    let mut value = [0; 8];
    let count = rustix::fs::getxattr(out.join("attr"), "user.k", &mut value).unwrap();
    assert_eq!(&value[..count], b"v\0\n");
    assert_eq!(std::fs::metadata(out.join(long)).unwrap().mode() & 0o7777, 0o6755);
}

#[test]
fn both_drivers_give_the_same_tree() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let upper = Tar::new().file("a/.wh.one", "").file("priv/y", "y").link("k", "a/two").done();
    load(&store, &oci(&[base_layer(), upper], "x:1").tar()).unwrap();
    let image = store.find("x:1").unwrap();
    let want = checkout(&scratch, &store, "x:1");
    let vfs = store.driver_called("vfs").unwrap();
    let root = vfs.create("c1", &image, Writable::default()).unwrap();
    let RootSource::Folder(folder) = &root.source else { panic!("vfs mounts nothing") };
    assert_eq!(tree(folder), want);
    assert!(vfs.size("c1").unwrap() > 0);
    assert!(vfs.remove("c1").unwrap_err().message().contains("in use"));
    assert!(vfs.existing("c1", &image, Writable::default()).is_err());
    drop(root);
    drop(vfs.existing("c1", &image, Writable::default()).unwrap());
    vfs.remove("c1").unwrap();
    let overlay = store.driver_called("overlay").unwrap();
    let root = overlay.create("c2", &image, Writable { volatile: true, quota: None }).unwrap();
    let RootSource::Overlay { lower, upper, work, volatile, .. } = &root.source else {
        panic!("overlay is mounted")
    };
    assert!(*volatile && upper.is_dir() && work.is_dir());
    assert_eq!(lower.len(), 2);
    assert_eq!(lower[0], image.layers[1]);
    assert_eq!(std::fs::metadata(upper).unwrap().mode() & 0o7777, 0o755);
    let options = format!("lowerdir={}:{}", lower[0].display(), lower[1].display());
    let mount = scratch.path.join("m");
    std::fs::create_dir(&mount).unwrap();
    let script = format!(
        "mount -t overlay o -o {options} {0} && tar -C {0} -cf - . | tar -C {1} -xpf -",
        mount.display(),
        scratch.path.join("merged").display()
    );
    std::fs::create_dir(scratch.path.join("merged")).unwrap();
    let done = std::process::Command::new("unshare").args(["-m", "sh", "-c", &script]).status();
    assert!(done.unwrap().success(), "as root an overlay can be mounted");
    assert_eq!(tree(&scratch.path.join("merged")), want);
    drop(root);
    overlay.remove("c2").unwrap();
    overlay.remove("c2").unwrap();
}
