//! The client against a stub of the server: whole commands, with real descriptors.
//!
//! The client writes to the process's own standard streams, so each command is a process
//! (`child`).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails is to panic")]

mod child;
mod stub;

use base_http::frames::Channel::{Stderr, Stdout};
use child::{MARK, run, start, wait};
use rustix::process::Signal;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};
use stub::{Script, Step, Stub};

/// A command, when this program is run as one.
#[test]
fn child() {
    child::run_if_asked();
}

fn said(out: &str, err: &str, code: i32) -> (String, String, i32) {
    (out.to_string(), err.to_string(), code)
}

#[test]
fn run_asks_in_dockers_order_and_waits_for_the_head_of_wait() {
    let script = Script {
        steps: vec![Step::Say(Stdout, "out\n"), Step::Say(Stderr, "err\n")],
        exit_code: 7,
        late_head: 150,
        late_hijack: 100,
        ..Script::default()
    };
    let stub = Stub::start(script);
    assert_eq!(run(&stub, &["run", "img", "cmd"], false, b""), said("out\n", "err\n", 7));
    let want = [
        "HEAD /_ping",
        "POST /containers/create",
        "POST /containers/ID/attach",
        "POST /containers/ID/wait",
        "(head of wait)",
        "POST /containers/ID/start",
    ];
    assert_eq!(stub.asked(), want);
    assert!(stub.log()[3].ends_with("?condition=next-exit"), "{:?}", stub.log());
}

#[test]
fn in_this_process_nothing_is_negotiated_and_rm_attaches_nothing() {
    let stub = Stub::start(Script { exit_code: 3, ..Script::default() });
    assert_eq!(run(&stub, &["run", "--rm", "img"], true, b""), said("", "", 3));
    let want = [
        "POST /containers/create",
        "POST /containers/ID/wait",
        "(head of wait)",
        "POST /containers/ID/start",
    ];
    assert_eq!(stub.asked(), want);
    assert!(stub.log()[1].ends_with("?condition=removed"));
    let created = stub.created().unwrap();
    assert!(created.contains("\"LogConfig\":{\"Type\":\"none\""), "{created}");
    // With a word about the log there is one, and the streams go through the server.
    let stub = Stub::start(Script { steps: vec![Step::Say(Stdout, "x")], ..Script::default() });
    let args = ["run", "--rm", "--log-driver", "json-file", "img"];
    assert_eq!(run(&stub, &args, true, b""), said("x", "", 0));
    assert!(stub.asked().contains(&"POST /containers/ID/attach".to_string()));
}

#[test]
fn frames_cut_at_every_byte_come_out_whole() {
    let steps = vec![
        Step::Slowly(Stdout, "hello "),
        Step::Slowly(Stderr, "oh\n"),
        Step::Bytes(vec![1, 0, 0, 0, 0, 0, 0, 0]),
        Step::Slowly(Stdout, "world\n"),
    ];
    let stub = Stub::start(Script { steps, ..Script::default() });
    assert_eq!(run(&stub, &["run", "img"], false, b""), said("hello world\n", "oh\n", 0));
    // A server that does not name its stream: frames all the same, without a terminal.
    let steps = vec![Step::Slowly(Stdout, "plain\n")];
    let stub = Stub::start(Script { steps, multiplexed: false, ..Script::default() });
    assert_eq!(run(&stub, &["run", "img"], false, b""), said("plain\n", "", 0));
}

#[test]
fn stdin_is_sent_whole_and_its_end_closes_one_direction_only() {
    let steps = vec![Step::Echo, Step::Pause(50), Step::Say(Stdout, "the end\n")];
    let stub = Stub::start(Script { steps, ..Script::default() });
    let text = "line of input\n".repeat(100_000);
    let (out, err, code) = run(&stub, &["run", "-i", "img"], false, text.as_bytes());
    assert_eq!((out.len(), err.as_str(), code), (text.len() + 8, "", 0));
    assert_eq!(out, text.clone() + "the end\n");
    assert_eq!(stub.stdin(), text.as_bytes());
}

