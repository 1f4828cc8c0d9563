//! The one helper of the whole-program tests: a root and a run folder of their own, and a
//! comparison of the machine before and after.
//!
//! Every test ends with [`World::finish`], which waits, five seconds at most, until nothing is
//! left: no mount but the executable's read-only bind, no cgroup, no process, no network link, no
//! upper folder, nothing in the run folder that is not the engine's own.

#![forbid(unsafe_code)]
// What fails here fails a test, and names say what the tests ask for.
#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::new_without_default)]

pub mod registry;

pub mod hostile;
pub mod nasty;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The binary under test: the static one that users get.
pub fn binary() -> PathBuf {
    let path = std::env::var_os("CORACLE_BIN").map(PathBuf::from).unwrap_or_else(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist");
        folder.join(std::env::consts::ARCH).join("coracle")
    });
    assert!(path.exists(), "{} is missing: run cross/build", path.display());
    path
}

/// A copy of it that can be executed at once. Another process makes it: a thread of ours that forks while
/// this process writes would keep the file busy (ETXTBSY).
pub fn copy_binary(to: &Path) {
    let done = Command::new("cp").arg(binary()).arg(to).status().expect("start cp");
    assert!(done.success(), "cp {}", to.display());
}

/// For a command that another program starts: what its environment has and lacks.
pub fn same_environment(from: &Command, to: &mut Command) {
    for (name, value) in from.get_envs() {
        match value {
            Some(value) => to.env(name, value),
            None => to.env_remove(name),
        };
    }
}

/// So many times as long as on a machine of its own, where the machine is an emulated one.
pub fn patience() -> u32 {
    let factor = std::env::var("CORACLE_TEST_PATIENCE").ok();
    factor.map_or(1, |factor| factor.parse().expect("CORACLE_TEST_PATIENCE"))
}

