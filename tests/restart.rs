//! Restart policies: the container's monitor starts it again.

#![allow(clippy::expect_used)]

use support::World;

fn field(world: &World, name: &str, field: &str) -> String {
    let text = world.ok(&["inspect", name]);
    let line = text.lines().find(|line| line.contains(&format!("\"{field}\":"))).expect("field");
    line.split(": ").nth(1).expect("value").trim_end_matches(',').to_string()
}

fn run(world: &World, policy: &str, script: &str) {
    let flags = ["run", "-d", "--net", "none", "--name", "box", "--restart", policy];
    world.ok(&[&flags[..], &["bb", "sh", "-c", script]].concat());
}

/// How often it has begun.
fn begun(world: &World) -> usize {
    world.ok(&["logs", "box"]).lines().count()
}

#[test]
fn on_failure_gives_up_after_so_many() {
    let world = World::new();
    run(&world, "on-failure:2", "echo begun; exit 3");
    world.until("the last end", || {
        begun(&world) == 3 && world.ok(&["ps", "-a"]).contains("Exited (3)")
    });
    assert_eq!(field(&world, "box", "RestartCount"), "2");
    world.ok(&["rm", "box"]);
    run(&world, "on-failure", "echo begun; test -e /again || { touch /again; exit 1; }");
    world.until("a good end", || world.ok(&["ps", "-a"]).contains("Exited (0)"));
    assert_eq!(begun(&world), 2);
    world.ok(&["rm", "box"]);
    world.finish();
}

#[test]
fn always_goes_on_until_the_user_stops_it() {
    let world = World::new();
    run(&world, "always", "echo begun; sleep 0.05");
    world.until("four starts", || begun(&world) >= 4);
    world.until("a pause between two", || world.ok(&["ps"]).contains("Restarting (0)"));
    world.ok(&["stop", "-t", "0", "box"]);
    let count = begun(&world);
    std::thread::sleep(std::time::Duration::from_millis(2500));
    assert_eq!(begun(&world), count, "it was started after stop");
    assert!(world.ok(&["ps", "-a"]).contains("Exited"));
    // Started by hand, the policy holds again; removed in a pause, nothing comes back.
    world.ok(&["start", "box"]);
    world.until("two starts more", || begun(&world) >= count + 2);
    world.ok(&["rm", "-f", "box"]);
    world.finish();
}

/// overlay makes its work folder anew at each mount: from one life to the next the root stays mounted,
/// but for somebody who mounts it meanwhile.
#[test]
fn a_crash_loop_keeps_its_root() {
    use std::os::unix::fs::MetadataExt;
    let world = World::new();
    let script = "cat /new 2>/dev/null; echo begun >>/count; sleep 0.05; exit 1";
    let flags = ["run", "-d", "--net", "none", "--name", "box", "--restart", "always"];
    let id = world.ok(&[&flags[..], &["bb", "sh", "-c", script]].concat());
    let work = world.root().join("uppers").join(&id).join("work/work");
    let times =
        || work.metadata().map(|folder| (folder.ino(), folder.ctime(), folder.ctime_nsec()));
    let lives = || field(&world, "box", "RestartCount").parse::<u32>().expect("number");
    world.until("the first restart", || lives() >= 1);
    let first = times().expect("overlay's work folder");
    world.until("four restarts", || lives() >= 4);
    assert_eq!(times().ok(), Some(first), "the root was mounted anew");
    // What is put there between two lives is seen by the next one.
    world.until("a pause", || world.ok(&["ps"]).contains("Restarting"));
    std::fs::write(world.folder.join("new"), "it is there\n").expect("write");
    let from = world.folder.join("new").display().to_string();
    world.ok(&["cp", &from, "box:/new"]);
    world.until("the file inside", || world.ok(&["logs", "box"]).contains("it is there"));
    world.ok(&["rm", "-f", "box"]);
    world.finish();
}

#[test]
fn a_killed_process_is_replaced_and_a_killed_container_is_not() {
    let world = World::new();
    run(&world, "unless-stopped", "echo begun; exec sleep 60");
    world.until("its output", || begun(&world) == 1);
    let pid = field(&world, "box", "Pid");
    let killed = std::process::Command::new("kill").args(["-9", &pid]).status();
    assert!(killed.expect("kill").success());
    world.until("another process", || {
        field(&world, "box", "Running") == "true" && field(&world, "box", "Pid") != pid
    });
    world.until("its output", || begun(&world) == 2);
    world.ok(&["kill", "box"]);
    world.until("its end", || world.ok(&["ps", "-a"]).contains("Exited (137)"));
    world.ok(&["rm", "box"]);
    world.finish();
}

