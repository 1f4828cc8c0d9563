//! The signals that this process receives, as bytes in a pipe.
//!
//! Two modes. At first a signal that ends processes ends the command: whoever waits goes through
//! `wait`, which fails, and the exit code is 128 + n. From `take_over` on (a container is about to
//! run in the foreground) the loop there reads them and sends them on; those that come while a
//! request is under way are kept for it. A server that does not answer cannot hold the command:
//! the third signal that was kept ends it, as with docker's client.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Signal;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// So many signals during one request end the command.
const PATIENCE: usize = 3;

/// What a signal means for a container in the foreground.
#[derive(Debug, PartialEq)]
pub(crate) enum Meaning {
    /// The terminal has another size.
    Resize,
    /// It is for this process alone.
    Ours,
    /// It is to be sent on; the second is whether it ends a process that does nothing about it.
    Proxy(String, bool),
}

/// What this signal means.
pub(crate) fn meaning(number: u8) -> Meaning {
    let is = |signal: Signal| signal.as_raw() == i32::from(number);
    if is(Signal::WINCH) {
        return Meaning::Resize;
    }
    if [Signal::CHILD, Signal::PIPE, Signal::URG].into_iter().any(is) {
        return Meaning::Ours;
    }
    let name = base::signals::NAMES.iter().find(|(signal, _)| is(*signal));
    let name = name.map_or_else(|| number.to_string(), |(_, name)| String::from(*name));
    Meaning::Proxy(name, ends(number))
}

fn ends(number: u8) -> bool {
    let is = |signal: Signal| signal.as_raw() == i32::from(number);
    [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT].into_iter().any(is)
}

/// The reading end of the pipe.
pub(crate) struct Signals {
    pipe: OwnedFd,
    /// The pipe has a writer.
    open: AtomicBool,
    /// The foreground loop reads them now.
    taken: AtomicBool,
    /// Those that came during a request, for the loop.
    kept: Mutex<VecDeque<u8>>,
    /// The signal that ended the command; 0 for none.
    ended: AtomicU8,
}

impl Signals {
    /// On this pipe.
    pub(crate) fn new(pipe: OwnedFd) -> Signals {
        Signals {
            pipe,
            open: AtomicBool::new(true),
            taken: AtomicBool::new(false),
            kept: Mutex::new(VecDeque::new()),
            ended: AtomicU8::new(0),
        }
    }

    /// From now on a signal no longer ends the command.
    pub(crate) fn take_over(&self) {
        self.taken.store(true, Ordering::Relaxed);
    }

    /// Whether the foreground loop reads them.
    pub(crate) fn is_taken(&self) -> bool {
        self.taken.load(Ordering::Relaxed)
    }

    /// The exit code, if a signal ended the command.
    pub(crate) fn exit_code(&self) -> Option<u8> {
        match self.ended.load(Ordering::Relaxed) {
            0 => None,
            number => Some(128_u8.saturating_add(number)),
        }
    }

    /// The pipe, for a poll; None when nobody will write any more.
    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.open.load(Ordering::Relaxed).then(|| self.pipe.as_fd())
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<u8>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `next` gives one without asking the pipe.
    pub(crate) fn has_kept(&self) -> bool {
        !self.kept().is_empty()
    }

    /// The next signal; call it when a poll said so, or when one is kept.
    pub(crate) fn next(&self) -> Option<u8> {
        let kept = self.kept().pop_front();
        kept.or_else(|| self.read())
    }

    fn read(&self) -> Option<u8> {
        let mut byte = [0];
        match rustix::io::read(&self.pipe, &mut byte) {
            Ok(1) => Some(byte[0]),
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => None,
            _ => {
                self.open.store(false, Ordering::Relaxed);
                None
            }
        }
    }

    /// Takes the next one. Whether it ends the command.
    pub(crate) fn end_by_next(&self) -> bool {
        let ended = self.next().filter(|number| ends(*number));
        self.ended.store(ended.unwrap_or(0), Ordering::Relaxed);
        ended.is_some()
    }

    /// Whether this signal, which came during a wait, ends the command.
    fn is_too_much(&self, number: u8) -> bool {
        if !self.is_taken() {
            return ends(number);
        }
        let mut kept = self.kept();
        kept.push_back(number);
        ends(number) && kept.iter().filter(|number| ends(**number)).count() >= PATIENCE
    }

    /// Waits until `fd` is ready; an error when a signal ends the command first.
    pub(crate) fn wait(&self, fd: BorrowedFd<'_>, events: PollFlags) -> io::Result<()> {
        while let Some(pipe) = self.fd() {
            // Nothing is waited for after that, the tidying up neither.
            if self.exit_code().is_some() {
                return Err(io::Error::other("interrupted"));
            }
            let mut fds = [
                PollFd::from_borrowed_fd(pipe, PollFlags::IN),
                PollFd::from_borrowed_fd(fd, events),
            ];
            match poll(&mut fds, None) {
                Err(rustix::io::Errno::INTR) => continue,
                other => other?,
            };
            let [signal, ready] = fds.map(|fd| !fd.revents().is_empty());
            if signal
                && let Some(number) = self.read()
                && self.is_too_much(number)
            {
                self.ended.store(number, Ordering::Relaxed);
                return Err(io::Error::other("interrupted"));
            }
            if ready {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meanings() {
        let number = |signal: Signal| signal.as_raw() as u8;
        assert_eq!(meaning(number(Signal::WINCH)), Meaning::Resize);
        assert_eq!(meaning(number(Signal::CHILD)), Meaning::Ours);
        assert_eq!(meaning(number(Signal::TERM)), Meaning::Proxy("TERM".into(), true));
        assert_eq!(meaning(number(Signal::USR1)), Meaning::Proxy("USR1".into(), false));
        assert_eq!(meaning(40), Meaning::Proxy("40".into(), false));
    }

    #[test]
    fn a_signal_ends_a_wait_until_it_is_taken_over() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let (never, _keep) = rustix::pipe::pipe().unwrap();
        let signals = Signals::new(read);
        rustix::io::write(&write, &[Signal::USR1.as_raw() as u8, Signal::INT.as_raw() as u8])
            .unwrap();
        assert!(signals.wait(never.as_fd(), PollFlags::IN).is_err());
        assert_eq!(signals.exit_code(), Some(130));
        let signals = Signals { ended: AtomicU8::new(0), ..signals };
        // Taken over, they are kept while something else is waited for, up to the third.
        signals.take_over();
        let (ready, full) = rustix::pipe::pipe().unwrap();
        let int = Signal::INT.as_raw() as u8;
        rustix::io::write(&write, &[int, int]).unwrap();
        rustix::io::write(&full, b"x").unwrap();
        assert!(signals.wait(ready.as_fd(), PollFlags::IN).is_ok());
        assert!(signals.wait(ready.as_fd(), PollFlags::IN).is_ok());
        assert!(signals.has_kept());
        assert_eq!((signals.next(), signals.next()), (Some(int), Some(int)));
        assert!(!signals.has_kept());
        rustix::io::write(&write, &[int, int, int]).unwrap();
        assert!(signals.wait(never.as_fd(), PollFlags::IN).is_err());
        drop(write);
        while signals.next().is_some() {}
        assert!(signals.fd().is_none());
    }
}
