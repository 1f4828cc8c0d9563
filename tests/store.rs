//! Bad input and bad disks: one clear line, an exit code that is not 0, and nothing left behind.

#![allow(clippy::expect_used)]

use std::process::Command;
use support::{Done, World, busybox_tar, feed};

/// The one line on stderr of a command that must fail.
fn refused(done: &Done) -> String {
    assert_ne!(done.code, 0, "{done:?}");
    let lines: Vec<&str> = done.err.lines().filter(|line| line.starts_with("coracle: ")).collect();
    assert_eq!(lines.len(), 1, "{done:?}");
    lines[0].to_string()
}

fn import(world: &World, tar: &[u8]) -> Done {
    feed(&mut world.command(&["import", "-", "bad"]), tar)
}

/// A tar of one entry.
fn one(kind: tar::EntryType, name: &str, link: &str) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(0);
    let bytes = header.as_mut_bytes();
    // By hand: the crate would refuse these names.
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    bytes[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header.set_cksum();
    let mut tar = header.as_bytes().to_vec();
    tar.resize(tar.len() + 1024, 0);
    tar
}

#[test]
fn archives_that_lie_are_refused_and_leave_nothing() {
    let world = World::empty();
    let good = busybox_tar();
    let mut flipped = good.clone();
    flipped[148] ^= 1;
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gz, &good).expect("gzip");
    let gz = gz.finish().expect("gzip");
    let mut broken_gz = gz.clone();
    let middle = gz.len() / 2;
    broken_gz[middle] ^= 0x40;
    use tar::EntryType;
    let mut through = one(EntryType::Symlink, "out", "/tmp");
    through.truncate(512);
    through.extend(one(EntryType::Regular, "out/coracle-was-here", ""));
    let cases: [(&str, Vec<u8>); 10] = [
        ("nothing at all", Vec::new()),
        ("no tar", b"hello, I am not a tar".repeat(100)),
        ("cut short", good[..good.len() / 2].to_vec()),
        ("a flipped bit", flipped),
        ("gzip cut short", gz[..gz.len() / 2].to_vec()),
        ("gzip with a flipped bit", broken_gz),
        ("a name with ..", one(EntryType::Regular, "a/../../x", "")),
        ("a link out by ..", one(EntryType::Link, "x", "../../etc/passwd")),
        ("a hard link to nothing", one(EntryType::Link, "x", "nothing")),
        ("a whiteout as a device", {
            let mut tar = one(EntryType::Char, "x", "");
            tar.truncate(512);
            tar.extend(vec![0; 1024]);
            tar
        }),
    ];
    for (what, tar) in cases {
        let line = refused(&import(&world, &tar));
        assert!(line.len() < 300, "{what}: {line}");
        assert_eq!(world.ok(&["images", "-q"]), "", "{what}");
        assert!(is_empty(&world, "root/work") && is_empty(&world, "root/layers"), "{what}");
    }
    // Writing through a link replaces the link or is refused; it never leaves the layer.
    let _ = import(&world, &through);
    assert!(!std::path::Path::new("/tmp/coracle-was-here").exists());
    let line = refused(&world.coracle(&["load", "-i", "/nonexistent"]));
    assert!(line.contains("/nonexistent"), "{line}");
    let line = refused(&feed(&mut world.command(&["load"]), &good));
    assert!(line.len() < 300, "{line}");
    world.finish();
}

fn is_empty(world: &World, folder: &str) -> bool {
    std::fs::read_dir(world.folder.join(folder)).is_ok_and(|mut entries| entries.next().is_none())
}