#[test]
fn without_i_stdin_is_left_alone() {
    let steps = vec![Step::Say(Stdout, "x\n"), Step::Pause(50)];
    let stub = Stub::start(Script { steps, ..Script::default() });
    assert_eq!(run(&stub, &["run", "img"], false, b"typed"), said("x\n", "", 0));
    assert_eq!(stub.stdin(), b"");
    assert!(stub.log().iter().any(|line| line.ends_with("/attach?stderr=1&stdout=1&stream=1")));
}

#[test]
fn the_end_of_the_container_ends_the_command_while_stdin_is_open() {
    let steps = vec![Step::Say(Stdout, "bye\n"), Step::Pause(50)];
    let stub = Stub::start(Script { steps, exit_code: 5, ..Script::default() });
    let mut running = start(&stub, &["run", "-i", "img"], false);
    let open = running.child.stdin.take();
    let begun = Instant::now();
    assert_eq!(running.end(), said("bye\n", "", 5));
    assert!(begun.elapsed() < Duration::from_secs(5));
    drop(open);
}

#[test]
fn a_container_that_does_not_read_does_not_stop_its_output() {
    // More input than any socket takes, and the container writes without reading.
    let steps = vec![Step::Much(200), Step::Say(Stdout, "end")];
    let stub = Stub::start(Script { steps, ..Script::default() });
    let (out, _, code) = run(&stub, &["run", "-i", "img"], false, &vec![b'y'; 4 << 20]);
    assert_eq!((out.len(), code), (200 * 32 * 1024 + 3, 0));
}

#[test]
fn no_output_is_lost_to_a_slow_reader() {
    let steps = vec![Step::Much(100), Step::Say(Stdout, "end")];
    let stub = Stub::start(Script { steps, exit_code: 9, ..Script::default() });
    let mut running = start(&stub, &["run", "img"], false);
    running.child.stdin.take();
    std::thread::sleep(Duration::from_millis(300));
    let (out, _, code) = running.end();
    assert_eq!((out.len(), code, out.ends_with("xend")), (100 * 32 * 1024 + 3, 9, true));
}

#[test]
fn a_reader_that_is_gone_ends_the_command() {
    let steps = vec![Step::Much(100_000)];
    let stub = Stub::start(Script { steps, ..Script::default() });
    let mut running = start(&stub, &["run", "img"], false);
    let mut some = [0; 4096];
    running.child.stdout.as_mut().unwrap().read_exact(&mut some).unwrap();
    running.child.stdout.take();
    assert_eq!(wait(&mut running.child), 141);
    // As its monitor, the command kills the container first and waits for its end.
    let steps = vec![Step::Much(50), Step::Killed];
    let stub = Stub::start(Script { steps, exit_code: 137, ..Script::default() });
    let mut running = start(&stub, &["run", "img"], true);
    // The harness's own words must have gone.
    let mut byte = [0];
    while byte != MARK.as_bytes() {
        running.child.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
    }
    running.child.stdout.take();
    assert_eq!(wait(&mut running.child), 141);
    assert!(stub.log().iter().any(|line| line.ends_with("/kill?signal=KILL")));
}

#[test]
fn signals_are_sent_on_and_the_command_lives_as_long_as_the_container() {
    let steps = vec![Step::Killed, Step::Pause(50), Step::Say(Stdout, "stopped\n")];
    let stub = Stub::start(Script { steps, exit_code: 130, ..Script::default() });
    let mut running = start(&stub, &["run", "img"], false);
    stub.wait_started();
    running.signal(Signal::WINCH);
    running.signal(Signal::CHILD);
    running.signal(Signal::INT);
    assert_eq!(running.end(), said("stopped\n", "", 130));
    let kills: Vec<String> = stub.log().into_iter().filter(|l| l.contains("/kill")).collect();
    assert_eq!(kills.len(), 1, "{kills:?}");
    assert!(kills[0].ends_with("/kill?signal=INT"));
    // In direct mode too.
    let stub = Stub::start(Script { steps: vec![Step::Killed], ..Script::default() });
    let mut running = start(&stub, &["run", "--rm", "img"], true);
    stub.wait_started();
    running.signal(Signal::TERM);
    assert_eq!(running.end(), said("", "", 0));
    assert!(stub.log().iter().any(|line| line.ends_with("/kill?signal=TERM")));
}

