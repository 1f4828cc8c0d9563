//! One more process in a container that runs.

#![allow(clippy::expect_used)]

use std::process::Stdio;
use support::{Terminal, World, feed};

/// A world with a container that sleeps, of this name.
fn sleeper(flags: &[&str]) -> World {
    let world = World::new();
    let words = [&["run", "-d", "--net", "none", "--name", "box"], flags, &["bb", "sleep", "60"]];
    world.ok(&words.concat());
    world
}

#[test]
fn a_process_like_the_first_one() {
    let world = sleeper(&["-e", "OWN=1", "--memory", "64m", "-w", "/srv"]);
    let exec = |words: &[&str]| world.coracle(&[&["exec"], words].concat());
    let script = |text: &str| exec(&["box", "sh", "-c", text]);
    let done = script("echo out; echo err >&2; exit 7");
    assert_eq!((done.code, &*done.out, &*done.err), (7, "out\n", "err\n"));
    // Every namespace, and every cgroup, is the first process's.
    let of = |path: &str| script(&format!("for n in {path}; do readlink $n; done")).out;
    for kind in ["ipc", "uts", "net", "pid", "mnt", "cgroup"] {
        let first = of(&format!("/proc/1/ns/{kind}"));
        assert!(first.contains(kind) && first == of(&format!("/proc/self/ns/{kind}")), "{kind}");
    }
    assert_eq!(script("cat /proc/1/cgroup").out, script("cat /proc/self/cgroup").out);
    // Nothing of the host: no descriptor but the streams, the same capabilities, not ours to look
    // into.
    let found = script("for f in 0 1 2 3 4 5 6 7 8 9; do test -e /proc/$$/fd/$f && echo $f; done");
    assert_eq!(found.out, "0\n1\n2\n");
    let capabilities =
        |pid: &str| script(&format!("grep -E 'Cap|Seccomp:|NoNewPrivs' /proc/{pid}/status")).out;
    assert_eq!(capabilities("1"), capabilities("self"));
    assert!(capabilities("self").contains("Seccomp:\t2"), "{}", capabilities("self"));
    let done = exec(&["--privileged", "box", "grep", "-E", "Seccomp:|CapEff", "/proc/self/status"]);
    let (ours, theirs) = (capabilities("self"), done.out);
    let effective =
        |text: &str| text.lines().find(|line| line.starts_with("CapEff")).map(str::to_string);
    assert!(theirs.contains("Seccomp:\t0") && effective(&ours) < effective(&theirs), "{theirs}");
    assert_eq!(script("pwd; echo $OWN $HOME").out, "/srv\n1 /root\n");
    let done = exec(&[
        "-u",
        "web",
        "-w",
        "/tmp",
        "-e",
        "X=y",
        "box",
        "sh",
        "-c",
        "id -u; id -G; pwd; echo $X",
    ]);
    assert_eq!(done.out, "33\n34 4\n/tmp\ny\n");
    world.ok(&["rm", "-f", "box"]);
    world.finish();
}

#[test]
fn what_cannot_be_started_says_so() {
    let world = sleeper(&[]);
    for (words, code, text) in [
        (&["box", "nosuch"][..], 127, "\"nosuch\": executable file not found"),
        (&["box", "/etc"], 126, "permission denied"),
        (&["-w", "/nosuch", "box", "true"], 126, "/nosuch"),
        (&["-u", "nobody", "box", "true"], 126, "nobody"),
        (&["nobox", "true"], 1, "No such container: nobox"),
    ] {
        let done = world.coracle(&[&["exec"], words].concat());
        assert_eq!(done.code, code, "{words:?}: {done:?}");
        assert!(done.err.contains(text), "{words:?}: {done:?}");
        assert_eq!(done.err.lines().count(), 1, "{words:?}: {done:?}");
    }
    world.ok(&["stop", "-t", "0", "box"]);
    let done = world.coracle(&["exec", "box", "true"]);
    assert!(done.code == 1 && done.err.contains("is not running"), "{done:?}");
    world.ok(&["rm", "box"]);
    world.finish();
}

#[test]
fn streams_signals_and_ends() {
    let world = sleeper(&[]);
    let big = vec![b'x'; 3 << 20];
    let done = feed(&mut world.command(&["exec", "-i", "box", "cat"]), &big);
    assert!(done.code == 0 && done.out.len() == big.len(), "{} bytes came back", done.out.len());
    let done = feed(&mut world.command(&["exec", "-i", "box", "wc", "-c"]), b"four");
    assert_eq!(done.out.trim(), "4");
    // Without -i there is no input.
    let done = feed(&mut world.command(&["exec", "box", "cat"]), b"four");
    assert_eq!((done.code, &*done.out), (0, ""));
    assert_eq!(world.coracle(&["exec", "box", "sh", "-c", "kill -9 $$"]).code, 137);
    // Output that nobody reads does not hold the process for ever.
    let mut child =
        world.command(&["exec", "box", "yes"]).stdout(Stdio::piped()).spawn().expect("start");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("wait").code(), Some(141));
    // Zombies do not count: who waits for orphans is the test machine's business.
    let living = "for p in /proc/[0-9]*; do cat $p/stat; done 2>/dev/null | grep '(yes) [^Z]'";
    world.until("yes has ended", || world.coracle(&["exec", "box", "sh", "-c", living]).code == 1);
    // Detached, it outlives the command, and ends with its container.
    assert_eq!(world.ok(&["exec", "-d", "box", "sleep", "77"]), "");
    assert!(world.ok(&["exec", "box", "ps"]).contains("sleep 77"));
    let waiting = world.command(&["exec", "box", "sleep", "61"]).spawn().expect("start");
    world.until("a start", || world.ok(&["exec", "box", "ps"]).contains("sleep 61"));
    world.ok(&["rm", "-f", "box"]);
    let done = waiting.wait_with_output().expect("wait");
    assert_eq!(done.status.code(), Some(137));
    world.finish();
}

#[test]
fn a_terminal_of_its_own() {
    let world = sleeper(&[]);
    let coracle = support::binary().display().to_string();
    let line = format!("stty cols 91 rows 37; {coracle} exec -it box sh");
    let mut shell = Terminal::start(&world, &line);
    shell.expect("# ").send("stty size\n").expect("37 91").expect("# ");
    shell.send("sleep 30\n").expect("sleep 30\r\n");
    std::thread::sleep(std::time::Duration::from_millis(200));
    shell.send("\x03").expect("# ").send("exit 3\n");
    assert_eq!(shell.end(), 3);
    world.ok(&["rm", "-f", "box"]);
    world.finish();
}

#[test]
fn in_a_container_of_a_command_in_the_foreground() {
    let world = World::new();
    let words = ["run", "--rm", "--net", "none", "--name", "front", "bb", "sleep", "60"];
    let mut front = world.command(&words).spawn().expect("start");
    world.until("start", || world.coracle(&["exec", "front", "true"]).code == 0);
    assert_eq!(world.ok(&["exec", "front", "sh", "-c", "echo $$ | grep -q 1; echo in"]), "in");
    world.ok(&["rm", "-f", "front"]);
    assert_eq!(front.wait().expect("wait").code(), Some(137));
    world.finish();
}