#[test]
fn a_full_disk_is_said_and_survived() {
    let world = World::empty();
    std::fs::create_dir(world.root()).expect("mkdir");
    // The tests run in a mount namespace of their own.
    let mount = |options: &str| {
        let words = ["-t", "tmpfs", "-o", options, "tmpfs"];
        let status = Command::new("mount").args(words).arg(world.root()).status();
        assert!(status.expect("mount").success());
    };
    mount("size=1m");
    let line = refused(&import(&world, &busybox_tar()));
    assert!(line.contains("more room than the disk has"), "{line}");
    assert!(is_empty(&world, "root/work") && is_empty(&world, "root/layers"));
    // Room again: the same command works.
    mount("remount,size=64m");
    assert_eq!(import(&world, &busybox_tar()).code, 0);
    assert_eq!(world.coracle(&["run", "--rm", "--net", "none", "bad", "echo", "x"]).out, "x\n");
    // Read-only: what is there is seen, what would write says so.
    mount("remount,ro");
    assert!(world.ok(&["images"]).contains("bad"));
    let line = refused(&world.coracle(&["run", "--rm", "--net", "none", "bad", "true"]));
    assert!(line.contains("Read-only file system"), "{line}");
    let line = refused(&world.coracle(&["rmi", "bad"]));
    assert!(line.contains("Read-only file system"), "{line}");
    mount("remount,rw");
    world.ok(&["rmi", "bad"]);
    assert!(is_empty(&world, "root/layers"));
    assert!(Command::new("umount").arg(world.root()).status().expect("umount").success());
    world.finish();
}

#[test]
fn both_drivers_run_the_same_image() {
    let world = World::new();
    for driver in ["overlay", "vfs"] {
        let words = [
            "--driver",
            driver,
            "run",
            "--rm",
            "--net",
            "none",
            "bb",
            "sh",
            "-c",
            "echo $(id -u) > /new; cat /new; stat -c %a /tmp 2>/dev/null || ls -ld /tmp | head -c 10",
        ];
        let done = world.coracle(&words);
        assert_eq!(done.code, 0, "{driver}: {done:?}");
        assert!(done.out.starts_with("0\n"), "{driver}: {done:?}");
    }
    for (driver, text) in [
        ("zfs", "unknown storage driver 'zfs'"),
        ("aufs", "'aufs' is no longer one: overlay replaces it, and vfs works everywhere"),
        ("devicemapper", "'devicemapper' is no longer one: overlay replaces it"),
    ] {
        let words = ["--driver", driver, "run", "--rm", "--net", "none", "bb", "true"];
        let done = world.coracle(&words);
        assert_eq!(done.code, 125);
        assert!(done.err.contains(text), "{done:?}");
    }
    world.finish();
}

#[test]
fn an_ordinary_user_runs_hello_in_a_store_of_his_own() {
    let world = World::empty();
    // A copy that he can reach, in a folder that is his.
    let home = world.folder.join("home");
    std::fs::create_dir(&home).expect("mkdir");
    support::copy_binary(&home.join("coracle"));
    for folder in [&world.folder, &home] {
        std::os::unix::fs::chown(folder, Some(65534), Some(65534)).expect("chown");
    }
    for driver in ["overlay", "vfs"] {
        let output = Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(home.join("coracle"))
            .args(["--driver", driver, "run", "--rm", "--net", "none", "hello"])
            .env("HOME", &home)
            .env("XDG_RUNTIME_DIR", home.join("run"))
            .env_remove("XDG_DATA_HOME")
            .output()
            .expect("setpriv");
        let done = Done::from(output);
        assert_eq!(done.code, 0, "{driver}: {done:?}");
        assert!(done.out.contains("process id    1\n"), "{done:?}");
        assert!(done.err.contains("Ordinary user: no cgroup"), "{done:?}");
    }
    world.finish();
}

#[test]
fn a_root_folder_has_one_run_folder_and_lies_on_a_disk() {
    let world = World::new();
    world.ok(&["run", "-d", "--net", "none", "--name", "held", "bb", "sleep", "60"]);
    let other = world.folder.join("other-run");
    std::fs::create_dir(&other).expect("mkdir");
    let other = other.to_string_lossy().into_owned();
    for words in [&["ps", "-a"][..], &["run", "--rm", "--net", "none", "bb", "true"]] {
        let done = world.coracle(&[&["--run", &other], words].concat());
        assert!(refused(&done).contains("belongs to the run folder"), "{done:?}");
    }
    world.ok(&["--run", &other, "images"]);
    world.ok(&["rm", "-f", "held"]);
    // Where nobody named it, a folder in RAM is taken for a mistake.
    let script = "mount -t tmpfs none /var/lib && exec \"$0\" images";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).arg(support::binary());
    command.env_remove("CORACLE_ROOT").env("CORACLE_RUN", world.run_folder());
    let done: Done = command.output().expect("unshare").into();
    assert!(refused(&done).contains("lies in RAM"), "{done:?}");
    world.finish();
}
