//! `--upper ram`: what a container writes lies in RAM, is limited, and is gone when it stops.

#![allow(clippy::expect_used)]

use support::{Done, World};

const RAM: [&str; 2] = ["--upper", "ram:3m"];

fn refused(world: &World, words: &[&str], want: &str) {
    let done = world.coracle(words);
    assert!(done.code != 0 && done.err.contains(want), "{words:?}: {done:?}");
}

#[test]
fn what_it_writes_is_limited_and_gone_when_it_stops() {
    let world = World::new();
    // As much as it may, and no more; what the image has can be changed.
    let script = "echo x >>/etc/passwd && tail -n 1 /etc/passwd && rm /bin/true && ls /bin/true; \
        dd if=/dev/zero of=/big bs=1M count=2 2>/dev/null && echo fits; \
        dd if=/dev/zero of=/more bs=1M count=4 2>&1 | grep -o 'No space left'";
    let done = world.script(&RAM, script);
    assert_eq!(done.out, "x\nfits\nNo space left\n", "{done:?}");
    let script = "dd if=/dev/zero of=/big bs=1M count=70 2>/dev/null && echo fits || echo full";
    assert_eq!(world.script(&["--upper", "ram"], script).out, "full\n");
    let size = ["--upper", "ram", "--storage-opt", "size=80m"];
    assert_eq!(world.script(&size, script).out, "fits\n");
    // Folders that it may not write are its own as ever, whatever the umask is.
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", "umask 077; exec \"$@\"", "sh"])
        .arg(support::binary())
        .args(["run", "--rm", "--net", "none", RAM[0], RAM[1], "-u", "web", "bb"])
        .args(["sh", "-c", "stat -c %a /; touch /tmp/x && ls /tmp"])
        .env("CORACLE_ROOT", world.root())
        .env("CORACLE_RUN", world.run_folder());
    let done = Done::from(command.output().expect("run"));
    assert_eq!(done.out, "755\nx\n", "{done:?}");
    // Nothing of it is on the disk; a stop loses it.
    let words = ["run", "-d", "--net", "none", "--name", "web", RAM[0], RAM[1], "-v", "data:/d"];
    let script = "ls /own; echo x >/own; echo x >>/d/f; exec sleep 1000";
    let id = world.ok(&[&words[..], &["bb", "sh", "-c", script]].concat());
    world.until("its file", || world.coracle(&["exec", "web", "cat", "/own"]).out == "x\n");
    let upper = world.root().join("uppers").join(&id).join("upper");
    assert_eq!(std::fs::read_dir(&upper).expect("read").count(), 0);
    world.ok(&["cp", "web:/own", &world.folder.join("out").display().to_string()]);
    for words in [&["diff", "web"][..], &["commit", "web", "x"], &["export", "web"]] {
        refused(&world, words, "what a container writes to RAM is not kept");
    }
    world.ok(&["restart", "-t", "0", "web"]);
    world.until("its volume", || world.ok(&["exec", "web", "cat", "/d/f"]) == "x\nx");
    let log = world.coracle(&["logs", "web"]).err;
    assert_eq!(log.matches("No such file").count(), 2, "{log}");
    assert_eq!(world.ok(&["inspect", "-f", "{{.HostConfig.Upper}}", "web"]), "ram:3m");
    world.ok(&["stop", "-t", "0", "web"]);
    refused(&world, &["cp", "web:/own", "-"], "its files are in RAM while it runs");
    world.ok(&["rm", "web"]);
    world.ok(&["volume", "rm", "data"]);
    world.finish();
}

#[test]
fn what_is_refused() {
    let world = World::new();
    let run = |flags: &[&'static str]| {
        [&["run", "--rm", "--net", "none"], flags, &["bb", "true"]].concat()
    };
    for (flags, want) in [
        (&["--upper", "disk"][..], "invalid upper: disk (known: ram[:SIZE])"),
        (&["--upper", "ram:x"], "invalid size: 'x'"),
        (&["--storage-opt", "size=1g"], "has no project quotas; --upper ram can be limited"),
        (&["--storage-opt", "size=x"], "invalid size: 'x'"),
        (&["--storage-opt", "x=1"], "unknown option x in --storage-opt"),
        (&["--upper", "ram:1m", "--storage-opt", "size=1m"], "conflicting options: a size by"),
    ] {
        refused(&world, &run(flags), want);
    }
    let words = [&["--driver", "vfs"], &run(&["--upper", "ram"])[..]].concat();
    refused(&world, &words, "--upper ram needs the driver overlay");
    world.finish();
}
