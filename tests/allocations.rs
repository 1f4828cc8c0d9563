//! Any allocation may fail: the command ends in some clean way (an error, or at once by a signal of its own),
//! the old state is intact, and the next try completes. The Nth one, or all from the Nth on, for sampled N of
//! load, import, commit, tag and rmi. A build for tests does it (`base/sys/src/heap.rs`); what it left is
//! looked at with the static binary. `qemu-tests/tests/memory.rs` refuses that binary the kernel's memory.

#![allow(clippy::expect_used)]

use std::os::unix::process::CommandExt;
use std::process::Command;
use support::nasty::{archive, layers_with, oci};
use support::{Done, World, binary};

/// How many allocations of each command fail, each in both ways.
const SAMPLES: u64 = 16;
/// So many of the last ones are looked at more closely.
const LAST: u64 = 60;

struct Bench {
    world: World,
    /// Ends by an error, by a signal, and with success all the same.
    ends: [usize; 3],
}

impl Bench {
    fn copy(&self, from: &str, to: &str) {
        let (from, to) = (self.world.folder.join(from), self.world.folder.join(to));
        let _ = std::fs::remove_dir_all(&to);
        let done = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp");
        assert!(done.success());
    }

    fn command(&self, program: &std::path::Path, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.env("CORACLE_ROOT", self.world.root()).env("CORACLE_RUN", self.world.run_folder());
        command.args(words);
        command
    }

    /// With the test build, on a copy of the store.
    fn failing(&self, which: &str, words: &[&str]) -> Done {
        self.copy("base", "root");
        // One that hangs is killed, and so found.
        let limited = ["-s", "KILL", "100", env!("CARGO_BIN_EXE_coracle")];
        let mut command = self.command(std::path::Path::new("timeout"), &limited);
        command.args(words).env("CORACLE_FAIL_ALLOCATION", which).output().expect("coracle").into()
    }

    fn imgstore(&self, words: &[&str]) -> Done {
        self.command(&binary(), words).arg0("imgstore").output().expect("imgstore").into()
    }

    fn names(&self) -> Vec<String> {
        let done = self.imgstore(&["images"]);
        assert_eq!(done.code, 0, "{done:?}");
        let name = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(":");
        let named = |name: &String| name != "<none>:<none>";
        let mut names: Vec<String> = done.out.lines().skip(1).map(name).filter(named).collect();
        names.sort();
        names
    }

    fn clean(&self, what: &str) {
        let done = self.imgstore(&["fsck", "--deep"]);
        assert_eq!(done.code, 0, "{what}: {done:?}");
    }

    fn check(&mut self, what: &str, words: &[&str], done: &Done, after: &[&str]) {
        // As timeout gives SIGABRT and SIGILL on.
        let aborted = [-6, -4, 134, 132].contains(&done.code);
        let refused = [1, 125].contains(&done.code);
        assert!(done.code == 0 || aborted || refused, "{what}: {done:?}");
        assert!(!refused || !done.err.trim().is_empty(), "{what}: no message");
        self.ends[if refused { 0 } else { usize::from(aborted) + 2 * usize::from(!aborted) }] += 1;
        self.clean(what);
        let names = self.names();
        assert!(names == after || done.code != 0 && names == ["bb:latest"], "{what}: {names:?}");
        let again = self.command(&binary(), words).output().expect("coracle");
        let gone = words.contains(&"rmi") && names == after;
        assert!(again.status.success() || gone, "{what}, again: {again:?}");
        assert_eq!(self.names(), after, "{what}, again");
        let done = self.imgstore(&["gc"]);
        assert_eq!(done.code, 0, "{what}: {done:?}");
        self.clean(what);
        let work = std::fs::read_dir(self.world.root().join("work")).expect("work").count();
        assert_eq!(work, 0, "{what}");
    }

    /// About how many allocations it makes: the first power of two that is too many, halved down.
    fn count(&self, words: &[&str]) -> u64 {
        let fails = |n: u64| self.failing(&format!("{n}+"), words).code != 0;
        let mut above = 2;
        while fails(above) {
            above *= 2;
        }
        let mut below = above / 2;
        while above - below > 1 {
            let middle = below.midpoint(above);
            if fails(middle) { below = middle } else { above = middle }
        }
        below
    }
}

#[test]
fn any_allocation_may_fail() {
    let world = World::new();
    let (image, file) = (world.folder.join("image.tar"), world.folder.join("changed"));
    std::fs::write(&image, archive(&oci(&layers_with(b"small")))).expect("write");
    std::fs::write(&file, "changed").expect("write");
    world.ok(&["create", "--net", "none", "--name", "kept", "bb", "sh"]);
    world.ok(&["cp", file.to_str().expect("path"), "kept:/changed"]);
    let mut bench = Bench { world, ends: [0; 3] };
    bench.copy("root", "base");
    let image = image.to_str().expect("path");
    let steps: [(&[&str], &[&str]); 5] = [
        (&["load", "-q", "-i", image], &["bb:latest", "nasty:oci"]),
        (&["imgstore", "import", image, "new:1"], &["bb:latest", "new:1"]),
        (&["commit", "kept", "new:1"], &["bb:latest", "new:1"]),
        (&["imgstore", "tag", "bb", "new:1"], &["bb:latest", "new:1"]),
        (&["rmi", "-f", "bb"], &[]),
    ];
    for (words, after) in steps {
        let count = bench.count(words);
        let samples = SAMPLES.min(count);
        for sample in 0..samples {
            // Every second one among the last, where things come into their places.
            let n = match sample % 2 {
                0 => 1 + sample * count / samples,
                _ => count - sample * count.min(LAST) / samples,
            };
            for which in [n.to_string(), format!("{n}+")] {
                let done = bench.failing(&which, words);
                bench.check(&format!("{words:?}, {which} of {count}"), words, &done, after);
            }
        }
        eprintln!("{words:?}: {count} allocations");
    }
    let [refused, aborted, done] = bench.ends;
    eprintln!("{refused} refused, {aborted} aborted, {done} done");
    assert!(aborted > 0);
    bench.copy("base", "root");
    bench.world.ok(&["rm", "kept"]);
    bench.world.finish();
}
