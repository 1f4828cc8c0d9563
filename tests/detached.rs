//! Containers of their own monitors: `-d`, terminals, logs, stop, kill, rm, and killed processes.

#![allow(clippy::expect_used)]

mod support;

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

#[test]
fn killed_workers_leave_nothing() {
    let world = World::new();
    let own = world.folder.to_string_lossy().into_owned();
    let over = std::sync::atomic::AtomicBool::new(false);
    let killed = std::thread::scope(|scope| {
        let killer = scope.spawn(|| {
            let mut killed = 0;
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                let found = support::processes(&own);
                for worker in found.iter().filter(|words| words.contains("coracle-job")).take(1) {
                    let pid = worker.split(' ').next().expect("pid");
                    let kill = std::process::Command::new("kill").args(["-9", pid]).output();
                    killed += u32::from(kill.is_ok_and(|output| output.status.success()));
                }
                std::thread::sleep(std::time::Duration::from_millis(7));
            }
            killed
        });
        for _ in 0..30 {
            // Either may fail, with one line; neither may leave anything.
            world.coracle(&["run", "-d", "--net", "none", "--name", "prey", "bb", "sleep", "60"]);
            world.coracle(&["rm", "-f", "prey"]);
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        killer.join().expect("killer")
    });
    assert!(killed > 3, "the test killed only {killed} workers");
    world.coracle(&["rm", "-f", "prey"]);
    // What a killed removal has left goes with the next look at everything.
    world.ok(&["ps", "-a"]);
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
