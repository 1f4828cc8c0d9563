//! The daemon, asked by docker's own client, by ours and by raw requests: one that is killed, a second
//! one, clients that go away.

#![allow(clippy::expect_used)]

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use support::{Done, Terminal, World, binary, feed};

struct Daemon {
    child: Child,
    socket: PathBuf,
}

impl Daemon {
    fn start(world: &World) -> Daemon {
        let socket = world.folder.join("docker.sock");
        let child = command(world, &socket).spawn().expect("start the daemon");
        let daemon = Daemon { child, socket };
        world.until("the daemon listens", || UnixStream::connect(&daemon.socket).is_ok());
        daemon
    }

    /// docker's own client.
    fn docker(&self, words: &[&str]) -> Command {
        let mut docker = Command::new("docker");
        docker
            .arg("-H")
            .arg(format!("unix://{}", self.socket.display()))
            .args(words)
            .env("DOCKER_CONFIG", self.socket.with_extension("config"))
            .env_remove("DOCKER_CONTEXT")
            .stdin(Stdio::null());
        docker
    }

    fn done(&self, words: &[&str]) -> Done {
        self.docker(words).output().expect("docker's client: tests/run brings it").into()
    }

    fn ok(&self, words: &[&str]) -> String {
        let done = self.done(words);
        assert_eq!(done.code, 0, "{words:?}: {done:?}");
        done.out.trim_end().to_string()
    }

    /// A request as it is, and all of the answer.
    fn raw(&self, request: &str) -> String {
        let mut connection = UnixStream::connect(&self.socket).expect("connect");
        connection.write_all(request.as_bytes()).expect("write");
        let mut answer = Vec::new();
        // What was not read of the request may cut the answer's end off.
        let _ = connection.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Threads, and children that have ended without being waited for.
    fn threads_and_zombies(&self) -> (usize, usize) {
        let own = self.child.id().to_string();
        let threads = std::fs::read_dir(format!("/proc/{own}/task")).expect("task").count();
        let zombie = |pid: &str| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let rest = stat.rsplit(')').next().unwrap_or_default();
            let mut fields = rest.split_whitespace();
            fields.next() == Some("Z") && fields.next() == Some(&own)
        };
        let processes = std::fs::read_dir("/proc").expect("proc").flatten();
        let zombies = processes.filter(|one| zombie(&one.file_name().to_string_lossy())).count();
        (threads, zombies)
    }

