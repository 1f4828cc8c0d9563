//! `diff`, `commit`, `export` and `save`, as a person uses them.

#![allow(clippy::expect_used)]

use std::io::Read;
use support::{World, feed};

/// The names in an archive, sorted.
fn names(archive: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(archive);
    let name = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        entry.expect("entry").path().expect("name").display().to_string()
    };
    let mut names: Vec<String> = archive.entries().expect("archive").map(name).collect();
    names.sort();
    names
}

fn bytes(world: &World, words: &[&str]) -> Vec<u8> {
    let out = world.command(words).output().expect("coracle");
    assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

#[test]
fn a_container_becomes_an_image() {
    let world = World::new();
    for driver in ["overlay", "vfs"] {
        let script = "echo hi >/new; rm /bin/true; mkdir /d; busybox ln /new /d/link";
        let run = [
            "--driver", driver, "run", "--name", driver, "--net", "none", "-e", "A=b", "bb", "sh",
            "-c", script,
        ];
        world.ok(&run);
        let want = "C /bin\nD /bin/true\nA /d\nA /d/link\nA /new";
        assert_eq!(world.ok(&["diff", driver]), want, "{driver}");
        let name = format!("made:{driver}");
        let commit = [
            "commit",
            "-a",
            "me",
            "-m",
            "why",
            "-c",
            "CMD [\"cat\",\"/d/link\"]",
            "--change",
            "LABEL x=y",
            driver,
            &name,
        ];
        let id = world.ok(&commit);
        assert!(id.starts_with("sha256:") && id.len() == 71, "{id}");
        assert_eq!(world.ok(&["run", "--rm", "--net", "none", &name]), "hi");
        let shown = world.ok(&["inspect", &name]);
        for part in ["\"A=b\"", "\"x\": \"y\""] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        let exported = bytes(&world, &["export", driver]);
        let seen = names(&exported);
        assert!(seen.contains(&"new".to_string()) && !seen.contains(&"bin/true".to_string()));
        let twice: Vec<_> =
            seen.iter().collect::<std::collections::BTreeSet<_>>().into_iter().collect();
        assert_eq!(seen.len(), twice.len(), "each name once");
        feed(&mut world.command(&["import", "-", "again"]), &exported);
        assert_eq!(world.ok(&["run", "--rm", "--net", "none", "again", "cat", "/new"]), "hi");
        world.ok(&["rmi", "again"]);
        world.ok(&["rm", driver]);
    }
    let e = world.coracle(&["diff", "none"]);
    assert_eq!((e.code, e.err.as_str()), (1, "coracle: No such container: none\n"));
    world.finish();
}

#[test]
fn one_that_runs_is_committed_as_it_stands() {
    let world = World::new();
    let script = "i=0; while :; do i=$((i+1)); echo $i >/a; echo $i >/b; done";
    world.ok(&["run", "-d", "--name", "loop", "--net", "none", "bb", "sh", "-c", script]);
    for _ in 0..5 {
        world.ok(&["commit", "loop", "snap"]);
        let text =
            world.ok(&["run", "--rm", "--net", "none", "snap", "sh", "-c", "cat /a /b; true"]);
        let numbers: Vec<u64> = text.lines().filter_map(|line| line.parse().ok()).collect();
        // It stood still: at most one of the two was being written.
        if let [a, b] = numbers[..] {
            assert!(a == b || a == b + 1, "{text}");
        }
    }
    world.ok(&["commit", "--pause=false", "loop", "snap"]);
    let state = world.ok(&["inspect", "--format", "{{.State.Status}}", "loop"]);
    assert_eq!(state, "running");
    world.ok(&["rm", "-f", "loop"]);
    world.finish();
}

#[test]
fn images_leave_and_come_back() {
    let world = World::new();
    world.ok(&["imgstore", "tag", "bb", "host:5000/a/b:1"]);
    let id = world.ok(&["images", "-q", "--no-trunc"]).lines().next().expect("id").to_string();
    let archive = bytes(&world, &["save", "bb", "host:5000/a/b:1"]);
    let file = world.folder.join("a.tar");
    world.ok(&["save", "-o", &file.display().to_string(), "bb", "host:5000/a/b:1"]);
    let mut saved = Vec::new();
    std::fs::File::open(&file).and_then(|mut f| f.read_to_end(&mut saved)).expect("read");
    assert_eq!(saved, archive);
    let other = World::empty();
    let loaded = feed(&mut other.command(&["load"]), &archive);
    let want = "Loaded image: bb:latest\nLoaded image: host:5000/a/b:1\n";
    assert_eq!((loaded.code, loaded.out.as_str()), (0, want));
    assert_eq!(other.ok(&["images", "-q", "--no-trunc"]).lines().next(), Some(id.as_str()));
    assert_eq!(bytes(&other, &["save", "bb", "host:5000/a/b:1"]), archive);
    for (words, want) in [
        (&["save", "none"][..], "coracle: No such image: none:latest\n"),
        (
            &["save", "-o", "/no/a.tar", "bb"],
            "coracle: create /no/a.tar: No such file or directory\n",
        ),
        (&["export", "none"], "coracle: No such container: none\n"),
    ] {
        let done = world.coracle(words);
        assert_eq!((done.code, done.err.as_str()), (1, want));
    }
    std::fs::remove_file(file).expect("remove");
    world.finish();
    other.finish();
}
