//! `pause` and `unpause`: all processes of a container stop where they are.

use crate::Engine;
use crate::engine::not_running;
use base::{Error, Result};
use libcontainer::cgroup;

/// Freezes a container, or lets it go on.
pub(crate) struct Pause {
    pub(crate) container: String,
    /// Freeze it.
    pub(crate) wanted: bool,
}

impl Pause {
    pub(crate) fn run(self, engine: &Engine) -> Result<()> {
        let container = engine.containers().find(&self.container)?;
        let id = container.id();
        let _lock = container.lock()?;
        if !container.state().is_alive() {
            return Err(not_running(id));
        }
        let group = container.record.cgroup();
        match (cgroup::is_frozen(&group), self.wanted) {
            (true, true) => Err(Error::conflict(format!("Container {id} is already paused"))),
            (false, false) => Err(Error::conflict(format!("Container {id} is not paused"))),
            (_, wanted) => cgroup::freeze(&group, wanted),
        }?;
        engine.tell(&container, if self.wanted { "pause" } else { "unpause" }, &[]);
        Ok(())
    }
}
