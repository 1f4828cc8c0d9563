//! Verbs on containers that are there: pause, restart, rename, top.

#![allow(clippy::expect_used)]

use support::World;

const COUNT: &str = "i=0; while :; do i=$((i+1)); echo $i >/count; sleep 0.02; done";

#[test]
fn a_paused_container_stands_still() {
    let world = World::new();
    world.ok(&["run", "-d", "--net", "none", "--name", "box", "bb", "sh", "-c", COUNT]);
    let count = || world.ok(&["exec", "box", "cat", "/count"]);
    world.until("it counts", || world.coracle(&["exec", "box", "cat", "/count"]).out.len() > 1);
    assert_eq!(world.ok(&["pause", "box"]), "box");
    assert!(world.ok(&["ps"]).contains("(Paused)"));
    assert!(world.ok(&["inspect", "box"]).contains("\"Status\": \"paused\""));
    for (words, text) in [
        (&["pause", "box"][..], "is already paused"),
        (&["exec", "box", "true"], "is paused, unpause the container before exec"),
    ] {
        let done = world.coracle(words);
        assert!(done.code == 1 && done.err.contains(text), "{words:?}: {done:?}");
    }
    // Nothing of it gets any time of the CPU.
    let times = || world.ok(&["top", "box"]);
    let before = times();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(times(), before);
    assert_eq!(world.ok(&["unpause", "box"]), "box");
    let first = count();
    world.until("it counts on", || count() != first);
    assert!(world.coracle(&["unpause", "box"]).err.contains("is not paused"));
    // What is paused can be stopped, killed and removed.
    for words in [&["stop", "-t", "1", "box"][..], &["kill", "box"], &["rm", "-f", "box"]] {
        world.coracle(&["start", "box"]);
        world.ok(&["pause", "box"]);
        world.ok(words);
        world.until("its end", || !world.ok(&["ps"]).contains("box"));
    }
    world.finish();
}

#[test]
fn restart_makes_a_new_first_process() {
    let world = World::new();
    let script = "echo begun; exec sleep 60";
    world.ok(&["run", "-d", "--net", "none", "--name", "box", "bb", "sh", "-c", script]);
    let pid = || {
        let text = world.ok(&["inspect", "box"]);
        text.lines().find(|line| line.contains("\"Pid\"")).expect("Pid").to_string()
    };
    let first = pid();
    // Killed before that, it would never say it.
    world.until("the first line", || world.ok(&["logs", "box"]) == "begun");
    assert_eq!(world.ok(&["restart", "-t", "0", "box"]), "box");
    assert_ne!(pid(), first);
    world.until("both lines", || world.ok(&["logs", "box"]) == "begun\nbegun");
    world.ok(&["stop", "-t", "0", "box"]);
    assert_eq!(world.ok(&["restart", "box"]), "box");
    assert!(world.ok(&["ps"]).contains("box"));
    world.ok(&["rm", "-f", "box"]);
    assert!(world.coracle(&["restart", "box"]).err.contains("No such container: box"));
    world.finish();
}

#[test]
fn a_renamed_container_has_one_name() {
    let world = World::new();
    world.ok(&["run", "-d", "--net", "none", "--name", "old", "bb", "sleep", "60"]);
    world.ok(&["create", "--net", "none", "--name", "other", "bb", "true"]);
    world.ok(&["rename", "old", "new"]);
    assert!(world.coracle(&["inspect", "old"]).err.contains("No such object: old"));
    assert!(world.ok(&["inspect", "new"]).contains("\"Name\": \"/new\""));
    for (name, text) in [
        ("other", "is already in use by container"),
        ("new", "same name as its current name"),
        ("a/b", "Invalid container name"),
    ] {
        let done = world.coracle(&["rename", "new", name]);
        assert!(done.code == 1 && done.err.contains(text), "{name}: {done:?}");
    }
    // The old one is free, and a temporary container has names as well.
    let words = ["run", "-d", "--rm", "--net", "none", "--name", "old", "bb", "sleep", "60"];
    world.ok(&words);
    world.ok(&["rename", "old", "young"]);
    world.ok(&["rm", "-f", "young", "new", "other"]);
    world.finish();
}

