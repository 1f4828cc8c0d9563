//! A store to begin from, fresh copies of it, and what must hold in a copy after a command was disturbed.

use qemu_tests::image;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The small set's binary.
pub(crate) fn binary() -> PathBuf {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("workspace");
    let path = home.join("dist").join(std::env::consts::ARCH).join("small/coracle");
    assert!(path.exists(), "{} is missing: run cross/build --small --guest", path.display());
    path
}

pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) text: String,
}

pub(crate) fn done(command: &mut Command) -> Done {
    let out = command.output().expect("start");
    let text = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
    Done { code: out.status.code().unwrap_or(255), text }
}

/// The folder, with the archives `new.tar` and `other.tar`, which share nothing.
pub(crate) struct Trial {
    pub(crate) folder: PathBuf,
}

impl Trial {
    pub(crate) fn new(place: &Path, name: &str) -> Trial {
        let now = std::time::UNIX_EPOCH.elapsed().expect("time").as_nanos();
        let folder = place.join(format!("coracle-{name}-{now:x}"));
        std::fs::create_dir_all(&folder).expect("mkdir");
        let archives = image::archives(b"a small program", "amd64").expect("archives");
        std::fs::write(folder.join("new.tar"), archives.oci).expect("write");
        std::fs::write(folder.join("other.tar"), archives.docker).expect("write");
        Trial { folder }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    pub(crate) fn command(&self, program: &Path, store: &str) -> Command {
        let mut command = Command::new(program);
        command.env("CORACLE_ROOT", self.path(store)).env("CORACLE_RUN", self.path("run"));
        command
    }

    pub(crate) fn coracle(&self, store: &str, words: &[&str]) -> Done {
        done(self.command(&binary(), store).args(words))
    }

    /// Runs a command by `nth-call` with these words; gives also its report: how many calls, and what was
    /// done to one.
    pub(crate) fn nth(
        &self,
        options: &[&str],
        numbers: [usize; 2],
        words: &[&str],
    ) -> (Done, usize, String) {
        let report = self.path("report");
        let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_nth-call")), "store");
        command.args(options).arg(&report).args(numbers.map(|number| number.to_string()));
        let done = done(command.arg(binary()).args(words));
        let report = std::fs::read_to_string(&report).expect("report");
        let (count, what) = report.split_once(' ').expect("report");
        (done, count.parse().expect("count"), what.to_string())
    }

    /// A new copy of the store `base`.
    pub(crate) fn fresh(&self) {
        self.copy("base", "store");
    }

    /// A store as another one is.
    pub(crate) fn copy(&self, from: &str, to: &str) {
        let (from, to) = (self.path(from), self.path(to));
        let _ = std::fs::remove_dir_all(&to);
        let copied = Command::new("cp").args(["-a", &from, &to]).status().expect("cp");
        assert!(copied.success());
    }

    /// Names in the copy, sorted.
    fn names(&self) -> Vec<String> {
        let done = self.coracle("store", &["imgstore", "images"]);
        assert_eq!(done.code, 0, "{}", done.text);
        let name = |line: &str| {
            let mut words = line.split_whitespace();
            format!("{}:{}", words.next().unwrap_or(""), words.next().unwrap_or(""))
        };
        // An image whose name was not written any more is one without a name.
        let named = |name: &String| name != "<none>:<none>";
        let mut names: Vec<String> = done.text.lines().skip(1).map(name).filter(named).collect();
        names.sort();
        names
    }

    fn clean(&self, what: &str) {
        let fsck = self.coracle("store", &["imgstore", "fsck", "--deep"]);
        assert_eq!(fsck.code, 0, "{what}: {}", fsck.text);
    }

    /// The old state is intact or the new one whole, and the next try completes.
    pub(crate) fn check(
        &self,
        what: &str,
        words: &[&str],
        done: &Done,
        before: &[&str],
        after: &[&str],
    ) {
        self.clean(what);
        let names = self.names();
        // What was acknowledged is there; what was not may be, too.
        assert!(names == after || done.code != 0 && names == before, "{what}: {names:?}");
        let again = self.coracle("store", words);
        let gone = words.contains(&"rmi") && names == after;
        assert_eq!(again.code, i32::from(gone), "{what}, again: {}", again.text);
        assert_eq!(self.names(), after, "{what}, again");
        let gc = self.coracle("store", &["imgstore", "gc"]);
        assert_eq!(gc.code, 0, "{what}: {}", gc.text);
        self.clean(&format!("{what}, again"));
        let work = std::fs::read_dir(self.folder.join("store/work")).expect("work").count();
        assert_eq!(work, 0, "{what}");
    }
}
