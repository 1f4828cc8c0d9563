//! Limits and what is counted: their effect, seen from inside and in the host's cgroups.

#![allow(clippy::expect_used, clippy::panic)]

use std::path::Path;
use support::World;

/// A file of a container's cgroup: by its name in version 1 (with the hierarchy) and in version 2.
fn cgroup(id: &str, version1: &str, version2: &str) -> String {
    let (hierarchy, file) = version1.split_once('/').expect("hierarchy");
    let old = Path::new("/sys/fs/cgroup").join(hierarchy).join("coracle").join(id).join(file);
    let new = Path::new("/sys/fs/cgroup/coracle").join(id).join(version2);
    let text = std::fs::read_to_string(&old).or_else(|_| std::fs::read_to_string(&new));
    text.unwrap_or_else(|error| panic!("{} or {}: {error}", old.display(), new.display()))
        .trim()
        .to_string()
}

/// Whether this host has version 1 hierarchies.
fn version1() -> bool {
    Path::new("/sys/fs/cgroup/memory/cgroup.procs").exists()
}

/// Either of two texts.
fn either<'a>(one: &'a str, two: &'a str) -> &'a str {
    if version1() { one } else { two }
}

const SLEEP: [&str; 3] = ["bb", "sleep", "1000"];

/// A detached container with these flags.
fn detached(world: &World, flags: &[&str]) -> String {
    world.ok(&[&["run", "-d", "--net", "none"], flags, &SLEEP].concat())
}

#[test]
fn processors_are_limited() {
    let world = World::new();
    // Which processors there are is seen inside.
    let count = "grep Cpus_allowed_list: /proc/self/status | tr -d '\\t'";
    let done = world.script(&["--cpuset-cpus", "0"], count);
    assert_eq!(done.out, "Cpus_allowed_list:0\n", "{done:?}");
    // A quota holds a busy loop back.
    let done = world.script(
        &["--cpus", "0.1"],
        "sh -c 'while :; do :; done' & P=$!; sleep 1; kill $P; wait; cat /proc/uptime >/dev/null; \
         cat /sys/fs/cgroup/cpu.stat 2>/dev/null; times",
    );
    assert_eq!(done.code, 0, "{done:?}");
    let children = done.out.lines().last().expect("times").to_string();
    let user = children.split(['m', 's', ' ']).nth(1).and_then(|text| text.parse::<f64>().ok());
    assert!(user.is_some_and(|seconds| seconds < 0.4), "{children}");
    let id = detached(&world, &["-c", "512", "--cpu-period", "50000", "--cpu-quota", "25000"]);
    assert_eq!(cgroup(&id, "cpu/cpu.shares", "cpu.weight"), either("512", "20"));
    assert_eq!(cgroup(&id, "cpu/cpu.cfs_quota_us", "cpu.max"), either("25000", "25000 50000"));
    world.ok(&["rm", "-f", &id]);
    for (flags, want) in [
        (["--cpus", "1000"], "range of CPUs is from 0.01 to"),
        (["--cpus", "x"], "failed to parse x as a rational number"),
        (["--cpuset-cpus", "4095"], "Requested CPUs are not available - requested 4095"),
        (["--cpuset-mems", "x"], "Invalid value x for cpuset mems"),
        (["--cpu-quota", "5"], "CPU cfs quota can not be less than 1ms"),
    ] {
        let done = world.script(&flags, "true");
        assert!(done.code == 125 && done.err.contains(want), "{done:?}");
    }
    world.finish();
}

#[test]
fn memory_and_disks_are_limited() {
    let world = World::new();
    let disk = disk();
    let rate = format!("{disk}:1mb");
    let operations = format!("{disk}:100");
    let id = detached(
        &world,
        &[
            "-m",
            "64m",
            "--memory-swap",
            "96m",
            "--memory-reservation",
            "32m",
            "--pids-limit",
            "33",
            "--device-write-bps",
            &rate,
            "--device-read-iops",
            &operations,
        ],
    );
    let megabytes = |number: u64| (number << 20).to_string();
    assert_eq!(cgroup(&id, "memory/memory.limit_in_bytes", "memory.max"), megabytes(64));
    assert_eq!(
        cgroup(&id, "memory/memory.memsw.limit_in_bytes", "memory.swap.max"),
        either(&megabytes(96), &megabytes(32))
    );
    assert_eq!(cgroup(&id, "memory/memory.soft_limit_in_bytes", "memory.low"), megabytes(32));
    assert_eq!(cgroup(&id, "pids/pids.max", "pids.max"), "33");
    let written = cgroup(&id, "blkio/blkio.throttle.write_bps_device", "io.max");
    assert!(written.contains(either(" 1048576", "wbps=1048576")), "{written}");
    let read = cgroup(&id, "blkio/blkio.throttle.read_iops_device", "io.max");
    assert!(read.contains(either(" 100", "riops=100")), "{read}");
    world.ok(&["rm", "-f", &id]);
    // The number of processes is seen inside.
    let forks = "for i in 1 2 3 4 5 6; do sleep 1 & done 2>&1; echo; wait";
    let done = world.script(&["--pids-limit", "4"], forks);
    assert!([&*done.out, &*done.err].concat().contains("can't fork"), "{done:?}");
    for (flags, want) in [
        (["--memory-swap", "1g"], "You should always set the Memory limit"),
        (["--memory-swappiness", "101"], "valid memory swappiness range is 0-100"),
        (["--blkio-weight", "5"], "Range of blkio weight is from 10 to 1000"),
        (["--device-read-bps", "/dev/null:1mb"], "/dev/null is not a block device"),
        (["--device-read-bps", "/dev/x"], "bad format: /dev/x"),
    ] {
        let done = world.script(&flags, "true");
        assert!(done.code == 125 && done.err.contains(want), "{done:?}");
    }
    world.finish();
}

