//! A container in the foreground: streams, signals and the exit code, in one loop.
//!
//! What happens: bytes of the attached connection go to standard output and error as they come;
//! standard input goes to the connection, and its end closes that direction only; signals are sent
//! on (without a terminal) or end the command (with one); the answer to `wait` gives the exit code.
//!
//! The loop ends when the connection has ended and the answer is there, never before: no output is
//! lost. It does not end for standard input: a container that ends while the user could still type
//! ends the command. Nothing here blocks on one stream while another has something: input waits in
//! `pending` until the connection takes it, and is not read before.

use crate::session::{Session, Target};
use crate::signals::{Meaning, meaning};
use crate::terminal;
use crate::typed::{Keys, Typed};
use crate::wire::{self, Wire};
use base::{Error, Result};
use base_http::api::WaitResponse;
use base_http::frames::{Channel, Frames};
use base_http::head::ResponseHead;
use base_http::{Connection, Input, Method, Payload, Request};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

/// How much is read at once.
const PIECE: usize = 16 * 1024;

/// The exit code when nobody reads our output: 128 and SIGPIPE.
pub(crate) const DEAF: u8 = 141;

/// `wait`, whose head has come.
pub(crate) struct Waiting {
    wire: Arc<Wire>,
    connection: Connection,
    head: ResponseHead,
}

impl Waiting {
    /// Asks; returns when the server has begun to answer: it will not miss the end from now on.
    pub(crate) fn begin(
        session: &Session<'_>,
        id: &str,
        condition: Option<&str>,
    ) -> Result<Waiting> {
        let target = session.target("/containers/", id, "/wait")?;
        let target = target.with_some("condition", condition);
        let (wire, connection, head) = session.begin(Method::Post, &target, Payload::None)?;
        Ok(Waiting { wire, connection, head })
    }

    /// Waits for the end; the exit code.
    pub(crate) fn finish(mut self) -> Result<u8> {
        let answer: WaitResponse = self.connection.answer(self.head).json()?;
        match answer.error.filter(|error| !error.message.is_empty()) {
            Some(error) => Err(Error::other(error.message)),
            None => Ok((answer.status_code & 0xff) as u8),
        }
    }
}

/// Which streams a client attaches to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Streams {
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
}

impl Streams {
    /// Output, and input if so.
    pub(crate) fn output_and(stdin: bool) -> Streams {
        Streams { stdin, stdout: true, stderr: true }
    }
}

/// An attached connection.
pub(crate) struct Attached {
    wire: Arc<Wire>,
    input: Input,
    /// Frames, or one raw stream.
    frames: Option<Frames>,
}

impl Attached {
    /// Attaches to these streams.
    pub(crate) fn begin(
        session: &Session<'_>,
        id: &str,
        tty: bool,
        streams: Streams,
    ) -> Result<Attached> {
        let target = session.target("/containers/", id, "/attach")?;
        let target = target.with_flag("stderr", streams.stderr).with_flag("stdin", streams.stdin);
        let target = target.with_flag("stdout", streams.stdout).with("stream", "1");
        Attached::upgrade(session, &target, Payload::None, tty)
    }

    /// What this request gives instead of an answer.
    pub(crate) fn upgrade(
        session: &Session<'_>,
        target: &Target,
        payload: Payload<'_>,
        tty: bool,
    ) -> Result<Attached> {
        let (wire, connection) = session.open()?;
        let request = Request { method: Method::Post, target: &target.0, payload };
        let upgraded = connection.upgrade(request).map_err(|error| session.said(error))?;
        let framed = upgraded.multiplexed.unwrap_or(!tty);
        Ok(Attached { wire, input: upgraded.input, frames: framed.then(Frames::default) })
    }
}

/// How the loop ended.
#[derive(Debug, PartialEq)]
pub(crate) enum End {
    /// The container ended with this code, or a signal ended the command.
    Code(u8),
    /// The user left it running.
    Detached,
}

