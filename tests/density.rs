//! A hundred containers at once, and ten that are idle. `tests/run --density`, on a machine that does
//! nothing else: these are times and counters of the whole machine.

#![allow(clippy::expect_used, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use support::World;

/// The processes whose first word is this, by pid.
fn processes(name: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("proc").flatten() {
        let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if words.split(|byte| *byte == 0).next() == Some(name.as_bytes())
            && let Ok(pid) = entry.file_name().to_string_lossy().parse()
        {
            found.push(pid);
        }
    }
    found
}

/// Private kilobytes of a process.
fn private(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let number = |line: &str| line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok());
    text.lines().filter(|line| line.starts_with("Private_")).filter_map(number).sum()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[test]
fn a_hundred_containers() {
    let world = World::new();
    let mut times = Vec::new();
    for number in 0..100 {
        let name = format!("box{number}");
        let begin = Instant::now();
        world.ok(&[
            "run",
            "-d",
            "--net",
            "none",
            "--name",
            &name,
            "bb",
            "sh",
            "-c",
            "echo up; exec sleep 1000",
        ]);
        times.push(begin.elapsed());
    }
    let (first, last) = (median(times[..15].to_vec()), median(times[85..].to_vec()));
    let ratio = last.as_secs_f64() / first.as_secs_f64();
    println!("start: first {first:?}, last {last:?}, ratio {ratio:.2} (goal 1.2)");
    let monitors = processes("coracle-monitor");
    let memory: u64 = monitors.iter().map(|pid| private(*pid)).sum();
    println!("{} monitors: {memory} kB private (goal 10240)", monitors.len());
    let listed = median(
        (0..15)
            .map(|_| {
                let begin = Instant::now();
                assert_eq!(world.ok(&["ps", "-q"]).lines().count(), 100);
                begin.elapsed()
            })
            .collect(),
    );
    println!("ps: {listed:?} (goal 20 ms)");
    let begin = Instant::now();
    assert_eq!(world.ok(&["stats", "--no-stream"]).lines().count(), 101);
    println!("stats of all: {:?}, one second of it waiting", begin.elapsed());
    let mut follows = Vec::new();
    for number in 0..100 {
        let mut command = world.command(&["logs", "-f", &format!("box{number}")]);
        follows.push(command.stdout(std::process::Stdio::null()).spawn().expect("logs"));
    }
    std::thread::sleep(Duration::from_secs(2));
    let following: u64 = follows.iter().map(|child| private(child.id())).sum();
    println!("logs -f of all: {following} kB private");
    for child in &mut follows {
        child.kill().expect("kill");
        child.wait().expect("wait");
    }
    let names: Vec<String> = (0..100).map(|number| format!("box{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    world.ok(&[&["rm", "-f"], &names[..]].concat());
    world.finish();
    assert!(ratio <= 1.2, "{ratio}");
    assert_eq!(monitors.len(), 100);
    assert!(memory <= 10 << 10, "{memory} kB");
    assert!(listed <= Duration::from_millis(20), "{listed:?}");
}

/// Times that each process was given the processor, and bytes that it wrote.
fn counters(pids: &[u32]) -> BTreeMap<u32, (u64, u64)> {
    let number = |text: &str, key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|rest| rest.trim().parse::<u64>().ok()).unwrap_or(0)
    };
    let of = |pid: &u32| {
        let read =
            |name| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let status = read("status");
        let switches = number(&status, "voluntary_ctxt_switches:")
            + number(&status, "nonvoluntary_ctxt_switches:");
        (*pid, (switches, number(&read("io"), "write_bytes:")))
    };
    pids.iter().map(of).collect()
}

