//! docker's own client against the stub: what it needs of a server's hijacked streams.
//!
//! The figures of one such run are in docs/trials/docker-hijack.md.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails is to panic")]

mod stub;

use base_http::frames::Channel::{Stderr, Stdout};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use stub::{Script, Step, Stub};

/// docker for this stub.
fn docker(stub: &Stub, args: &[&str]) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("docker"));
    let Some(program) = found.into_iter().find(|program| program.is_file()) else {
        panic!("no docker client in PATH: tests/run brings one");
    };
    let mut command = Command::new(program);
    command.arg("-H").arg(format!("unix://{}", stub.socket().display())).args(args);
    command.env_remove("DOCKER_HOST").env_remove("DOCKER_CONTEXT");
    command.env("DOCKER_CONFIG", &stub.folder);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn wait(child: &mut Child) -> i32 {
    let limit = Instant::now() + Duration::from_secs(30);
    while Instant::now() < limit {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().unwrap_or(-1);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    panic!("docker did not end");
}

/// Runs docker with this standard input: standard output, standard error, exit code.
fn run(stub: &Stub, args: &[&str], stdin: &[u8]) -> (String, String, i32) {
    let mut child = docker(stub, args).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    let writer = std::thread::spawn(move || drop(pipe.write_all(&stdin)));
    let mut stderr = child.stderr.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).unwrap();
        text
    });
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    let code = wait(&mut child);
    writer.join().unwrap();
    (out, reader.join().unwrap(), code)
}

#[test]
fn run_with_late_heads() {
    for (late_head, late_hijack) in [(0, 0), (500, 0), (0, 500)] {
        let script = Script {
            steps: vec![Step::Slowly(Stdout, "out\n"), Step::Slowly(Stderr, "err\n")],
            exit_code: 7,
            late_head,
            late_hijack,
            ..Script::default()
        };
        let stub = Stub::start(script);
        let begun = Instant::now();
        let end = run(&stub, &["run", "--rm", "img", "cmd"], b"");
        assert_eq!(end, ("out\n".into(), "err\n".into(), 7));
        eprintln!("heads late by {late_head}, {late_hijack} ms: {:?}", begun.elapsed());
        let want = [
            "HEAD /_ping",
            "POST /containers/create",
            "POST /containers/ID/attach",
            "POST /containers/ID/wait",
            "(head of wait)",
            "POST /containers/ID/start",
        ];
        assert_eq!(stub.asked(), want, "start came before the head of wait");
    }
}

#[test]
fn stdin_is_half_closed() {
    let steps = vec![Step::Echo, Step::Pause(100), Step::Say(Stdout, "the end\n")];
    for multiplexed in [true, false] {
        let script = Script { steps: steps.clone(), multiplexed, ..Script::default() };
        let stub = Stub::start(script);
        let text = "line of input\n".repeat(50_000);
        let begun = Instant::now();
        let (out, err, code) = run(&stub, &["run", "-i", "img"], text.as_bytes());
        assert_eq!((err.as_str(), code, stub.stdin().len()), ("", 0, text.len()));
        assert_eq!(out, text + "the end\n");
        eprintln!("half close, content type said: {multiplexed}: {:?}", begun.elapsed());
    }
}

#[test]
fn the_end_of_the_stream_ends_docker_while_its_stdin_is_open() {
    let steps = vec![Step::Say(Stdout, "bye\n"), Step::Pause(50)];
    let stub = Stub::start(Script { steps, exit_code: 5, ..Script::default() });
    let mut command = docker(&stub, &["run", "-i", "img"]);
    let mut child = command.spawn().unwrap();
    let begun = Instant::now();
    assert_eq!(wait(&mut child), 5);
    eprintln!("end with open stdin: {:?}", begun.elapsed());
}

