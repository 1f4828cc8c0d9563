//! Ten processes at once load, tag, remove, check out, collect and check; some are killed at any
//! instant. In the end the store is clean, and nothing is left that nobody needs.
//!
//! Five seconds; with CORACLE_STRESS=SECONDS as long as that.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;
use common::{Scratch, Tar, docker, oci};
use imgstore::Fsck;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// SplitMix64: a seed gives the same numbers again.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

#[test]
fn ten_processes_and_kills_leave_a_clean_store() {
    let seconds = std::env::var("CORACLE_STRESS").ok().and_then(|text| text.parse().ok());
    let seconds: u64 = seconds.unwrap_or(5);
    let scratch = Scratch::new();
    let store = scratch.store();
    let layer = |name: &str, size: usize| {
        Tar::new().folder("d/").file(&format!("d/{name}"), &name.repeat(size)).done()
    };
    let shared = layer("shared", 20_000);
    for number in 0..6 {
        let layers = [shared.clone(), layer(&format!("own{}", number / 2), 5000)];
        let name = format!("image{number}:1");
        let bytes =
            if number % 2 == 0 { oci(&layers, &name) } else { docker(&layers, &name) }.tar();
        std::fs::write(scratch.path.join(format!("{number}.tar")), bytes).unwrap();
    }
    let end = Instant::now() + Duration::from_secs(seconds);
    let (runs, kills, refused) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for seed in 0..10 {
            let (scratch, runs, kills, refused) = (&scratch, &runs, &kills, &refused);
            scope.spawn(move || {
                let mut random = Random(seed);
                while Instant::now() < end {
                    let number = random.below(6);
                    let file = scratch.path.join(format!("{number}.tar")).display().to_string();
                    let name = format!("image{number}:1");
                    let out = scratch.path.join(format!("out-{seed}")).display().to_string();
                    let words: Vec<&str> = match random.below(12) {
                        0..=3 => vec!["load", "-q", &file],
                        4 => vec!["import", &file, "imported"],
                        5 => vec!["tag", &name, "another:1"],
                        6 | 7 => vec!["rmi", "-f", &name],
                        8 => vec!["rmi", "another:1"],
                        9 => vec!["gc"],
                        10 => vec!["checkout", &name, &out],
                        _ => vec!["images"],
                    };
                    let mut child = Command::new(env!("CARGO_BIN_EXE_imgstore"))
                        .arg("--root")
                        .arg(scratch.path.join("root"))
                        .arg("--run")
                        .arg(scratch.path.join("run"))
                        .args(&words)
                        .stdout(Stdio::null())
                        .stderr(Stdio::piped())
                        .spawn()
                        .unwrap();
                    runs.fetch_add(1, Ordering::Relaxed);
                    if random.below(4) == 0 {
                        std::thread::sleep(Duration::from_micros(random.below(30_000)));
                        let _ = child.kill();
                        kills.fetch_add(1, Ordering::Relaxed);
                    }
                    let done = child.wait_with_output().unwrap();
                    let text = String::from_utf8_lossy(&done.stderr).into_owned();
                    if done.status.code() == Some(1) {
                        refused.fetch_add(1, Ordering::Relaxed);
                        // What another one did meanwhile, and nothing else.
                        let known = ["No such image", "try again", "being removed", "not empty"];
                        let fits = known.iter().any(|known| text.contains(known));
                        assert!(fits && text.lines().count() == 1, "{words:?}: {text}");
                    }
                    let _ = base::files::remove_tree(std::path::Path::new(&out));
                }
            });
        }
    });
    let (runs, kills) = (runs.into_inner(), kills.into_inner());
    assert!(runs > 50 && kills > 5, "{runs} runs, {kills} kills");
    eprintln!("{runs} runs, {kills} killed, {} refused", refused.into_inner());
    store.gc().unwrap();
    assert_eq!(store.fsck(Fsck { deep: true, repair: false }).unwrap().problems, []);
    assert_eq!(store.usage().unwrap().garbage, 0);
    for number in 0..6 {
        let file = scratch.path.join(format!("{number}.tar"));
        store.load_path(&file, &mut |_| ()).unwrap();
    }
    assert_eq!(store.fsck(Fsck { deep: true, repair: false }).unwrap().problems, []);
    for image in store.list().unwrap() {
        store.remove(&image.id.hex(), true).unwrap();
    }
    store.gc().unwrap();
    scratch.assert_empty();
}