/// A whole disk of this host, as limits want it: a partition has none.
fn disk() -> String {
    let mut names: Vec<String> = std::fs::read_dir("/sys/block")
        .expect("disks")
        .flatten()
        .map(|entry| format!("/dev/{}", entry.file_name().to_string_lossy()))
        .filter(|path| Path::new(path).exists())
        .collect();
    names.sort();
    names.pop().expect("a block device")
}

#[test]
fn limits_are_updated_while_it_runs() {
    let world = World::new();
    let id = detached(&world, &["-m", "32m"]);
    // Above the old limit of memory and swap together, and back.
    for megabytes in [128, 16] {
        world.ok(&["update", "-m", &format!("{megabytes}m"), &id]);
        let want = (megabytes << 20).to_string();
        assert_eq!(cgroup(&id, "memory/memory.limit_in_bytes", "memory.max"), want);
    }
    world.ok(&["update", "--cpus", "0.5", "--cpuset-cpus", "0", "--pids-limit", "50", &id]);
    assert_eq!(cgroup(&id, "cpu/cpu.cfs_quota_us", "cpu.max"), either("50000", "50000 100000"));
    assert_eq!(cgroup(&id, "cpuset/cpuset.cpus", "cpuset.cpus"), "0");
    assert_eq!(cgroup(&id, "pids/pids.max", "pids.max"), "50");
    // A cpuset that it joined late holds for what runs already.
    let status = world.ok(&["exec", &id, "grep", "Cpus_allowed_list", "/proc/1/status"]);
    assert!(status.ends_with("\t0"), "{status}");
    let shown = world.ok(&["inspect", "--format", "{{.HostConfig.Memory}}", &id]);
    assert_eq!(shown, (16 << 20).to_string());
    let done = world.coracle(&["update", &id]);
    assert!(done.err.contains("you must provide one or more flags"), "{done:?}");
    // They hold after the next start too.
    world.ok(&["restart", "-t", "0", &id]);
    assert_eq!(cgroup(&id, "pids/pids.max", "pids.max"), "50");
    world.ok(&["rm", "-f", &id]);
    world.finish();
}

#[test]
fn a_policy_is_updated_while_it_runs() {
    let world = World::new();
    let id = world.ok(&["run", "-d", "--net", "none", "bb", "sh", "-c", "sleep 2; exit 3"]);
    world.ok(&["update", "--restart", "on-failure:1", &id]);
    world.until("its restart", || {
        world.ok(&["inspect", "--format", "{{.RestartCount}}", &id]) == "1"
    });
    world.ok(&["update", "--restart", "no", &id]);
    world.ok(&["rm", "-f", &id]);
    world.finish();
}

#[test]
fn use_is_counted() {
    let world = World::new();
    let busy = world.ok(&[
        "run",
        "-d",
        "--net",
        "none",
        "-m",
        "64m",
        "--name",
        "busy",
        "bb",
        "sh",
        "-c",
        "while :; do :; done",
    ]);
    let idle = detached(&world, &["--name", "idle"]);
    let text = world.ok(&["stats", "--no-stream"]);
    let row = |name: &str| {
        let line = text.lines().find(|line| line.contains(name)).expect(name);
        line.split_whitespace().map(str::to_string).collect::<Vec<_>>()
    };
    let percent = |word: &str| word.trim_end_matches('%').parse::<f64>().expect("percent");
    let (first, second) = (row("busy"), row("idle"));
    // Not how much: other work may leave it little of a processor.
    assert!(percent(&first[2]) > 10.0 * percent(&second[2]).max(0.1), "{text}");
    assert_eq!(first[5], "64MiB", "{text}");
    assert_eq!(first.last().map(String::as_str), Some("1"), "{text}");
    let one = world.ok(&["stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", &idle]);
    assert_eq!(one, "idle 1");
    let done = world.coracle(&["stats", "--no-stream", "nosuch"]);
    assert!(done.code == 1 && done.err.contains("No such container: nosuch"), "{done:?}");
    world.ok(&["rm", "-f", &busy, &idle]);
    world.finish();
}

