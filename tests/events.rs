//! Events: what is told, by filters and times, and to those who follow.

#![allow(clippy::expect_used)]

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use support::World;

#[test]
fn a_life_is_told() {
    let world = World::new();
    let begin = format!("{}", std::time::UNIX_EPOCH.elapsed().expect("time").as_secs_f64());
    let flags = ["--net", "none", "-l", "tier=front", "--name", "web", "bb"];
    let id = world.ok(&[&["run", "-d"], &flags[..], &["sleep", "1000"]].concat());
    world.ok(&["pause", "web"]);
    world.ok(&["unpause", "web"]);
    world.ok(&["exec", "web", "sh"]);
    world.coracle(&["exec", "web", "sh", "-c", "exit 3"]);
    world.ok(&["rename", "web", "other"]);
    world.ok(&["stop", "-t", "0", "other"]);
    world.ok(&["rm", "other"]);
    world.script(&["-v", "v1:/v"], "exit 4");
    world.ok(&["volume", "rm", "v1"]);
    let all = |filters: &[&str]| {
        let mut words = vec!["events", "--since", &begin, "--until", "0s", "--format"];
        words.push("{{.Type}} {{.Action}}");
        for filter in filters {
            words.extend(["-f", filter]);
        }
        world.ok(&words)
    };
    let of_web = all(&["container=".to_string() + &id[..12]].each_ref().map(String::as_str));
    let want = "container create\ncontainer start\ncontainer pause\ncontainer unpause\n\
                container exec_start: sh\ncontainer exec_die\n\
                container exec_start: sh -c exit 3\ncontainer exec_die\ncontainer rename\n\
                container kill\ncontainer die\ncontainer stop\ncontainer destroy";
    assert_eq!(of_web, want);
    assert_eq!(all(&["event=die"]).lines().count(), 2);
    assert_eq!(all(&["event=exec_start", "label=tier=front"]).lines().count(), 2);
    assert_eq!(all(&["type=volume"]), "volume destroy");
    let text = world.ok(&["events", "--since", &begin, "--until", "0s", "-f", "event=die"]);
    assert!(text.contains("exitCode=4, image=bb, name="), "{text}");
    let done = world.coracle(&["events", "--until", "0s", "-f", "what=x"]);
    assert!(done.err.contains("invalid filter 'what'"), "{done:?}");
    world.finish();
}

#[test]
fn who_follows_is_told_at_once() {
    let world = World::new();
    let mut follow = world.command(&["events", "--format", "{{.Action}}", "-f", "type=container"]);
    let mut follow = follow.stdout(Stdio::piped()).spawn().expect("start");
    let mut lines = BufReader::new(follow.stdout.take().expect("stdout")).lines();
    // It is there when the folder is watched.
    world.until("it watches", || {
        let folder = format!("/proc/{}/fdinfo", follow.id());
        std::fs::read_dir(folder).expect("fdinfo").flatten().any(|file| {
            std::fs::read_to_string(file.path()).is_ok_and(|text| text.contains("inotify wd"))
        })
    });
    world.script(&[], "true");
    for want in ["create", "start", "die", "destroy"] {
        assert_eq!(lines.next().expect("line").expect("read"), want);
    }
    follow.kill().expect("kill");
    follow.wait().expect("wait");
    world.finish();
}