#[test]
fn ten_idle_containers_do_nothing_for_a_minute() {
    let world = World::new();
    for number in 0..10 {
        let name = format!("idle{number}");
        world.ok(&["run", "-d", "--net", "none", "--name", &name, "bb", "sleep", "100000"]);
    }
    std::thread::sleep(Duration::from_secs(3));
    let monitors = processes("coracle-monitor");
    assert_eq!(monitors.len(), 10);
    let before = counters(&monitors);
    std::thread::sleep(Duration::from_secs(60));
    let after = counters(&monitors);
    let names: Vec<String> = (0..10).map(|number| format!("idle{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    world.ok(&[&["rm", "-f"], &names[..]].concat());
    world.finish();
    assert_eq!(before, after);
}

/// Sectors written to the disk that holds a folder.
fn sectors(folder: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let device = folder.metadata().expect("stat").dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let text = std::fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat"));
    let text = text.expect("the store lies on a disk");
    text.split_whitespace().nth(6).and_then(|number| number.parse().ok()).expect("sectors")
}

#[test]
fn a_crash_loop_wears_no_flash_with_vfs() {
    assert_eq!(crash_loop("vfs"), 0);
}

#[test]
fn a_crash_loop_wears_no_flash_with_overlay() {
    assert_eq!(crash_loop("overlay"), 0);
}

/// Sectors that a crash loop of ten minutes writes.
fn crash_loop(driver: &str) -> u64 {
    let world = World::new();
    let seconds = std::env::var("CRASH_LOOP_SECONDS").ok().and_then(|text| text.parse().ok());
    let seconds: u64 = seconds.unwrap_or(600);
    // A disk of the test's own: nobody else writes there.
    let image = world.folder.join("disk");
    let mount = world.folder.join("mount");
    std::fs::create_dir_all(&mount).expect("mkdir");
    let run = |program: &str, words: &[&str]| {
        let done = std::process::Command::new(program).args(words).output().expect(program);
        assert!(done.status.success(), "{program} {words:?}: {done:?}");
        String::from_utf8_lossy(&done.stdout).trim().to_string()
    };
    let (image, place) = (image.display().to_string(), mount.display().to_string());
    run("truncate", &["-s", "256M", &image]);
    run("mkfs.ext4", &["-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", &image]);
    let device = run("losetup", &["--show", "-f", &image]);
    run("mount", &["-o", "noatime", &device, &place]);
    let coracle = |words: &[&str]| {
        let mut command = world.command(words);
        command.env("CORACLE_ROOT", mount.join("root")).env("CORACLE_DRIVER", driver);
        command
    };
    assert_eq!(
        support::feed(&mut coracle(&["import", "-", "bb"]), &support::busybox_tar()).code,
        0
    );
    let ok = |words: &[&str]| {
        let done = coracle(words).output().expect("start");
        assert!(done.status.success(), "{words:?}: {done:?}");
        String::from_utf8_lossy(&done.stdout).trim().to_string()
    };
    let script =
        "i=0; while [ $i -lt 500 ]; do echo crash crash crash $i; i=$((i+1)); done; exit 1";
    ok(&[
        "run",
        "-d",
        "--net",
        "none",
        "--restart",
        "always",
        "--name",
        "loop",
        "bb",
        "sh",
        "-c",
        script,
    ]);
    std::thread::sleep(Duration::from_secs(10));
    run("sync", &["-f", &place]);
    let before = sectors(&mount);
    std::thread::sleep(Duration::from_secs(seconds));
    run("sync", &["-f", &place]);
    let written = sectors(&mount) - before;
    let count = ok(&["inspect", "-f", "{{.RestartCount}}", "loop"]);
    let log = std::path::PathBuf::from(ok(&["inspect", "-f", "{{.LogPath}}", "loop"]));
    let size = |path: std::path::PathBuf| path.metadata().map_or(0, |file| file.len());
    let logged = size(log.clone()) + size(log.with_extension("1"));
    println!(
        "{driver}: {seconds} s, {count} restarts: {written} sectors written, log {logged} bytes"
    );
    ok(&["rm", "-f", "loop"]);
    run("umount", &[&place]);
    run("losetup", &["-d", &device]);
    world.finish();
    assert!(count.parse::<u32>().expect("number") > 5, "{count}");
    assert!(logged <= 2 * (512 << 10), "{logged}");
    written
}
