//! Allocations that fail: the Nth time that the command asks the kernel for memory, or from then on always,
//! there is none. Every N of load, import, commit, tag and rmi: an end of any clean kind, the old state
//! intact, and the next try completes. What the heap has already it can give; so no other allocation fails.

#![allow(clippy::expect_used, clippy::panic)]

#[path = "../support/trial.rs"]
mod trial;

use trial::{Done, Trial};

/// How the tries ended.
struct Bench {
    trial: Trial,
    refused: usize,
    aborted: usize,
    managed: usize,
}

/// 128 and SIGILL or SIGABRT: how the standard library ends a process where an allocation cannot be
/// refused, as it was built.
const ABORTED: [i32; 2] = [132, 134];

impl Bench {
    fn new() -> Bench {
        let trial = Trial::new(&std::env::temp_dir(), "memory");
        std::fs::write(trial.folder.join("file"), "changed").expect("write");
        let bench = Bench { trial, refused: 0, aborted: 0, managed: 0 };
        let (other, file) = (bench.trial.path("other.tar"), bench.trial.path("file"));
        for words in [
            &["imgstore", "import", "--cmd", "sh", &other, "old:1"][..],
            &["create", "--net", "none", "--name", "kept", "old:1", "sh"],
            &["cp", &file, "kept:/changed"],
        ] {
            let done = bench.trial.coracle("base", words);
            assert_eq!(done.code, 0, "{words:?}: {}", done.text);
        }
        bench
    }

    fn check(&mut self, what: &str, words: &[&str], done: &Done, before: &[&str], after: &[&str]) {
        match done.code {
            0 => self.managed += 1,
            code if ABORTED.contains(&code) => self.aborted += 1,
            1 | 125 => {
                self.refused += 1;
                assert!(!done.text.trim().is_empty(), "{what}: no message");
            }
            code => panic!("{what}: exit code {code}: {}", done.text),
        }
        assert!(!done.text.contains("panicked"), "{what}: {}", done.text);
        self.trial.check(what, words, done, before, after);
    }
}

#[test]
fn every_allocation_may_fail() {
    let mut bench = Bench::new();
    let archive = bench.trial.path("new.tar");
    let steps: [(&[&str], &[&str], &[&str]); 6] = [
        (&["imgstore", "load", "-q", &archive], &["old:1"], &["old:1", "probe:latest"]),
        (&["imgstore", "import", &archive, "new:1"], &["old:1"], &["new:1", "old:1"]),
        (&["commit", "kept", "new:1"], &["old:1"], &["new:1", "old:1"]),
        (&["imgstore", "tag", "old:1", "more:1"], &["old:1"], &["more:1", "old:1"]),
        (&["imgstore", "rmi", "-f", "old:1"], &["old:1"], &[]),
        (&["rmi", "-f", "old:1"], &["old:1"], &[]),
    ];
    for (words, before, after) in steps {
        bench.trial.fresh();
        let (first, calls, _) = bench.trial.nth(&["--memory"], [usize::MAX, 0], words);
        assert_eq!(first.code, 0, "{}", first.text);
        for n in 1..=calls {
            for all in [false, true] {
                bench.trial.fresh();
                // Its Nth fails, and all after it if `all`.
                let (run, _, _) = bench.trial.nth(&["--memory"], [n, usize::from(all)], words);
                let what = format!("{words:?} {n} of {calls}, {}", if all { "all" } else { "one" });
                bench.check(&what, words, &run, before, after);
            }
        }
        eprintln!("{words:?}: {calls} calls");
    }
    eprintln!("{} refused, {} aborted, {} done", bench.refused, bench.aborted, bench.managed);
    assert!(bench.refused + bench.aborted > 0);
    let removed = bench.trial.coracle("base", &["rm", "kept"]);
    assert_eq!(removed.code, 0, "{}", removed.text);
    // What removes the container's files may still do so, a moment after the command has ended.
    for _ in 0..100 {
        if std::fs::remove_dir_all(&bench.trial.folder).is_ok() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("{} cannot be removed", bench.trial.folder.display());
}
