//! Between the container's streams, its log and its clients.

use super::Monitor;
use crate::monitor::attached::{CHUNK, Typed};
use base::Result;
use base::sys::Errno;
use base_http::frames::Channel;
use rustix::event::PollFlags;
use std::os::fd::AsFd;

impl Monitor {
    pub(super) fn read_output(&mut self, number: usize) {
        let Some(output) = &self.streams.outputs[number] else { return };
        let mut bytes = [0; CHUNK];
        match rustix::io::read(output, &mut bytes) {
            Ok(0) => self.streams.outputs[number] = None,
            Ok(count) => {
                let channel = if number == 0 { Channel::Stdout } else { Channel::Stderr };
                self.give(channel, &bytes[..count]);
            }
            Err(Errno::AGAIN | Errno::INTR) => (),
            Err(_) => self.streams.outputs[number] = None,
        }
    }

    pub(super) fn read_terminal(&mut self, flags: PollFlags) {
        if !flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            return;
        }
        let Some(terminal) = &self.streams.terminal else { return };
        let mut bytes = [0; CHUNK];
        match rustix::io::read(terminal, &mut bytes) {
            Ok(count) if count > 0 => self.give(Channel::Stdout, &bytes[..count]),
            Err(Errno::AGAIN | Errno::INTR) => (),
            // EIO: nobody holds the other side any more. It may be opened again while the
            // container lives (/dev/console), so only its end ends the terminal.
            _ if self.container.is_some() => {
                std::thread::sleep(std::time::Duration::from_millis(5))
            }
            _ => self.streams.terminal = None,
        }
    }

    fn give(&mut self, channel: Channel, bytes: &[u8]) {
        if let Some(log) = &mut self.log {
            log.add(channel, bytes);
        }
        for client in &mut self.attached {
            client.give(channel, bytes);
        }
        self.attached.retain_mut(|client| client.flush().is_ok());
    }

    pub(super) fn serve(&mut self, number: usize, flags: PollFlags) {
        let client = &mut self.attached[number];
        let mut gone = flags.contains(PollFlags::OUT) && client.flush().is_err();
        if flags.contains(PollFlags::IN) && client.typed.is_empty() && !client.input_ended {
            gone |= client.read() == Typed::Gone;
        }
        gone |= flags.intersects(PollFlags::HUP | PollFlags::ERR) && client.input_ended;
        if gone {
            let client = self.attached.remove(number);
            if client.streams.stdin && self.config.input_once {
                self.streams.input = None;
            }
        }
    }

    /// What clients have typed goes to the container, as far as it takes it now.
    pub(super) fn pass_input(&mut self) {
        if self.container.is_none() {
            return;
        }
        for client in &mut self.attached {
            let target = self.streams.terminal.as_ref().or(self.streams.input.as_ref());
            let Some(target) = target else {
                client.typed.clear();
                continue;
            };
            while !client.typed.is_empty() {
                match rustix::io::write(target, &client.typed) {
                    Ok(count) => drop(client.typed.drain(..count)),
                    Err(Errno::INTR) => (),
                    Err(Errno::AGAIN) => break,
                    // The container has closed its end.
                    Err(_) => {
                        client.typed.clear();
                        self.streams.input = None;
                        break;
                    }
                }
            }
            let ended = client.input_ended && client.typed.is_empty() && client.streams.stdin;
            if ended && self.config.input_once {
                self.streams.input = None;
            }
        }
    }

    pub(super) fn resize(&self, columns: u16, rows: u16) -> Result<()> {
        match &self.streams.terminal {
            Some(terminal) => crate::monitor::resize(terminal.as_fd(), columns, rows),
            None => Ok(()),
        }
    }
}
