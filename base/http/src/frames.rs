//! stdout and stderr as one stream, docker's way: each piece behind a head of 8 bytes.
//!
//! Byte 0 names the stream (0 stdin, 1 stdout, 2 stderr, 3 an error of the server), bytes 1 to 3
//! are 0, bytes 4 to 7 are the length, big end first. A container with a terminal has one stream
//! and no frames. `Frames` is fed bytes as they come, cut anywhere, and gives out pieces without
//! waiting for the end of a frame: a frame of 4 GiB costs no memory.

use base::error::{Error, Result};

/// Length of a frame's head.
pub const HEAD: usize = 8;

/// Which stream a piece belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// The container's stdout (0, stdin, is shown there too, as docker does).
    Stdout,
    /// The container's stderr.
    Stderr,
    /// The server's own words: the stream failed.
    Error,
}

/// The head of a frame.
pub fn head(channel: Channel, length: u32) -> [u8; HEAD] {
    let kind = match channel {
        Channel::Stdout => 1,
        Channel::Stderr => 2,
        Channel::Error => 3,
    };
    let [a, b, c, d] = length.to_be_bytes();
    [kind, 0, 0, 0, a, b, c, d]
}

/// Takes frames apart.
#[derive(Debug, Default)]
pub struct Frames {
    head: [u8; HEAD],
    have: usize,
    left: u32,
}

impl Frames {
    /// The next bytes; each piece of each frame goes to `give`, whose error ends it.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        give: &mut dyn FnMut(Channel, &[u8]) -> Result<()>,
    ) -> Result<()> {
        while !bytes.is_empty() {
            if self.left == 0 {
                let n = (HEAD - self.have).min(bytes.len());
                self.head[self.have..self.have + n].copy_from_slice(&bytes[..n]);
                self.have += n;
                bytes = &bytes[n..];
                if self.have == HEAD {
                    let [_, _, _, _, a, b, c, d] = self.head;
                    self.left = u32::from_be_bytes([a, b, c, d]);
                    self.have = 0;
                }
                continue;
            }
            let channel = match self.head[0] {
                0 | 1 => Channel::Stdout,
                2 => Channel::Stderr,
                3 => Channel::Error,
                other => {
                    let text = other.to_string();
                    return Err(Error::bad_input(
                        ["read stream: unknown frame ", text.as_str()].concat(),
                    ));
                }
            };
            let n = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            give(channel, &bytes[..n])?;
            self.left -= n as u32;
            bytes = &bytes[n..];
        }
        Ok(())
    }

    /// Whether the bytes so far end with a whole frame.
    pub fn is_whole(&self) -> bool {
        self.have == 0 && self.left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_cut_anywhere_give_the_same_streams() {
        let mut wire = Vec::new();
        for (channel, text) in [
            (Channel::Stdout, "hello "),
            (Channel::Stderr, "oh"),
            (Channel::Stdout, ""),
            (Channel::Stdout, "world"),
            (Channel::Error, "gone"),
        ] {
            wire.extend(head(channel, text.len() as u32));
            wire.extend(text.bytes());
        }
        for size in 1..=wire.len() {
            let (mut out, mut err, mut server) = (String::new(), String::new(), String::new());
            let mut frames = Frames::default();
            for piece in wire.chunks(size) {
                frames
                    .feed(piece, &mut |channel, bytes| {
                        let text = std::str::from_utf8(bytes).unwrap();
                        match channel {
                            Channel::Stdout => out += text,
                            Channel::Stderr => err += text,
                            Channel::Error => server += text,
                        }
                        Ok(())
                    })
                    .unwrap();
            }
            assert!(frames.is_whole());
            assert_eq!(
                (out.as_str(), err.as_str(), server.as_str()),
                ("hello world", "oh", "gone")
            );
        }
    }

    #[test]
    fn an_unknown_frame_is_an_error_and_a_cut_one_not_whole() {
        let mut frames = Frames::default();
        assert!(frames.feed(&[9, 0, 0, 0, 0, 0, 0, 1, 7], &mut |_, _| Ok(())).is_err());
        let mut frames = Frames::default();
        frames.feed(&head(Channel::Stdout, u32::MAX), &mut |_, _| Ok(())).unwrap();
        assert!(!frames.is_whole());
    }
}
