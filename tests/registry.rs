//! Images from registries: Debian's docker-registry over plain http.

#![allow(clippy::expect_used, clippy::panic)]

use support::registry::{Image, Registry, architecture, layout, noise, own_network, peer, tar_of};
use support::{Terminal, World, busybox_tar};

const NAME: &str = "127.0.0.1:5000/busybox:1";

/// A registry with busybox:1.
fn start() -> (World, Registry) {
    own_network();
    let world = World::empty();
    let registry = Registry::start(&world.folder, "", "");
    let folder = world.folder.join("layout");
    layout(&folder, &[("1", &[("", &Image::busybox())])]);
    registry.push(&folder, "1", "busybox:1");
    (world, registry)
}

/// The digest that skopeo reports.
fn digest(name: &str) -> String {
    let name = format!("docker://{name}");
    let words = ["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &name];
    peer("skopeo", &words).trim().to_owned()
}

#[test]
fn an_image_is_pulled_as_docker_pulls_it() {
    let (world, registry) = start();
    let image = Image::busybox();
    let layer = &support::registry::sha256(&image.layers[0])[7..19];
    let digest = digest(NAME);
    assert_eq!(digest, image.digest());
    let done = world.coracle(&["pull", NAME]);
    assert_eq!(done.code, 0, "{done:?}");
    let lines = [
        "1: Pulling from busybox".to_owned(),
        format!("{layer}: Pulling fs layer"),
        format!("{layer}: Verifying Checksum"),
        format!("{layer}: Download complete"),
        format!("{layer}: Pull complete"),
        format!("Digest: {digest}"),
        format!("Status: Downloaded newer image for {NAME}"),
        NAME.to_owned(),
    ];
    assert_eq!(done.out, lines.join("\n") + "\n");
    assert_eq!(done.err, "");
    // Again: nothing but the manifest is fetched.
    let blobs = registry.count("/blobs/");
    assert_eq!(blobs, 2, "the configuration and a layer");
    let again = world.ok(&["pull", NAME]);
    let want = [&lines[0], &lines[5], &format!("Status: Image is up to date for {NAME}"), NAME];
    assert_eq!(again, want.map(|line| line as &str).join("\n"));
    assert_eq!(registry.count("/blobs/"), blobs);
    assert_eq!(world.ok(&["pull", "-q", NAME]), NAME);
    // A second copy is nowhere, and nothing of the work is left.
    assert_eq!(std::fs::read_dir(world.root().join("work")).expect("read").count(), 0);
    assert_eq!(std::fs::read_dir(world.root().join("layers")).expect("read").count(), 1);
    let id = world.ok(&["inspect", "--format", "{{.Id}}", NAME]);
    assert_eq!(id, image.id());
    drop(registry);
    world.finish();
}

#[test]
fn an_absent_image_is_pulled_by_run() {
    let (world, registry) = start();
    let done = world.coracle(&["run", "--rm", "--net", "none", NAME, "echo", "hello"]);
    assert_eq!((done.code, done.out.as_str()), (0, "hello\n"), "{done:?}");
    let first = done.err.lines().next();
    assert_eq!(first, Some(&*format!("Unable to find image '{NAME}' locally")));
    assert!(done.err.contains("1: Pulling from busybox\n"), "{done:?}");
    assert!(done.err.ends_with(&format!("Downloaded newer image for {NAME}\n")), "{done:?}");
    let done = world.coracle(&["run", "--rm", "--net", "none", NAME, "echo", "again"]);
    assert_eq!((done.out.as_str(), done.err.as_str()), ("again\n", ""));
    let done = world.coracle(&["run", "--rm", "--net", "none", "127.0.0.1:5000/busybox:2"]);
    assert_eq!(done.code, 125);
    let want =
        "manifest for 127.0.0.1:5000/busybox:2 not found: manifest unknown: manifest unknown";
    assert!(done.err.contains(want), "{done:?}");
    drop(registry);
    world.finish();
}

#[test]
fn by_digest_by_platform_and_all_tags() {
    let (world, registry) = start();
    let own = Image::busybox();
    let other = Image::new(&[tar_of("other", b"cpu")], "s390x");
    let old = Image::new(&[tar_of("old", b"arm")], "arm");
    let own_platform = format!("linux/{}", architecture());
    let folder = world.folder.join("index");
    let images = [("linux/arm/v5", &old), (&*own_platform, &own), ("linux/s390x", &other)];
    layout(&folder, &[("1", &images), ("2", &[("", &old)])]);
    registry.push(&folder, "1", "several:1");
    registry.push(&folder, "2", "several:2");
    let name = "127.0.0.1:5000/several:1";
    let index = digest_of_tag(name);
    let out = world.ok(&["pull", name]);
    assert!(out.contains(&format!("Digest: {index}\n")), "{out}");
    let id = |name: &str| world.ok(&["inspect", "--format", "{{.Id}}", name]);
    assert_eq!(id(name), own.id());
    world.ok(&["pull", "--platform", "linux/s390x", name]);
    assert_eq!(id(name), other.id());
    world.ok(&["pull", "--platform", "linux/arm/v7", name]);
    assert_eq!(id(name), old.id(), "an older ARM's image runs on a newer ARM");
    for (platform, name, want) in [
        (
            "linux/riscv64",
            name,
            "no matching manifest for linux/riscv64 in the manifest list entries",
        ),
        ("linux/x/y/z", name, "\"linux/x/y/z\" is an invalid platform"),
        (
            "linux/s390x",
            "127.0.0.1:5000/several:2",
            "does not match the specified platform: wanted linux/s390x",
        ),
    ] {
        let done = world.coracle(&["pull", "--platform", platform, name]);
        assert_eq!(done.code, 1);
        assert!(done.err.contains(want), "{done:?}");
    }
    // By the digest of an index: the name must then be found without a registry.
    let by_digest = format!("127.0.0.1:5000/several@{index}");
    world.ok(&["pull", &by_digest]);
    assert_eq!(id(&by_digest), own.id());
    let images = world.ok(&["images", "--digests", "127.0.0.1:5000/several"]);
    assert!(images.contains(&index), "{images}");
    let gone = world.ok(&["rmi", &by_digest]);
    assert!(gone.starts_with(&format!("Untagged: {by_digest}")), "{gone}");
    let wrong = format!("127.0.0.1:5000/several@sha256:{}", "0".repeat(64));
    assert!(world.coracle(&["pull", &wrong]).err.contains("manifest unknown"));
    world.ok(&["rmi", "-f", name]);
    // All tags.
    let out = world.ok(&["pull", "--all-tags", "127.0.0.1:5000/several"]);
    assert!(out.contains("1: Pulling from several\n") && out.contains("2: Pulling from several\n"));
    assert_eq!((id(name), id("127.0.0.1:5000/several:2")), (own.id(), old.id()));
    assert_eq!(world.coracle(&["pull", "-a", name]).code, 1);
    drop(registry);
    world.finish();
}

/// The digest of what the tag names, be it an index.
fn digest_of_tag(name: &str) -> String {
    let name = format!("docker://{name}");
    let raw = peer("skopeo", &["inspect", "--tls-verify=false", "--raw", &name]);
    support::registry::sha256(raw.as_bytes())
}

#[test]
fn layers_that_are_here_are_not_fetched_and_trees_are_those_of_load() {
    let (world, registry) = start();
    let mut tars = vec![busybox_tar()];
    // A name that goes, a folder without a header, the same layer twice, one with a link to below.
    tars.push(tar_of("home/x/y", b"a file"));
    tars.push(tar_of("etc/.wh.group", b""));
    tars.push(tar_of("twin", b"a file"));
    tars.push(tar_of("home/x/y", b"another file"));
    tars.push(tar_of("twin", b"a file"));
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Link);
    header.set_size(0);
    header.set_mode(0o644);
    tar.append_link(&mut header, "srv/link", "etc/passwd").expect("tar");
    tars.push(tar.into_inner().expect("tar"));
    tars.extend((0..20).map(|n| tar_of(&format!("many/{n}"), &noise(n, 1000))));
    let folder = world.folder.join("more");
    layout(&folder, &[("1", &[("", &Image::new(&tars, architecture()))])]);
    registry.push(&folder, "1", "more:1");
    world.ok(&["pull", NAME]);
    let before = registry.count("/blobs/");
    let out = world.ok(&["pull", "127.0.0.1:5000/more:1"]);
    assert_eq!(out.matches(": Already exists").count(), 1, "{out}");
    // The configuration, and every layer but the lowest; one is there twice.
    assert_eq!(registry.count("/blobs/") - before, 1 + tars.len() - 2);
    let loaded = World::empty();
    loaded.ok(&["imgstore", "load", &folder.to_string_lossy()]);
    let list = |world: &World| {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(world.root().join("layers")).expect("read").flatten() {
            let text = |name: &str| {
                let text = std::fs::read_to_string(entry.path().join(name)).expect("read");
                let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
                lines.sort();
                lines
            };
            found.push((entry.file_name(), text("files"), text("record")));
        }
        found.sort();
        found
    };
    assert_eq!(list(&world), list(&loaded));
    let script = "cat /home/x/y /srv/link; ls /etc /many | wc -l";
    let run = |world: &World, name: &str| {
        world.ok(&["run", "--rm", "--net", "none", name, "sh", "-c", script])
    };
    assert_eq!(run(&world, "127.0.0.1:5000/more:1"), run(&loaded, "more:1"));
    drop(registry);
    loaded.finish();
    world.finish();
}

