//! `ps` with its filters and sizes, `port`, `system prune`, and the flags of networks that are not
//! there yet.

#![allow(clippy::expect_used)]

use support::World;

fn create(world: &World, flags: &[&str]) -> String {
    world.ok(&[&["create", "--net", "none"], flags, &["bb", "true"]].concat())
}

/// The names that filters leave, sorted.
fn names(world: &World, filters: &[&str]) -> String {
    let mut words = vec!["ps", "-a", "--format", "{{.Names}}"];
    filters.iter().for_each(|filter| words.extend(["--filter", filter]));
    let out = world.ok(&words);
    let mut names: Vec<&str> = out.lines().collect();
    names.sort_unstable();
    names.join(" ")
}

#[test]
fn filters_of_ps() {
    let world = World::new();
    create(&world, &["--name", "one", "--expose", "80", "--expose", "1000-1002/UDP"]);
    create(&world, &["--name", "two", "-l", "k=v", "-v", "data:/d"]);
    let done =
        world.coracle(&["run", "--net", "none", "--name", "three", "bb", "sh", "-c", "exit 3"]);
    assert_eq!(done.code, 3, "{done:?}");
    world.ok(&["run", "-d", "--net", "none", "--name", "four", "bb", "sleep", "1000"]);
    let ports = world.ok(&["inspect", "-f", "{{json .Config.ExposedPorts}}", "one"]);
    assert_eq!(ports, r#"{"1000/udp":{},"1001/udp":{},"1002/udp":{},"80/tcp":{}}"#);
    for (filters, want) in [
        (&["name=o"][..], "four one two"),
        (&["NAME = one"], "one"),
        (&["name=one", "name=two"], "one two"),
        (&["name=o", "label=k"], "two"),
        (&["label=k=w"], ""),
        (&["status=running"], "four"),
        (&["status=created"], "one two"),
        (&["exited=3"], "three"),
        (&["exited=0"], ""),
        (&["before=three"], "one two"),
        (&["since=two"], "four three"),
        (&["since=one", "before=four"], "three two"),
        (&["expose=80"], "one"),
        (&["expose=1001/udp"], "one"),
        (&["expose=1001"], ""),
        (&["publish=80"], ""),
        (&["volume=data"], "two"),
        (&["volume=/d"], "two"),
        (&["network=none"], "four one three two"),
        (&["network=host"], ""),
        (&["ancestor=bb"], "four one three two"),
        (&["health=none", "is-task=false"], "four one three two"),
        (&["is-task=true"], ""),
    ] {
        assert_eq!(names(&world, filters), want, "{filters:?}");
    }
    assert_eq!(world.ok(&["ps", "-q", "-l", "--format", "{{.Names}}"]).len(), 12);
    assert_eq!(world.ok(&["ps", "-n", "2", "--format", "{{.Names}}"]), "four\nthree");
    for (filter, want) in [
        ("nosuch=x", "invalid filter 'nosuch'"),
        ("status=off", "invalid filter 'status=off'"),
        ("health=fine", "invalid filter 'health=fine'"),
        ("exited=x", "invalid filter 'exited=x'"),
        ("since=nosuch", "No such container: nosuch"),
    ] {
        let done = world.coracle(&["ps", "--filter", filter]);
        assert!(done.code == 1 && done.err.contains(want), "{filter}: {done:?}");
    }
    // One message and one exit code for all commands that filter.
    for command in [
        &["ps"][..],
        &["events"],
        &["volume", "ls"],
        &["image", "prune", "-f"],
        &["container", "prune", "-f"],
        &["volume", "prune", "-f"],
        &["system", "prune", "-f"],
    ] {
        let done = world.coracle(&[command, &["--filter", "x"]].concat());
        let want = "--filter\" flag: bad format of filter (expected name=value)\n";
        assert!(done.code == 125 && done.err.contains(want), "{command:?}: {done:?}");
    }
    world.ok(&["rm", "-f", "one", "two", "three", "four"]);
    world.ok(&["volume", "rm", "data"]);
    world.finish();
}

#[test]
fn sizes_ports_and_what_nobody_needs() {
    let world = World::new();
    let script = "head -c 100000 /dev/zero >/big";
    world.ok(&["run", "--net", "none", "--name", "big", "bb", "sh", "-c", script]);
    let size = world.ok(&["ps", "-as", "--format", "{{.Size}}"]);
    assert!(size.starts_with("100kB (virtual ") && size.ends_with("MB)"), "{size}");
    let table = world.ok(&["ps", "-a", "--size"]);
    assert!(table.lines().next().is_some_and(|line| line.ends_with("SIZE")), "{table}");
    assert!(!world.ok(&["ps", "-a"]).contains("SIZE"));
    // No ports are published.
    assert_eq!(world.ok(&["port", "big"]), "");
    let done = world.coracle(&["port", "big", "80"]);
    let want = "no public port '80/tcp' published for big";
    assert!(done.code == 1 && done.err.contains(want), "{done:?}");
    let done = world.coracle(&["port", "nosuch"]);
    assert!(done.code == 1 && done.err.contains("No such container: nosuch"), "{done:?}");
    // What nobody needs goes; what runs, named volumes and named images stay.
    world.ok(&["run", "-d", "--net", "none", "--name", "busy", "bb", "sleep", "1000"]);
    create(&world, &["--name", "idle", "-v", "/anonymous", "-v", "named:/n"]);
    let done = world.coracle(&["system", "prune"]);
    assert!(done.code == 0 && done.out.contains("- all stopped containers"), "{done:?}");
    assert_eq!(names(&world, &[]), "big busy idle");
    let out = world.ok(&["system", "prune", "-f", "--filter", "label=k"]);
    assert_eq!(out, "Total reclaimed space: 0B");
    let out = world.ok(&["system", "prune", "-f", "--volumes"]);
    assert!(out.starts_with("Deleted Containers:\n") && out.contains("Deleted Volumes:"), "{out}");
    assert_eq!(
        (names(&world, &[]).as_str(), world.ok(&["volume", "ls", "-q"]).as_str()),
        ("busy", "named")
    );
    assert!(!world.ok(&["images", "-q"]).is_empty());
    world.ok(&["rm", "-f", "busy"]);
    let out = world.ok(&["system", "prune", "-af"]);
    assert!(out.contains("Deleted Images:"), "{out}");
    assert_eq!(world.ok(&["images", "-q"]), "");
    world.ok(&["volume", "rm", "named"]);
    world.finish();
}

#[test]
fn flags_of_networks_are_known_and_refused() {
    let world = World::new();
    for (flags, name) in [
        (&["-p", "80:80"][..], "publish"),
        (&["--publish", "80"], "publish"),
        (&["-P"], "publish-all"),
        (&["--ip", "10.0.0.1"], "ip"),
        (&["--ip6", "::1"], "ip6"),
        (&["--link", "web"], "link"),
        (&["--link-local-ip", "169.254.0.1"], "link-local-ip"),
        (&["--mac-address", "92:d0:c6:0a:29:33"], "mac-address"),
        (&["--network-alias", "web"], "network-alias"),
        (&["--net-alias", "web"], "network-alias"),
    ] {
        for verb in ["run", "create"] {
            let done = world.coracle(&[&[verb], flags, &["bb", "true"]].concat());
            let want = format!("--{name}: networks are not supported yet");
            assert!(done.err.contains(&want), "{verb} {flags:?}: {done:?}");
            assert_eq!(done.code, 125, "{done:?}");
        }
    }
    assert_eq!(world.script(&["-P=false"], "true").code, 0);
    for wrong in ["x", "0", "9-8", "80/icmp", "99999"] {
        let done = world.script(&["--expose", wrong], "true");
        let want = format!("invalid range format for --expose: {wrong}");
        assert!(done.code == 125 && done.err.contains(&want), "{done:?}");
    }
    world.finish();
}