#[test]
fn a_cgroup_below_another_parent() {
    let world = World::new();
    let parent = format!("coracle-test-{}", std::process::id());
    let names =
        ["pids", "memory", "unified", "devices"].map(|name| Path::new("/sys/fs/cgroup").join(name));
    let tops: Vec<std::path::PathBuf> = match version1() {
        // A hybrid host has its device rules in the version 2 tree.
        true if names[2].exists() => names[..3].into(),
        true => vec![names[0].clone(), names[1].clone(), names[3].clone()],
        false => vec!["/sys/fs/cgroup".into()],
    };
    let flag = format!("/{parent}/deep");
    let flags = ["--cgroup-parent", flag.as_str(), "-m", "64m"];
    let id = detached(&world, &flags);
    for top in &tops {
        let folder = top.join(&parent).join("deep").join(&id);
        let processes = std::fs::read_to_string(folder.join("cgroup.procs")).expect("processes");
        assert_eq!(processes.lines().count(), 1, "{}", folder.display());
        assert!(!top.join("coracle").join(&id).exists());
    }
    // Every verb finds it there.
    assert!(world.ok(&["top", &id]).contains("sleep 1000"));
    let row = world.ok(&["stats", "--no-stream", "--format", "{{.PIDs}} {{.MemUsage}}", &id]);
    assert!(row.starts_with("1 ") && row.ends_with("/ 64MiB"), "{row}");
    world.ok(&["pause", &id]);
    assert_eq!(world.ok(&["inspect", "-f", "{{.State.Status}}", &id]), "paused");
    world.ok(&["unpause", &id]);
    world.ok(&["update", "-m", "48m", "--memory-swap", "-1", &id]);
    let limit = match version1() {
        true => "memory/PARENT/deep/ID/memory.limit_in_bytes",
        false => "PARENT/deep/ID/memory.max",
    };
    let limit = limit.replace("PARENT", &parent).replace("ID", &id);
    let limit = std::fs::read_to_string(Path::new("/sys/fs/cgroup").join(limit)).expect("limit");
    assert_eq!(limit.trim(), (48 << 20).to_string());
    assert_eq!(world.ok(&["exec", &id, "echo", "x"]), "x");
    // The device rules are its own: the parent has none.
    let open = "mknod /tmp/k c 1 11; true 2>/dev/null </tmp/k && echo open || echo shut";
    assert_eq!(world.ok(&["exec", &id, "sh", "-c", open]), "shut");
    world.ok(&["rm", "-f", &id]);
    // What the parent may not, its containers may not.
    let pids = tops.first().expect("top").join(&parent).join("pids.max");
    std::fs::write(&pids, "4").expect("write");
    let done = world.script(&flags[..2], "sleep 1 & sleep 1 & sleep 1 & sleep 1 & wait");
    assert!(done.err.contains("fork"), "{done:?}");
    std::fs::write(&pids, "max").expect("write");
    assert_eq!(world.script(&flags[..2], "true").code, 0);
    for top in &tops {
        let deep = top.join(&parent).join("deep");
        let left = std::fs::read_dir(&deep).expect("read").flatten();
        assert_eq!(left.filter(|entry| entry.path().is_dir()).count(), 0, "{}", deep.display());
    }
    let hierarchies = std::fs::read_dir("/sys/fs/cgroup").expect("read").flatten();
    for top in hierarchies.map(|entry| entry.path()).chain(["/sys/fs/cgroup".into()]) {
        for name in ["deep", ""] {
            let _ = std::fs::remove_dir(top.join(&parent).join(name));
        }
    }
    // Nothing above the tree can be named.
    let id = detached(&world, &["--cgroup-parent", &format!("../../{parent}")]);
    assert!(world.ok(&["inspect", &id]).contains(&parent));
    world.ok(&["rm", "-f", &id]);
    let hierarchies = std::fs::read_dir("/sys/fs/cgroup").expect("read").flatten();
    for top in hierarchies.map(|entry| entry.path()).chain(["/sys/fs/cgroup".into()]) {
        let _ = std::fs::remove_dir(top.join(&parent));
    }
    world.finish();
}
