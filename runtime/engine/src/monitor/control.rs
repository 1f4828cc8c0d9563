//! Talking to a monitor: messages of 16 bytes over the Unix socket `ctl` in the container's run
//! folder, descriptors beside them.
//!
//! The folder is 0700, so only its owner reaches the socket. The path goes through /proc/self/fd,
//! so that a long run folder does not meet the 108 bytes of `sun_path`.

use super::Policy;
use base::sys::pass;
use base::{Error, Kind, OnError, Result};
use rustix::fs::{Mode, OFlags};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// The socket's name.
pub(crate) const SOCKET: &str = "ctl";

/// Which streams an attached client has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attach {
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
}

/// What is said, either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// Start the container.
    Start,
    /// The descriptor that comes with this is a client to serve.
    Attach(Attach),
    /// Tell when the container ends; `true`: when what it leaves behind is gone too.
    Wait(bool),
    /// The terminal's new size: columns, rows.
    Resize(u16, u16),
    /// The wish has changed: a start that is due may not be wanted any more.
    Look,
    /// Another restart policy.
    Policy(Policy),
    /// It is done.
    Done,
    /// The container has ended, with this exit code.
    Ended(i32),
    /// It failed; so many bytes of text follow. The kind is one of [`KINDS`].
    Failed(Kind, u32),
}

/// The error kinds that travel; others become `Other`.
const KINDS: [Kind; 5] =
    [Kind::Other, Kind::BadInput, Kind::NotFound, Kind::Conflict, Kind::Unsupported];

pub(crate) const SIZE: usize = 16;
/// An error's text is cut to this.
const LONGEST_TEXT: usize = 4096;

impl Message {
    pub(crate) fn to_bytes(self) -> [u8; SIZE] {
        let (kind, first, second) = match self {
            Message::Start => (1, 0, 0),
            Message::Attach(Attach { stdin, stdout, stderr }) => {
                (2, u32::from(stdin) | u32::from(stdout) << 1 | u32::from(stderr) << 2, 0)
            }
            Message::Wait(removed) => (3, u32::from(removed), 0),
            Message::Resize(columns, rows) => (4, u32::from(columns), u32::from(rows)),
            Message::Done => (5, 0, 0),
            Message::Look => (8, 0, 0),
            Message::Policy(policy) => {
                let (kind, most) = policy.to_numbers();
                (9, kind, most)
            }
            Message::Ended(code) => (6, code as u32, 0),
            Message::Failed(kind, length) => {
                (7, KINDS.iter().position(|other| *other == kind).unwrap_or(0) as u32, length)
            }
        };
        let mut bytes = [0; SIZE];
        for (place, number) in [kind, first, second].into_iter().enumerate() {
            bytes[place * 4..place * 4 + 4].copy_from_slice(&number.to_ne_bytes());
        }
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; SIZE]) -> Option<Message> {
        let number = |place: usize| {
            let bytes = [bytes[place], bytes[place + 1], bytes[place + 2], bytes[place + 3]];
            u32::from_ne_bytes(bytes)
        };
        let (first, second) = (number(4), number(8));
        Some(match number(0) {
            1 => Message::Start,
            2 => Message::Attach(Attach {
                stdin: first & 1 != 0,
                stdout: first & 2 != 0,
                stderr: first & 4 != 0,
            }),
            3 => Message::Wait(first != 0),
            4 => Message::Resize(first as u16, second as u16),
            5 => Message::Done,
            8 => Message::Look,
            9 => Message::Policy(Policy::from_numbers(first, second)?),
            6 => Message::Ended(first as i32),
            7 => Message::Failed(*KINDS.get(first as usize)?, second.min(LONGEST_TEXT as u32)),
            _ => return None,
        })
    }
}

/// Sends a failure and its text.
pub(crate) fn send_failure(socket: BorrowedFd<'_>, error: &Error) -> rustix::io::Result<()> {
    let text = error.message().as_bytes();
    let text = &text[..text.len().min(LONGEST_TEXT)];
    pass::send(socket, &Message::Failed(error.kind(), text.len() as u32).to_bytes(), &[])?;
    if text.is_empty() { Ok(()) } else { pass::send(socket, text, &[]) }
}