    fn stop(mut self) {
        let pid = rustix_pid(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("kill");
        assert!(self.child.wait().expect("wait").success());
        assert!(!self.socket.exists(), "the socket is left");
    }
}

fn rustix_pid(child: &Child) -> rustix::process::Pid {
    rustix::process::Pid::from_raw(child.id() as i32).expect("pid")
}

fn command(world: &World, socket: &std::path::Path) -> Command {
    let host = format!("unix://{}", socket.display());
    let mut command = world.command(&["daemon", "-H", &host]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn docker_s_own_client() {
    let world = World::new();
    let daemon = Daemon::start(&world);
    let version = daemon.ok(&["version", "--format", "{{.Server.Version}} {{.Server.Os}}"]);
    assert_eq!(version, concat!(env!("CARGO_PKG_VERSION"), " linux"));
    assert!(daemon.ok(&["version"]).contains("(minimum version 1.24)"));
    // Streams and exit codes.
    let done = daemon.done(&[
        "run",
        "--rm",
        "--net",
        "none",
        "bb",
        "sh",
        "-c",
        "echo o; echo e >&2; exit 7",
    ]);
    assert_eq!((done.code, &*done.out, &*done.err), (7, "o\n", "e\n"));
    let text = "line\n".repeat(100_000);
    let mut cat = daemon.docker(&["run", "--rm", "-i", "--net", "none", "bb", "cat"]);
    let done = feed(&mut cat, text.as_bytes());
    assert!(done.code == 0 && done.out == text, "{} {}", done.out.len(), done.err);
    let missing = daemon.done(&["run", "--rm", "--net", "none", "bb", "nothing"]);
    assert_eq!(missing.code, 127, "{missing:?}");
    let absent = daemon.done(&["run", "--rm", "--pull", "never", "absent", "true"]);
    assert!(absent.code == 125 && absent.err.contains("No such image: absent"), "{absent:?}");
    // A life.
    let id = daemon.ok(&[
        "run",
        "-d",
        "--net",
        "none",
        "--name",
        "one",
        "-m",
        "64m",
        "bb",
        "sh",
        "-c",
        "echo up; sleep 60",
    ]);
    assert_eq!(daemon.ok(&["ps", "-q", "--no-trunc"]), id);
    world.until("its log", || daemon.ok(&["logs", "one"]) == "up");
    assert_eq!(daemon.ok(&["exec", "-e", "A=b", "one", "sh", "-c", "echo $A"]), "b");
    assert_eq!(daemon.done(&["exec", "one", "sh", "-c", "exit 3"]).code, 3);
    assert_eq!(
        daemon.ok(&["inspect", "-f", "{{.State.Status}} {{.HostConfig.Memory}}", "one"]),
        "running 67108864"
    );
    assert!(daemon.ok(&["top", "one"]).contains("sleep 60"));
    assert!(daemon.ok(&["stats", "--no-stream", "one"]).contains("64MiB"));
    let from = world.folder.join("from");
    std::fs::write(&from, "copied").expect("write");
    daemon.ok(&["cp", from.to_str().expect("path"), "one:/tmp/to"]);
    assert_eq!(daemon.ok(&["exec", "one", "cat", "/tmp/to"]), "copied");
    assert!(daemon.ok(&["diff", "one"]).contains("A /tmp/to"));
    daemon.ok(&["pause", "one"]);
    assert!(daemon.ok(&["ps"]).contains("(Paused)"));
    daemon.ok(&["unpause", "one"]);
    daemon.ok(&["rename", "one", "two"]);
    // Commands without the daemon see the same, and it sees what they do.
    assert_eq!(world.ok(&["ps", "--format", "{{.Names}}"]), "two");
    world.ok(&["stop", "-t", "0", "two"]);
    assert_eq!(
        daemon.ok(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "two"]),
        "exited 137"
    );
    daemon.ok(&["start", "two"]);
    let made = daemon.ok(&["commit", "two", "made"]);
    let archive = world.folder.join("made.tar");
    let archive = archive.to_str().expect("path");
    daemon.ok(&["save", "-o", archive, "made"]);
    daemon.ok(&["rmi", "made"]);
    assert!(daemon.ok(&["load", "-i", archive]).contains("made:latest"));
    assert_eq!(daemon.ok(&["image", "inspect", "-f", "{{.Id}}", "made"]), made);
    daemon.ok(&["kill", "two"]);
    assert_eq!(daemon.ok(&["wait", "two"]), "137");
    daemon.ok(&["rm", "two"]);
    // docker gives on whole seconds.
    let until = std::time::UNIX_EPOCH.elapsed().expect("time").as_secs() + 1;
    let until = until.to_string();
    let events =
        daemon.ok(&["events", "--since", "5m", "--until", &until, "--format", "{{.Action}}"]);
    for action in ["create", "start", "pause", "rename", "commit", "die", "destroy"] {
        assert!(events.lines().any(|line| line == action), "{action}: {events}");
    }
    daemon.stop();
    world.finish();
}

#[test]
fn a_terminal_by_docker_s_own_client() {
    let world = World::new();
    let daemon = Daemon::start(&world);
    let host = format!("unix://{}", daemon.socket.display());
    let line = format!("docker -H {host} run -it --rm --net none --name shell bb sh");
    let mut terminal = Terminal::start(&world, &line);
    terminal.expect("# ").send("stty size; tty; echo a$((1+1))\n").expect("a2");
    terminal.send("sleep 100\n");
    world.until("it sleeps", || daemon.ok(&["top", "shell"]).contains("sleep 100"));
    terminal.send("\u{3}").expect("# ").send("exit 5\n");
    assert_eq!(terminal.end(), 5);
    daemon.stop();
    world.finish();
}

/// A client that goes away leaves no thread, a container that ends no zombie, and the daemon's end,
/// whatever it is, no container.
#[test]
fn nothing_hangs_on_the_daemon() {
    let world = World::new();
    let mut daemon = Daemon::start(&world);
    daemon.ok(&["run", "-d", "--net", "none", "--name", "long", "bb", "sleep", "100"]);
    world.until("it is quiet", || daemon.threads_and_zombies().0 == 1);
    // Of each of these the client goes while there is nothing to say.
    for request in [
        "POST /v1.41/containers/long/wait HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /v1.41/containers/long/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /v1.41/events HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /v1.41/containers/long/stats HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /v1.41/containers/long/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: x\r\n\
         Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
    ] {
        let mut connection = UnixStream::connect(&daemon.socket).expect("connect");
        connection.write_all(request.as_bytes()).expect("write");
        let mut begin = [0; 12];
        connection.read_exact(&mut begin).expect("head");
        assert!(begin.starts_with(b"HTTP/1.1 "), "{request}");
        drop(connection);
        world.until(request, || daemon.threads_and_zombies().0 == 1);
    }
    for number in 0..5 {
        let name = format!("short{number}");
        daemon.ok(&["run", "-d", "--rm", "--net", "none", "--name", &name, "bb", "true"]);
    }
    world.until("the short ones have gone", || {
        daemon.ok(&["ps", "-a", "--format", "{{.Names}}"]) == "long"
    });
    world.until("nobody waits for their monitors", || daemon.threads_and_zombies() == (1, 0));
    // Killed: its container, and its log, go on.
    daemon.child.kill().expect("kill");
    daemon.child.wait().expect("wait");
    assert_eq!(world.ok(&["ps", "--format", "{{.Names}}"]), "long");
    let daemon = Daemon::start(&world);
    assert_eq!(daemon.ok(&["exec", "long", "echo", "again"]), "again");
    daemon.stop();
    assert_eq!(world.ok(&["ps", "--format", "{{.Names}}"]), "long");
    world.ok(&["rm", "-f", "long"]);
    world.finish();
}

#[test]
fn sockets() {
    let world = World::new();
    let daemon = Daemon::start(&world);
    let found = daemon.socket.metadata().expect("socket");
    assert!(found.file_type().is_socket() && found.mode() & 0o007 == 0, "{:o}", found.mode());
    // A second one is refused with the first's process id, and takes nothing from it.
    let other = world.folder.join("other.sock");
    let refused: Done =
        command(&world, &other).stderr(Stdio::piped()).output().expect("run").into();
    let want = format!("a daemon with the process id {} serves", daemon.child.id());
    assert!(refused.code == 1 && refused.err.contains(&want) && !other.exists(), "{refused:?}");
    assert_eq!(daemon.ok(&["ps", "-q"]), "");
    // Our own client.
    let host = format!("unix://{}", daemon.socket.display());
    let done = world.coracle(&["-H", &host, "run", "--rm", "--net", "none", "bb", "echo", "ours"]);
    assert_eq!((done.code, &*done.out), (0, "ours\n"), "{done:?}");
    // What no client of docker's sends.
    let answer = daemon.raw("GET /v9.9/info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(
        answer.contains(" 400 ") && answer.contains("client version 9.9 is too new"),
        "{answer}"
    );
    let answer = daemon.raw("GET /v1.0/info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(answer.contains(" 400 ") && answer.contains("too old"), "{answer}");
    for bad in [
        "nonsense\r\n\r\n".to_string(),
        format!("GET /info HTTP/1.1\r\nHost: x\r\nLong: {}\r\n\r\n", "x".repeat(100_000)),
        "POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n".to_string(),
    ] {
        let answer = daemon.raw(&bad);
        assert!(answer.contains(" 400 "), "{answer}");
    }
    // Many that say nothing hold nobody up.
    let idle: Vec<UnixStream> =
        (0..300).map(|_| UnixStream::connect(&daemon.socket).expect("connect")).collect();
    assert_eq!(daemon.ok(&["ps", "-q"]), "");
    drop(idle);
    world.until("they have gone", || daemon.threads_and_zombies().0 == 1);
    // What a killed one has left is replaced; a file is not.
    let socket = daemon.socket.clone();
    let mut killed = daemon;
    killed.child.kill().expect("kill");
    killed.child.wait().expect("wait");
    assert!(socket.exists());
    let daemon = Daemon::start(&world);
    assert_eq!(daemon.ok(&["ps", "-q"]), "");
    daemon.stop();
    std::fs::write(&socket, "mine").expect("write");
    let refused: Done =
        command(&world, &socket).stderr(Stdio::piped()).output().expect("run").into();
    assert!(refused.code == 1 && refused.err.contains("it is no socket"), "{refused:?}");
    assert_eq!(std::fs::read(&socket).expect("read"), b"mine");
    let refused = world.coracle(&["daemon", "-H", "tcp://127.0.0.1:1"]);
    assert!(
        refused.code == 1 && refused.err.contains("tcp://127.0.0.1:1: only unix://"),
        "{refused:?}"
    );
    world.finish();
}

/// As systemd and others hand a socket over, sd_listen_fds(3).
#[test]
fn a_socket_that_is_handed_over() {
    let world = World::new();
    let socket = world.folder.join("handed.sock");
    let listener = UnixListener::bind(&socket).expect("bind");
    let number = listener.as_raw_fd();
    let script = format!(
        "exec 3<&{number} && LISTEN_FDS=1 LISTEN_PID=$$ exec {} daemon -H fd://",
        binary().display()
    );
    rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::empty()).expect("fcntl");
    let mut daemon = Command::new("sh");
    daemon
        .args(["-c", &script])
        .env("CORACLE_ROOT", world.root())
        .env("CORACLE_RUN", world.run_folder());
    let child = daemon.stderr(Stdio::null()).process_group(0).spawn().expect("start");
    let daemon = Daemon { child, socket: socket.clone() };
    assert_eq!(daemon.ok(&["run", "--rm", "--net", "none", "bb", "echo", "handed"]), "handed");
    let pid = rustix_pid(&daemon.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("kill");
    let mut child = daemon.child;
    assert!(child.wait().expect("wait").success());
    // It is the supervisor's.
    assert!(socket.exists());
    let nothing = world.coracle(&["daemon", "-H", "fd://"]);
    assert!(nothing.code == 1 && nothing.err.contains("no socket was handed over"), "{nothing:?}");
    world.finish();
}
