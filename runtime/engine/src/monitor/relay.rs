//! One client at one process that is not the container's first: an exec session.
//!
//! It ends when the process has ended and its output is with the client, or when the client goes.
//! Output of what the process left behind is not waited for.

use super::attached::{Attached, CHUNK, Typed};
use super::control::Attach;
use super::streams::Streams;
use base::sys::Errno;
use base::sys::process::Process;
use base::{OnError, Result};
use base_http::frames::Channel;
use libcontainer::Stdio;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use std::os::fd::OwnedFd;

/// See the module's text.
pub(crate) struct Relay {
    streams: Streams,
    attach: Attach,
}

impl Relay {
    /// Pipes for the streams that are attached, and the process's ends of them.
    pub(crate) fn pipes(attach: Attach) -> Result<(Relay, Stdio)> {
        let mut streams = Streams::default();
        let null = super::open_null;
        let stdin = if attach.stdin { streams.make_input()? } else { null()? };
        let mut ends = [null()?, null()?];
        for (number, wanted) in [attach.stdout, attach.stderr].into_iter().enumerate() {
            if wanted {
                let (read, write) = pipe_with(PipeFlags::CLOEXEC).on("pipe", "output")?;
                rustix::io::ioctl_fionbio(&read, true).on("pipe", "output")?;
                streams.outputs[number] = Some(read);
                ends[number] = write;
            }
        }
        let [stdout, stderr] = ends;
        Ok((Relay { streams, attach }, Stdio::Descriptors([stdin, stdout, stderr])))
    }

    /// The master of the process's terminal.
    pub(crate) fn terminal(attach: Attach, master: OwnedFd) -> Result<Relay> {
        rustix::io::ioctl_fionbio(&master, true).on("open", "terminal")?;
        let streams = Streams { terminal: Some(master), ..Streams::default() };
        Ok(Relay { streams, attach })
    }

    /// Serves the client.
    pub(crate) fn serve(mut self, client: OwnedFd, process: &Process) -> Result<()> {
        let is_raw = self.streams.terminal.is_some();
        let mut client = Attached::new(client, self.attach, is_raw);
        let mut ended = false;
        loop {
            let ready = self.wait(&client, process, ended)?;
            ended |= ready.ended;
            if ready.client.contains(PollFlags::OUT) && client.flush().is_err() {
                return Ok(());
            }
            let listens = client.typed.is_empty() && !client.input_ended;
            if ready.client.intersects(PollFlags::IN | PollFlags::HUP)
                && listens
                && client.read() == Typed::Gone
            {
                return Ok(());
            }
            // Hung up in both directions: it is gone.
            let hung_up = ready.client.contains(PollFlags::HUP) && client.input_ended;
            if hung_up || ready.client.contains(PollFlags::ERR) {
                return Ok(());
            }
            self.pass_input(&mut client);
            let had_output = self.pass_output(&mut client, ended);
            if client.flush().is_err() {
                return Ok(());
            }
            if ended && !had_output && !client.has_pending() {
                return Ok(());
            }
        }
    }

    fn wait(&self, client: &Attached, process: &Process, ended: bool) -> Result<Ready> {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, client.typed.is_empty() && !client.input_ended);
        flags.set(PollFlags::OUT, client.has_pending());
        let mut fds = vec![PollFd::from_borrowed_fd(client.fd(), flags)];
        if !ended {
            let end = process.end().on("watch", "process")?;
            fds.push(PollFd::from_borrowed_fd(end, PollFlags::IN));
        }
        if !client.has_pending() {
            let outputs = self.streams.outputs.iter().flatten().chain(&self.streams.terminal);
            fds.extend(outputs.map(|one| PollFd::new(one, PollFlags::IN)));
        }
        if !client.typed.is_empty() {
            let inputs = self.streams.input.iter().chain(&self.streams.terminal);
            fds.extend(inputs.map(|one| PollFd::new(one, PollFlags::OUT)));
        }
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        // After its end only what is there already counts.
        let timeout = (ended && !client.has_pending()).then_some(&at_once);
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::INTR) => (),
            Err(errno) => return Err(errno).on("poll", "process"),
        }
        let end = fds.get(1).is_some_and(|end| !end.revents().is_empty());
        Ok(Ready { client: fds[0].revents(), ended: !ended && end })
    }

    fn pass_input(&mut self, client: &mut Attached) {
        let target = self.streams.terminal.as_ref().or(self.streams.input.as_ref());
        while let Some(target) = target.filter(|_| !client.typed.is_empty()) {
            match rustix::io::write(target, &client.typed) {
                Ok(count) => drop(client.typed.drain(..count)),
                Err(Errno::INTR) => (),
                Err(Errno::AGAIN) => break,
                // The process has closed its end.
                Err(_) => client.typed.clear(),
            }
        }
        if target.is_none() {
            client.typed.clear();
        }
        if client.input_ended && client.typed.is_empty() {
            self.streams.input = None;
        }
    }

    /// Passes what can be read now; gives whether there was anything.
    fn pass_output(&mut self, client: &mut Attached, ended: bool) -> bool {
        if client.has_pending() {
            return true;
        }
        let mut had_output = false;
        let mut bytes = [0; CHUNK];
        for (number, channel) in [Channel::Stdout, Channel::Stderr].into_iter().enumerate() {
            let Some(output) = &self.streams.outputs[number] else { continue };
            match rustix::io::read(output, &mut bytes) {
                Ok(0) => self.streams.outputs[number] = None,
                Ok(count) => {
                    client.give(channel, &bytes[..count]);
                    had_output = true;
                }
                Err(_) => (),
            }
        }
        if let Some(terminal) = &self.streams.terminal {
            match rustix::io::read(terminal, &mut bytes) {
                Ok(count) if count > 0 => {
                    client.give(Channel::Stdout, &bytes[..count]);
                    had_output = true;
                }
                Err(Errno::AGAIN | Errno::INTR) => (),
                // EIO: nobody has it open now; somebody may open it again while the process lives.
                _ if !ended => std::thread::sleep(std::time::Duration::from_millis(5)),
                _ => self.streams.terminal = None,
            }
        }
        had_output
    }
}

/// What a poll found.
struct Ready {
    client: PollFlags,
    ended: bool,
}
