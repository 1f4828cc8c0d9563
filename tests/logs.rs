//! Log drivers and the times of `logs`.

#![allow(clippy::expect_used)]

use std::os::unix::net::UnixDatagram;
use std::time::Duration;
use support::World;

#[test]
fn json_files_are_dockers_and_turn_over() {
    let world = World::new();
    let script =
        "i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); done; sleep 0.3; echo err >&2";
    let id = world.ok(&[
        "run",
        "-d",
        "--net",
        "none",
        "--log-driver",
        "json-file",
        "--log-opt",
        "max-size=4k",
        "--log-opt",
        "max-file=3",
        "bb",
        "sh",
        "-c",
        script,
    ]);
    assert_eq!(world.ok(&["wait", &id]), "0");
    let path = world.ok(&["inspect", "-f", "{{.LogPath}}", &id]);
    assert!(path.ends_with(&format!("containers/{id}/{id}-json.log")), "{path}");
    let text = std::fs::read_to_string(&path).expect("log");
    let last = text.lines().last().expect("line");
    assert!(last.starts_with("{\"log\":\"err\\n\",\"stream\":\"stderr\",\"time\":\"20"), "{last}");
    for number in 1..3 {
        let size = std::fs::metadata(format!("{path}.{number}")).expect("file").len();
        assert!(size <= 4096, "{size}");
    }
    assert!(!std::path::Path::new(&format!("{path}.3")).exists());
    let done = world.coracle(&["logs", &id]);
    let lines: Vec<&str> = done.out.lines().collect();
    assert_eq!((lines.last(), done.err.as_str()), (Some(&"line 299"), "err\n"));
    assert!(lines.len() > 50 && lines.len() < 300, "{}", lines.len());
    assert_eq!(world.ok(&["logs", "--tail", "1", &id]), "");
    world.ok(&["rm", &id]);
    assert!(!std::path::Path::new(&path).exists());
    world.finish();
}

#[test]
fn times_bound_the_lines() {
    let world = World::new();
    let script = "echo one; sleep 1.5; echo two";
    let id = world.ok(&["run", "-d", "--net", "none", "bb", "sh", "-c", script]);
    assert_eq!(world.ok(&["wait", &id]), "0");
    let stamped = world.ok(&["logs", "-t", &id]);
    let times: Vec<&str> = stamped.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(world.ok(&["logs", "--since", times[1], &id]), "two");
    assert_eq!(world.ok(&["logs", "--until", times[0], &id]), "one");
    assert_eq!(world.ok(&["logs", "--since", "1h", &id]), "one\ntwo");
    assert_eq!(world.ok(&["logs", "--until", "1h", &id]), "");
    let done = world.coracle(&["logs", "--since", "yesterday", &id]);
    assert!(done.code == 1 && done.err.contains("invalid value for \"since\""), "{done:?}");
    world.ok(&["rm", &id]);
    world.finish();
}

#[test]
fn lines_go_to_syslog() {
    let world = World::new();
    let path = world.folder.join("syslog");
    let logger = UnixDatagram::bind(&path).expect("bind");
    logger.set_read_timeout(Some(Duration::from_secs(10))).expect("timeout");
    let address = format!("syslog-address=unix://{}", path.display());
    let id = world.ok(&[
        "run",
        "-d",
        "--net",
        "none",
        "--name",
        "web",
        "--log-driver",
        "syslog",
        "--log-opt",
        &address,
        "--log-opt",
        "syslog-facility=local1",
        "--log-opt",
        "tag=box/{{.Name}}",
        "bb",
        "sh",
        "-c",
        "echo hello; sleep 0.3; echo there >&2",
    ]);
    let mut texts = Vec::new();
    for _ in 0..2 {
        let mut bytes = [0; 1024];
        let count = logger.recv(&mut bytes).expect("record");
        texts.push(String::from_utf8_lossy(&bytes[..count]).into_owned());
    }
    for (text, want) in texts.iter().zip(["hello", "there"]) {
        // local1 is 17, informational 6.
        assert!(text.starts_with("<142>") && text.contains(" box/web["), "{text}");
        assert!(text.ends_with(&format!("]: {want}")), "{text}");
    }
    let done = world.coracle(&["logs", &id]);
    assert!(done.err.contains("configured logging driver does not support reading"), "{done:?}");
    world.ok(&["rm", "-f", &id]);
    let done = world.script(&["--log-driver", "gelf"], "true");
    assert!(done.code == 125 && done.err.contains("no log driver named 'gelf'"), "{done:?}");
    let flags = ["--log-driver", "local", "--log-opt", "labels=x"];
    let done = world.script(&flags, "true");
    assert!(done.err.contains("unknown log opt 'labels' for local log driver"), "{done:?}");
    world.finish();
}
