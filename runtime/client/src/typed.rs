//! Standard input on its way to the container.
//!
//! Read only when everything read before is sent, sent only as far as the connection takes it: the
//! loop never blocks here. Its end closes the writing direction of the connection, after the last
//! byte. With a terminal, ctrl-p ctrl-q leave the container running; a ctrl-p is held back until
//! the next key tells.

use crate::wire::Wire;
use base_http::Stream;
use rustix::io::Errno;

/// How much is read at once.
const PIECE: usize = 16 * 1024;

/// The keys that leave a container with a terminal running: ctrl-p, ctrl-q.
const DETACH: [u8; 2] = [16, 17];

/// Standard input on its way to the container.
pub(crate) struct Typed {
    /// It may still give something.
    pub(crate) open: bool,
    /// Read and not sent.
    pub(crate) pending: Vec<u8>,
    /// The connection's writing side is open.
    writing: bool,
    /// A ctrl-p was typed and not sent.
    held: bool,
    tty: bool,
}

impl Typed {
    pub(crate) fn new(open: bool, tty: bool) -> Typed {
        Typed { open, pending: Vec::new(), writing: open, held: false, tty }
    }

    /// Reads once; true when the user typed the keys that detach.
    pub(crate) fn read(&mut self) -> bool {
        let mut piece = [0; PIECE];
        let n = match rustix::io::read(rustix::stdio::stdin(), &mut piece) {
            Ok(n) => n,
            Err(Errno::INTR | Errno::AGAIN) => return false,
            // A terminal that is gone, a descriptor that is closed: its end.
            Err(_) => 0,
        };
        self.open = n > 0;
        !self.take(&piece[..n])
    }

    /// Takes what was typed; false when the last of it are the keys that detach.
    fn take(&mut self, bytes: &[u8]) -> bool {
        if !self.tty {
            self.pending.extend_from_slice(bytes);
            return true;
        }
        for &byte in bytes {
            if std::mem::take(&mut self.held) {
                if byte == DETACH[1] {
                    return false;
                }
                self.pending.push(DETACH[0]);
            }
            match byte == DETACH[0] {
                true => self.held = true,
                false => self.pending.push(byte),
            }
        }
        true
    }

    /// Sends what fits; after the last byte, the end.
    pub(crate) fn send(&mut self, wire: &Wire) {
        while !self.pending.is_empty() {
            match wire.send_now(&self.pending) {
                Ok(n) => drop(self.pending.drain(..n)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // The container does not read any more: what is typed goes nowhere.
                Err(_) => (self.open, self.writing) = (false, false),
            }
            if !self.writing {
                self.pending.clear();
            }
        }
        if !self.open && std::mem::take(&mut self.writing) {
            let _ = wire.close_write();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ctrl_p_ctrl_q_detaches_and_nothing_else_is_lost() {
        for (typed, sent, detached) in [
            (&b"ab"[..], &b"ab"[..], false),
            (b"a\x10\x11b", b"a", true),
            (b"a\x10b\x11", b"a\x10b\x11", false),
            (b"\x10\x10\x11", b"\x10", true),
            (b"\x11\x10", b"\x11", false),
        ] {
            for size in 1..=typed.len() {
                let mut state = Typed::new(true, true);
                let left = typed.chunks(size).any(|piece| !state.take(piece));
                assert_eq!((state.pending.as_slice(), left), (sent, detached), "{typed:?}");
            }
        }
        let mut plain = Typed::new(true, false);
        assert!(plain.take(b"\x10\x11"));
        assert_eq!(plain.pending, b"\x10\x11");
    }
}
