//! `wait`: until a container ends.

use crate::Engine;
use crate::container::{Container, Status};
use crate::monitor::control::{Control, Message};
use base::{Error, Result};
use std::os::fd::AsFd;

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
        control.tell(Message::Wait(self.condition == Condition::Removed), &[])?;
        Ok(Waiting::Asked(control, Box::new(container)))
    }
}

impl Waiting {
    /// Waits to the end and gives the exit code.
    pub(crate) fn end(self, engine: &Engine) -> Result<i32> {
        let Waiting::Asked(mut control, container) = self else {
            let Waiting::Over(code) = self else { return Ok(0) };
            return Ok(code);
        };
        loop {
            let message = crate::monitor::control::receive(control.as_fd(), &mut Vec::new());
            if let Ok(Some(Message::Ended(code))) = message {
                return Ok(code);
            }
            // The monitor was killed. Where the container still runs, its successor tells.
            let Some(container) = engine.containers().open(container.id())? else {
                return Err(Error::not_found(format!("No such container: {}", container.id())));
            };
            let state = container.state();
            if state.status != Status::Running {
                return Ok(state.exit_code);
            }
            control = engine.control(&container)?;
            control.tell(Message::Wait(false), &[])?;
        }
    }
}