#[test]
fn the_third_signal_ends_a_command_whose_server_does_not_answer() {
    for near in [true, false] {
        let stub = Stub::start(Script { hang_start: true, ..Script::default() });
        let mut running = start(&stub, &["run", "--rm", "img"], near);
        stub.wait_started();
        running.signal(Signal::INT);
        running.signal(Signal::TERM);
        std::thread::sleep(Duration::from_millis(50));
        assert!(running.child.try_wait().unwrap().is_none(), "two are kept for the container");
        running.signal(Signal::INT);
        assert_eq!(running.end(), said("", "", 130));
    }
}

#[test]
fn a_signal_that_comes_before_start_is_sent_on_after_it() {
    let steps = vec![Step::Killed];
    let script = Script { steps, late_head: 300, exit_code: 143, ..Script::default() };
    let stub = Stub::start(script);
    let mut running = start(&stub, &["run", "img"], false);
    stub.wait_asked("/wait");
    running.signal(Signal::TERM);
    assert_eq!(running.end(), said("", "", 143));
    let asked = stub.asked();
    let place = |end: &str| asked.iter().position(|line| line.ends_with(end));
    assert!(place("/start").is_some() && place("/start") < place("/kill"), "{asked:?}");
}

#[test]
fn a_signal_ends_a_command_that_only_reads() {
    let steps = vec![Step::Say(Stdout, "x\n"), Step::Pause(60_000)];
    let stub = Stub::start(Script { steps, ..Script::default() });
    let mut running = start(&stub, &["logs", "-f", "c"], false);
    let mut out = running.child.stdout.take().unwrap();
    let mut text = Vec::new();
    while !text.ends_with(b"x\n") {
        let mut byte = [0];
        assert_eq!(out.read(&mut byte).unwrap(), 1);
        text.push(byte[0]);
    }
    running.signal(Signal::USR1);
    running.signal(Signal::INT);
    assert_eq!(wait(&mut running.child), 130);
}

#[test]
fn detached_prints_the_id_and_warnings() {
    let warnings = vec![String::from("no network")];
    let stub = Stub::start(Script { warnings, ..Script::default() });
    let id = format!("{}\n", stub::ID);
    let args = ["run", "-d", "--name", "web", "img"];
    assert_eq!(run(&stub, &args, true, b""), (id.clone(), "WARNING: no network\n".into(), 0));
    assert_eq!(stub.asked(), ["POST /containers/create", "POST /containers/ID/start"]);
    assert!(stub.log()[0].ends_with("?name=web"));
    let file = stub.folder.join("id");
    let path = file.to_str().unwrap();
    assert_eq!(run(&stub, &["create", "--cidfile", path, "img"], true, b"").0, id);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), stub::ID);
    let (_, err, code) = run(&stub, &["create", "--cidfile", path, "img"], true, b"");
    assert!(err.contains("container ID file found"), "{err}");
    assert_eq!(code, 1);
}

#[test]
fn refusals_have_dockers_exit_codes() {
    let help = "\n\nRun 'coracle run --help' for more information\n";
    for (status, text, code) in [
        (400, "exec: nope: executable file not found in $PATH", 127),
        (404, "stat /nope: No such file or directory", 127),
        (400, "exec /etc/passwd: Permission denied", 126),
        (400, "exec /etc: is a directory", 126),
        (409, "Conflict. The container name is in use", 125),
        (500, "out of ideas", 125),
    ] {
        let refuse_start = Some((status, text));
        let stub = Stub::start(Script { refuse_start, ..Script::default() });
        let want = said("", &format!("coracle: {text}{help}"), code);
        assert_eq!(run(&stub, &["run", "--rm", "img"], true, b""), want);
        let stub = Stub::start(Script { refuse_start, ..Script::default() });
        let want = format!("coracle: Error response from daemon: {text}{help}");
        assert_eq!(run(&stub, &["run", "img"], false, b""), said("", &want, code));
        let stub = Stub::start(Script { refuse_start, ..Script::default() });
        let want =
            format!("Error response from daemon: {text}\nError: failed to start containers: c\n");
        assert_eq!(run(&stub, &["start", "c"], false, b""), said("", &want, 1));
    }
    let stub = Stub::start(Script::default());
    std::fs::remove_file(stub.socket()).unwrap();
    let (_, err, code) = run(&stub, &["run", "img"], true, b"");
    assert!(err.starts_with("coracle: connect ") && err.contains(help), "{err}");
    assert_eq!(code, 127);
}

