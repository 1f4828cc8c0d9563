//! Containers of their own monitors: `-d`, terminals, logs, stop, kill, rm, and killed processes.

#![allow(clippy::expect_used)]

use std::os::unix::net::UnixStream;
use support::{Terminal, World};

fn pid_of(world: &World, name: &str) -> i64 {
    let text = world.ok(&["inspect", name]);
    let line = text.lines().find(|line| line.contains("\"Pid\"")).expect("Pid");
    line.trim().trim_start_matches("\"Pid\": ").trim_end_matches(',').parse().expect("number")
}

fn kill_9(pid: &str) {
    let status = std::process::Command::new("kill").args(["-9", pid]).status().expect("kill");
    assert!(status.success(), "kill -9 {pid}");
}

fn is_alive(pid: i64) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.contains(") Z ") && !stat.contains(") X "))
}

#[test]
fn a_detached_container_lives_and_ends() {
    let world = World::new();
    let id = world.ok(&[
        "run",
        "-d",
        "--net",
        "none",
        "--name",
        "web",
        "bb",
        "sh",
        "-c",
        "trap 'echo bye; exit 5' TERM; echo one; echo two >&2; while true; do sleep 0.1; done",
    ]);
    assert_eq!(id.len(), 64);
    world.until("both lines", || world.coracle(&["logs", "web"]).err == "two\n");
    let row = world.ok(&["ps"]);
    assert!(row.contains("web") && row.contains("Up ") && row.contains(&id[..12]), "{row}");
    assert_eq!(world.ok(&["ps", "-q", "--no-trunc"]), id);
    let done = world.coracle(&["logs", "web"]);
    assert_eq!((done.out.as_str(), done.err.as_str()), ("one\n", "two\n"));
    assert_eq!(world.coracle(&["rm", "web"]).code, 1, "a running container is not removed");
    assert_eq!(world.coracle(&["rmi", "bb"]).code, 1, "its image neither");
    assert_eq!(world.ok(&["stop", "web"]), "web");
    assert_eq!(world.coracle(&["logs", "web"]).out, "one\nbye\n");
    assert_eq!(world.ok(&["ps", "-q"]), "");
    assert!(world.ok(&["ps", "-a"]).contains("Exited (5)"));
    assert_eq!(world.ok(&["wait", "web"]), "5");
    // Again, with its files as they were.
    assert_eq!(world.ok(&["start", "web"]), "web");
    world.until("second run", || world.coracle(&["logs", "web"]).out == "one\nbye\none\n");
    assert_eq!(world.ok(&["kill", "web"]), "web");
    assert_eq!(world.ok(&["wait", "web"]), "137");
    assert_eq!(world.ok(&["rm", "web"]), "web");
    assert_eq!(world.coracle(&["inspect", "web"]).code, 1);
    world.finish();
}

#[test]
fn names_are_taken_once_and_prefixes_found() {
    let world = World::new();
    let id = world.ok(&["create", "--net", "none", "--name", "one", "bb", "true"]);
    let done = world.coracle(&["create", "--net", "none", "--name", "one", "bb", "true"]);
    assert_eq!(done.code, 1);
    assert!(done.err.contains("is already in use by container"), "{done:?}");
    let done = world.coracle(&["run", "--rm", "--net", "none", "--name", "one", "bb", "true"]);
    assert_eq!(done.code, 125, "{done:?}");
    assert!(world.ok(&["inspect", &id[..8]]).contains(&id));
    assert_eq!(world.coracle(&["start", "-a", "one"]).code, 0);
    assert_eq!(world.ok(&["rm", &id[..12]]), &id[..12]);
    // Free again.
    world.ok(&["run", "--rm", "--net", "none", "--name", "one", "bb", "true"]);
    world.finish();
}

