//! Shared namespaces, kernel parameters, names, the init process, and the other small flags.

#![allow(clippy::expect_used)]

use support::World;

fn inside(world: &World, flags: &[&str], script: &str) -> String {
    let done = world.script(flags, script);
    assert_eq!((done.code, done.err.as_str()), (0, ""), "{flags:?}: {done:?}");
    done.out.trim_end().to_string()
}

fn refused(world: &World, flags: &[&str], want: &str) {
    let done = world.script(flags, "true");
    assert_ne!(done.code, 0, "{flags:?}: {done:?}");
    assert!(done.err.contains(want), "{flags:?}: {done:?}");
}

fn host(kind: &str) -> String {
    std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("link").display().to_string()
}

#[test]
fn namespaces_of_the_host() {
    let world = World::new();
    for (flag, kind) in
        [("--pid", "pid"), ("--ipc", "ipc"), ("--uts", "uts"), ("--cgroupns", "cgroup")]
    {
        let look = format!("readlink /proc/self/ns/{kind}");
        assert_eq!(inside(&world, &[flag, "host"], &look), host(kind), "{flag}");
        assert_ne!(inside(&world, &[], &look), host(kind), "{flag}");
    }
    // The host's name, its processes, its shared memory.
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("name");
    assert_eq!(inside(&world, &["--uts", "host"], "hostname"), name.trim());
    let own = std::process::id().to_string();
    // By name, for inside the number may be somebody else's.
    let comm = std::fs::read_to_string("/proc/self/comm").expect("comm");
    let found = format!("\"$(cat /proc/{own}/comm 2>/dev/null)\" = {}", comm.trim());
    let script = format!("[ {found} ] && echo seen || echo hidden");
    assert_eq!(inside(&world, &["--pid", "host"], &script), "seen");
    assert_eq!(inside(&world, &[], &script), "hidden");
    let shared = format!("/dev/shm/coracle-test-{own}");
    std::fs::write(&shared, "host").expect("write");
    let script = format!("cat {shared} 2>/dev/null || echo none");
    assert_eq!(inside(&world, &["--ipc", "host"], &script), "host");
    assert_eq!(inside(&world, &[], &script), "none");
    std::fs::remove_file(shared).expect("remove");
    assert_eq!(
        inside(&world, &["--ipc", "none"], "grep -c ' /dev/shm ' /proc/mounts || true"),
        "0"
    );
    // What is left of a container in the host's PID namespace goes with its first process.
    let done = world.script(&["--pid", "host"], "sleep 1000 & exit 7");
    assert_eq!(done.code, 7, "{done:?}");
    refused(
        &world,
        &["--uts", "host", "-h", "x"],
        "conflicting options: hostname and the UTS mode",
    );
    refused(&world, &["--ipc", "what"], "invalid IPC mode: what");
    refused(&world, &["--pid", "what"], "invalid PID mode: what");
    refused(&world, &["--userns", "what"], "invalid USER mode: what");
    world.finish();
}

#[test]
fn namespaces_of_another_container() {
    let world = World::new();
    let words = ["run", "-d", "--net", "none", "--name", "first", "--hostname", "one", "bb"];
    let id = world.ok(&[&words[..], &["sh", "-c", "hostname >/tmp/x; exec sleep 1000"]].concat());
    let seen = |kind: &str| world.ok(&["exec", "first", "readlink", &format!("/proc/1/ns/{kind}")]);
    let net = inside(&world, &["--net", "container:first"], "readlink /proc/self/ns/net");
    assert_eq!(net, seen("net"));
    let script = "readlink /proc/self/ns/pid; ps | grep -c 'sleep 1000'";
    let pid = inside(&world, &["--pid", "container:first"], script);
    assert_eq!(pid.lines().next(), Some(seen("pid").as_str()));
    // Not PID 1, and it sees the other's processes.
    assert_ne!(pid.lines().nth(1), Some("0"), "{pid}");
    // It is told by `top` as one of two containers, not as all of them.
    let other = world.ok(&[
        "run",
        "-d",
        "--net",
        "none",
        "--pid",
        "container:first",
        "bb",
        "sleep",
        "2000",
    ]);
    let top = world.ok(&["top", &other]);
    assert!(top.contains("sleep 2000") && !top.contains("sleep 1000"), "{top}");
    // When the owner of the PID namespace ends, so do all in it.
    world.ok(&["kill", "first"]);
    assert_eq!(world.ok(&["wait", &other]), "137");
    world.ok(&["rm", &other]);
    refused(&world, &["--net", "container:first"], &format!("non running container: {id}"));
    refused(&world, &["--net", "container:nosuch"], "No such container: nosuch");
    world.ok(&["rm", "first"]);
    world.finish();
}

