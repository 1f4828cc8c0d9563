//! `rename`: another name for a container.

use crate::Engine;
use base::Result;

/// Renames a container.
pub(crate) struct Rename {
    pub(crate) container: String,
    pub(crate) name: String,
}

impl Rename {
    pub(crate) fn run(self, engine: &Engine) -> Result<()> {
        let container = engine.containers().find(&self.container)?;
        crate::sweep::claim(engine)?;
        let name = self.name.strip_prefix('/').unwrap_or(&self.name);
        engine.containers().rename(&container, name)?;
        let old = format!("/{}", container.record.name);
        engine.tell(&engine.containers().find(container.id())?, "rename", &[("oldName", &old)]);
        Ok(())
    }
}
