//! Flash wears, and a sync can take seconds there: how many of them each command makes, counted by
//! strace.

#![allow(clippy::expect_used)]

use std::process::Command;
use support::World;

/// Runs a command line under strace and gives its calls that write to the disk.
fn syncs(world: &World, words: &[&str]) -> Vec<String> {
    let log = world.folder.join("strace");
    let plain = world.command(words);
    let mut traced = Command::new("strace");
    traced
        .args(["-f", "-qq", "-e", "trace=fsync,fdatasync,sync,syncfs,sync_file_range,msync"])
        .args(["-e", "signal=none", "-o"])
        .arg(&log)
        .arg(plain.get_program())
        .args(plain.get_args())
        .stdin(std::process::Stdio::null());
    support::same_environment(&plain, &mut traced);
    let done = traced.output().expect("start strace");
    assert!(done.status.success(), "{words:?}: {done:?}");
    let text = std::fs::read_to_string(&log).expect("read strace's log");
    // sync_file_range only begins to write: nobody waits for it, and it flushes no cache.
    let wanted = |line: &&str| line.contains("sync(") || line.contains("syncfs(");
    text.lines().filter(wanted).map(str::to_string).collect()
}

#[test]
fn few_syncs() {
    let world = World::new();
    let most = |count: usize, words: &[&str]| {
        let found = syncs(&world, words);
        assert!(found.len() <= count, "{words:?}: {found:#?}");
        found.len()
    };
    most(0, &["run", "--rm", "--net", "none", "bb", "sh", "-c", "echo x >/file"]);
    most(0, &["ps", "-a"]);
    // A record that a power cut must not take: it would be no test that counts nothing.
    let create = |seconds| ["create", "--net", "none", "--name", "kept", "bb", "sleep", seconds];
    assert!(most(3, &create("1")) > 0);
    // strace stays until the container's monitor ends, and counts that too.
    assert!(most(1, &["start", "kept"]) > 0);
    most(3, &["rm", "kept"]);
    world.ok(&create("60"));
    world.ok(&["start", "kept"]);
    assert!(most(1, &["stop", "-t", "0", "kept"]) > 0);
    world.ok(&["start", "kept"]);
    most(1, &["kill", "kept"]);
    most(3, &["rm", "-f", "kept"]);
    // One layer: its data at once, and names.
    let tar = world.folder.join("bb.tar");
    std::fs::write(&tar, support::busybox_tar()).expect("write");
    most(4, &["import", &tar.to_string_lossy(), "second"]);
    world.finish();
}

#[test]
fn small_files_begin_their_way_early() {
    let world = World::new();
    let tar = world.folder.join("many.tar");
    let script = "mkdir -p $1/files && cd $1/files && seq 6000 | xargs touch && tar -cf $2 .";
    let made = Command::new("sh").args(["-c", script, "sh"]).arg(&world.folder).arg(&tar).status();
    assert!(made.expect("start sh").success());
    let found = syncs(&world, &["import", &tar.to_string_lossy(), "many"]);
    let whole = found.iter().filter(|line| line.contains("syncfs(")).count();
    let processors = std::thread::available_parallelism().expect("count processors").get();
    // One beside the rest, where there is a processor for it, and the one that counts.
    assert_eq!(whole, if processors > 1 { 2 } else { 1 }, "{found:#?}");
    world.finish();
}
