//! The fall-backs for older kernels, on this machine's own: each version's refusals around every
//! command of the sessions that a machine with other containers can stand.

#![allow(clippy::expect_used, clippy::panic)]

use qemu_tests::image;
use qemu_tests::older_jobs::SESSIONS;
use qemu_tests::session::{Session, Step};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("workspace").to_path_buf()
}

fn binary(name: &str) -> PathBuf {
    let path = home().join("dist").join(std::env::consts::ARCH).join("small").join(name);
    assert!(path.exists(), "{} is missing: run cross/build --small --guest", path.display());
    path
}

/// One version with one refusal, and folders of its own.
struct Row {
    version: &'static str,
    refusal: &'static str,
    folder: PathBuf,
}

struct Done {
    code: i32,
    output: String,
    errors: String,
}

impl Row {
    fn new(version: &'static str, refusal: &'static str) -> Row {
        // Process ids repeat in namespaces of their own; the time does not.
        let now = std::time::UNIX_EPOCH.elapsed().expect("time").as_nanos();
        let name = format!("coracle-older-{version}-{refusal}-{now:x}");
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("mkdir");
        let guest = std::fs::read(binary("qemu-guest")).expect("guest");
        let archive = image::archives(&guest, "amd64").expect("archives").docker;
        std::fs::write(folder.join("probe.tar"), archive).expect("write");
        Row { version, refusal, folder }
    }

    fn run(&self, words: &[String]) -> Done {
        assert_eq!(words[0], "coracle", "these sessions know no other program");
        // Files: a monitor that is left running must not keep us waiting.
        let open = |name| std::fs::File::create(self.folder.join(name)).expect("create");
        let mut child = Command::new(env!("CARGO_BIN_EXE_older-kernel"))
            .args([self.version, self.refusal])
            .arg(binary("coracle"))
            .args(&words[1..])
            .env_remove("DOCKER_HOST")
            .env("CORACLE_ROOT", self.folder.join("root"))
            .env("CORACLE_RUN", self.folder.join("run"))
            .stdin(Stdio::null())
            .stdout(open("output"))
            .stderr(open("errors"))
            .spawn()
            .expect("start");
        let code = child.wait().expect("wait").code().unwrap_or(-1);
        let read = |name| std::fs::read_to_string(self.folder.join(name)).expect("read");
        Done { code, output: read("output"), errors: read("errors") }
    }

    fn step(&self, session: &str, step: &Step) {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let done = self.run(&step.words);
            let result = step.check(done.code, &done.output, &done.errors);
            if result.is_ok() {
                return;
            }
            assert!(
                step.again && Instant::now() < end,
                "{} {} {session} line {}: {:?}: {}\n{}",
                self.version,
                self.refusal,
                step.line,
                step.words,
                result.expect_err("failed"),
                done.errors
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Every session, then nothing may be left.
    fn walk(self) {
        let archive = self.folder.join("probe.tar").display().to_string();
        let load = ["coracle", "load", "-i", &archive].map(String::from);
        let done = self.run(&load);
        assert_eq!(done.code, 0, "{} {}: load: {}", self.version, self.refusal, done.errors);
        for name in SESSIONS {
            let path = home().join("qemu-tests/tests").join(name).join("session");
            let session = Session::parse(&std::fs::read_to_string(path).expect("read"));
            for step in &session.expect("parse").steps {
                self.step(name, step);
            }
        }
        self.finish();
    }

    fn finish(self) {
        let end = Instant::now() + Duration::from_secs(10);
        let left = |name: &str| {
            let entries = std::fs::read_dir(self.folder.join(name));
            entries.is_ok_and(|mut entries| entries.next().is_some())
        };
        while ["root/uppers", "root/containers", "run/containers"].iter().any(|name| left(name)) {
            assert!(Instant::now() < end, "left behind in {}", self.folder.display());
            std::thread::sleep(Duration::from_millis(50));
        }
        if let Ok(entries) = std::fs::read_dir(self.folder.join("run/exe")) {
            for entry in entries.flatten() {
                while !Command::new("umount")
                    .arg(entry.path().join("coracle"))
                    .stderr(Stdio::null())
                    .status()
                    .expect("umount")
                    .success()
                {
                    assert!(Instant::now() < end, "the executable's bind stays in use");
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
        }
        std::fs::remove_dir_all(&self.folder).expect("remove");
    }
}

#[test]
fn linux_4_9() {
    Row::new("4.9", "ENOSYS").walk();
}

#[test]
fn linux_4_9_and_a_filter_that_says_eperm() {
    Row::new("4.9", "EPERM").walk();
}

#[test]
fn linux_4_19() {
    Row::new("4.19", "ENOSYS").walk();
}

#[test]
fn linux_4_19_and_a_filter_that_says_eperm() {
    Row::new("4.19", "EPERM").walk();
}

#[test]
fn linux_5_4() {
    Row::new("5.4", "ENOSYS").walk();
}

#[test]
fn linux_5_4_and_a_filter_that_says_eperm() {
    Row::new("5.4", "EPERM").walk();
}
