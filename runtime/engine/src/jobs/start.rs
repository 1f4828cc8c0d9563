//! `start`, `attach` and `resize`: what the container's monitor is told.

use crate::container::{Container, State, Status, Wish};
use crate::monitor::control::{self, Message};
use crate::{Engine, engine, monitor};
use base::{Error, Kind, Result};
use std::os::fd::BorrowedFd;

/// A killed monitor or worker has so many successors before a start is given up.
const MOST_TRIES: usize = 3;

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
        // Before it can end: a policy starts nothing again that is wished to be stopped.
        let last_wish = container.wish();
        container.set_wish(Wish::Running)?;
        if let Err(error) = start(engine, &container) {
            let _ = container.set_wish(last_wish);
            // The monitor has removed one that asked for it, as docker does.
            if !container.record.host_config.auto_remove {
                note_failure(&container, &error);
            }
            return Err(error);
        }
        Ok(())
    }
}

/// A monitor that is just ending goes without an answer, and so does one that is killed: its
/// successor starts the container, unless that was done already.
fn start(engine: &Engine, container: &Container) -> Result<()> {
    let last_start = container.state().started;
    for _ in 0..MOST_TRIES {
        match engine.control(container)?.ask(Message::Start, &[]) {
            Ok(Some(_)) => return Ok(()),
            Ok(None) => (),
            // That says nothing of the container: another worker tries. Unless that was the end of it.
            Err(error) if monitor::is_killed_worker(&error) && is_there(container) => continue,
            Err(error) => return Err(error),
        }
        // Whoever is at it holds the lock.
        drop(container.lock()?);
        if State::read(&container.run).unwrap_or_default().started != last_start {
            return Ok(());
        }
    }
    let text = format!("start container {}: its monitors or workers were killed", container.id());
    Err(Error::other(text))
}

fn is_there(container: &Container) -> bool {
    base::files::exists(&container.folder.join("config.json"))
}

fn note_failure(container: &Container, error: &Error) {
    // Somebody else's start may have succeeded meanwhile.
    if let Ok(_lock) = container.lock()
        && container.state().status != Status::Running
    {
        let _ = container.fail(error);
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
        match control.ask(Message::Attach(self.streams), &[connection])? {
            Some(_) => Ok(()),
            None => Err(Error::other("attach: the container's monitor has ended")),
        }
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