#[test]
fn top_shows_what_runs_inside_and_nothing_else() {
    let world = World::new();
    let script = "sleep 71 & sleep 72 & wait";
    world.ok(&["run", "-d", "--net", "none", "--name", "box", "bb", "sh", "-c", script]);
    // Between fork and exec both are shells still.
    world.until("three processes", || {
        let shown = world.ok(&["top", "box"]);
        shown.lines().count() == 4 && shown.matches("sh -c").count() == 1
    });
    let shown = world.ok(&["top", "box"]);
    assert!(shown.starts_with("UID"), "{shown}");
    for text in ["sh -c sleep 71", "sleep 71\n", "sleep 72"] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    world.ok(&["stop", "-t", "0", "box"]);
    let done = world.coracle(&["top", "box"]);
    assert!(done.code == 1 && done.err.contains("is not running"), "{done:?}");
    world.ok(&["rm", "box"]);
    world.finish();
}

#[test]
fn what_is_listed_and_shown_can_be_chosen() {
    let world = World::new();
    let words = ["run", "-d", "--net", "none", "--name", "one", "-l", "kind=a", "-l", "x.y=z"];
    world.ok(&[&words[..], &["bb", "sleep", "60"]].concat());
    world.ok(&["create", "--net", "none", "--name", "other", "-l", "kind=b", "bb", "true"]);
    let inspect = |format: &str, name: &str| world.ok(&["inspect", "-f", format, name]);
    assert_eq!(inspect("{{.State.Running}} {{.Name}}", "one"), "true /one");
    assert_eq!(
        inspect("{{index .Config.Labels \"x.y\"}} {{json .Config.Cmd}}", "one"),
        "z [\"sleep\",\"60\"]"
    );
    assert_eq!(
        world.ok(&["inspect", "-f", "{{.State.Status}}", "one", "other"]),
        "running\ncreated"
    );
    let done = world.coracle(&["inspect", "-f", "{{.Nope}}", "one"]);
    assert!(done.code == 1 && done.err.contains("no such field"), "{done:?}");
    let names = |filters: &[&str]| {
        let words = [&["ps", "-a", "--format", "{{.Names}}"], filters].concat();
        let mut names: Vec<String> = world.ok(&words).lines().map(str::to_string).collect();
        names.sort();
        names.join(" ")
    };
    for (filters, want) in [
        (&[][..], "one other"),
        (&["-f", "name=o"], "one other"),
        (&["-f", "name=^one$"], "one"),
        (&["-f", "label=kind"], "one other"),
        (&["-f", "label=kind=b"], "other"),
        (&["-f", "status=running"], "one"),
        (&["-f", "status=created", "-f", "status=running"], "one other"),
        (&["-f", "status=created", "-f", "name=one"], ""),
        (&["-f", "ancestor=bb"], "one other"),
    ] {
        assert_eq!(names(filters), want, "{filters:?}");
    }
    let table = world.ok(&["ps", "--format", "table {{.Names}}\\t{{.State}}"]);
    assert_eq!(table.split_whitespace().collect::<Vec<_>>(), ["NAMES", "STATE", "one", "running"]);
    assert!(world.coracle(&["ps", "-f", "colour=red"]).err.contains("invalid filter 'colour'"));
    world.ok(&["rm", "-f", "one", "other"]);
    world.finish();
}

#[test]
fn stopped_containers_are_pruned() {
    let world = World::new();
    let make =
        |flags: &[&str]| world.ok(&[&["create", "--net", "none"], flags, &["bb", "true"]].concat());
    let (plain, kept) = (make(&[]), make(&["-l", "keep=yes"]));
    let running = world.ok(&["run", "-d", "--net", "none", "bb", "sleep", "1000"]);
    let old = world.ok(&["container", "prune", "-f", "--filter", "until=1h"]);
    assert!(!old.contains("Deleted"), "{old}");
    let done = world.ok(&["container", "prune", "-f", "--filter", "label!=keep"]);
    assert!(done.starts_with(&format!("Deleted Containers:\n{plain}\n\nTotal")), "{done}");
    let left = world.ok(&["ps", "-aq", "--no-trunc"]);
    assert_eq!(left.lines().collect::<Vec<_>>(), [running.as_str(), kept.as_str()]);
    // Asked first: nobody says yes here.
    let done = world.coracle(&["container", "prune"]);
    assert!(done.out.contains("Are you sure you want to continue?"), "{done:?}");
    world.ok(&["container", "prune", "-f"]);
    assert_eq!(world.ok(&["ps", "-aq", "--no-trunc"]), running);
    let done = world.coracle(&["container", "prune", "-f", "--filter", "x=y"]);
    assert!(done.err.contains("invalid filter 'x'"), "{done:?}");
    world.ok(&["rm", "-f", &running]);
    world.finish();
}