/// What a command gave.
#[derive(Debug)]
pub struct Done {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Done {
        use std::os::unix::process::ExitStatusExt;
        let signal = output.status.signal().map(|signal| -signal);
        Done {
            code: output.status.code().or(signal).unwrap_or(i32::MIN),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

pub struct World {
    pub folder: PathBuf,
    before: Snapshot,
}

impl World {
    /// An empty store.
    pub fn empty() -> World {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Process ids repeat in namespaces of their own; the time does not.
        let now = std::time::UNIX_EPOCH.elapsed().expect("time").as_nanos();
        let folder = std::env::temp_dir().join(format!("coracle-{now:x}-{number}"));
        std::fs::create_dir_all(&folder).expect("mkdir");
        let mut world = World { folder, before: Snapshot::default() };
        world.before = Snapshot::take(&world);
        world
    }

    /// A store with the image `bb`: busybox and two users.
    pub fn new() -> World {
        let world = World::empty();
        let mut import = world.command(&["import", "-", "bb"]);
        let done = feed(&mut import, &busybox_tar());
        assert_eq!(done.code, 0, "{done:?}");
        world
    }

    pub fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    pub fn run_folder(&self) -> PathBuf {
        self.folder.join("run")
    }

    /// A command line of coracle's.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(words)
            .env_remove("DOCKER_HOST")
            .env("CORACLE_ROOT", self.root())
            .env("CORACLE_RUN", self.run_folder())
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub fn coracle(&self, words: &[&str]) -> Done {
        self.command(words).output().expect("start coracle").into()
    }

    /// Runs it to its end, which must be a success; its output without the last line end.
    pub fn ok(&self, words: &[&str]) -> String {
        let done = self.coracle(words);
        assert_eq!(done.code, 0, "{words:?}: {done:?}");
        done.out.trim_end_matches('\n').to_string()
    }

    /// `run --rm bb sh -c SCRIPT` with more flags, and without a network unless they name one.
    pub fn script(&self, flags: &[&str], script: &str) -> Done {
        let network: &[&str] = if flags.contains(&"--net") { &[] } else { &["--net", "none"] };
        let words = [&["run", "--rm"], network, flags, &["bb", "sh", "-c", script]].concat();
        self.coracle(&words)
    }

    /// Waits until a condition holds.
    pub fn until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(10) * patience();
        while !condition() {
            assert!(Instant::now() < end, "waited in vain: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Compares the machine with how it was. Call it at the end of each test.
    pub fn finish(self) {
        let end = Instant::now() + Duration::from_secs(5) * patience();
        loop {
            let after = Snapshot::take(&self);
            let left = after.beyond(&self.before);
            if left.is_empty() {
                break;
            }
            if Instant::now() > end {
                panic!("left behind:\n{}", left.join("\n"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // The executable's read-only bind, which outlives commands on purpose. A process on its way
        // out may still hold it.
        if let Ok(entries) = std::fs::read_dir(self.run_folder().join("exe")) {
            for entry in entries.flatten() {
                let bind = entry.path().join("coracle");
                self.until("the executable's bind is free", || {
                    let done = Command::new("umount").arg(&bind).output().expect("umount");
                    done.status.success() || !is_mount(&bind)
                });
            }
        }
        std::fs::remove_dir_all(&self.folder).expect("remove the test's folder");
    }
}

fn is_mount(path: &Path) -> bool {
    let path = path.to_string_lossy();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    mounts.lines().any(|line| line.split(' ').nth(4) == Some(&path))
}

/// Runs a command with this input.
pub fn feed(command: &mut Command, input: &[u8]) -> Done {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start coracle");
    let mut stdin = child.stdin.take().expect("stdin");
    let input = input.to_vec();
    // The command may end before it has read everything.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let done = child.wait_with_output().expect("wait").into();
    writer.join().expect("writer");
    done
}

/// A root file system of busybox, as a tar.
pub fn busybox_tar() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |kind, name: &str, mode, data: &[u8], link: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(1_700_000_000);
        header.set_size(data.len() as u64);
        if link.is_empty() {
            tar.append_data(&mut header, name, data).expect("tar");
        } else {
            tar.append_link(&mut header, name, link).expect("tar");
        }
    };
    use tar::EntryType;
    for folder in ["bin", "etc", "home", "tmp", "srv"] {
        let mode = if folder == "tmp" { 0o1777 } else { 0o755 };
        add(EntryType::Directory, &format!("{folder}/"), mode, b"", "");
    }
    let busybox = std::fs::read("/bin/busybox").expect("busybox-static is not installed");
    add(EntryType::Regular, "bin/busybox", 0o755, &busybox, "");
    let applets = "sh ls cat id echo sleep true false ps mount grep wc head touch env pwd hostname \
                   stty kill stat dd mknod tail seq rm mkdir readlink sync yes tr ulimit";
    for applet in applets.split_whitespace() {
        add(EntryType::Symlink, &format!("bin/{applet}"), 0o777, b"", "busybox");
    }
    let passwd = b"root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/srv:/bin/sh\n";
    add(EntryType::Regular, "etc/passwd", 0o644, passwd, "");
    add(EntryType::Regular, "etc/group", 0o644, b"root:x:0:\nlog:x:4:web\n", "");
    tar.into_inner().expect("tar")
}

/// What a container must not leave behind.
#[derive(Default)]
struct Snapshot {
    entries: BTreeSet<String>,
}

impl Snapshot {
    fn take(world: &World) -> Snapshot {
        let mut entries = BTreeSet::new();
        let own = world.folder.to_string_lossy().into_owned();
        let file = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        for line in file("/proc/self/mountinfo").lines() {
            let place = line.split(' ').nth(4).unwrap_or_default();
            let is_exe = place.starts_with(&format!("{own}/run/exe/"));
            if place.starts_with(&own) && !is_exe {
                entries.insert(format!("mount {place}"));
            }
        }
        for id in ids(&world.folder) {
            for hierarchy in ["", "unified", "memory", "pids", "cpu", "cpuacct", "blkio", "devices"]
            {
                let path = Path::new("/sys/fs/cgroup").join(hierarchy).join("coracle").join(&id);
                if path.exists() {
                    entries.insert(format!("cgroup {}", path.display()));
                }
            }
        }
        for line in file("/proc/self/net/dev").lines().skip(2) {
            entries.insert(format!("link {}", line.split(':').next().unwrap_or_default().trim()));
        }
        for process in processes(&own) {
            entries.insert(format!("process {process}"));
        }
        for name in
            ["root/uppers", "run/containers", "run/container-names", "root/work", "root/volumes"]
        {
            if let Ok(found) = std::fs::read_dir(world.folder.join(name)) {
                for entry in found.flatten() {
                    entries.insert(format!("file {}", entry.path().display()));
                }
            }
        }
        Snapshot { entries }
    }

    fn beyond(&self, before: &Snapshot) -> Vec<String> {
        self.entries.difference(&before.entries).cloned().collect()
    }
}

/// Every container id that the folders have seen: cgroups outlive records, so the ids are kept.
fn ids(folder: &Path) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for name in ["root/containers", "run/containers", "root/uppers"] {
        if let Ok(found) = std::fs::read_dir(folder.join(name)) {
            ids.extend(found.flatten().filter_map(|entry| entry.file_name().into_string().ok()));
        }
    }
    ids
}

/// Living processes of ours: those with the world's folder in their command line.
pub fn processes(own: &str) -> Vec<String> {
    let Ok(found) = std::fs::read_dir("/proc") else { return Vec::new() };
    let mut processes = Vec::new();
    for entry in found.flatten() {
        let Ok(bytes) = std::fs::read(entry.path().join("cmdline")) else { continue };
        let words = String::from_utf8_lossy(&bytes).replace('\0', " ");
        let name = words.split(' ').next().unwrap_or_default();
        let ours = ["coracle-job", "coracle-monitor"].iter().any(|applet| name.ends_with(applet));
        if ours && words.contains(own) {
            processes.push(format!("{} {words}", entry.file_name().to_string_lossy()));
        }
    }
    processes
}

/// A command in a terminal of its own, talked to step by step.
pub struct Terminal {
    child: std::process::Child,
    output: std::sync::mpsc::Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    /// Starts a shell line under script(1), which gives it a terminal.
    pub fn start(world: &World, line: &str) -> Terminal {
        let mut child = Command::new("script")
            .args(["-qefc", line, "/dev/null"])
            .env("CORACLE_ROOT", world.root())
            .env("CORACLE_RUN", world.run_folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start script");
        let mut stdout = child.stdout.take().expect("stdout");
        let (sender, output) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count) = std::io::Read::read(&mut stdout, &mut bytes) {
                if count == 0 || sender.send(bytes[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Terminal { child, output, seen: String::new() }
    }

    /// Waits until this text has come, and forgets everything up to it.
    pub fn expect(&mut self, text: &str) -> &mut Terminal {
        let end = Instant::now() + Duration::from_secs(10) * patience();
        loop {
            if let Some(place) = self.seen.find(text) {
                self.seen.drain(..place + text.len());
                return self;
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("waited for {text:?}, got {:?}", self.seen),
            }
        }
    }

    /// Types.
    pub fn send(&mut self, text: &str) -> &mut Terminal {
        self.child.stdin.as_mut().expect("stdin").write_all(text.as_bytes()).expect("write");
        self
    }

    /// The command's exit code.
    pub fn end(mut self) -> i32 {
        let end = Instant::now() + Duration::from_secs(10) * patience();
        loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                return status.code().expect("code");
            }
            while let Ok(bytes) = self.output.recv_timeout(Duration::from_millis(10)) {
                self.seen.push_str(&String::from_utf8_lossy(&bytes));
            }
            if Instant::now() > end {
                self.child.kill().expect("kill");
                panic!("the terminal's command does not end: {:?}", self.seen);
            }
        }
    }
}
