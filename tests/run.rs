//! `coracle run` as users know `docker run`: streams, exit codes, flags.

#![allow(clippy::expect_used)]

use support::{World, feed};

#[test]
fn hello_greets_from_inside() {
    let world = World::empty();
    let done = world.coracle(&["run", "--rm", "hello"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.out.starts_with("Hello from inside a container!\n"), "{done:?}");
    assert!(done.out.contains("process id    1\n"), "{done:?}");
    assert!(done.out.contains("capabilities  14: chown"), "{done:?}");
    assert!(done.out.contains("network       lo alone\n"), "{done:?}");
    assert!(done.err.contains("Unable to find image 'hello:latest' locally\n"), "{done:?}");
    let networks: Vec<&str> = done.err.lines().filter(|line| line.contains("--net none")).collect();
    assert_eq!(networks.len(), 1, "{done:?}");
    // The second time it is there, and a named network is no reason for a word.
    let done = world.coracle(&["run", "--rm", "--net", "none", "hello"]);
    assert_eq!((done.code, done.err.as_str()), (0, ""), "{done:?}");
    world.finish();
}

#[test]
fn exit_codes_are_dockers() {
    let world = World::new();
    assert_eq!(world.script(&[], "exit 0").code, 0);
    assert_eq!(world.script(&[], "exit 7").code, 7);
    assert_eq!(world.script(&[], "kill -15 $$; sleep 1; exit 3").code, 3);
    let run = |command: &[&str]| {
        let words = [&["run", "--rm", "--net", "none", "bb"], command].concat();
        world.coracle(&words)
    };
    let cases: [(&[&str], i32, &str); 5] = [
        (&["nosuch"], 127, "exec: \"nosuch\": executable file not found in $PATH"),
        (&["/bin/nosuch"], 127, "exec: \"/bin/nosuch\": no such file or directory"),
        (&["/etc"], 126, "exec: \"/etc\": permission denied"),
        (&["/etc/passwd"], 126, "exec: \"/etc/passwd\": permission denied"),
        (&["/bin/sh", "-c", "exit 200"], 200, ""),
    ];
    for (command, code, message) in cases {
        let done = run(command);
        assert_eq!(done.code, code, "{command:?}: {done:?}");
        assert!(done.err.contains(message), "{command:?}: {done:?}");
    }
    let cases: [(&[&str], &str); 5] = [
        (&["run", "--rm", "--net", "none", "nosuch"], "nosuch"),
        (&["run", "--rm", "--net", "nosuch", "bb", "true"], "network nosuch not found"),
        (
            &["run", "--rm", "--net", "none", "-u", "nobody", "bb", "true"],
            "unable to find user nobody",
        ),
        (
            &["run", "--rm", "--net", "none", "-v", "x", "bb", "true"],
            "invalid volume specification: 'x'",
        ),
        (&["run", "--nosuch", "bb"], "unknown flag: --nosuch"),
    ];
    for (words, message) in cases {
        let done = world.coracle(words);
        assert_eq!(done.code, 125, "{words:?}: {done:?}");
        assert!(done.err.contains(message), "{words:?}: {done:?}");
    }
    world.finish();
}

#[test]
fn streams_are_the_programs() {
    for more in [&[][..], &["--log-driver", "local"]] {
        let world = World::new();
        let done = world.script(more, "echo out; echo err >&2");
        assert_eq!((done.out.as_str(), done.err.as_str()), ("out\n", "err\n"), "{more:?}");
        let words = [&["run", "--rm", "-i", "--net", "none"], more, &["bb", "cat"]].concat();
        let input: Vec<u8> = (0..1_000_000_u32).flat_map(|number| number.to_ne_bytes()).collect();
        let mut command = world.command(&words);
        let child = command
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("start");
        let (mut stdin, bytes) = (child.stdin.as_ref().expect("stdin").try_clone(), input.clone());
        let writer = std::thread::spawn(move || {
            use std::io::Write;
            stdin.as_mut().expect("stdin").write_all(&bytes).expect("write");
        });
        let output = child.wait_with_output();
        writer.join().expect("writer");
        assert!(output.expect("wait").stdout == input, "{more:?}: input came back changed");
        // Without -i there is none.
        let words = [&["run", "--rm", "--net", "none"], more, &["bb", "cat"]].concat();
        assert_eq!(feed(&mut world.command(&words), b"x").out, "");
        world.finish();
    }
}

trait TryClone {
    fn try_clone(&self) -> std::io::Result<std::fs::File>;
}

impl TryClone for std::process::ChildStdin {
    fn try_clone(&self) -> std::io::Result<std::fs::File> {
        use std::os::fd::AsFd;
        self.as_fd().try_clone_to_owned().map(Into::into)
    }
}

#[test]
fn flags_have_their_effect_inside() {
    let world = World::new();
    let shared = world.folder.join("shared");
    std::fs::create_dir(&shared).expect("mkdir");
    std::fs::write(shared.join("file"), "from the host\n").expect("write");
    let bind = format!("{}:/data", shared.display());
    let read_only = format!("{bind}:ro");
    let cidfile = world.folder.join("cid");
    let cidfile = cidfile.to_str().expect("path");
    let cases: [(&[&str], &str, &str); 14] = [
        (&["-e", "A=b c"], "echo \"$A\"", "b c\n"),
        (&["-w", "/made/here"], "pwd", "/made/here\n"),
        (&["-u", "web"], "id -u; id -g; id -G; echo $HOME", "33\n34\n34 4\n/srv\n"),
        (&["-u", "7:8"], "id -u; id -g", "7\n8\n"),
        (&["-h", "box"], "hostname; cat /etc/hostname", "box\nbox\n"),
        (&["-v", &bind], "cat /data/file; echo more > /data/new", "from the host\n"),
        (&["-v", &read_only], "cat /data/new; touch /data/x 2>/dev/null || echo no", "more\nno\n"),
        (
            &["--read-only"],
            "touch /x 2>/dev/null || echo no; touch /dev/shm/x && echo yes",
            "no\nyes\n",
        ),
        (&["--name", "named"], "echo x", "x\n"),
        (&["--cidfile", cidfile], "echo x", "x\n"),
        (&["--net", "none"], "ls /sys/class/net", "lo\n"),
        (&["--net", "host"], "readlink /proc/self/ns/net | wc -l", "1\n"),
        (&[], "ls /proc/self/fd | wc -l", "4\n"),
        (&[], "echo $PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"),
    ];
    for (flags, script, want) in cases {
        let done = world.script(flags, script);
        assert_eq!((done.code, done.out.as_str()), (0, want), "{flags:?} {script}: {done:?}");
    }
    assert_eq!(std::fs::read_to_string(cidfile).expect("cidfile").len(), 64);
    let done =
        world.coracle(&["run", "--rm", "--net", "none", "--entrypoint", "echo", "bb", "a", "b"]);
    assert_eq!(done.out, "a b\n");
    world.finish();
}

#[test]
fn what_takes_more_memory_than_allowed_is_killed() {
    let world = World::new();
    let words = [
        "run",
        "--net",
        "none",
        "--name",
        "greedy",
        "--memory",
        "32m",
        "bb",
        "dd",
        "if=/dev/zero",
        "of=/dev/null",
        "bs=200M",
        "count=1",
    ];
    let done = world.coracle(&words);
    assert_eq!(done.code, 137, "{done:?}");
    let inspected = world.ok(&["inspect", "greedy"]);
    assert!(inspected.contains("\"OOMKilled\": true"), "{inspected}");
    world.ok(&["rm", "greedy"]);
    world.finish();
}

#[test]
fn output_that_nobody_reads_is_no_error_to_tell() {
    let world = World::new();
    // Closed before it starts. What other threads fork has the end too, until it has become a program.
    let (read, write) = std::io::pipe().expect("pipe");
    drop(read);
    std::thread::sleep(std::time::Duration::from_millis(200));
    let mut command = world.command(&["images"]);
    let done: support::Done = command.stdout(write).output().expect("start").into();
    assert_eq!((done.code, &*done.err), (141, ""));
    world.finish();
}

#[test]
fn signals_reach_the_program_and_its_code_comes_back() {
    let world = World::new();
    for (signal, more) in [("TERM", &[][..]), ("INT", &["--log-driver", "local"])] {
        let script = "trap 'echo got; exit 9' TERM INT; echo ready; while true; do sleep 0.1; done";
        let words = [&["run", "--rm", "--net", "none"], more, &["bb", "sh", "-c", script]].concat();
        let mut child =
            world.command(&words).stdout(std::process::Stdio::piped()).spawn().expect("start");
        let mut reader = std::io::BufReader::new(child.stdout.take().expect("stdout"));
        let mut line = String::new();
        std::io::BufRead::read_line(&mut reader, &mut line).expect("read");
        assert_eq!(line, "ready\n");
        std::process::Command::new("kill")
            .args([format!("-{signal}"), child.id().to_string()])
            .status()
            .expect("kill");
        line.clear();
        std::io::BufRead::read_line(&mut reader, &mut line).expect("read");
        assert_eq!(line, "got\n");
        assert_eq!(child.wait().expect("wait").code(), Some(9), "{signal}");
    }
    world.finish();
}

#[test]
fn two_hundred_containers_eight_at_a_time() {
    let world = World::new();
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let world = &world;
            scope.spawn(move || {
                for round in 0..25 {
                    let want = format!("{worker}-{round}\n");
                    let value = format!("V={worker}-{round}");
                    let done = world.script(&["-e", &value], "echo $V");
                    assert_eq!((done.code, done.out, done.err), (0, want, String::new()));
                }
            });
        }
    });
    world.finish();
}
