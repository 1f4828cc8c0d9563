//! How much there is, what goes, and disks that are full.

#![allow(clippy::expect_used)]

use std::process::Command;
use support::{World, busybox_tar, feed};

#[test]
fn what_nobody_needs_is_shown_and_goes() {
    let world = World::new();
    let row = |name: &str| {
        let text = world.ok(&["system", "df"]);
        let line = text.lines().find(|line| line.starts_with(name)).expect("row").to_string();
        line.split_whitespace().map(str::to_string).collect::<Vec<_>>()
    };
    assert_eq!(row("Images")[1..3], ["1", "0"]);
    world.ok(&[
        "run",
        "--name",
        "kept",
        "--net",
        "none",
        "bb",
        "sh",
        "-c",
        "yes | head -c 100000 >/f",
    ]);
    assert_eq!(row("Images")[1..3], ["1", "1"]);
    let containers = row("Containers");
    assert_eq!(containers[1..3], ["1", "0"]);
    assert!(containers[3].ends_with("kB") && containers[4] == containers[3], "{containers:?}");
    // Another image takes the name: the old one has none, and a container.
    let mut other = busybox_tar();
    other.truncate(other.len() - 1024);
    other.extend(tar_of("more", b"more"));
    assert_eq!(feed(&mut world.command(&["import", "-", "bb"]), &other).code, 0);
    let prune = |words: &[&str]| world.ok(&[&["image", "prune", "-f"], words].concat());
    assert_eq!(prune(&[]), "Total reclaimed space: 0B");
    world.ok(&["rm", "kept"]);
    assert_eq!(prune(&["--filter", "until=1h"]), "Total reclaimed space: 0B");
    assert_eq!(prune(&["--filter", "label=x"]), "Total reclaimed space: 0B");
    let text = prune(&["--filter", "label!=x"]);
    assert!(text.starts_with("Deleted Images:\ndeleted: sha256:") && text.contains("MB"), "{text}");
    assert_eq!(row("Images")[1..3], ["1", "0"]);
    let text = prune(&["-a"]);
    assert!(text.contains("untagged: bb:latest\n"), "{text}");
    assert_eq!(row("Images")[1..], ["0", "0", "0B", "0B"]);
    world.finish();
}

fn tar_of(name: &str, content: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, content).expect("tar");
    tar.into_inner().expect("tar")
}

/// A disk of its own below the world's folder, for ever full when `fill` is done.
fn on_disk(world: &World, make: &str, script: &str) {
    let folder = world.folder.display();
    let text = format!(
        "set -e; cd {folder}; mkdir disk; truncate -s 200M image; {make}; {script}; umount disk"
    );
    let out = Command::new("unshare")
        .args(["-m", "sh", "-c", &text])
        .env("CORACLE", support::binary())
        .output()
        .expect("unshare");
    let (out, error) =
        (out.status, String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned());
    assert!(out.success(), "{make}: {error}");
}

#[test]
fn a_full_disk_refuses_in_time_and_deletes() {
    let noise: Vec<u8> = (0..300u64 << 17)
        .flat_map(|n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .collect();
    for (name, make) in [
        ("ext4", "mkfs.ext4 -q -O ^has_journal image; mount -o loop image disk"),
        ("ext4 with a journal", "mkfs.ext4 -q image; mount -o loop image disk"),
        ("btrfs", "mkfs.btrfs -q image; mount -o loop image disk"),
        ("tmpfs", "mount -t tmpfs -o size=200m t disk"),
    ] {
        let world = World::empty();
        std::fs::write(world.folder.join("bb.tar"), busybox_tar()).expect("write");
        std::fs::write(world.folder.join("big.tar"), tar_of("big", &noise)).expect("write");
        let script = "export CORACLE_ROOT=$PWD/disk/root CORACLE_RUN=$PWD/disk/run
            $CORACLE import bb.tar bb >/dev/null; $CORACLE import bb.tar two >/dev/null
            $CORACLE create --name early --net none bb true >/dev/null
            ! $CORACLE import big.tar big 2>err; grep -q 'more room than the disk has' err
            [ -z \"$(ls disk/root/work)\" ]
            # There is still room for what is small.
            $CORACLE create --name late --net none bb true >/dev/null
            dd if=/dev/zero of=disk/fill bs=64k 2>/dev/null || true
            dd if=/dev/zero of=disk/fill2 bs=1k 2>/dev/null || true
            dd if=/dev/zero of=disk/fill3 bs=1 2>/dev/null || true
            ! $CORACLE import bb.tar three 2>err; [ \"$(wc -l <err)\" = 1 ]; grep -q '^coracle: ' err
            $CORACLE rm early late >/dev/null
            $CORACLE image prune -f >/dev/null
            $CORACLE rmi bb >/dev/null; $CORACLE rmi two >/dev/null
            $CORACLE imgstore gc >/dev/null
            [ -z \"$(ls disk/root/images disk/root/names disk/root/work | grep -v :)\" ]
            [ -z \"$(ls disk/root/layers)\" ]
            rm disk/fill*; $CORACLE import bb.tar again >/dev/null; $CORACLE imgstore fsck --deep"
            .replace("\n", "; ")
            .replace("# There is still room for what is small.;", "");
        on_disk(&world, make, &script);
        eprintln!("{name}: done");
        world.finish();
    }
}
