//! `remove` (Docker's job `delete`): takes a container away.

use super::{Condition, Wait};
use crate::Engine;
use crate::container::Status;
use base::{Error, Kind, Result};
use rustix::process::Signal;

/// Removes a container.
pub(crate) struct Remove {
    pub(crate) container: String,
    /// Kill it first, if it runs.
    pub(crate) force: bool,
}

impl Remove {
    pub(crate) fn run(self, engine: &Engine) -> Result<()> {
        let container = engine.containers().find(&self.container)?;
        let state = container.state();
        if state.status == Status::Running {
            if !self.force {
                return Err(Error::conflict(format!(
                    "cannot remove container \"/{}\": container is running: stop the container \
                     before removing or force remove",
                    container.record.name
                )));
            }
            let wait =
                Wait { container: container.id().to_string(), condition: Condition::NextExit };
            let waiting = wait.begin(engine)?;
            // Its first process may end by itself just now.
            let _ = state.signal(container.id(), Signal::KILL);
            match waiting.end(engine) {
                Err(error) if error.kind() == Kind::NotFound => (),
                ended => drop(ended?),
            }
            if engine.containers().open(container.id())?.is_none() {
                return Ok(());
            }
        }
        engine.remove(&container)
    }
}