#[test]
fn logs_follow_to_the_end() {
    let world = World::new();
    world.ok(&[
        "run",
        "-d",
        "--net",
        "none",
        "--name",
        "lines",
        "bb",
        "sh",
        "-c",
        "for i in $(seq 200); do echo line $i; done; sleep 0.3; echo last",
    ]);
    let done = world.coracle(&["logs", "-f", "lines"]);
    assert_eq!(done.out.lines().count(), 201, "{done:?}");
    assert!(done.out.ends_with("line 200\nlast\n"));
    assert_eq!(world.coracle(&["logs", "--tail", "2", "lines"]).out, "line 200\nlast\n");
    let stamped = world.coracle(&["logs", "-t", "--tail", "1", "lines"]).out;
    assert!(stamped.starts_with("20") && stamped.ends_with("Z last\n"), "{stamped}");
    world.ok(&["rm", "lines"]);
    world.finish();
}

#[test]
fn a_detached_container_that_removes_itself() {
    let world = World::new();
    let id = world.ok(&["run", "-d", "--rm", "--net", "none", "bb", "sleep", "0.2"]);
    assert_eq!(world.ok(&["ps", "-q", "--no-trunc"]), id);
    world.until("removal", || world.ok(&["ps", "-aq"]).is_empty());
    let id = world.ok(&["run", "-d", "--rm", "--net", "none", "bb", "sleep", "60"]);
    assert_eq!(world.ok(&["rm", "-f", &id]), id);
    world.finish();
}

#[test]
fn a_killed_command_takes_its_container_with_it() {
    let world = World::new();
    for more in [&[][..], &["--log-driver", "local"]] {
        let words =
            [&["run", "--rm", "--net", "none", "--name", "victim"], more, &["bb", "sleep", "60"]];
        let mut child = world.command(&words.concat()).spawn().expect("start");
        world.until("start", || world.ok(&["ps", "-q"]).len() == 12);
        let pid = pid_of(&world, "victim");
        kill_9(&child.id().to_string());
        child.wait().expect("wait");
        world.until("death", || !is_alive(pid));
        // The name is free for the next one, and what was left is put away on the way.
        world.ok(&["run", "--rm", "--net", "none", "--name", "victim", "bb", "true"]);
    }
    world.finish();
}

#[test]
fn a_killed_monitor_does_not_kill_its_container() {
    let world = World::new();
    world.ok(&[
        "run",
        "-d",
        "--net",
        "none",
        "--name",
        "orphan",
        "bb",
        "sh",
        "-c",
        "i=0; while [ ! -e /stop ]; do i=$((i+1)); echo $i; sleep 0.05; done; exit 4",
    ]);
    let pid = pid_of(&world, "orphan");
    let own = world.folder.to_string_lossy().into_owned();
    let monitors = support::processes(&own);
    assert_eq!(monitors.len(), 1, "{monitors:?}");
    kill_9(monitors[0].split(' ').next().expect("pid"));
    world.until("the monitor's end", || support::processes(&own).is_empty());
    assert!(is_alive(pid), "the container died with its monitor");
    assert!(world.ok(&["ps"]).contains("orphan"));
    // The next command that needs a monitor starts one, which reads on.
    let before = world.coracle(&["logs", "orphan"]).out.lines().count();
    let stop = std::thread::scope(|scope| {
        let waiter = scope.spawn(|| world.ok(&["wait", "orphan"]));
        world.until("output goes on", || {
            world.coracle(&["logs", "orphan"]).out.lines().count() > before + 3
        });
        world.ok(&["stop", "-t", "0", "orphan"]);
        waiter.join().expect("waiter")
    });
    // Its exit code cannot be known: it is not the new monitor's child.
    assert_eq!(stop, "255");
    assert!(world.ok(&["inspect", "orphan"]).contains("its monitor was killed"));
    world.ok(&["rm", "orphan"]);
    world.finish();
}

