//! `start`, `attach` and `resize`: what the container's monitor is told.

use crate::container::{Status, Wish};
use crate::monitor::control::{self, Message};
use crate::{Engine, engine};
use base::{Error, Kind, Result};
use std::os::fd::BorrowedFd;

/// Starts a container.
pub(crate) struct Start {
    pub(crate) container: String,
}

impl Start {
    pub(crate) fn run(self, engine: &Engine) -> Result<()> {
        let container = engine.containers().find(&self.container)?;
        if container.state().status == Status::Running {
            return Err(Error::new(Kind::NotModified, "already running"));
        }
        // A monitor that is just ending, or that has only the end of a killed one to write down, goes
        // without an answer; its successor starts the container.
        let mut started = engine.control(&container)?.ask(Message::Start, &[]);
        for _ in 0..2 {
            match started {
                Err(ref error) if control::was_not_there(error) => {
                    started = engine.control(&container)?.ask(Message::Start, &[]);
                }
                _ => break,
            }
        }
        if let Err(error) = started {
            // The monitor has removed one that asked for it, as docker does.
            if !container.record.host_config.auto_remove {
                let _ = container.fail(&error);
            }
            return Err(error);
        }
        container.set_wish(Wish::Running)
    }
}

/// Attaches a client to a container's streams. The descriptor becomes the monitor's.
pub(crate) struct Attach {
    pub(crate) streams: control::Attach,
}

impl Attach {
    /// Finds the monitor; then, once the answer's head is written, [`control::Control::ask`] hands
    /// the connection over.
    pub(crate) fn hand_over(
        self,
        control: &control::Control,
        connection: BorrowedFd<'_>,
    ) -> Result<()> {
        control.ask(Message::Attach(self.streams), &[connection]).map(drop)
    }
}

/// The size of a container's terminal.
pub(crate) struct Resize {
    pub(crate) container: String,
    pub(crate) columns: u16,
    pub(crate) rows: u16,
}

impl Resize {
    pub(crate) fn run(self, engine: &Engine) -> Result<()> {
        let container = engine.containers().find(&self.container)?;
        if container.state().status != Status::Running {
            return Err(engine::not_running(container.id()));
        }
        let message = Message::Resize(self.columns, self.rows);
        engine.control(&container)?.ask(message, &[]).map(drop)
    }
}
