//! Nasty layers, and the tree that they make: `nasty/tree` was computed by hand from the OCI image
//! specification, and every way to that tree must give exactly it.

#![allow(clippy::expect_used)]

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use support::nasty::{archive, compare, docker, expected, layers, oci, tree};
use support::{Done, World, binary, feed, registry};

fn imgstore(world: &World, driver: &str, words: &[&str]) -> Done {
    let mut command = Command::new(binary());
    command.arg0("imgstore").args(words).env("CORACLE_DRIVER", driver);
    command.env("CORACLE_ROOT", world.root()).env("CORACLE_RUN", world.run_folder());
    command.output().expect("imgstore").into()
}

/// The tree as `checkout` copies it and as a container sees it, with both drivers.
fn check(world: &World, image: &str) {
    let done = imgstore(world, "vfs", &["fsck", "--deep"]);
    assert_eq!(done.code, 0, "{done:?}");
    for driver in ["overlay", "vfs"] {
        let what = format!("{image}, {driver}");
        let out = world.folder.join("out");
        let done = imgstore(world, driver, &["checkout", image, out.to_str().expect("path")]);
        assert_eq!(done.code, 0, "{what}: {done:?}");
        compare(&format!("{what}, checkout"), &out);
        std::fs::remove_dir_all(&out).expect("remove");
        world.ok(&["--driver", driver, "run", "-d", "--net", "none", "--name", "tree", image]);
        let text = world.ok(&["inspect", "tree"]);
        let json: serde_json::Value = serde_json::from_str(&text).expect("inspect");
        let root = format!("/proc/{}/root/", json[0]["State"]["Pid"]);
        compare(&format!("{what}, container"), Path::new(&root));
        world.ok(&["rm", "-f", "tree"]);
    }
}

#[test]
fn an_oci_layout_on_standard_input() {
    let world = World::empty();
    let done = feed(&mut world.command(&["load"]), &archive(&oci(&layers())));
    assert_eq!((done.code, done.out.as_str()), (0, "Loaded image: nasty:oci\n"), "{done:?}");
    check(&world, "nasty:oci");
    world.finish();
}

#[test]
fn an_oci_layout_in_a_folder() {
    let world = World::empty();
    let folder = world.folder.join("layout");
    for (name, data) in oci(&layers()) {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("parent")).expect("mkdir");
        std::fs::write(path, data).expect("write");
    }
    let done = imgstore(&world, "vfs", &["load", folder.to_str().expect("path")]);
    assert_eq!((done.code, done.out.as_str()), (0, "Loaded image: nasty:oci\n"), "{done:?}");
    check(&world, "nasty:oci");
    world.finish();
}

#[test]
fn a_docker_archive_on_standard_input() {
    let world = World::empty();
    let done = feed(&mut world.command(&["load"]), &archive(&docker(&layers())));
    assert_eq!((done.code, done.out.as_str()), (0, "Loaded image: nasty:docker\n"), "{done:?}");
    check(&world, "nasty:docker");
    world.finish();
}

/// The nasty image, and the archive that we save of it.
fn saved(world: &World) -> (String, String) {
    let done = feed(&mut world.command(&["load"]), &archive(&oci(&layers())));
    assert_eq!(done.code, 0, "{done:?}");
    let file = world.folder.join("saved.tar").display().to_string();
    world.ok(&["save", "-o", &file, "nasty:oci"]);
    (world.ok(&["images", "-q", "--no-trunc"]), file)
}

/// Another store that loads what a peer wrote has the image, exactly.
fn comes_back(what: &str, archive: &str, id: &str) {
    let world = World::empty();
    let done = imgstore(&world, "vfs", &["load", archive]);
    assert_eq!(done.code, 0, "{what}: {done:?}");
    assert_eq!(world.ok(&["images", "-q", "--no-trunc"]), id, "{what}");
    let out = world.folder.join("out");
    let done = imgstore(&world, "vfs", &["checkout", id, out.to_str().expect("path")]);
    assert_eq!(done.code, 0, "{what}: {done:?}");
    compare(what, &out);
    std::fs::remove_dir_all(&out).expect("remove");
    world.finish();
}

#[test]
fn skopeo_and_umoci_read_what_we_save() {
    let world = World::empty();
    let (id, file) = saved(&world);
    let path = |name: &str| world.folder.join(name).display().to_string();
    let digest =
        |image: &str| registry::peer("skopeo", &["inspect", "--format", "{{.Digest}}", image]);
    let ours = digest(&format!("oci-archive:{file}"));
    let (layout, again, docker) = (path("layout"), path("again.tar"), path("docker.tar"));
    let policy = "--insecure-policy";
    for (from, to, more) in [
        // Else it compresses.
        (format!("oci-archive:{file}"), format!("oci:{layout}:1"), "--preserve-digests"),
        (format!("oci:{layout}:1"), format!("oci-archive:{again}"), "--preserve-digests"),
        (format!("docker-archive:{file}"), format!("docker-archive:{docker}:nasty:oci"), "-q"),
    ] {
        registry::peer("skopeo", &[policy, "copy", "-q", more, &from, &to]);
    }
    // The same manifest, to the byte.
    assert_eq!(digest(&format!("oci:{layout}:1")), ours);
    assert_eq!(digest(&format!("oci-archive:{again}")), ours);
    for archive in [&layout, &again, &docker] {
        comes_back(archive, archive, &id);
    }
    let bundle = path("bundle");
    registry::peer("umoci", &["unpack", "--image", &format!("{layout}:1"), &bundle]);
    // It gives folders without a header the present time, and everything else as we do.
    let rootfs = Path::new(&bundle).join("rootfs");
    let own_time = |line: &String| !line.contains("\"imp");
    let found: Vec<String> = tree(&rootfs).into_iter().filter(own_time).collect();
    assert_eq!(found, expected().into_iter().filter(own_time).collect::<Vec<_>>());
    std::fs::remove_dir_all(&bundle).expect("remove");
    world.finish();
}

/// Not the nasty image: podman 4.3 loses a file that a layer has twice, and the modes of linked ones.
#[test]
fn podman_reads_what_we_save() {
    let world = World::empty();
    let file = world.folder.join("saved.tar").display().to_string();
    let path = |name: &str| world.folder.join(name).display().to_string();
    let (root, run) = (path("podman"), path("podman-run"));
    let podman = |words: &[&str]| {
        let base = ["--root", &root, "--runroot", &run, "--storage-driver", "vfs"];
        registry::peer("podman", &[&base[..], words].concat()).trim().to_string()
    };
    let done = feed(&mut world.command(&["import", "-", "bb"]), &support::busybox_tar());
    let id = done.out.trim_end();
    world.ok(&["save", "-o", &file, "bb"]);
    podman(&["load", "-q", "-i", &file]);
    for format in ["oci-archive", "docker-archive"] {
        let archive = path(format);
        podman(&["save", "-q", "--format", format, "-o", &archive, "bb"]);
        let other = World::empty();
        let done = imgstore(&other, "vfs", &["load", &archive]);
        assert_eq!(done.code, 0, "{format}: {done:?}");
        assert_eq!(other.ok(&["images", "-q", "--no-trunc"]), id, "{format}");
        other.finish();
    }
    podman(&["rmi", "-f", "-a"]);
    std::fs::remove_dir_all(root).expect("remove");
    world.finish();
}