#[test]
fn an_answer_to_wait_does_not_end_docker_before_the_stream_ends() {
    let steps = vec![Step::Say(Stdout, "bye\n")];
    let stub = Stub::start(Script { steps, exit_code: 5, linger: 700, ..Script::default() });
    let begun = Instant::now();
    let end = run(&stub, &["run", "img"], b"");
    assert_eq!(end, ("bye\n".into(), String::new(), 5));
    eprintln!("stream open 700 ms after the answer to wait: {:?}", begun.elapsed());
}

#[test]
fn logs_are_followed_as_they_come() {
    let steps = vec![
        Step::Say(Stdout, "first\n"),
        Step::Pause(300),
        Step::Slowly(Stderr, "second\n"),
        Step::Say(Stdout, "third\n"),
    ];
    let stub = Stub::start(Script { steps, ..Script::default() });
    let mut command = docker(&stub, &["logs", "-f", "c"]);
    let mut child = command.spawn().unwrap();
    let begun = Instant::now();
    let mut first = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    let at = begun.elapsed();
    let mut rest = String::new();
    child.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
    assert_eq!((&first, rest.as_str(), wait(&mut child)), (b"first\n", "third\n", 0));
    assert!(begun.elapsed() - at >= Duration::from_millis(250), "the first line came late");
    eprintln!("logs -f: first line after {at:?}, end after {:?}", begun.elapsed());
}

#[test]
fn a_terminal() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let steps = vec![Step::Say(Stdout, "ready\r\n"), Step::EchoUntil("done!")];
    let stub = Stub::start(Script { steps, tty: true, exit_code: 6, ..Script::default() });
    let ours: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let path = PathBuf::from(ptsname(&ours, Vec::new()).unwrap().to_str().unwrap());
    let theirs = std::fs::File::options().read(true).write(true).open(&path).unwrap();
    let size = rustix::termios::Winsize { ws_row: 33, ws_col: 77, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&theirs, size).unwrap();
    let mut command = docker(&stub, &["run", "-it", "img"]);
    let handle = || Stdio::from(theirs.try_clone().unwrap());
    let mut child = command.stdin(handle()).stdout(handle()).stderr(handle()).spawn().unwrap();
    let begun = Instant::now();
    let mut seen = String::new();
    let mut typed = false;
    while !seen.contains("done!") {
        assert!(begun.elapsed() < Duration::from_secs(20), "{seen:?} {:?}", stub.log());
        let events = rustix::event::PollFlags::IN;
        let mut fds = [rustix::event::PollFd::new(&ours, events)];
        let second = rustix::time::Timespec { tv_sec: 1, tv_nsec: 0 };
        if rustix::event::poll(&mut fds, Some(&second)).unwrap() > 0 {
            let mut piece = [0; 4096];
            let n = rustix::io::read(&ours, &mut piece).unwrap();
            seen += &String::from_utf8_lossy(&piece[..n]);
        }
        if seen.contains("ready") && !std::mem::replace(&mut typed, true) {
            rustix::io::write(&ours, b"\x03done!").unwrap();
        }
    }
    assert_eq!(wait(&mut child), 6);
    assert_eq!(stub.stdin(), b"\x03done!");
    let log = stub.log();
    let resize = log.iter().position(|line| line.ends_with("/resize?h=33&w=77"));
    let start = log.iter().position(|line| line.ends_with("/start"));
    assert!(start.is_some() && start < resize, "{log:?}");
    eprintln!("terminal: {:?} {:?}", begun.elapsed(), stub.asked());
}

#[test]
fn detached() {
    let stub = Stub::start(Script::default());
    let end = run(&stub, &["run", "-d", "--name", "web", "img"], b"");
    assert_eq!(end, (format!("{}\n", stub::ID), String::new(), 0));
    eprintln!("run -d: {:?}", stub.log());
}

struct Near<'a>(&'a Stub);

impl client::Connect for Near<'_> {
    fn connect(&self) -> base::Result<std::os::unix::net::UnixStream> {
        let path = self.0.socket();
        base::OnError::on_path(std::os::unix::net::UnixStream::connect(&path), "connect", &path)
    }
    fn in_process(&self) -> bool {
        true
    }
    fn keep_foreground(&self) {}
}

