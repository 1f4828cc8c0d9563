//! Allocations that fail: the Nth time that the command asks the kernel for memory, or from then on always,
//! there is none. Every N of load, import, commit, tag and rmi: an end of any clean kind, the old state
//! intact, and the next try completes. What the heap has already it can give; so no other allocation fails.

#![allow(clippy::expect_used, clippy::panic)]

use qemu_tests::image;
use std::path::{Path, PathBuf};
use std::process::Command;

fn binary() -> PathBuf {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("workspace");
    let path = home.join("dist").join(std::env::consts::ARCH).join("small/coracle");
    assert!(path.exists(), "{} is missing: run cross/build --small --guest", path.display());
    path
}

struct Done {
    code: i32,
    text: String,
}

/// A folder with a store to begin from, and copies of it.
struct Bench {
    folder: PathBuf,
    refused: usize,
    aborted: usize,
    managed: usize,
}

/// 128 and SIGILL or SIGABRT: how the standard library ends a process where an allocation cannot be
/// refused, as it was built.
const ABORTED: [i32; 2] = [132, 134];

impl Bench {
    fn new() -> Bench {
        let now = std::time::UNIX_EPOCH.elapsed().expect("time").as_nanos();
        let folder = std::env::temp_dir().join(format!("coracle-memory-{now:x}"));
        std::fs::create_dir_all(&folder).expect("mkdir");
        let archives = image::archives(b"a small program", "amd64").expect("archives");
        std::fs::write(folder.join("new.tar"), archives.oci).expect("write");
        std::fs::write(folder.join("other.tar"), archives.docker).expect("write");
        std::fs::write(folder.join("file"), "changed").expect("write");
        let bench = Bench { folder, refused: 0, aborted: 0, managed: 0 };
        let (other, file) = (bench.path("other.tar"), bench.path("file"));
        for words in [
            &["imgstore", "import", "--cmd", "sh", &other, "old:1"][..],
            &["create", "--net", "none", "--name", "kept", "old:1", "sh"],
            &["cp", &file, "kept:/changed"],
        ] {
            let done = bench.coracle("base", words);
            assert_eq!(done.code, 0, "{words:?}: {}", done.text);
        }
        bench
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn command(&self, program: &Path, store: &str) -> Command {
        let mut command = Command::new(program);
        command.env("CORACLE_ROOT", self.path(store)).env("CORACLE_RUN", self.path("run"));
        command
    }

    fn coracle(&self, store: &str, words: &[&str]) -> Done {
        done(self.command(&binary(), store).args(words))
    }

    /// Runs it with its Nth call failing, and all after it if `all`; gives also how many there were.
    fn nth(&self, n: usize, all: bool, words: &[&str]) -> (Done, usize) {
        let report = self.path("report");
        let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_nth-call")), "store");
        command.args(["--memory", &report, &n.to_string(), &usize::from(all).to_string()]);
        let done = done(command.arg(binary()).args(words));
        let report = std::fs::read_to_string(&report).expect("report");
        let count = report.split(' ').next().expect("report");
        (done, count.parse().expect("count"))
    }

    fn fresh(&self) {
        let (base, store) = (self.path("base"), self.path("store"));
        let _ = std::fs::remove_dir_all(&store);
        let copied = Command::new("cp").args(["-a", &base, &store]).status().expect("cp");
        assert!(copied.success());
    }

    fn names(&self) -> Vec<String> {
        let done = self.coracle("store", &["imgstore", "images"]);
        assert_eq!(done.code, 0, "{}", done.text);
        let name = |line: &str| {
            let mut words = line.split_whitespace();
            format!("{}:{}", words.next().unwrap_or(""), words.next().unwrap_or(""))
        };
        let named = |name: &String| name != "<none>:<none>";
        let mut names: Vec<String> = done.text.lines().skip(1).map(name).filter(named).collect();
        names.sort();
        names
    }

    fn clean(&self, what: &str) {
        let fsck = self.coracle("store", &["imgstore", "fsck", "--deep"]);
        assert_eq!(fsck.code, 0, "{what}: {}", fsck.text);
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
        self.clean(what);
        let names = self.names();
        assert!(names == after || done.code != 0 && names == before, "{what}: {names:?}");
        let again = self.coracle("store", words);
        let gone = words.contains(&"rmi") && names == after;
        assert_eq!(again.code, i32::from(gone), "{what}, again: {}", again.text);
        assert_eq!(self.names(), after, "{what}, again");
        let gc = self.coracle("store", &["imgstore", "gc"]);
        assert_eq!(gc.code, 0, "{what}: {}", gc.text);
        self.clean(what);
        let work = std::fs::read_dir(self.folder.join("store/work")).expect("work").count();
        assert_eq!(work, 0, "{what}");
    }
}

fn done(command: &mut Command) -> Done {
    let out = command.output().expect("start");
    let text = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
    Done { code: out.status.code().unwrap_or(255), text }
}

#[test]
fn every_allocation_may_fail() {
    let mut bench = Bench::new();
    let archive = bench.path("new.tar");
    let steps: [(&[&str], &[&str], &[&str]); 6] = [
        (&["imgstore", "load", "-q", &archive], &["old:1"], &["old:1", "probe:latest"]),
        (&["imgstore", "import", &archive, "new:1"], &["old:1"], &["new:1", "old:1"]),
        (&["commit", "kept", "new:1"], &["old:1"], &["new:1", "old:1"]),
        (&["imgstore", "tag", "old:1", "more:1"], &["old:1"], &["more:1", "old:1"]),
        (&["imgstore", "rmi", "-f", "old:1"], &["old:1"], &[]),
        (&["rmi", "-f", "old:1"], &["old:1"], &[]),
    ];
    for (words, before, after) in steps {
        bench.fresh();
        let (first, calls) = bench.nth(usize::MAX, false, words);
        assert_eq!(first.code, 0, "{}", first.text);
        for n in 1..=calls {
            for all in [false, true] {
                bench.fresh();
                let (run, _) = bench.nth(n, all, words);
                let what = format!("{words:?} {n} of {calls}, {}", if all { "all" } else { "one" });
                bench.check(&what, words, &run, before, after);
            }
        }
        eprintln!("{words:?}: {calls} calls");
    }
    eprintln!("{} refused, {} aborted, {} done", bench.refused, bench.aborted, bench.managed);
    assert!(bench.refused + bench.aborted > 0);
    let removed = bench.coracle("base", &["rm", "kept"]);
    assert_eq!(removed.code, 0, "{}", removed.text);
    // What removes the container's files may still do so, a moment after the command has ended.
    for _ in 0..100 {
        if std::fs::remove_dir_all(&bench.folder).is_ok() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("{} cannot be removed", bench.folder.display());
}
