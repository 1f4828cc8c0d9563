//! `remove` (Docker's job `delete`): takes a container away.

use super::stop::{ends_within, stop_restarts, thaw};
use super::{Condition, Wait};
use crate::Engine;
use crate::container::{Container, Status, Wish};
use crate::monitor::Policy;
use base::{Error, Kind, Result};
use rustix::process::Signal;

const MOST_TRIES: usize = 5;
/// Seconds that a monitor has for writing down its container's end.
const PATIENCE: i64 = 10;

/// Removes a container.
pub(crate) struct Remove {
    pub(crate) container: String,
    /// Kill it first, if it runs.
    pub(crate) force: bool,
    /// And the volumes that were made for it.
    pub(crate) volumes: bool,
}

impl Remove {
    pub(crate) fn run(self, engine: &Engine) -> Result<()> {
        let container = engine.containers().find(&self.container)?;
        // Somebody may start it again between its end and its removal.
        for _ in 0..MOST_TRIES {
            let state = container.state();
            if state.restarting {
                stop_restarts(&container)?;
            }
            if state.status == Status::Running {
                if !self.force {
                    return Err(Error::conflict(format!(
                        "cannot remove container \"/{}\": container is running: stop the container \
                         before removing or force remove",
                        container.record.name
                    )));
                }
                end(engine, &container)?;
            }
            match engine.remove(&container) {
                Err(error) if error.kind() == Kind::Conflict && self.force => (),
                result if self.volumes => {
                    let names = container.record.anonymous_volumes();
                    return result.and_then(|()| engine.remove_volumes(&names));
                }
                result => return result,
            }
        }
        Err(Error::conflict(format!("container {} is started again and again", container.id())))
    }
}

/// Kills it, and waits until its monitor has written down its end. A monitor that does not do so in
/// time (it was stopped, say) is not needed.
fn end(engine: &Engine, container: &Container) -> Result<()> {
    if crate::local::policy_of(container) != Policy::No {
        container.set_wish(Wish::Stopped)?;
    }
    let wait = Wait { container: container.id().to_string(), condition: Condition::NextExit };
    let waiting = wait.begin(engine);
    let state = container.state();
    if let Some(process) = state.process.as_ref().and_then(|process| process.open()) {
        // It may end by itself just now.
        let _ = state.signal(container.id(), Signal::KILL);
        // The version 1 freezer holds it even then.
        let _ = thaw(container);
        if !ends_within(&process, PATIENCE)? {
            let text = format!("container {} does not end: a process hangs", container.id());
            return Err(Error::other(text));
        }
    }
    let _ = waiting.and_then(|waiting| waiting.end_within(engine, PATIENCE));
    Ok(())
}