#[test]
fn a_terminal_gets_bars() {
    let (world, registry) = start();
    let folder = world.folder.join("big");
    let image = Image::new(&[tar_of("big", &noise(1, 30 << 20))], architecture());
    layout(&folder, &[("1", &[("", &image)])]);
    registry.push(&folder, "1", "big:1");
    let line = format!("{} pull 127.0.0.1:5000/big:1", support::binary().display());
    let mut terminal = Terminal::start(&world, &line);
    terminal.expect("Pulling from big").expect("Downloading [=").expect("MB/3");
    terminal.expect("Pull complete").expect("Downloaded newer image");
    assert_eq!(terminal.end(), 0);
    drop(registry);
    world.finish();
}

#[test]
fn a_registry_that_is_not_there() {
    own_network();
    let world = World::empty();
    for (name, want) in [
        ("127.0.0.1:5000/x", "connection to 127.0.0.1:5000: Connection refused"),
        ("nowhere.invalid/x", "nowhere.invalid"),
        ("127.0.0.1:5000/X", "invalid reference format"),
    ] {
        let done = world.coracle(&["pull", name]);
        assert_eq!(done.code, 1);
        assert!(done.err.contains(want), "{done:?}");
        assert_eq!(done.err.lines().count(), 1, "{done:?}");
    }
    assert_eq!(world.ok(&["images", "-q"]), "");
    world.finish();
}

