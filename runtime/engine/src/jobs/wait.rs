//! `wait`: until a container ends.

use crate::Engine;
use crate::container::{Container, Status};
use crate::monitor::control::{Control, Message};
use base::{Error, OnError, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// That it does not run; at once, if it does not run now.
    NotRunning,
    /// Its next end.
    NextExit,
    /// That it is removed.
    Removed,
}

/// Waits for a container.
pub(crate) struct Wait {
    pub(crate) container: String,
    pub(crate) condition: Condition,
}

/// A wait that the monitor knows of.
pub(crate) enum Waiting {
    /// It has come to pass already, with this exit code.
    Over(i32),
    /// The monitor will tell.
    Asked(Control, Box<Container>),
}

impl Wait {
    /// Begins to wait. When this returns, no end can be missed.
    pub(crate) fn begin(self, engine: &Engine) -> Result<Waiting> {
        let container = engine.containers().find(&self.container)?;
        let state = container.state();
        if self.condition == Condition::NotRunning && state.status != Status::Running {
            return Ok(Waiting::Over(state.exit_code));
        }
        let control = engine.control(&container)?;
        control.tell(Message::Wait(self.condition == Condition::Removed))?;
        Ok(Waiting::Asked(control, Box::new(container)))
    }
}

impl Waiting {
    /// Waits to the end and gives the exit code; None when the client has gone before.
    pub(crate) fn end(self, engine: &Engine, client: BorrowedFd<'_>) -> Result<Option<i32>> {
        self.until(engine, &mut |control| loop {
            let mut waiting =
                [PollFd::new(control, PollFlags::IN), PollFd::from_borrowed_fd(client, GONE)];
            match poll(&mut waiting, None) {
                Ok(_) if !waiting[1].revents().is_empty() => return Ok(false),
                Ok(_) => return Ok(true),
                Err(Errno::INTR) => (),
                Err(errno) => return Err(errno).on("poll", "container"),
            }
        })
    }

    /// The same; None when a monitor says nothing for so many seconds.
    pub(crate) fn end_within(self, engine: &Engine, seconds: i64) -> Result<Option<i32>> {
        self.until(engine, &mut |control| is_readable_within(control, seconds))
    }

    /// Until the end, or until `ready` says that nobody waits any more.
    fn until(
        self,
        engine: &Engine,
        ready: &mut dyn FnMut(&Control) -> Result<bool>,
    ) -> Result<Option<i32>> {
        let Waiting::Asked(mut control, container) = self else {
            let Waiting::Over(code) = self else { return Ok(None) };
            return Ok(Some(code));
        };
        loop {
            if !ready(&control)? {
                return Ok(None);
            }
            let message = crate::monitor::control::receive(control.as_fd(), &mut Vec::new());
            if let Ok(Some(Message::Ended(code))) = message {
                return Ok(Some(code));
            }
            // The monitor was killed. Where the container still runs, its successor tells.
            let Some(container) = engine.containers().open(container.id())? else {
                return Err(Error::not_found(format!("No such container: {}", container.id())));
            };
            let state = container.state();
            if state.status != Status::Running {
                return Ok(Some(state.exit_code));
            }
            control = engine.control(&container)?;
            control.tell(Message::Wait(false))?;
        }
    }
}

/// What tells that a client has gone: it reads no answer any more.
const GONE: PollFlags = PollFlags::RDHUP.union(PollFlags::HUP).union(PollFlags::ERR);

/// Whether a client has gone.
pub(crate) fn is_gone(client: BorrowedFd<'_>) -> bool {
    let mut asked = [PollFd::from_borrowed_fd(client, GONE)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut asked, Some(&at_once)).is_ok_and(|count| count > 0)
}

/// Waits until a descriptor can be read, at most so many seconds; below 0: for ever.
pub(crate) fn is_readable_within(descriptor: &impl AsFd, seconds: i64) -> Result<bool> {
    let timeout = Timespec { tv_sec: seconds.min(1 << 31), tv_nsec: 0 };
    let timeout = (seconds >= 0).then_some(&timeout);
    let mut waiting = [PollFd::new(descriptor, PollFlags::IN)];
    Ok(poll(&mut waiting, timeout).on("poll", "container")? > 0)
}
