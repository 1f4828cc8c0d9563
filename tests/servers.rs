//! Real servers, from Debian's packages in an imported root file system: they start, serve on the host's
//! network, are limited, and are stopped in time. `tests/run --servers` makes the file system.

#![allow(clippy::expect_used)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::World;

fn root() -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/servers");
    assert!(folder.join("done").exists(), "no root file system: tests/run --servers makes it");
    folder.join("root")
}

/// A world with the image `debian`, and loopback up in the tests' own network.
fn world() -> World {
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().expect("ip");
    assert!(up.success());
    let world = World::empty();
    let mut tar = Command::new("tar")
        .arg("-C")
        .arg(root())
        .args(["--exclude=./dev/*", "--exclude=./var/cache/apt/archives/*.deb", "-c", "."])
        .stdout(Stdio::piped())
        .spawn()
        .expect("tar");
    let mut import = world.command(&["import", "-", "debian"]);
    import.stdin(tar.stdout.take().expect("stdout"));
    assert!(import.status().expect("import").success());
    assert!(tar.wait().expect("wait").success());
    world
}

/// Sends text to a port of this network and gives what comes back; empty when nobody is there.
fn ask(port: u16, text: &str, whole: bool) -> String {
    let Ok(mut socket) = TcpStream::connect(("127.0.0.1", port)) else { return String::new() };
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("timeout");
    let _ = socket.write_all(text.as_bytes());
    let mut bytes = Vec::new();
    if whole {
        let _ = socket.read_to_end(&mut bytes);
    } else {
        let mut piece = [0; 4096];
        let count = socket.read(&mut piece).unwrap_or(0);
        bytes.extend_from_slice(&piece[..count]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits up to half a minute.
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Stops it; it has ended by itself, in time, with this code.
fn stops(world: &World, name: &str, code: &str) {
    let begin = Instant::now();
    world.ok(&["stop", name]);
    assert!(begin.elapsed() < Duration::from_secs(9), "{name} was killed");
    assert_eq!(world.ok(&["inspect", "-f", "{{.State.ExitCode}}", name]), code, "{name}");
    world.ok(&["rm", "-v", name]);
}

const GET: &str = "GET / HTTP/1.0\r\nHost: x\r\n\r\n";

#[test]
fn servers_start_serve_are_limited_and_stop() {
    let world = world();
    nginx(&world);
    redis(&world);
    postgresql(&world);
    python(&world);
    world.finish();
}

fn nginx(world: &World) {
    world.ok(&[
        "run",
        "-d",
        "--net",
        "host",
        "--name",
        "nginx",
        "-m",
        "64m",
        "--pids-limit",
        "20",
        "--health-cmd",
        "test -s /run/nginx.pid",
        "--health-interval",
        "500ms",
        "--stop-signal",
        "QUIT",
        "debian",
        "nginx",
        "-g",
        "daemon off;",
    ]);
    until("nginx answers", || ask(80, GET, true).contains("Welcome to nginx"));
    until("it is healthy", || {
        world.ok(&["inspect", "-f", "{{.State.Health.Status}}", "nginx"]) == "healthy"
    });
    // A hundred at once, by eight.
    let served: usize = std::thread::scope(|scope| {
        let one = || (0..13).filter(|_| ask(80, GET, true).contains("200 OK")).count();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|one| one.join().expect("join")).sum()
    });
    assert_eq!(served, 104);
    let limit = world.ok(&["stats", "--no-stream", "--format", "{{.MemUsage}}", "nginx"]);
    assert!(limit.ends_with("/ 64MiB"), "{limit}");
    stops(world, "nginx", "0");
}

fn redis(world: &World) {
    let run = |name: &str| {
        world.ok(&[
            "run",
            "-d",
            "--net",
            "host",
            "--name",
            name,
            "-m",
            "128m",
            "-u",
            "redis",
            "-v",
            "redis:/var/lib/redis",
            "-w",
            "/var/lib/redis",
            "debian",
            "redis-server",
            "--save",
            "900 1",
            "--appendonly",
            "no",
        ]);
        until("redis answers", || ask(6379, "PING\r\n", false) == "+PONG\r\n");
    };
    run("redis");
    assert_eq!(ask(6379, "SET key value\r\n", false), "+OK\r\n");
    stops(world, "redis", "0");
    // The volume has it still.
    run("again");
    assert_eq!(ask(6379, "GET key\r\n", false), "$5\r\nvalue\r\n");
    stops(world, "again", "0");
    world.ok(&["volume", "rm", "redis"]);
}

fn postgresql(world: &World) {
    let bin = std::fs::read_dir(root().join("usr/lib/postgresql")).expect("postgresql");
    let version = bin.flatten().next().expect("version").file_name();
    let program =
        |name: &str| format!("/usr/lib/postgresql/{}/bin/{name}", version.to_string_lossy());
    let flags = ["--net", "host", "-u", "postgres", "-v", "pg:/var/lib/postgresql"];
    // The image's folder belongs to postgres: so does the volume that is made from it.
    let initdb = program("initdb");
    let words = [
        &["run", "--rm"],
        &flags[..],
        &["debian", &initdb, "-D", "/var/lib/postgresql/data", "-A", "trust"],
    ];
    world.ok(&words.concat());
    let postgres = program("postgres");
    let words = [
        &["run", "-d", "--name", "pg", "-m", "256m", "--shm-size", "128m", "--stop-signal", "INT"],
        &flags[..],
        &["debian", &postgres, "-D", "/var/lib/postgresql/data", "-k", "/tmp"],
    ];
    world.ok(&words.concat());
    let psql = |sql: &str| world.coracle(&["exec", "pg", "psql", "-h", "/tmp", "-Atc", sql]);
    until("PostgreSQL answers", || psql("select 1").out == "1\n");
    let made = psql("create table t as select g from generate_series(1, 10000) g");
    assert_eq!(made.code, 0, "{made:?}");
    assert_eq!(psql("select sum(g) from t").out, "50005000\n");
    // Parallel workers use /dev/shm.
    let parallel = psql(
        "set min_parallel_table_scan_size = 0; set parallel_setup_cost = 0; \
         set force_parallel_mode = on; select count(*) from t",
    );
    assert!(parallel.out.ends_with("10000\n"), "{parallel:?}");
    stops(world, "pg", "0");
    world.ok(&["volume", "rm", "pg"]);
}

fn python(world: &World) {
    let script = "import http.server, threading\n\
                  class H(http.server.BaseHTTPRequestHandler):\n\
                  \x20   def do_GET(self):\n\
                  \x20       self.send_response(200); self.end_headers()\n\
                  \x20       self.wfile.write(str(threading.active_count()).encode())\n\
                  \x20   def log_message(self, *a): pass\n\
                  http.server.ThreadingHTTPServer(('127.0.0.1', 8000), H).serve_forever()\n";
    world.ok(&[
        "run", "-d", "--net", "host", "--name", "py", "-m", "128m", "--cpus", "1", "--init",
        "debian", "python3", "-c", script,
    ]);
    until("python answers", || ask(8000, GET, true).contains("200 OK"));
    let threads: Vec<bool> = std::thread::scope(|scope| {
        let one = || ask(8000, GET, true).contains("200 OK");
        let threads: Vec<_> = (0..40).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|one| one.join().expect("join")).collect()
    });
    assert!(threads.iter().all(|served| *served));
    // Without an init, Python would not hear SIGTERM as PID 1.
    stops(world, "py", "143");
}
