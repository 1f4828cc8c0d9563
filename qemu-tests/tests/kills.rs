//! SIGKILL for load, import, pull, commit, tag, rmi and gc: before and after each rename, and at random instants;
//! the old state is intact or the new one whole, `fsck --deep` finds nothing, the next try completes, and
//! nothing is left behind. CORACLE_FAULTS=kills:500 kills so often by chance; the default set a few times.

#![allow(clippy::expect_used, clippy::panic)]

#[path = "../support/trial.rs"]
mod trial;

use qemu_tests::guest::registry::serve;
use qemu_tests::hosted;
use qemu_tests::random::Random;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tar::{Builder, EntryType, Header};
use trial::{Done, Trial, binary};

/// By chance, where nobody asks for more.
const FEW: usize = 14;
/// Tries for each kill that comes in time.
const TRIES: usize = 50;

/// A command, and the names before it and after it.
struct Step {
    words: Vec<String>,
    before: Vec<String>,
    after: Vec<String>,
    /// How long it takes, about.
    usual: Duration,
    /// By chance, before renames, after renames.
    kills: [usize; 3],
}

struct Bench {
    trial: Trial,
    random: Random,
    seed: u64,
}

/// An archive that takes a while: some hundred files, small and larger.
fn many(path: &Path) {
    let file = std::fs::File::create(path).expect("create");
    let mut tar = Builder::new(file);
    for number in 0..400_usize {
        let data = vec![number as u8; if number % 20 == 0 { 200_000 } else { 700 }];
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_size(data.len() as u64);
        tar.append_data(&mut header, format!("some/{number}"), &data[..]).expect("append");
    }
    tar.into_inner().expect("finish");
}

impl Bench {
    fn new() -> Bench {
        // In RAM where that is possible: who is killed leaves it as it is.
        let memory = Path::new("/dev/shm");
        let place = if memory.exists() { memory.into() } else { std::env::temp_dir() };
        let trial = Trial::new(&place, "kills");
        let path = |name: &str| trial.path(name);
        std::fs::write(path("file"), "changed").expect("write");
        many(Path::new(&path("many.tar")));
        let (tar, other) = (path("many.tar"), path("other.tar"));
        let saved = path("many.oci");
        let copied = [path("file"), "kept:/changed".to_string()];
        // The old state: an image that shares nothing with what comes, and a changed container of it.
        for (store, words) in [
            ("maker", &["imgstore", "import", &tar, "many:1"][..]),
            ("maker", &["imgstore", "save", "--format", "oci-archive", "-o", &saved, "many:1"]),
            ("base", &["imgstore", "import", "--cmd", "sh", &other, "old:1"]),
            ("base", &["create", "--net", "none", "--name", "kept", "old:1", "sh"]),
            ("base", &["cp", &copied[0], &copied[1]]),
        ] {
            let done = trial.coracle(store, words);
            assert_eq!(done.code, 0, "{words:?}: {}", done.text);
        }
        std::fs::remove_dir_all(path("maker")).expect("remove");
        let seed = std::time::UNIX_EPOCH.elapsed().expect("time").as_nanos() as u64;
        Bench { trial, random: Random::new(seed), seed }
    }

    fn steps(&self, registry: &str) -> Vec<Step> {
        let path = |name: &str| self.trial.path(name);
        let pulled = format!("{registry}/three:2");
        let step = |words: &[&str], after: &[&str]| {
            let list = |words: &[&str]| words.iter().map(|word| (*word).to_string()).collect();
            Step {
                words: list(words),
                before: list(&["old:1"]),
                after: list(after),
                usual: Duration::ZERO,
                kills: [0; 3],
            }
        };
        vec![
            step(&["imgstore", "load", "-q", &path("many.oci")], &["many:1", "old:1"]),
            step(&["imgstore", "import", &path("many.tar"), "new:1"], &["new:1", "old:1"]),
            step(&["pull", "-q", &pulled], &[&pulled, "old:1"]),
            step(&["commit", "kept", "new:1"], &["new:1", "old:1"]),
            step(&["imgstore", "tag", "old:1", "more:1"], &["more:1", "old:1"]),
            step(&["imgstore", "rmi", "-f", "old:1"], &[]),
            step(&["imgstore", "gc"], &["old:1"]),
        ]
    }

    /// A copy of the old state; for gc, one with what killed loads have left.
    fn fresh(&self, step: &Step) {
        self.trial.copy(if step.is("gc") { "dirty" } else { "base" }, "store");
    }

    /// Makes it: a layer without an image, and a half one.
    fn dirty(&self) {
        self.trial.fresh();
        for (archive, back) in [("many.oci", 1), ("new.tar", 2)] {
            let archive = self.trial.path(archive);
            let words = ["imgstore", "load", "-q", &archive];
            self.trial.copy("store", "other");
            let (_, count, _) = self.trial.nth(&["--renames"], [usize::MAX, 0], &words);
            self.trial.copy("other", "store");
            // The last two renames are those of the image and its name.
            let number = count - back;
            let (done, _, what) = self.trial.nth(&["--renames"], [number, 0], &words);
            assert_eq!(done.code, 137, "{number} {what}: {}", done.text);
        }
        self.trial.copy("store", "dirty");
        std::fs::remove_dir_all(self.trial.path("other")).expect("remove");
    }