#[test]
fn memory_of_another_container() {
    let world = World::new();
    let words = ["run", "-d", "--net", "none", "--ipc"];
    let run = |mode: &str, name: &str| {
        world.ok(&[&words[..], &[mode, "--name", name, "bb", "sleep", "1000"]].concat())
    };
    let first = run("shareable", "first");
    world.ok(&["exec", "first", "sh", "-c", "echo shared >/dev/shm/f"]);
    // Its objects and its /dev/shm, both ways.
    let look = "readlink /proc/self/ns/ipc; cat /dev/shm/f; echo back >/dev/shm/g";
    let seen = inside(&world, &["--ipc", "container:first"], look);
    let own = world.ok(&["exec", "first", "readlink", "/proc/self/ns/ipc"]);
    assert_eq!(seen, format!("{own}\nshared"));
    assert_eq!(world.ok(&["exec", "first", "cat", "/dev/shm/g"]), "back");
    // A chain; and the name is kept as an id.
    let third = world.ok(&["create", "--net", "none", "--ipc", "container:first", "bb", "true"]);
    let mode = world.ok(&["inspect", "-f", "{{.HostConfig.IpcMode}}", &third]);
    assert_eq!(mode, format!("container:{first}"));
    world.ok(&["rm", &third]);
    // Whoever has not said so shares nothing.
    let private = run("private", "private");
    let want = format!("can't join IPC of container {private}: non-shareable IPC (hint: use");
    refused(&world, &["--ipc", "container:private"], &want);
    // What is no memory any more is not given away.
    let over = ["exec", "--privileged", "first", "sh", "-c"];
    world.ok(&[&over[..], &["mkdir /x && mount -o bind /x /dev/shm"]].concat());
    refused(&world, &["--ipc", "container:first"], "--ipc container: its /dev/shm is none");
    // It is told to end, and has ended.
    world.ok(&["kill", "first"]);
    world.ok(&["wait", "first"]);
    refused(&world, &["--ipc", "container:first"], &format!("non running container: {first}"));
    refused(&world, &["--ipc", "container:"], "No such container");
    world.ok(&["rm", "-f", "first", "private"]);
    world.finish();
}

#[test]
fn kernel_parameters_of_its_own() {
    let world = World::new();
    let read = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax";
    let flags = ["--sysctl", "net.ipv4.ip_forward=1", "--sysctl", "kernel.msgmax=9000"];
    assert_eq!(inside(&world, &flags, read), "1\n9000");
    let domain =
        inside(&world, &["--domainname", "example.org"], "cat /proc/sys/kernel/domainname");
    assert_eq!(domain, "example.org");
    refused(&world, &["--sysctl", "kernel.panic=1"], "sysctl 'kernel.panic' is not allowed");
    refused(&world, &["--sysctl", "net.ipv4/../../kernel.panic=1"], "is not allowed");
    let words = ["--net", "host", "--sysctl", "net.ipv4.ip_forward=1"];
    refused(&world, &words, "not allowed in host network namespace");
    world.finish();
}

#[test]
fn names_and_name_servers() {
    let world = World::new();
    let hosts = inside(&world, &["--add-host", "db:10.1.2.3"], "cat /etc/hosts");
    assert!(hosts.contains("127.0.0.1\tlocalhost") && hosts.ends_with("10.1.2.3\tdb"), "{hosts}");
    let flags = ["--dns", "9.9.9.9", "--dns-search", "a.b", "--dns-option", "ndots:2"];
    let resolv = inside(&world, &flags, "cat /etc/resolv.conf");
    assert_eq!(resolv, "nameserver 9.9.9.9\nsearch a.b\noptions ndots:2");
    refused(&world, &["--add-host", "db"], "bad format for add-host");
    refused(&world, &["--dns", "x"], "x is not an ip address");
    world.finish();
}

