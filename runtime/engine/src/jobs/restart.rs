//! `restart`: stop, if it runs, and start.

use super::{Start, Stop};
use crate::Engine;
use base::{Error, Kind, Result};

/// Restarts a container.
pub(crate) struct Restart {
    pub(crate) stop: Stop,
}

impl Restart {
    pub(crate) fn run(self, engine: &Engine) -> Result<()> {
        let container = engine.containers().find(&self.stop.container)?;
        if container.record.host_config.auto_remove {
            return Err(Error::conflict(format!(
                "container {} is removed when it ends: it cannot be restarted",
                container.id()
            )));
        }
        let id = container.id().to_string();
        match self.stop.run(engine) {
            // It did not run.
            Err(error) if error.kind() == Kind::NotModified => (),
            result => result?,
        }
        Start { container: id }.run(engine)?;
        engine.tell(&container, "restart", &[]);
        Ok(())
    }
}