#[test]
fn a_container_whose_end_nobody_saw_starts_again() {
    let world = World::new();
    world.ok(&["run", "-d", "--net", "none", "--name", "unseen", "bb", "sleep", "0.3"]);
    let own = world.folder.to_string_lossy().into_owned();
    let monitors = support::processes(&own);
    kill_9(monitors[0].split(' ').next().expect("pid"));
    let pid = pid_of(&world, "unseen");
    world.until("the container's end", || pid == 0 || !is_alive(pid));
    assert!(world.ok(&["ps", "-a"]).contains("Exited (255)"));
    assert_eq!(world.ok(&["start", "unseen"]), "unseen");
    assert_eq!(world.ok(&["wait", "unseen"]), "0");
    world.ok(&["rm", "unseen"]);
    world.finish();
}

/// Whether a process has this text among its arguments.
fn runs(text: &str) -> bool {
    let entries = std::fs::read_dir("/proc").expect("/proc");
    let words = |entry: std::fs::DirEntry| std::fs::read(entry.path().join("cmdline"));
    entries
        .flatten()
        .filter_map(|entry| words(entry).ok())
        .any(|words| String::from_utf8_lossy(&words).split('\0').any(|word| word == text))
}

/// Starts and removes a container again and again while processes of one name are killed.
fn prey(name: &str, rounds: usize, pause: u64) {
    let world = World::new();
    let own = world.folder.to_string_lossy().into_owned();
    let over = std::sync::atomic::AtomicBool::new(false);
    // A number that no other process has in its arguments.
    let seconds = format!("8{}", std::process::id() * 1000 + pause as u32);
    // Judged when the killer has ended.
    let mut wrong = Vec::new();
    let killed = std::thread::scope(|scope| {
        let killer = scope.spawn(|| {
            let mut killed = 0;
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                let found = support::processes(&own);
                for process in found.iter().filter(|words| words.contains(name)).take(1) {
                    let pid = process.split(' ').next().expect("pid");
                    let kill = std::process::Command::new("kill").args(["-9", pid]).output();
                    killed += u32::from(kill.is_ok_and(|output| output.status.success()));
                }
                std::thread::sleep(std::time::Duration::from_millis(pause));
            }
            killed
        });
        for _ in 0..rounds {
            // Either may fail, with one line; neither may leave anything.
            let words = ["run", "-d", "--net", "none", "--name", "prey", "bb", "sleep", &seconds];
            let done = world.coracle(&words);
            if ["already running", "in use"].iter().any(|text| done.err.contains(text)) {
                wrong.push(done);
            }
            world.coracle(&["rm", "-f", "prey"]);
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        killer.join().expect("killer")
    });
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(killed > 3, "the test killed only {killed} processes");
    world.coracle(&["rm", "-f", "prey"]);
    // What a killed removal has left goes with the next look at everything.
    world.ok(&["ps", "-a"]);
    world.until("the containers' processes are gone", || !runs(&seconds));
    world.finish();
}

#[test]
fn killed_workers_leave_nothing() {
    prey("coracle-job", 30, 7);
}

#[test]
fn killed_monitors_leave_nothing() {
    for pause in [3, 7, 11] {
        prey("coracle-monitor", 15, pause);
    }
}

/// A worker that starts this container, as its monitor would have it; the test has the monitor's
/// end of the socket. The container has a terminal: other streams are made by the monitor.
fn worker(world: &World, id: &str) -> (std::process::Child, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("socketpair");
    let name = world.folder.join("coracle-job");
    if !name.exists() {
        std::os::unix::fs::symlink(support::binary(), &name).expect("symlink");
    }
    let child = std::process::Command::new("sh")
        .args(["-c", "exec 3<&0 0</dev/null; exec \"$0\" \"$@\""])
        .arg(&name)
        .args([world.root(), world.run_folder()])
        .args(["", "start", id])
        .stdin(std::os::fd::OwnedFd::from(theirs))
        .spawn()
        .expect("start a worker");
    (child, ours)
}