/// What the loop is about.
pub(crate) struct Foreground<'a> {
    pub(crate) session: &'a Session<'a>,
    /// `/containers/` or `/exec/`.
    pub(crate) kind: &'static str,
    pub(crate) id: &'a str,
    /// The container has a terminal.
    pub(crate) tty: bool,
    /// Signals are sent on.
    pub(crate) proxy: bool,
    /// The keys that leave it running.
    pub(crate) keys: Keys,
    /// This process is the container's monitor: they end together.
    pub(crate) ours: bool,
}

impl Foreground<'_> {
    /// Tells the container's terminal its size, or a little more.
    pub(crate) fn resize(&self, more: u16) {
        let Some((height, width)) = terminal::size() else { return };
        let (height, width) = (height.saturating_add(more), width.saturating_add(more));
        if let Ok(target) = self.session.target(self.kind, self.id, "/resize") {
            let target = target.with("h", &height.to_string()).with("w", &width.to_string());
            // It may have ended by now.
            let _ = self.session.done(Method::Post, &target);
        }
    }

    fn kill(&self, signal: &str) {
        if let Ok(target) = self.session.target("/containers/", self.id, "/kill") {
            // It may have ended by now; the answer to `wait` will say so.
            let _ = self.session.done(Method::Post, &target.with("signal", signal));
        }
    }

    /// Runs until the container has ended and its output is out.
    pub(crate) fn run(
        &self,
        mut waiting: Option<Waiting>,
        mut attached: Option<Attached>,
        stdin: bool,
    ) -> Result<End> {
        let mut desk = Desk { about: self, deaf: false, stop: None };
        let mut typed = Typed::new(stdin && attached.is_some(), self.keys.clone());
        let mut code = 0;
        while attached.is_some() || waiting.is_some() {
            let ready = Ready::wait(self.session, &attached, &waiting, &typed)?;
            if ready.signal {
                desk.signal();
            }
            if let Some(live) = attached.as_mut() {
                let detached = ready.typed && typed.read();
                typed.send(&live.wire);
                if detached {
                    return Ok(End::Detached);
                }
                if ready.output && !live.pass_on(&mut desk)? {
                    attached = None;
                }
            }
            if let Some(code) = self.session.signals.exit_code() {
                return Ok(End::Code(code));
            }
            if let Some(end) = desk.stop.take() {
                return Ok(end);
            }
            if ready.answer
                && let Some(waiting) = waiting.take()
            {
                code = waiting.finish().map_err(|error| self.session.said(error))?;
            }
        }
        Ok(End::Code(if desk.deaf { DEAF } else { code }))
    }
}

/// What a poll found.
struct Ready {
    signal: bool,
    answer: bool,
    output: bool,
    typed: bool,
}

impl Ready {
    fn wait(
        session: &Session<'_>,
        attached: &Option<Attached>,
        waiting: &Option<Waiting>,
        typed: &Typed,
    ) -> Result<Ready> {
        let live = attached.as_ref();
        let buffered = live.is_some_and(|live| live.input.has_buffered());
        let answered = waiting.as_ref().is_some_and(|waiting| waiting.connection.has_buffered());
        let room = if typed.pending.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
        let reading = live.is_some() && typed.open && typed.pending.is_empty();
        let wanted = [
            (session.signals.fd(), PollFlags::IN),
            (waiting.as_ref().map(|waiting| waiting.wire.as_fd()), PollFlags::IN),
            (live.map(|live| live.wire.as_fd()), PollFlags::IN | room),
            (reading.then(rustix::stdio::stdin), PollFlags::IN),
        ];
        let fds = wanted.iter();
        let fds = fds.filter_map(|(fd, events)| fd.map(|fd| PollFd::from_borrowed_fd(fd, *events)));
        let mut fds: Vec<PollFd<'_>> = fds.collect();
        let at_once = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
        let kept = session.signals.has_kept();
        match poll(&mut fds, (buffered || answered || kept).then_some(&at_once)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::os("wait for", &"streams", errno)),
        }
        let mut found = fds.iter();
        let mut next = |fd: Option<BorrowedFd<'_>>| match fd.and_then(|_| found.next()) {
            Some(fd) => fd.revents(),
            None => PollFlags::empty(),
        };
        let [signal, answer, output, typed] = wanted.map(|(fd, _)| next(fd));
        Ok(Ready {
            signal: kept || !signal.is_empty(),
            answer: answered || !answer.is_empty(),
            output: buffered || !output.difference(PollFlags::OUT).is_empty(),
            typed: !typed.is_empty(),
        })
    }
}