/// One message, waited for; None at the end of the stream.
pub(crate) fn receive(
    socket: BorrowedFd<'_>,
    descriptors: &mut Vec<OwnedFd>,
) -> Result<Option<Message>> {
    let mut bytes = [0; SIZE];
    match fill(socket, &mut bytes, descriptors)? {
        true => Ok(Message::from_bytes(&bytes)),
        false => Ok(None),
    }
}

fn fill(socket: BorrowedFd<'_>, bytes: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> Result<bool> {
    let mut filled = 0;
    while filled < bytes.len() {
        match pass::receive(socket, &mut bytes[filled..], descriptors) {
            Ok(0) | Err(rustix::io::Errno::CONNRESET) => return Ok(false),
            result => filled += result.on("read from", "monitor")?,
        }
    }
    Ok(true)
}

/// The text of a failure, read after its message.
pub(crate) fn receive_failure(socket: BorrowedFd<'_>, kind: Kind, length: u32) -> Result<Error> {
    let mut text = vec![0; (length as usize).min(LONGEST_TEXT)];
    fill(socket, &mut text, &mut Vec::new())?;
    Ok(Error::new(kind, String::from_utf8_lossy(&text)))
}

/// A connection to a container's monitor.
pub(crate) struct Control {
    socket: OwnedFd,
}

impl Control {
    /// Connects. `NotFound` when no monitor is there.
    pub(crate) fn connect(run: &Path) -> Result<Control> {
        let socket = new_socket()?;
        let (_folder, address) = address(run)?;
        match connect(&socket, &address) {
            Err(rustix::io::Errno::CONNREFUSED | rustix::io::Errno::NOENT) => {
                Err(Error::not_found("no monitor"))
            }
            result => {
                result.on("connect to monitor in", run.display()).map(|()| Control { socket })
            }
        }
    }

    /// Asks, and gives the answer that is no failure; None when the monitor ended before it
    /// answered: whoever asked may look for its successor.
    pub(crate) fn ask(
        &self,
        message: Message,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<Option<Message>> {
        match pass::send(self.socket.as_fd(), &message.to_bytes(), descriptors) {
            Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => return Ok(None),
            result => result.on("write to", "monitor")?,
        }
        match receive(self.socket.as_fd(), &mut Vec::new())? {
            Some(Message::Failed(kind, length)) => {
                Err(receive_failure(self.socket.as_fd(), kind, length)?)
            }
            answer => Ok(answer),
        }
    }

    /// Says something without waiting for an answer.
    pub(crate) fn tell(&self, message: Message) -> Result<()> {
        pass::send(self.socket.as_fd(), &message.to_bytes(), &[]).on("write to", "monitor")
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The monitor's end: a socket that listens. A dead monitor's socket is replaced; the caller holds
/// the container's lock.
pub(crate) fn listener(run: &Path) -> Result<OwnedFd> {
    let socket = new_socket()?;
    let (_folder, address) = address(run)?;
    let path = run.join(SOCKET);
    let mut bound = bind(&socket, &address);
    if bound == Err(rustix::io::Errno::ADDRINUSE) {
        base::paths::unlink(&path).on_path("unlink", &path)?;
        bound = bind(&socket, &address);
    }
    bound.on_path("bind", &path)?;
    listen(&socket, 64).on_path("listen on", &path)?;
    rustix::io::ioctl_fionbio(&socket, true).on_path("listen on", &path)?;
    Ok(socket)
}

fn new_socket() -> Result<OwnedFd> {
    socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .on("socket", "unix")
}

fn address(run: &Path) -> Result<(OwnedFd, SocketAddrUnix)> {
    let folder = base::paths::open(run, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let folder = folder.on_path("open", run)?;
    let path = format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd());
    let address = SocketAddrUnix::new(path).on_path("address", run)?;
    Ok((folder, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_wire() {
        let messages = [
            Message::Start,
            Message::Attach(Attach { stdin: true, stdout: false, stderr: true }),
            Message::Wait(true),
            Message::Resize(80, 24),
            Message::Done,
            Message::Look,
            Message::Ended(-1),
            Message::Failed(Kind::Conflict, 7),
        ];
        for message in messages {
            assert_eq!(Message::from_bytes(&message.to_bytes()), Some(message));
        }
        assert_eq!(Message::from_bytes(&[9; SIZE]), None);
    }
}
