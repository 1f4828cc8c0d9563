//! A command of the client as a process: this test program again, which runs `child` alone.
//!
//! Each test program that uses it has a test `child` that calls `run_if_asked`.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails is to panic")]

use crate::stub::Stub;
use client::{Connect, Invocation};
use rustix::process::Signal;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What the test harness prints comes before this.
pub const MARK: &str = "\u{1}";

struct ToStub {
    socket: PathBuf,
    in_process: bool,
}

impl Connect for ToStub {
    fn connect(&self) -> base::Result<UnixStream> {
        base::OnError::on_path(UnixStream::connect(&self.socket), "connect", &self.socket)
    }
    fn in_process(&self) -> bool {
        self.in_process
    }
    fn keep_foreground(&self) {}
}

/// The command itself, when the environment names a folder; else nothing to test.
pub fn run_if_asked() {
    let Ok(folder) = std::env::var("STUB_FOLDER") else { return };
    let folder = PathBuf::from(folder);
    print!("{MARK}");
    std::io::stdout().flush().unwrap();
    let args = std::fs::read_to_string(folder.join("args")).unwrap();
    let args = args.split('\0').filter(|arg| !arg.is_empty()).map(Into::into).collect();
    let signals = std::fs::File::options().read(true).write(true).open(folder.join("signals"));
    let connect =
        ToStub { socket: folder.join("socket"), in_process: std::env::var("STUB_NEAR").is_ok() };
    let code = match Invocation::parse(args) {
        Ok(invocation) => invocation.run(&connect, OwnedFd::from(signals.unwrap())),
        Err(usage) => {
            print!("{}", usage.text);
            usage.code
        }
    };
    std::process::exit(code.into());
}

/// A command that runs.
pub struct Running {
    pub child: Child,
    pub signals: std::fs::File,
}

pub fn command(stub: &Stub, args: &[&str], near: bool) -> (Command, std::fs::File) {
    let folder = &stub.folder;
    std::fs::write(folder.join("args"), args.join("\0")).unwrap();
    let fifo = folder.join("signals");
    if !fifo.exists() {
        let mode = rustix::fs::Mode::RWXU;
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    }
    let signals = std::fs::File::options().read(true).write(true).open(&fifo).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture", "--quiet"]);
    command.env("STUB_FOLDER", folder).env_remove("STUB_NEAR").env("FROM_HERE", "yes");
    if near {
        command.env("STUB_NEAR", "1");
    }
    (command, signals)
}

pub fn start(stub: &Stub, args: &[&str], near: bool) -> Running {
    let (mut command, signals) = command(stub, args, near);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Running { child: command.spawn().unwrap(), signals }
}

pub fn wait(child: &mut Child) -> i32 {
    let limit = Instant::now() + Duration::from_secs(20);
    while Instant::now() < limit {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().unwrap_or(-1);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    panic!("the command did not end");
}

impl Running {
    /// Standard output, standard error, exit code.
    pub fn end(mut self) -> (String, String, i32) {
        let mut stdout = self.child.stdout.take().unwrap();
        let mut stderr = self.child.stderr.take().unwrap();
        let read = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        let mut text = String::new();
        stdout.read_to_string(&mut text).unwrap();
        let code = wait(&mut self.child);
        let text = text.split_once(MARK).unwrap().1.to_string();
        (text, read.join().unwrap(), code)
    }

    pub fn signal(&mut self, signal: Signal) {
        self.signals.write_all(&[signal.as_raw() as u8]).unwrap();
    }
}

/// Runs a command with this standard input.
pub fn run(stub: &Stub, args: &[&str], near: bool, stdin: &[u8]) -> (String, String, i32) {
    let mut running = start(stub, args, near);
    let mut pipe = running.child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    let writer = std::thread::spawn(move || {
        let _ = pipe.write_all(&stdin);
    });
    let end = running.end();
    writer.join().unwrap();
    end
}