#[test]
fn an_init_reaps_orphans_and_passes_signals_on() {
    let world = World::new();
    // An orphan that ends is a zombie of whoever is PID 1.
    let orphans =
        "(sleep 0.1 &) ; (sleep 0.1 &) ; sleep 0.5; ps -o stat,args | grep -c '^Z' || true";
    assert_eq!(inside(&world, &["--init"], orphans), "0");
    let first = inside(&world, &["--init"], "cat /proc/1/comm; readlink /proc/self/exe; echo $$");
    assert!(first.starts_with("init\n/bin/busybox\n") && !first.ends_with("\n1"), "{first}");
    let done = world.script(&["--init"], "exit 5");
    assert_eq!(done.code, 5, "{done:?}");
    let done = world.script(&["--init"], "kill -9 $$");
    assert_eq!(done.code, 137, "{done:?}");
    let done = world.coracle(&["run", "--rm", "--net", "none", "--init", "bb", "nosuch"]);
    assert!(done.code == 127 && done.err.contains("executable file not found"), "{done:?}");
    // A program without handlers would ignore SIGTERM as PID 1.
    let id = world.ok(&["run", "-d", "--net", "none", "--init", "bb", "sleep", "1000"]);
    world.ok(&["stop", "-t", "8", &id]);
    assert_eq!(world.ok(&["inspect", "-f", "{{.State.ExitCode}}", &id]), "143");
    // It is bound by what the program is bound by.
    let status = "grep -E 'CapEff|Seccomp:|NoNewPrivs' /proc/1/status /proc/self/status";
    let both = inside(&world, &["--init", "--cap-drop", "ALL"], status);
    let of = |path: &str| {
        let lines = both.lines().filter_map(|line| line.strip_prefix(path));
        lines.map(str::to_string).collect::<Vec<_>>()
    };
    assert_eq!(of("/proc/1/status:"), of("/proc/self/status:"), "{both}");
    world.ok(&["rm", &id]);
    world.finish();
}

#[test]
fn stopping_attaching_and_labels() {
    let world = World::new();
    let trap = "trap 'exit 44' USR1; trap '' TERM; echo up; while :; do sleep 0.1; done";
    let id = world.ok(&[
        "run",
        "-d",
        "--net",
        "none",
        "--stop-signal",
        "USR1",
        "--stop-timeout",
        "9",
        "bb",
        "sh",
        "-c",
        trap,
    ]);
    world.until("its trap", || world.ok(&["logs", &id]) == "up");
    world.ok(&["stop", &id]);
    assert_eq!(world.ok(&["inspect", "-f", "{{.State.ExitCode}}", &id]), "44");
    world.ok(&["rm", &id]);
    // A time of its own before SIGKILL.
    let id =
        world.ok(&["run", "-d", "--net", "none", "--stop-timeout", "0", "bb", "sh", "-c", trap]);
    let begin = std::time::Instant::now();
    world.ok(&["stop", &id]);
    assert!(begin.elapsed().as_secs() < 5, "stop took {:?}", begin.elapsed());
    world.ok(&["rm", &id]);
    let done = world.script(&["-a", "stderr"], "echo out; echo err >&2");
    assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (0, "", "err\n"));
    let done = world.script(&["-a", "stdout"], "echo out; echo err >&2");
    assert_eq!((done.out.as_str(), done.err.as_str()), ("out\n", ""));
    let done = world.coracle(&["run", "-d", "-a", "stdout", "bb", "true"]);
    assert!(done.code == 125 && done.err.contains("cannot specify both --attach and --detach"));
    let file = world.folder.join("labels");
    std::fs::write(&file, "a=1\n# no\nb\n").expect("write");
    let file = file.display().to_string();
    let flags = ["--label-file", &file, "-l", "a=2", "--annotation", "x=y"];
    let words = [&["create", "--net", "none", "--name", "same"], &flags[..], &["bb", "true"]];
    let id = world.ok(&words.concat());
    let shown = world.ok(&[
        "inspect",
        "-f",
        "{{json .Config.Labels}} {{json .HostConfig.Annotations}}",
        &id,
    ]);
    assert_eq!(shown, "{\"a\":\"2\",\"b\":\"\"} {\"x\":\"y\"}");
    // A name is taken over.
    let done = world.coracle(&["create", "--net", "none", "--name", "same", "bb", "true"]);
    assert!(done.err.contains("is already in use by container"), "{done:?}");
    let second =
        world.ok(&["create", "--net", "none", "--replace", "--name", "same", "bb", "true"]);
    assert_eq!(world.ok(&["ps", "-aq", "--no-trunc"]), second);
    world.ok(&["rm", &second]);
    refused(&world, &["--runtime", "kata"], "unknown or invalid runtime name: kata");
    world.finish();
}
