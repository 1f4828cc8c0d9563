//! Standard input on its way to the container.
//!
//! Read only when everything read before is sent, sent only as far as the connection takes it: the
//! loop never blocks here. Its end closes the writing direction of the connection, after the last
//! byte. With a terminal, ctrl-p ctrl-q (or other keys) leave the container running; the first of them
//! is held back until the next one tells.

use crate::wire::Wire;
use base::flags::{Flag, Matches};
use base_http::Stream;
use rustix::io::Errno;

/// How much is read at once.
const PIECE: usize = 16 * 1024;

/// The keys that leave a container with a terminal running.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Keys(Vec<u8>);

impl Keys {
    /// docker's: ctrl-p, ctrl-q.
    pub(crate) fn usual() -> Keys {
        Keys(vec![16, 17])
    }

    /// No keys leave it.
    pub(crate) fn none() -> Keys {
        Keys(Vec::new())
    }

    /// Those of `--detach-keys`; the usual ones without it.
    pub(crate) fn asked(matches: &Matches) -> Keys {
        matches.text("detach-keys").and_then(Keys::parse).unwrap_or_else(Keys::usual)
    }

    /// `ctrl-a,b`: letters, and `ctrl-` with a letter or one of `@[\\]^_`. Empty for none.
    fn parse(text: &str) -> Option<Keys> {
        if text.is_empty() {
            return Some(Keys(Vec::new()));
        }
        let key =
            |word: &str| match (word.strip_prefix("ctrl-").map(str::as_bytes), word.as_bytes()) {
                (Some([letter @ (b'a'..=b'z' | b'@' | b'['..=b'_')]), _) => Some(letter & 0x1f),
                (None, [letter]) => Some(*letter),
                _ => None,
            };
        text.split(',').map(key).collect::<Option<Vec<u8>>>().map(Keys)
    }
}

/// What is wrong with the keys.
pub(crate) fn check_keys(text: &str) -> Result<(), String> {
    match Keys::parse(text) {
        Some(_) => Ok(()),
        None => Err(["invalid detach keys (", text, ")"].concat()),
    }
}

/// The flag.
pub(crate) const DETACH_KEYS: Flag =
    Flag::text("detach-keys", "string", "Override the key sequence for detaching a container")
        .checked(check_keys);

/// Standard input on its way to the container.
pub(crate) struct Typed {
    /// It may still give something.
    pub(crate) open: bool,
    /// Read and not sent.
    pub(crate) pending: Vec<u8>,
    /// The connection's writing side is open.
    writing: bool,
    /// So many of the keys were typed and not sent.
    held: usize,
    /// None without a terminal.
    keys: Vec<u8>,
}

impl Typed {
    pub(crate) fn new(open: bool, keys: Keys) -> Typed {
        Typed { open, pending: Vec::new(), writing: open, held: 0, keys: keys.0 }
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
        if self.keys.is_empty() {
            self.pending.extend_from_slice(bytes);
            return true;
        }
        for &byte in bytes {
            if self.keys.get(self.held) != Some(&byte) {
                self.pending.extend_from_slice(&self.keys[..std::mem::take(&mut self.held)]);
            }
            match self.keys.get(self.held) == Some(&byte) {
                true => self.held += 1,
                false => self.pending.push(byte),
            }
            if self.held == self.keys.len() {
                return false;
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
                let mut state = Typed::new(true, Keys::usual());
                let left = typed.chunks(size).any(|piece| !state.take(piece));
                assert_eq!((state.pending.as_slice(), left), (sent, detached), "{typed:?}");
            }
        }
        let mut plain = Typed::new(true, Keys(Vec::new()));
        assert!(plain.take(b"\x10\x11"));
        assert_eq!(plain.pending, b"\x10\x11");
    }

    #[test]
    fn other_keys() {
        assert_eq!(Keys::parse("ctrl-a,b"), Some(Keys(vec![1, b'b'])));
        assert_eq!(Keys::parse("ctrl-@,ctrl-[,ctrl-_"), Some(Keys(vec![0, 27, 31])));
        assert_eq!(Keys::parse(""), Some(Keys(Vec::new())));
        for wrong in ["ctrl-", "ctrl-A", "ab", "a,", "shift-a"] {
            assert_eq!(Keys::parse(wrong), None, "{wrong}");
        }
        let mut state = Typed::new(true, Keys(vec![b'x', b'x', b'y']));
        assert!(state.take(b"xxz") && state.pending == b"xxz");
    }
}