#[test]
fn what_is_no_policy_is_refused() {
    let world = World::new();
    for (flags, text) in [
        (&["--restart", "sometimes"][..], "invalid restart policy 'sometimes'"),
        (&["--restart", "always:3"], "maximum retry count cannot be used"),
        (&["--restart", "on-failure:x"], "maximum retry count must be an integer"),
        (&["--rm", "--restart", "always"], "can't create 'AutoRemove' container"),
    ] {
        let words = [&["run", "-d", "--net", "none"], flags, &["bb", "true"]].concat();
        let done = world.coracle(&words);
        assert!(done.code == 125 && done.err.contains(text), "{flags:?}: {done:?}");
    }
    world.finish();
}

/// What a power cut may leave: a name without its text, one of nobody, half a container. And
/// a reboot, as far as one can be made here: everything that runs is killed, the run folder is a
/// new one, and the kernel says another boot's id.
#[test]
fn after_a_reboot_policies_decide() {
    let world = World::new();
    let later = ["-l", "coracle.boot-order=1"];
    // Its label does not bring it before what it needs.
    let needs = ["--volumes-from", "always", "-l", "coracle.boot-order=-9"];
    for (name, policy, flags) in [
        ("always", "always", &later[..]),
        ("stopped", "unless-stopped", &[]),
        ("going", "unless-stopped", &[]),
        ("none", "no", &[]),
        ("user", "always", &needs),
    ] {
        let words = ["run", "-d", "--net", "none", "--name", name, "--restart", policy];
        world.ok(&[&words[..], flags, &["bb", "sleep", "60"]].concat());
    }
    world.ok(&["create", "--net", "none", "--restart", "always", "--name", "fresh", "bb", "true"]);
    world.ok(&["stop", "-t", "0", "always", "stopped"]);
    for name in ["going", "none", "user"] {
        let monitors = support::processes(&world.folder.to_string_lossy());
        for words in monitors {
            let pid = words.split(' ').next().expect("pid").to_string();
            let _ = std::process::Command::new("kill").args(["-9", &pid]).status();
        }
        let pid = field(&world, name, "Pid");
        let _ = std::process::Command::new("kill").args(["-9", &pid]).status();
    }
    let script = "echo 12345678-1234-1234-1234-123456789abc >$DIR/boot &&
        mount --bind $DIR/boot /proc/sys/kernel/random/boot_id && export CORACLE_RUN=$DIR/run2 &&
        rm -rf $DIR/run/containers &&
        : >$CORACLE_ROOT/container-names/going && mkdir $CORACLE_ROOT/containers/.half &&
        echo x >$CORACLE_ROOT/container-names/nobody && $BIN inspect going >/dev/null &&
        $BIN boot && test -s $CORACLE_ROOT/container-names/going &&
        test ! -e $CORACLE_ROOT/containers/.half && test ! -e $CORACLE_ROOT/container-names/nobody && echo -- && $BIN ps -a && echo -- &&
        $BIN boot && echo -- && $BIN rm -f always stopped going none user fresh >/dev/null &&
        umount $DIR/run2/exe/*/coracle";
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "sh", "-ec", script]);
    command.env("DIR", &world.folder).env("BIN", support::binary());
    command.env("CORACLE_ROOT", world.root());
    let done: support::Done = command.output().expect("unshare").into();
    assert_eq!(done.code, 0, "{done:?}");
    let parts: Vec<&str> = done.out.split("--\n").collect();
    assert_eq!(parts[0], "going\nalways\nuser\n", "{done:?}");
    let rows = |word: &str| parts[1].lines().filter(|line| line.contains(word)).count();
    // What the user has stopped has ended, too.
    assert_eq!((rows(" Up "), rows("Exited (255)"), rows("Created")), (3, 2, 1), "{done:?}");
    assert_eq!(parts[2], "", "it was restored twice: {done:?}");
    world.finish();
}
