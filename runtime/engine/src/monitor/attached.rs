//! One attached client: what is still to be written to it, and what it has typed.

use base::sys::Errno;
use base_http::frames::{self, Channel};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A chunk of output as it is read from the container.
pub(super) const CHUNK: usize = 16 << 10;

/// The keys that leave an attached terminal: ctrl-p, ctrl-q.
const DETACH_KEYS: [u8; 2] = [0x10, 0x11];

pub(super) struct Attached {
    socket: OwnedFd,
    pub(super) streams: super::control::Attach,
    /// Raw bytes instead of frames: a terminal.
    raw: bool,
    pending: Vec<u8>,
    /// Typed, and not yet taken by the container.
    pub(super) typed: Vec<u8>,
    /// The client has closed its sending side.
    pub(super) input_ended: bool,
    keys_seen: usize,
}

/// What reading from a client gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    Bytes,
    Nothing,
    End,
    /// The detach keys, or the client is gone.
    Gone,
}

impl Attached {
    pub(super) fn new(socket: OwnedFd, streams: super::control::Attach, raw: bool) -> Attached {
        // A socket pair or connection of ours: it can always be set.
        let _ = rustix::io::ioctl_fionbio(&socket, true);
        Attached {
            socket,
            streams,
            raw,
            pending: Vec::new(),
            typed: Vec::new(),
            input_ended: false,
            keys_seen: 0,
        }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Takes a chunk of output; the monitor reads no further chunk before all clients have taken
    /// the last one, so nothing is lost and nothing grows.
    pub(super) fn give(&mut self, channel: Channel, bytes: &[u8]) {
        let wanted = match channel {
            Channel::Stderr => self.streams.stderr,
            _ => self.streams.stdout,
        };
        if !wanted {
            return;
        }
        if !self.raw {
            self.pending.extend_from_slice(&frames::head(channel, bytes.len() as u32));
        }
        self.pending.extend_from_slice(bytes);
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Writes what the socket takes now. An error: the client is gone.
    pub(super) fn flush(&mut self) -> Result<(), Errno> {
        while !self.pending.is_empty() {
            match send(&self.socket, &self.pending, SendFlags::NOSIGNAL) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(Errno::INTR) => (),
                Err(Errno::AGAIN) => return Ok(()),
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// Reads what the client has typed.
    pub(super) fn read(&mut self) -> Typed {
        let mut bytes = [0; 4096];
        let count = match recv(&self.socket, &mut bytes, RecvFlags::empty()) {
            Ok((0, _)) => {
                self.input_ended = true;
                return Typed::End;
            }
            Ok((count, _)) => count,
            Err(Errno::INTR | Errno::AGAIN) => return Typed::Nothing,
            Err(_) => return Typed::Gone,
        };
        if !self.streams.stdin {
            return Typed::Nothing;
        }
        if !self.raw {
            self.typed.extend_from_slice(&bytes[..count]);
            return Typed::Bytes;
        }
        for byte in &bytes[..count] {
            if *byte == DETACH_KEYS[self.keys_seen] {
                self.keys_seen += 1;
                if self.keys_seen == DETACH_KEYS.len() {
                    return Typed::Gone;
                }
                continue;
            }
            // Not the sequence after all: what was held back goes on.
            self.typed.extend_from_slice(&DETACH_KEYS[..self.keys_seen]);
            self.keys_seen = usize::from(*byte == DETACH_KEYS[0]);
            if self.keys_seen == 0 {
                self.typed.push(*byte);
            }
        }
        Typed::Bytes
    }
}

#[cfg(test)]
mod tests {
    use super::super::control::Attach;
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    fn pair(raw: bool) -> (UnixStream, Attached) {
        let (client, server) = UnixStream::pair().expect("pair");
        let streams = Attach { stdin: true, stdout: true, stderr: false };
        (client, Attached::new(server.into(), streams, raw))
    }

    #[test]
    fn output_is_framed_and_only_what_was_asked_for() {
        let (mut client, mut attached) = pair(false);
        attached.give(Channel::Stdout, b"hello");
        attached.give(Channel::Stderr, b"not asked for");
        attached.flush().expect("flush");
        drop(attached);
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).expect("read");
        assert_eq!(bytes, b"\x01\0\0\0\0\0\0\x05hello");
    }

    #[test]
    fn the_detach_keys_are_found_across_reads_and_others_pass() {
        let (mut client, mut attached) = pair(true);
        client.write_all(b"a\x10b\x10\x10").expect("write");
        assert_eq!(attached.read(), Typed::Bytes);
        assert_eq!(attached.typed, b"a\x10b\x10");
        client.write_all(b"\x11").expect("write");
        assert_eq!(attached.read(), Typed::Gone);
    }
}
