//! The host's whole-program tests (`tests/*.rs` of the root package) inside a machine, unchanged: as
//! static programs on a disk with a small Debian, whose root PID 1 makes its own. One verdict for each
//! test, as on the host.

use crate::job::{Job, Test};
use crate::kernels::KERNELS;
use crate::tool::{run, system_tool};
use base::{Error, OnError, Result};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Those that make sense in a machine. On the host alone stay: `images`, `registry*` (networks, and
/// other tools to compare with), `daemon` (docker's own client), `debian` and `servers` (a Debian of their own), `syncs` (strace),
/// `density` (figures of a quiet machine), `structure` (the sources), `allocations` (a build for tests),
/// `releases` (GNU tar).
const PROGRAMS: [&str; 24] = [
    "commit",
    "cp",
    "detached",
    "disk",
    "escape",
    "escape_images",
    "escape_mounts",
    "events",
    "exec",
    "health",
    "limits",
    "listing",
    "logs",
    "namespaces",
    "privileges",
    "restart",
    "rootless",
    "run",
    "seccomp",
    "store",
    "upper",
    "users",
    "verbs",
    "volumes",
];
/// Tests in them that need what is not on the disk (a C compiler), or write gigabytes.
const NOT_HERE: [&str; 4] = [
    "disk::a_full_disk_refuses_in_time_and_deletes",
    "seccomp::the_default_profile_refuses_what_dockers_does",
    "seccomp::profiles_of_ones_own_are_read_kept_and_obeyed",
    "users::cve_2016_9962_a_process_on_its_way_in_cannot_be_looked_into",
];

const TARGET: &str = "x86_64-unknown-linux-musl";
/// For all tests of a boot, emulated on a busy machine.
const LIMIT: Duration = Duration::from_secs(2400);
const MEMORY: u32 = 1024;
const DISK: &str = "1500M";

/// A boot for each layout of cgroups, on the first kernel. The disk is shared: each boot's writes
/// are its own.
pub fn jobs(cache: &Path, dist: &Path, layouts: &[&str]) -> Result<Vec<Job>> {
    let Some(kernel) = KERNELS.first() else { return Ok(Vec::new()) };
    let programs = build()?;
    let tests = tests_of(&programs)?;
    let disk = disk(cache, dist, &programs)?;
    let boot = |layout: &&str| {
        let mut job = Job::new(kernel, kernel.arch, layout, tests.clone());
        job.variant = "host-tests".to_string();
        job.configuration.root = crate::disk::DEVICE.to_string();
        job.devices = vec![
            "-drive".to_string(),
            format!("file={},if=virtio,format=raw,snapshot=on", disk.display()),
        ];
        job.memory = Some(MEMORY);
        job.limit = Some(LIMIT);
        job
    };
    Ok(layouts.iter().map(boot).collect())
}

/// The test programs, by name.
fn build() -> Result<Vec<(&'static str, PathBuf)>> {
    let mut command = Command::new("cargo");
    command
        .args(["test", "--no-run", "--no-default-features", "-p", "coracle", "--locked"])
        .args(["--target", TARGET, "--target-dir", "target/host-tests"])
        .env("RUSTFLAGS", "-Clinker=rust-lld -Clink-self-contained=yes")
        .stdin(Stdio::null());
    for program in PROGRAMS {
        command.args(["--test", program]);
    }
    let output = command.output().on("start", "cargo")?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(Error::other(format!("cargo test --no-run: {text}")));
    }
    //   Executable tests/run.rs (target/…/deps/run-0123456789abcdef)
    let found = |name: &'static str| {
        let line = text.lines().find(|line| line.contains(&format!(" tests/{name}.rs (")));
        let path = line.and_then(|line| line.split_once('(')?.1.strip_suffix(')'));
        let path = path.ok_or_else(|| Error::other(format!("cargo names no program of {name}")))?;
        Ok((name, PathBuf::from(path)))
    };
    PROGRAMS.into_iter().map(found).collect()
}

/// Each test as a session of one command.
fn tests_of(programs: &[(&'static str, PathBuf)]) -> Result<Vec<Test>> {
    let mut tests = Vec::new();
    for (name, path) in programs {
        let output = Command::new(path)
            .args(["--list", "--format", "terse"])
            .stdin(Stdio::null())
            .output()
            .on_path("start", path)?;
        let text = String::from_utf8_lossy(&output.stdout);
        for test in text.lines().filter_map(|line| line.strip_suffix(": test")) {
            let whole = format!("{name}::{test}");
            if !NOT_HERE.contains(&whole.as_str()) {
                tests.push((whole, format!("$ host-{name} --exact {test}\n...\n")));
            }
        }
    }
    if tests.len() < PROGRAMS.len() {
        return Err(Error::other("the host's test programs name too few tests"));
    }
    tests.sort();
    Ok(tests)
}

/// Debian's minimum, made by `tests/debian-root`, with the programs.
fn disk(cache: &Path, dist: &Path, programs: &[(&'static str, PathBuf)]) -> Result<PathBuf> {
    let (root, tree) = (Path::new("target/debian/root"), cache.join("host-tests-tree"));
    let _ = std::fs::remove_dir_all(&tree);
    run(Command::new("cp").args(["-a", "--reflink=auto"]).arg(root).arg(&tree))?;
    for folder in ["usr/share/doc", "usr/share/locale", "usr/share/man", "var/cache", "var/lib/apt"]
    {
        let _ = std::fs::remove_dir_all(tree.join(folder));
    }
    let put = |from: &Path, name: &str| {
        let to = tree.join("usr/bin").join(name);
        std::fs::copy(from, &to).map(drop).on_path("copy", from)
    };
    put(&dist.join("x86_64/small/coracle"), "coracle")?;
    put(Path::new("/bin/busybox"), "busybox")?;
    for (name, path) in programs {
        put(path, &format!("host-{name}"))?;
    }
    // What the minimum lacks.
    for name in ["kill", "ps"] {
        let link = tree.join("usr/local/bin").join(name);
        std::os::unix::fs::symlink("/bin/busybox", &link).on_path("link", &link)?;
    }
    let image = cache.join("host-tests.disk");
    let _ = std::fs::remove_file(&image);
    run(system_tool("mke2fs").args(["-q", "-t", "ext4", "-d"]).args([&tree, &image]).arg(DISK))?;
    let _ = std::fs::remove_dir_all(&tree);
    Ok(image)
}
