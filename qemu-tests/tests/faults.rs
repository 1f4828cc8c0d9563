//! The Nth call fails, or the process is killed there: the old state is intact, the message is one
//! line, and the next try completes. Every N of load, tag, rmi, import, gc and fsck on a small image, each with
//! one of its errors in turn; with CORACLE_FAULTS=all, with every error. And some calls by chance of a load of the
//! Debian image that `tests/debian-root` made; CORACLE_FAULTS=debian:500 tries so many.

#![allow(clippy::expect_used, clippy::panic)]

#[path = "../support/trial.rs"]
mod trial;

use qemu_tests::random::Random;
use std::path::Path;
use std::process::Command;
use trial::{Done, Trial, done};

struct Bench {
    trial: Trial,
    count: usize,
    failures: usize,
    killed: usize,
}

impl Bench {
    fn new(place: &Path) -> Bench {
        let trial = Trial::new(place, "faults");
        let bench = Bench { trial, count: 0, failures: 0, killed: 0 };
        // The old state: an image that shares nothing with the new one.
        let other = bench.trial.path("other.tar");
        let done = bench.trial.coracle("base", &["imgstore", "import", &other, "old:1"]);
        assert_eq!(done.code, 0, "{}", done.text);
        bench
    }

    /// Runs it with its Nth call failing in the Kth way; gives also what was done.
    fn nth(&self, n: usize, k: usize, words: &[&str]) -> (Done, usize, String) {
        self.trial.nth(&[], [n, k], &[&["imgstore"], words].concat())
    }

    fn check(&mut self, what: &str, words: &[&str], done: &Done, before: &[&str], after: &[&str]) {
        self.count += 1;
        match done.code {
            0 => {}
            137 => self.killed += 1,
            1 => {
                self.failures += 1;
                let lines: Vec<&str> = done.text.lines().collect();
                let ours = lines.iter().all(|line| line.starts_with("coracle: "));
                // What is left aside may be told, too.
                assert!(ours && (1..=2).contains(&lines.len()), "{what}: {}", done.text);
            }
            code => panic!("{what}: exit code {code}: {}", done.text),
        }
        self.trial.check(what, &[&["imgstore"], words].concat(), done, before, after);
    }
}

#[test]
fn every_call_may_fail_and_every_instant_be_the_last() {
    let mut bench = Bench::new(&std::env::temp_dir());
    let all = std::env::var("CORACLE_FAULTS").is_ok_and(|value| value == "all");
    let archive = bench.trial.path("new.tar");
    let steps: [(&[&str], &[&str], &[&str]); 6] = [
        // What fails once is no damage.
        (&["fsck", "--deep", "--repair"], &["old:1"], &["old:1"]),
        (&["load", "-q", &archive], &["old:1"], &["old:1", "probe:latest"]),
        (&["import", &archive, "new:1"], &["old:1"], &["new:1", "old:1"]),
        (&["tag", "old:1", "more:1"], &["old:1"], &["more:1", "old:1"]),
        (&["rmi", "old:1"], &["old:1"], &[]),
        (&["gc"], &["old:1"], &["old:1"]),
    ];
    for (words, before, after) in steps {
        bench.trial.fresh();
        let (first, calls, _) = bench.nth(usize::MAX, 0, words);
        assert_eq!(first.code, 0, "{}", first.text);
        let mut tried = 0;
        for n in 1..=calls {
            for k in 0..5 {
                // Two of them for each call: one error in turn, and the kill.
                if !all && k != n % 4 && k != 4 {
                    continue;
                }
                bench.trial.fresh();
                let (mut run, _, mut what) = bench.nth(n, k, words);
                if what.ends_with("none") && k == 4 {
                    // A call with fewer errors: its kill comes sooner.
                    for k in (1..4).rev() {
                        bench.trial.fresh();
                        (run, _, what) = bench.nth(n, k, words);
                        if what.ends_with("killed") {
                            break;
                        }
                    }
                }
                if what.ends_with("none") {
                    continue;
                }
                tried += 1;
                bench.check(&format!("{} {n}: {what}", words[0]), words, &run, before, after);
            }
        }
        assert!(tried >= calls, "{words:?}: {tried} of {calls}");
        eprintln!("{}: {calls} calls, {tried} tries", words[0]);
    }
    eprintln!("{} tries, {} failed, {} killed", bench.count, bench.failures, bench.killed);
    std::fs::remove_dir_all(&bench.trial.folder).expect("remove");
}

/// An OCI archive of the Debian image.
fn debian(bench: &Bench) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debian/root");
    assert!(root.exists(), "{} is missing: run tests/debian-root", root.display());
    let (tar, archive) = (bench.trial.path("debian.tar"), bench.trial.path("debian"));
    let root = root.display().to_string();
    let packed = done(Command::new("tar").args(["-C", &root, "--numeric-owner", "-cf", &tar, "."]));
    assert_eq!(packed.code, 0, "{}", packed.text);
    for words in [
        &["import", &tar, "debian:1"][..],
        &["save", "--format", "oci-archive", "-o", &archive, "debian:1"],
    ] {
        let done = bench.trial.coracle("maker", &[&["imgstore"], words].concat());
        assert_eq!(done.code, 0, "{}", done.text);
    }
    std::fs::remove_file(tar).expect("remove");
    std::fs::remove_dir_all(bench.trial.folder.join("maker")).expect("remove");
    archive
}

#[test]
fn a_load_of_debian_may_fail_at_any_call() {
    let asked = std::env::var("CORACLE_FAULTS").unwrap_or_default();
    let tries = asked.strip_prefix("debian:").map_or(2, |text| text.parse().expect("a number"));
    // In RAM where that is possible: each try writes it all twice.
    let memory = Path::new("/dev/shm");
    let place = if memory.exists() { memory.into() } else { std::env::temp_dir() };
    let mut bench = Bench::new(&place);
    let archive = debian(&bench);
    let words = ["load", "-q", &archive];
    bench.trial.fresh();
    let (first, calls, _) = bench.nth(usize::MAX, 0, &words);
    assert_eq!(first.code, 0, "{}", first.text);
    let seed = std::time::UNIX_EPOCH.elapsed().expect("time").as_nanos() as u64;
    let mut random = Random::new(seed);
    while bench.count < tries {
        let (n, k) = (1 + random.below(calls), random.below(5));
        bench.trial.fresh();
        let (run, _, what) = bench.nth(n, k, &words);
        if what.ends_with("none") {
            continue;
        }
        let what = format!("seed {seed}: load {n} of {calls}: {what}");
        bench.check(&what, &words, &run, &["old:1"], &["debian:1", "old:1"]);
        if bench.count.is_multiple_of(50) {
            eprintln!("{} tries, {} failed, {} killed", bench.count, bench.failures, bench.killed);
        }
    }
    eprintln!(
        "{calls} calls, {} tries, {} failed, {} killed",
        bench.count, bench.failures, bench.killed
    );
    std::fs::remove_dir_all(&bench.trial.folder).expect("remove");
}
