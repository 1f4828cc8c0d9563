//! Connections and files of this process, read and written so that Ctrl-C ends the wait.

use crate::signals::Signals;
use base_http::Stream;
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// The most that is written at once to a pipe or terminal that a poll called ready: a pipe that
/// is ready takes so many bytes without blocking.
pub(crate) const PIECE: usize = 4096;

/// A connection to the server.
pub(crate) struct Wire {
    socket: UnixStream,
    signals: Arc<Signals>,
}

impl Wire {
    /// On this socket.
    pub(crate) fn new(socket: UnixStream, signals: Arc<Signals>) -> Wire {
        Wire { socket, signals }
    }

    /// Sends what fits now.
    pub(crate) fn send_now(&self, bytes: &[u8]) -> rustix::io::Result<usize> {
        rustix::net::send(&self.socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Stream for Wire {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.signals.wait(self.as_fd(), PollFlags::IN)?;
        Ok(rustix::net::recv(&self.socket, buffer, RecvFlags::empty())?.0)
    }
    fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.signals.wait(self.as_fd(), PollFlags::IN)?;
        Ok(rustix::net::recv(&self.socket, buffer, RecvFlags::PEEK)?.0)
    }
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.send_now(bytes) {
                Err(Errno::AGAIN) => self.signals.wait(self.as_fd(), PollFlags::OUT)?,
                other => return Ok(other?),
            }
        }
    }
    fn close_write(&self) -> io::Result<()> {
        self.socket.shutdown(std::net::Shutdown::Write)
    }
}

/// A file, pipe or terminal to read from.
pub(crate) struct Source<'a, F: AsFd> {
    pub(crate) file: F,
    pub(crate) signals: &'a Signals,
}

impl<F: AsFd> Read for Source<'_, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.signals.wait(self.file.as_fd(), PollFlags::IN)?;
        Ok(rustix::io::read(&self.file, buffer)?)
    }

    base::shared_reads!();
}

/// Writes all of it to a file, pipe or terminal.
pub(crate) fn write_all(signals: &Signals, to: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        signals.wait(to, PollFlags::OUT)?;
        match rustix::io::write(to, &bytes[..bytes.len().min(PIECE)]) {
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::INTR) => {}
            // Somebody shares the file and made it non-blocking.
            Err(Errno::AGAIN) => {
                let mut fds = [rustix::event::PollFd::from_borrowed_fd(to, PollFlags::OUT)];
                rustix::event::poll(&mut fds, None)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