/// Without what says nothing: null, "", 0, false, empty arrays and objects.
fn meant(value: &serde_json::Value) -> Option<serde_json::Value> {
    use serde_json::Value;
    match value {
        Value::Object(map) => {
            let members = map.iter().filter_map(|(name, v)| Some((name.clone(), meant(v)?)));
            let map: serde_json::Map<_, _> = members.collect();
            (!map.is_empty()).then_some(Value::Object(map))
        }
        Value::Array(list) if list.is_empty() => None,
        Value::Null | Value::Bool(false) => None,
        Value::String(text) if text.is_empty() => None,
        Value::Number(number) if number.as_i64() == Some(0) => None,
        other => Some(other.clone()),
    }
}

/// The body of `create` that a command line makes docker and us send.
#[test]
fn bodies_of_create() {
    let folder = std::env::temp_dir().join(format!("coracle-bodies-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("env");
    std::fs::write(&file, "# no\n  A=1\nHOME\nNOT_SET_HERE\nB=\"x y\"  \n\nC=\n").unwrap();
    let file = file.to_str().unwrap();
    let lines: &[&[&str]] = &[
        &["img"],
        &["img", "sh", "-c", "echo $A"],
        &["-i", "img"],
        &["-t", "img"],
        &["-it", "img", "sh"],
        &["-e", "A=B", "-e", "HOME", "-e", "NOT_SET_HERE", "-eX=", "img"],
        &["--env-file", file, "-e", "A=2", "img"],
        &["-w", "/tmp", "-u", "1:2", "-h", "host", "--name", "web", "img"],
        &["-v", "/a:/b", "-v", "/c:/d:ro", "-v", "name:/e", "-v", "/f", "img"],
        &["--entrypoint", "", "img", "a"],
        &["--entrypoint", "sh", "img", "-c", "a"],
        &["-m", "64m", "--pids-limit", "10", "--read-only", "img"],
        &["--memory", "1.5g", "--pids-limit=-1", "img"],
        &["--net", "none", "img"],
        &["--network", "host", "img"],
        &["-l", "a=b", "--label", "c", "-l", "d=e=f", "img"],
        &["--log-driver", "json-file", "--log-opt", "max-size=1m", "img"],
        &["--rm", "img"],
        &["--rm=false", "img", "--rm"],
        &["img", "-e", "A=B"],
        &["--", "img", "-i"],
    ];
    for line in lines {
        for verb in [&["create"][..], &["run", "-d"]] {
            let args = [verb, line].concat();
            let theirs = Stub::start(Script::default());
            let (_, err, code) = run(&theirs, &args, b"");
            assert_eq!((err.as_str(), code), ("", 0), "{args:?}");
            let ours = Stub::start(Script::default());
            let words = args.iter().map(Into::into).collect();
            let invocation = client::Invocation::parse(words).ok().unwrap();
            let (signals, _keep) = rustix::pipe::pipe().unwrap();
            assert_eq!(invocation.run(&Near(&ours), signals), 0);
            let body = |stub: &Stub| {
                let text = stub.created().unwrap();
                let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
                let host = value["HostConfig"].as_object_mut().unwrap();
                host.remove("ConsoleSize");
                // docker writes its defaults; we leave the server's to the server.
                if host.get("MemorySwappiness").is_some_and(|v| v == -1) {
                    host.remove("MemorySwappiness");
                }
                if host.get("RestartPolicy").is_some_and(|v| v["Name"] == "no") {
                    host.remove("RestartPolicy");
                }
                // docker keeps these in maps: their order is chance.
                for list in ["/Env", "/HostConfig/Binds"] {
                    if let Some(list) = value.pointer_mut(list).and_then(|v| v.as_array_mut()) {
                        list.sort_by_key(ToString::to_string);
                    }
                }
                meant(&value).unwrap()
            };
            let (mut theirs, ours) = (body(&theirs), body(&ours));
            let networks = theirs.as_object_mut().unwrap().remove("NetworkingConfig");
            drop(networks);
            assert_eq!(ours, theirs, "{args:?}");
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