    /// Runs it to its end: how long that takes, and how many renames it makes.
    fn measure(&self, step: &mut Step) -> usize {
        self.fresh(step);
        let begin = Instant::now();
        let done = self.trial.coracle("store", &step.words());
        step.usual = begin.elapsed();
        assert_eq!(done.code, 0, "{:?}: {}", step.words, done.text);
        self.fresh(step);
        let (done, count, _) = self.trial.nth(&["--renames"], [usize::MAX, 0], &step.words());
        assert_eq!(done.code, 0, "{:?}: {}", step.words, done.text);
        count
    }

    fn check(&self, what: &str, step: &Step, done: &Done) {
        let list = |words: &[String]| words.iter().map(String::clone).collect::<Vec<_>>();
        let (before, after) = (list(&step.before), list(&step.after));
        let (before, after): (Vec<&str>, Vec<&str>) = (
            before.iter().map(String::as_str).collect(),
            after.iter().map(String::as_str).collect(),
        );
        let what = format!("seed {}: {:?}: {what}", self.seed, step.words);
        self.trial.check(&what, &step.words(), done, &before, &after);
    }

    /// Killed in place of a rename, or behind it.
    fn at_rename(&self, step: &mut Step, number: usize, behind: bool) {
        self.fresh(step);
        let numbers = [number, usize::from(behind)];
        let (done, _, what) = self.trial.nth(&["--renames"], numbers, &step.words());
        assert!(what.starts_with("rename"), "{what}");
        // The last call of all may be a rename: then nothing is behind it but the end.
        assert!(done.code == 137 || behind && done.code == 0, "{what}: {}", done.text);
        let place = if behind { "behind" } else { "in place of" };
        self.check(&format!("killed {place} rename {number}"), step, &done);
        step.kills[1 + usize::from(behind)] += usize::from(done.code == 137);
    }

    /// Killed at some instant; whether that came before the command's own end.
    fn by_chance(&mut self, step: &mut Step) -> bool {
        self.fresh(step);
        let most = step.usual.as_micros() as usize;
        let delay = Duration::from_micros(self.random.below(most.max(1)) as u64);
        let mut command = self.trial.command(&binary(), "store");
        command.args(&step.words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let begin = Instant::now();
        let mut child = command.spawn().expect("start");
        // Sleeping is too coarse for commands of a few milliseconds.
        while begin.elapsed() < delay {
            std::hint::spin_loop();
        }
        child.kill().expect("kill");
        let status = child.wait().expect("wait");
        let code = status.code().unwrap_or(128 + status.signal().unwrap_or(0));
        assert!(code == 0 || code == 137, "{code} after {delay:?}: {:?}", step.words);
        self.check(&format!("killed after {delay:?}"), step, &Done { code, text: String::new() });
        step.kills[0] += usize::from(code == 137);
        code == 137
    }
}

impl Step {
    fn words(&self) -> Vec<&str> {
        self.words.iter().map(String::as_str).collect()
    }

    fn is(&self, verb: &str) -> bool {
        self.words.iter().any(|word| word == verb)
    }
}

#[test]
fn who_is_killed_leaves_the_old_state_or_the_new_one() {
    let asked = std::env::var("CORACLE_FAULTS").unwrap_or_default();
    let wanted = asked.strip_prefix("kills:").map_or(FEW, |text| text.parse().expect("a number"));
    let mut bench = Bench::new();
    bench.dirty();
    let served = bench.trial.folder.join("served");
    hosted::three_in(&served, "amd64").expect("an image");
    // In the namespace that `tests/run` makes it is down.
    base::sys::loopback::up().expect("loopback");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = listener.local_addr().expect("address").to_string();
    serve(listener, &served);
    let mut steps = bench.steps(&address);
    for step in &mut steps {
        let renames = bench.measure(step);
        for number in 1..=renames {
            for behind in [false, true] {
                bench.at_rename(step, number, behind);
            }
        }
    }
    let (mut killed, mut tries) = (0, 0);
    while killed < wanted {
        let place = tries % steps.len();
        killed += usize::from(bench.by_chance(&mut steps[place]));
        tries += 1;
        assert!(tries < TRIES * wanted.max(1), "{killed} of {tries} tries were killed in time");
    }
    eprintln!(
        "{:10} {:>10} {:>14} {:>13}",
        "command", "by chance", "before renames", "behind them"
    );
    for step in &steps {
        let verb = step.words.iter().find(|word| *word != "imgstore").expect("a verb");
        let [chance, before, behind] = step.kills;
        eprintln!("{verb:10} {chance:10} {before:14} {behind:13}");
    }
    let removed = bench.trial.coracle("base", &["rm", "kept"]);
    assert_eq!(removed.code, 0, "{}", removed.text);
    // What removes the container's files may still do so, a moment after the command has ended.
    for _ in 0..100 {
        if std::fs::remove_dir_all(&bench.trial.folder).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{} cannot be removed", bench.trial.folder.display());
}