#[test]
fn a_start_that_nobody_waits_for_is_not_made() {
    let world = World::new();
    let id = world.ok(&["create", "-t", "--net", "none", "--name", "slow", "bb", "sleep", "60"]);
    let folder = world.run_folder().join("containers").join(&id);
    // The lock stops the worker before it has made anything; then its monitor is gone.
    let lock = std::fs::File::open(&folder).expect("open");
    lock.lock().expect("flock");
    let (mut child, monitor) = worker(&world, &id);
    std::thread::sleep(std::time::Duration::from_millis(100));
    drop(monitor);
    drop(lock);
    assert!(!child.wait().expect("wait").success(), "the worker has started it for nobody");
    assert_eq!(world.ok(&["ps", "-q"]), "");
    assert_eq!(world.ok(&["start", "slow"]), "slow");
    world.ok(&["rm", "-f", "slow"]);
    world.finish();
}

#[test]
fn a_removal_and_a_start_at_once_leave_nothing() {
    let world = World::new();
    for round in 0..10 {
        let id =
            world.ok(&["create", "-t", "--net", "none", "--name", "slow", "bb", "sleep", "60"]);
        let folder = world.run_folder().join("containers").join(&id);
        let lock = std::fs::File::open(&folder).expect("open");
        lock.lock().expect("flock");
        let (mut child, monitor) = worker(&world, &id);
        // Now one is first at the lock, now the other.
        std::thread::sleep(std::time::Duration::from_millis(round % 4));
        let mut remove = world.command(&["rm", "-f", "slow"]).spawn().expect("start rm");
        std::thread::sleep(std::time::Duration::from_millis(20));
        drop(lock);
        child.wait().expect("wait");
        drop(monitor);
        assert!(remove.wait().expect("wait").success(), "rm -f failed");
        assert_eq!(world.ok(&["ps", "-aq"]), "");
    }
    world.finish();
}

#[test]
fn a_terminal_is_one() {
    let world = World::new();
    let coracle = support::binary().display().to_string();
    let words = "sh -c 'readlink /proc/self/fd/0; test -t 1 && echo yes; exit 6'";
    let mut terminal =
        Terminal::start(&world, &format!("{coracle} run -it --rm --net none bb {words}"));
    terminal.expect("/dev/pts/0\r\n").expect("yes\r\n");
    assert_eq!(terminal.end(), 6);
    // A shell: size, job control, ctrl-C for what it runs and not for itself.
    let line = format!("stty cols 91 rows 37; {coracle} run -it --rm --net none bb sh");
    let mut shell = Terminal::start(&world, &line);
    shell.expect("# ").send("stty size\n").expect("37 91").expect("# ");
    shell.send("sleep 30\n").expect("sleep 30\r\n");
    std::thread::sleep(std::time::Duration::from_millis(200));
    shell.send("\x03").expect("# ").send("echo after $?\n").expect("after 130").expect("# ");
    shell.send("sleep 30\n").expect("sleep 30\r\n");
    std::thread::sleep(std::time::Duration::from_millis(200));
    shell.send("\x1a").expect("Stopped").expect("# ").send("fg\n").expect("sleep 30\r\n");
    std::thread::sleep(std::time::Duration::from_millis(200));
    shell.send("\x03").expect("# ").send("exit 3\n");
    assert_eq!(shell.end(), 3);
    // Left with ctrl-p ctrl-q, it goes on.
    let line = format!("{coracle} run -it --net none --name left bb sh");
    let mut shell = Terminal::start(&world, &line);
    shell.expect("# ").send("\x10\x11");
    shell.end();
    assert!(world.ok(&["ps"]).contains("left"));
    world.ok(&["rm", "-f", "left"]);
    // Detached with a terminal.
    let script = "test -t 0 && echo tty";
    world.ok(&["run", "-dt", "--net", "none", "--name", "term", "bb", "sh", "-c", script]);
    world.ok(&["wait", "term"]);
    assert_eq!(world.ok(&["logs", "term"]), "tty\r");
    world.ok(&["rm", "term"]);
    world.finish();
}
