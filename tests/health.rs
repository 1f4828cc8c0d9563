//! Health checks: states, the log of the last five, time-outs, restarts.

#![allow(clippy::expect_used)]

use support::{World, busybox_tar, feed};

fn status(world: &World, id: &str) -> String {
    world.ok(&["inspect", "-f", "{{.State.Health.Status}}", id])
}

#[test]
fn health_follows_the_probes() {
    let world = World::new();
    let id = world.ok(&[
        "run",
        "-d",
        "--net",
        "none",
        "--health-cmd",
        "echo probed; test -f /tmp/well",
        "--health-interval",
        "100ms",
        "--health-retries",
        "2",
        "bb",
        "sh",
        "-c",
        "touch /tmp/well; sleep 1000",
    ]);
    world.until("healthy", || status(&world, &id) == "healthy");
    assert!(world.ok(&["ps", "--format", "{{.Status}}"]).ends_with("(healthy)"));
    assert_eq!(world.ok(&["ps", "-q", "--no-trunc", "-f", "health=healthy"]), id);
    world.ok(&["exec", &id, "rm", "/tmp/well"]);
    world.until("unhealthy", || status(&world, &id) == "unhealthy");
    assert!(world.ok(&["ps", "--format", "{{.Status}}"]).ends_with("(unhealthy)"));
    let streak = world.ok(&["inspect", "-f", "{{.State.Health.FailingStreak}}", &id]);
    assert!(streak.parse::<u32>().expect("number") >= 2, "{streak}");
    world.until("five results", || {
        world.ok(&["inspect", "-f", "{{len .State.Health.Log}}", &id]) == "5"
    });
    let log = world.ok(&["inspect", "-f", "{{json .State.Health.Log}}", &id]);
    assert!(log.contains("\"ExitCode\":1,\"Output\":\"probed\\n\""), "{log}");
    world.ok(&["exec", &id, "touch", "/tmp/well"]);
    world.until("healthy again", || status(&world, &id) == "healthy");
    // A new start knows nothing.
    world.ok(&["stop", "-t", "0", &id]);
    world.ok(&["start", &id]);
    world.until("healthy after the start", || status(&world, &id) == "healthy");
    // Its monitor is killed: the next one goes on.
    let monitor = monitor_of(&id);
    rustix::process::kill_process(monitor, rustix::process::Signal::KILL).expect("kill");
    world.ok(&["exec", &id, "rm", "/tmp/well"]);
    // Who asks for the container's end makes a monitor.
    let mut waiting = world.command(&["wait", &id]).spawn().expect("wait");
    world.until("unhealthy by a new monitor", || status(&world, &id) == "unhealthy");
    world.ok(&["rm", "-f", &id]);
    waiting.wait().expect("wait");
    world.finish();
}

/// The monitor's process.
fn monitor_of(id: &str) -> rustix::process::Pid {
    for entry in std::fs::read_dir("/proc").expect("proc").flatten() {
        let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).into_owned();
        if words.starts_with("coracle-monitor") && words.contains(id) {
            let pid = entry.file_name().to_string_lossy().parse().expect("pid");
            return rustix::process::Pid::from_raw(pid).expect("pid");
        }
    }
    unreachable!("no monitor")
}

#[test]
fn a_probe_that_hangs_is_ended() {
    let world = World::new();
    let id = world.ok(&[
        "run",
        "-d",
        "--net",
        "none",
        "--health-cmd",
        "sleep 77",
        "--health-interval",
        "100ms",
        "--health-timeout",
        "200ms",
        "--health-retries",
        "1",
        "bb",
        "sleep",
        "1000",
    ]);
    world.until("unhealthy", || status(&world, &id) == "unhealthy");
    let log = world.ok(&["inspect", "-f", "{{json .State.Health.Log}}", &id]);
    assert!(log.contains("\"ExitCode\":-1,\"Output\":\"Health check exceeded timeout"), "{log}");
    world.ok(&["rm", "-f", &id]);
    world.finish();
}

#[test]
fn the_images_checks_and_refusals() {
    let world = World::empty();
    let mut import = world.command(&[
        "import",
        "-c",
        "HEALTHCHECK --interval=100ms CMD exit 0",
        "-c",
        "CMD [\"sleep\",\"99\"]",
        "-",
        "bb",
    ]);
    assert_eq!(feed(&mut import, &busybox_tar()).code, 0);
    let id = world.ok(&["run", "-d", "--net", "none", "bb"]);
    world.until("healthy", || status(&world, &id) == "healthy");
    world.ok(&["rm", "-f", &id]);
    let id = world.ok(&["run", "-d", "--net", "none", "--no-healthcheck", "bb"]);
    std::thread::sleep(std::time::Duration::from_millis(300));
    let done = world.coracle(&["inspect", "-f", "{{.State.Health.Status}}", &id]);
    assert_ne!(done.code, 0, "{done:?}");
    world.ok(&["rm", "-f", &id]);
    for (flags, want) in [
        (&["--health-interval", "5"][..], "invalid duration \"5\""),
        (&["--health-interval", "5ns"], "Interval in Healthcheck cannot be less than 1ms"),
        (&["--no-healthcheck", "--health-cmd", "x"], "conflicts with --health-* options"),
    ] {
        let done = world.script(flags, "true");
        assert!(done.code == 125 && done.err.contains(want), "{done:?}");
    }
    world.finish();
}

#[test]
fn what_becomes_unhealthy_is_restarted_when_asked() {
    let world = World::new();
    let id = world.ok(&[
        "run",
        "-d",
        "--net",
        "none",
        "--restart-unhealthy",
        "--stop-timeout",
        "0",
        "--health-cmd",
        "test ! -f /tmp/ill",
        "--health-interval",
        "100ms",
        "--health-retries",
        "2",
        "-v",
        "count:/count",
        "bb",
        "sh",
        "-c",
        "echo x >>/count/starts; rm -f /tmp/ill; exec sleep 1000",
    ]);
    world.until("healthy", || status(&world, &id) == "healthy");
    world.ok(&["exec", &id, "touch", "/tmp/ill"]);
    world.until("a second start", || {
        world.coracle(&["exec", &id, "wc", "-l", "/count/starts"]).out.starts_with("2 ")
    });
    world.until("healthy again", || status(&world, &id) == "healthy");
    world.ok(&["rm", "-f", &id]);
    world.ok(&["volume", "rm", "count"]);
    world.finish();
}