#[test]
fn an_absent_image_is_pulled_and_asked_for_again() {
    let refuse_create = Some((404, "No such image: busybox:1"));
    let stub = Stub::start(Script { refuse_create, ..Script::default() });
    let (out, err, code) = run(&stub, &["run", "--rm", "busybox:1"], true, b"");
    assert_eq!((out.as_str(), code), ("", 0));
    let want = "Unable to find image 'busybox:1' locally\n1: Pulling from library/busybox\n\
                Loaded image: busybox:1\n";
    assert_eq!(err, want);
    assert_eq!(stub.log()[1], "POST /images/create?fromImage=busybox&tag=1");
    assert_eq!(stub.asked()[2], "POST /containers/create");
    let stub = Stub::start(Script { refuse_create, ..Script::default() });
    let (_, err, code) = run(&stub, &["run", "--pull", "never", "busybox:1"], true, b"");
    assert!(err.starts_with("coracle: No such image: busybox:1\n"), "{err}");
    assert_eq!(code, 125);
}

#[test]
fn load_streams_standard_input_and_shows_what_came() {
    let stub = Stub::start(Script::default());
    let (out, _, code) = run(&stub, &["load"], true, &vec![7; 300_000]);
    assert_eq!(code, 0);
    assert!(out.ends_with("Loaded image: busybox:1\n"), "{out}");
    assert!(stub.log()[0].ends_with(" body 300000"), "{:?}", stub.log());
    let (_, err, code) = run(&stub, &["load", "-i", "/nope"], true, b"");
    assert_eq!((err.as_str(), code), ("coracle: open /nope: No such file or directory\n", 1));
}

#[test]
fn attach_and_start_a_give_the_exit_code() {
    for args in [&["attach", "c"][..], &["start", "-ai", "c"]] {
        let script = Script { steps: vec![Step::Echo], exit_code: 4, ..Script::default() };
        let stub = Stub::start(script);
        assert_eq!(run(&stub, args, false, b"typed\n"), said("typed\n", "", 4), "{args:?}");
    }
}

#[test]
fn a_terminal_is_asked_for_and_there_is_none() {
    let stub = Stub::start(Script::default());
    let (_, err, code) = run(&stub, &["run", "-it", "img"], true, b"");
    assert_eq!((err.as_str(), code), ("coracle: the input device is not a TTY\n", 1));
    assert!(stub.log().is_empty());
}

#[test]
fn inspect_prints_an_array_and_what_is_missing() {
    let stub = Stub::start(Script::default());
    let (out, err, code) = run(&stub, &["inspect", "c"], true, b"");
    assert!(out.starts_with("[\n    {\n        \"Id\": \"c0ffee"), "{out}");
    assert_eq!((err.as_str(), code), ("", 0));
    let _: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(run(&stub, &["ps", "-aq"], true, b""), said("", "", 0));
    assert!(Path::new(&stub.folder).exists());
}

#[test]
fn what_docker_prints_for_what_is_not_there() {
    let stub = Stub::start(Script::default());
    let (out, err, code) = run(&stub, &["inspect", "--type", "foo", "c"], true, b"");
    assert_eq!((out.as_str(), code), ("", 1));
    assert!(err.contains("unknown type: \"foo\": must be one of"), "{err}");
    let refuse_start = Some((400, "exec: nope: executable file not found in $PATH"));
    let stub = Stub::start(Script { refuse_start, ..Script::default() });
    let (out, _, code) = run(&stub, &["run", "-d", "img"], true, b"");
    assert_eq!((out, code), (format!("{}\n", stub::ID), 127));
}