/// The number of sync calls is part of what a pull promises: flash wears.
#[test]
fn a_pull_syncs_at_most_three_times_more_than_it_has_layers() {
    let (world, registry) = start();
    for (name, sizes) in [
        ("small", &[1000, 1000, 1000][..]),
        ("large", &[5 << 20, 1000, 5 << 20]),
        ("one", &[6 << 20]),
    ] {
        let tar = |(n, size): (usize, &usize)| {
            tar_of(&format!("{name}-{n}"), &noise(*size as u64, *size))
        };
        let tars: Vec<Vec<u8>> = sizes.iter().enumerate().map(tar).collect();
        let folder = world.folder.join(name);
        layout(&folder, &[("1", &[("", &Image::new(&tars, architecture()))])]);
        registry.push(&folder, "1", &format!("{name}:1"));
        let log = world.folder.join("strace");
        let words = ["-f", "-qq", "-e", "trace=fsync,fdatasync,syncfs,sync", "-o"];
        let name = format!("127.0.0.1:5000/{name}:1");
        let mut command = std::process::Command::new("strace");
        command.args(words).arg(&log).arg(support::binary()).args(["pull", "-q", &name]);
        command.env("CORACLE_ROOT", world.root()).env("CORACLE_RUN", world.run_folder());
        let done = support::Done::from(command.output().expect("strace"));
        assert_eq!(done.code, 0, "{done:?}");
        let text = std::fs::read_to_string(&log).expect("read");
        let count = text.lines().filter(|line| line.contains("sync")).count();
        assert!((4..=sizes.len() + 3).contains(&count), "{name}: {count} syncs\n{text}");
    }
    drop(registry);
    world.finish();
}
