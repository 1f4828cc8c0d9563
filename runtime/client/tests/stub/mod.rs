//! A stub of the Engine API on a Unix socket, made of base-http, with one scripted container.
//!
//! It plays the server's part of each flow to the letter (the head of `wait` at once, the hijacked
//! stream in pieces of the script's choice) and writes down what it is asked, in order.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a stub that fails is a failed test")]

use base_http::frames::{self, Channel};
use base_http::{Answer, Body, Input, RequestHead, Stream, read_request, write_all};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// One step of the container.
#[derive(Clone)]
pub enum Step {
    /// Bytes as they are, in one write.
    Bytes(Vec<u8>),
    /// Text as a frame, each byte of the wire a write of its own.
    Slowly(Channel, &'static str),
    /// Text as one frame.
    Say(Channel, &'static str),
    /// So many frames of 32 KiB.
    Much(usize),
    /// Nothing for so many milliseconds.
    Pause(u64),
    /// Reads standard input to its end and sends it back in frames.
    Echo,
    /// The same until standard input has this text at its end.
    EchoUntil(&'static str),
    /// Waits for a `kill` request.
    Killed,
}

/// What the stub does.
#[derive(Clone)]
pub struct Script {
    pub steps: Vec<Step>,
    pub exit_code: i64,
    pub tty: bool,
    /// The head of `wait` comes so late, in milliseconds.
    pub late_head: u64,
    /// The head of the hijacked stream comes so late.
    pub late_hijack: u64,
    /// `start` is refused with this status and text.
    pub refuse_start: Option<(u16, &'static str)>,
    /// `start` is never answered.
    pub hang_start: bool,
    /// `create` is refused with this status and text, once.
    pub refuse_create: Option<(u16, &'static str)>,
    pub warnings: Vec<String>,
    /// The hijacked stream stays open when the container has ended, so many milliseconds.
    pub linger: u64,
    /// Say the content type of the stream.
    pub multiplexed: bool,
}

impl Default for Script {
    fn default() -> Script {
        Script {
            steps: Vec::new(),
            exit_code: 0,
            tty: false,
            late_head: 0,
            late_hijack: 0,
            refuse_start: None,
            hang_start: false,
            refuse_create: None,
            warnings: Vec::new(),
            linger: 0,
            multiplexed: true,
        }
    }
}

#[derive(Default)]
struct State {
    log: Vec<String>,
    created: Option<String>,
    started: bool,
    ended: bool,
    killed: bool,
    stdin: Vec<u8>,
    refused: bool,
}

struct Shared {
    script: Script,
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn log(&self, line: String) {
        self.set(|state| state.log.push(line));
    }
    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }
    fn wait(&self, until: impl Fn(&State) -> bool) {
        let state = self.state.lock().unwrap();
        let limit = Duration::from_secs(20);
        drop(self.changed.wait_timeout_while(state, limit, |state| !until(state)).unwrap());
    }
}

/// The running stub.
pub struct Stub {
    pub folder: PathBuf,
    shared: Arc<Shared>,
}

pub const ID: &str = "c0ffee0000000000000000000000000000000000000000000000000000000000";

impl Stub {
    pub fn start(script: Script) -> Stub {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("coracle-stub-{}-{count}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let listener = UnixListener::bind(folder.join("socket")).unwrap();
        let shared = Arc::new(Shared { script, state: Mutex::default(), changed: Condvar::new() });
        let server = shared.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let (server, socket) = (server.clone(), Arc::new(socket.unwrap()));
                std::thread::spawn(move || serve(&server, socket));
            }
        });
        Stub { folder, shared }
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.join("socket")
    }

    /// What was asked so far.
    pub fn log(&self) -> Vec<String> {
        self.shared.state.lock().unwrap().log.clone()
    }

    /// The requests without their queries, without the version.
    pub fn asked(&self) -> Vec<String> {
        let short = |line: &String| line.split('?').next().unwrap_or("").replace(ID, "ID");
        self.log().iter().map(short).collect()
    }

    /// The body of `create`.
    pub fn created(&self) -> Option<String> {
        self.shared.state.lock().unwrap().created.clone()
    }

    /// What the container read.
    pub fn stdin(&self) -> Vec<u8> {
        self.shared.state.lock().unwrap().stdin.clone()
    }

    pub fn wait_stdin(&self, length: usize) {
        self.shared.wait(|state| state.stdin.len() >= length);
    }

    pub fn wait_asked(&self, path: &str) {
        let asked = |state: &State| state.log.iter().any(|line| line.contains(path));
        self.shared.wait(asked);
    }

    pub fn wait_started(&self) {
        self.shared.wait(|state| state.started);
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn serve(shared: &Shared, socket: Arc<UnixStream>) {
    let mut input = Input::exact(socket.clone());
    loop {
        let head = match read_request(&mut input) {
            Ok(Some(head)) => head,
            Ok(None) => return,
            Err(error) => {
                let _ = Answer::to_nothing(&*socket).error(&error);
                return;
            }
        };
        let bytes = Body::of(&mut input, &head).whole(64 << 20).unwrap_or_default();
        let query: Vec<String> = head.query.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let mut line = format!("{} {}?{}", head.method.name(), head.path, query.join("&"));
        if !bytes.is_empty() && head.path != "/containers/create" {
            line += &format!(" body {}", bytes.len());
        }
        shared.log(line.trim_end_matches('?').to_string());
        if head.path.ends_with("/attach") {
            hijack(shared, &head, &socket, &mut input);
            return;
        }
        if answer(shared, &head, &bytes, &socket).is_err() || !head.keep_alive {
            return;
        }
    }
}

fn answer(
    shared: &Shared,
    head: &RequestHead,
    body: &[u8],
    socket: &UnixStream,
) -> base::Result<()> {
    let script = &shared.script;
    let to = Answer::to(head, socket)
        .header("Api-Version", "1.41")
        .header("Docker-Experimental", "false")
        .header("Ostype", "linux");
    let io = |error| base::Error::os("write", &"chunk", error);
    let json =
        |to: Answer<'_>, status, text: &str| to.bytes(status, "application/json", text.as_bytes());
    let refuse = |to: Answer<'_>, (status, text): (u16, &str)| {
        json(to, status, &format!("{{\"message\":\"{text}\"}}"))
    };
    match head.path.as_str() {
        "/_ping" => to.bytes(200, "text/plain", b"OK"),
        "/containers/create" => {
            let mut state = shared.state.lock().unwrap();
            state.created = Some(String::from_utf8_lossy(body).into_owned());
            if let Some(refusal) = script.refuse_create.filter(|_| !state.refused) {
                state.refused = true;
                return refuse(to, refusal);
            }
            let warnings = base::json::to_string(&script.warnings);
            json(to, 201, &format!("{{\"Id\":\"{ID}\",\"Warnings\":{warnings}}}"))
        }
        "/images/create" | "/images/load" => {
            let mut chunks = to.stream(200, "application/json")?;
            for line in [
                "{\"status\":\"Pulling from library/busybox\",\"id\":\"1\"}\r\n",
                "{\"status\":\"Downloading\",\"progressDetail\":{\"current\":5,\"total\":9},",
                "\"id\":\"aa\"}\r\n{\"stream\":\"Loaded image: busybox:1\\n\"}\r\n",
            ] {
                chunks.chunk(line.as_bytes()).map_err(io)?;
            }
            chunks.finish().map_err(io)
        }
        "/containers/json" => json(to, 200, "[]"),
        path if path.ends_with("/json") => json(
            to,
            200,
            &format!(
                "{{\"Id\":\"{ID}\",\"State\":{{\"Status\":\"running\",\"Running\":true}},\
                 \"Config\":{{\"Tty\":{},\"OpenStdin\":true}}}}",
                script.tty
            ),
        ),
        path if path.ends_with("/wait") => {
            std::thread::sleep(Duration::from_millis(script.late_head));
            shared.log(String::from("(head of wait)"));
            let mut chunks = to.stream(200, "application/json")?;
            if head.query("condition").is_none() {
                shared.set(|state| state.started = true);
            }
            shared.wait(|state| state.ended);
            let code = script.exit_code;
            let code = format!("{{\"StatusCode\":{code},\"Error\":null}}\n");
            chunks.chunk(code.as_bytes()).map_err(io)?;
            chunks.finish().map_err(io)
        }
        path if path.ends_with("/start") => {
            if script.hang_start {
                shared.set(|state| state.started = true);
                std::thread::sleep(Duration::from_secs(60));
            }
            if let Some(refusal) = script.refuse_start {
                shared.set(|state| state.ended = true);
                return refuse(to, refusal);
            }
            shared.set(|state| state.started = true);
            let attached = shared.state.lock().unwrap().log.iter().any(|l| l.contains("/attach"));
            to.empty(204)?;
            if !attached {
                let pause = script.steps.iter().map(|step| match step {
                    Step::Pause(ms) => *ms,
                    _ => 0,
                });
                std::thread::sleep(Duration::from_millis(pause.sum()));
                if script.steps.iter().any(|step| matches!(step, Step::Killed)) {
                    return Ok(());
                }
                shared.set(|state| state.ended = true);
            }
            Ok(())
        }
        path if path.ends_with("/kill") => {
            shared.set(|state| {
                state.killed = true;
                state.ended |= !state.log.iter().any(|line| line.contains("/attach"));
            });
            to.empty(204)
        }
        path if path.ends_with("/resize") => to.empty(200),
        path if path.ends_with("/logs") => {
            let mut chunks = to.stream(200, "application/vnd.docker.multiplexed-stream")?;
            for step in &script.steps {
                play(shared, step, &mut |bytes| chunks.chunk(bytes), &mut || Vec::new())
                    .map_err(io)?;
            }
            chunks.finish().map_err(io)
        }
        _ => refuse(to, (404, "page not found")),
    }
}

fn hijack(shared: &Shared, head: &RequestHead, socket: &Arc<UnixStream>, input: &mut Input) {
    let script = &shared.script;
    std::thread::sleep(Duration::from_millis(script.late_hijack));
    assert!(input.take_buffered().is_empty(), "the client sent bytes before the answer");
    let to = Answer::to(head, &**socket);
    to.hijack(script.multiplexed && !script.tty).unwrap();
    shared.wait(|state| state.started);
    let mut read = || {
        let mut bytes = [0; 4096];
        let n = Stream::read(&**socket, &mut bytes).unwrap_or(0);
        shared.set(|state| state.stdin.extend(&bytes[..n]));
        bytes[..n].to_vec()
    };
    for step in &script.steps {
        // A client that is gone ends the container's output, not the container.
        if play(shared, step, &mut |bytes| write_all(&**socket, bytes), &mut read).is_err() {
            shared.log(String::from("(client gone)"));
            break;
        }
    }
    if script.linger > 0 {
        shared.set(|state| state.ended = true);
        std::thread::sleep(Duration::from_millis(script.linger));
    }
    let _ = socket.shutdown(std::net::Shutdown::Write);
    shared.set(|state| state.ended = true);
}

fn frame(channel: Channel, bytes: &[u8]) -> Vec<u8> {
    [&frames::head(channel, bytes.len() as u32)[..], bytes].concat()
}

fn play(
    shared: &Shared,
    step: &Step,
    write: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
    read: &mut dyn FnMut() -> Vec<u8>,
) -> std::io::Result<()> {
    let raw = shared.script.tty;
    let wire = |channel: Channel, bytes: &[u8]| match raw {
        true => bytes.to_vec(),
        false => frame(channel, bytes),
    };
    match step {
        Step::Bytes(bytes) => write(bytes),
        Step::Say(channel, text) => write(&wire(*channel, text.as_bytes())),
        Step::Slowly(channel, text) => {
            wire(*channel, text.as_bytes()).chunks(1).try_for_each(write)
        }
        Step::Much(count) => {
            let piece = vec![b'x'; 32 * 1024];
            (0..*count).try_for_each(|_| write(&wire(Channel::Stdout, &piece)))
        }
        Step::Pause(ms) => {
            std::thread::sleep(Duration::from_millis(*ms));
            Ok(())
        }
        Step::Echo => loop {
            let bytes = read();
            if bytes.is_empty() {
                return Ok(());
            }
            write(&wire(Channel::Stdout, &bytes))?;
        },
        Step::EchoUntil(end) => loop {
            let bytes = read();
            write(&wire(Channel::Stdout, &bytes))?;
            if bytes.is_empty() || bytes.ends_with(end.as_bytes()) {
                return Ok(());
            }
        },
        Step::Killed => {
            shared.wait(|state| state.killed);
            Ok(())
        }
    }
}
