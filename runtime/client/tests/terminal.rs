//! `-it`: the client's terminal, raw meanwhile and restored, its size, its keys.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails is to panic")]

mod child;
mod stub;

use base_http::frames::Channel::Stdout;
use child::{command, wait};
use rustix::process::Signal;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};
use stub::{Script, Step, Stub};

/// A command, when this program is run as one.
#[test]
fn child() {
    child::run_if_asked();
}

/// A terminal for a child: our side, and the path of its side.
fn terminal() -> (OwnedFd, PathBuf) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let path = ptsname(&ours, Vec::new()).unwrap();
    (ours, PathBuf::from(path.to_str().unwrap()))
}

fn read_until(terminal: &OwnedFd, seen: &mut String, what: &str) {
    let limit = Instant::now() + Duration::from_secs(20);
    while !seen.contains(what) {
        assert!(Instant::now() < limit, "{what:?} did not come: {seen:?}");
        let events = rustix::event::PollFlags::IN;
        let mut fds = [rustix::event::PollFd::new(terminal, events)];
        let second = rustix::time::Timespec { tv_sec: 1, tv_nsec: 0 };
        if rustix::event::poll(&mut fds, Some(&second)).unwrap() == 0 {
            continue;
        }
        let mut piece = [0; 4096];
        let n = rustix::io::read(terminal, &mut piece).unwrap();
        *seen += &String::from_utf8_lossy(&piece[..n]);
    }
}

#[test]
fn a_terminal_is_raw_meanwhile_tells_its_size_and_is_restored() {
    let size = |rows, columns| rustix::termios::Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    for (keys, code) in [(&b"hi\x03\x04done!"[..], 6), (b"hidone", 0)] {
        let steps = vec![Step::Say(Stdout, "ready\r\n"), Step::EchoUntil("done!")];
        let stub = Stub::start(Script { steps, tty: true, exit_code: 6, ..Script::default() });
        let (ours, path) = terminal();
        let theirs = std::fs::File::options().read(true).write(true).open(&path).unwrap();
        rustix::termios::tcsetwinsize(&theirs, size(33, 77)).unwrap();
        let before = rustix::termios::tcgetattr(&theirs).unwrap();
        let (mut command, mut signals) = command(&stub, &["run", "-it", "img"], false);
        let handle = || Stdio::from(theirs.try_clone().unwrap());
        command.stdin(handle()).stdout(handle()).stderr(handle());
        let mut child = command.spawn().unwrap();
        let mut seen = String::new();
        read_until(&ours, &mut seen, "ready\r\n");
        let raw = rustix::termios::tcgetattr(&theirs).unwrap();
        assert!(!raw.local_modes.contains(rustix::termios::LocalModes::ISIG));
        rustix::termios::tcsetwinsize(&theirs, size(50, 100)).unwrap();
        signals.write_all(&[Signal::WINCH.as_raw() as u8]).unwrap();
        // Ctrl-C and ctrl-D are bytes for the container.
        rustix::io::write(&ours, keys).unwrap();
        read_until(&ours, &mut seen, "done");
        if code == 0 {
            rustix::io::write(&ours, b"more\x10\x11").unwrap();
        }
        assert_eq!(wait(&mut child), code);
        let after = rustix::termios::tcgetattr(&theirs).unwrap();
        assert_eq!(format!("{before:?}"), format!("{after:?}"));
        let log = stub.log();
        let sizes = log.iter().filter(|line| line.contains("/resize"));
        let sizes: Vec<&str> = sizes.filter_map(|line| line.split('?').nth(1)).collect();
        assert_eq!(sizes, ["h=33&w=77", "h=50&w=100"]);
        assert!(stub.created().unwrap().contains("\"ConsoleSize\":[33,77]"));
        assert!(!log.iter().any(|line| line.contains("/kill")));
        // What was typed before the keys that detach arrives, the keys do not.
        let typed = if code == 0 { [keys, b"more"].concat() } else { keys.to_vec() };
        stub.wait_stdin(typed.len());
        assert_eq!(stub.stdin(), typed);
    }
}