impl Attached {
    /// Passes the next bytes on; false at the end of the stream.
    fn pass_on(&mut self, desk: &mut Desk<'_>) -> Result<bool> {
        let mut piece = [0; PIECE];
        let n = match self.input.read(&mut piece) {
            Ok(n) => n,
            // The server went without a word; the answer to `wait` tells how it ended.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => 0,
            Err(error) => return Err(Error::os("read", &"output", error)),
        };
        let bytes = &piece[..n];
        match &mut self.frames {
            None => desk.put(Channel::Stdout, bytes),
            Some(frames) => frames.feed(bytes, &mut |channel, bytes| {
                desk.put(channel, bytes);
                Ok(())
            })?,
        }
        Ok(n > 0)
    }
}

/// Output and signals.
struct Desk<'a> {
    about: &'a Foreground<'a>,
    /// Nobody reads our output any more.
    deaf: bool,
    /// The command ends before the container.
    stop: Option<End>,
}

impl Desk<'_> {
    /// Writes all of it; signals are handled meanwhile, a reader may be slow.
    fn put(&mut self, channel: Channel, mut bytes: &[u8]) {
        let to = match channel {
            Channel::Stdout => rustix::stdio::stdout(),
            Channel::Stderr | Channel::Error => rustix::stdio::stderr(),
        };
        let about = self.about;
        while !bytes.is_empty() && !self.deaf && self.stop.is_none() {
            let mut fds = vec![PollFd::from_borrowed_fd(to, PollFlags::OUT)];
            fds.extend(
                about.session.signals.fd().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)),
            );
            if !matches!(poll(&mut fds, None), Ok(_) | Err(Errno::INTR)) {
                return;
            }
            let mut found = fds.iter().map(|fd| !fd.revents().is_empty());
            let (room, signal) = (found.next() == Some(true), found.next() == Some(true));
            if signal {
                self.signal();
            }
            if !room {
                continue;
            }
            match rustix::io::write(to, &bytes[..bytes.len().min(wire::PIECE)]) {
                Ok(n) => bytes = &bytes[n..],
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(errno) => self.unheard(errno),
            }
        }
    }

    /// Nobody reads us: docker's client dies of SIGPIPE here. A container that is ours is killed
    /// first and cleaned up.
    fn unheard(&mut self, errno: Errno) {
        self.deaf = true;
        if errno != Errno::PIPE {
            let error = Error::os("write", &"output", errno);
            self.about.session.tell(&["coracle: ", error.message()].concat());
        }
        match self.about.ours {
            true => self.about.kill("KILL"),
            false => self.stop = Some(End::Code(DEAF)),
        }
    }

    /// Takes a signal and does what it means.
    fn signal(&mut self) {
        let Some(number) = self.about.session.signals.next() else { return };
        match meaning(number) {
            Meaning::Ours => {}
            Meaning::Resize if self.about.tty => self.about.resize(0),
            Meaning::Resize => {}
            Meaning::Proxy(name, _) if self.about.proxy => self.about.kill(&name),
            Meaning::Proxy(_, true) => {
                self.stop = Some(End::Code(128_u8.saturating_add(number)));
            }
            Meaning::Proxy(_, false) => {}
        }
    }
}
