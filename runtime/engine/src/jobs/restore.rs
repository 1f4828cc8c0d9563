//! `restore`: after a reboot, puts away what the last boot left, and starts what the restart policies
//! say. Once a boot: a second time, nothing happens.

use super::Start;
use crate::Engine;
use crate::container::{Container, Wish, boot_id};
use crate::local::policy_of;
use crate::monitor::Policy;
use base::files::{Lock, Sync, create_dir_all, read_capped, write_then_rename};
use base::{Kind, Result};
use base_http::api::system::Restored;

/// The boot for which it was done.
const STAMP: &str = "restored";

/// Restores.
pub(crate) struct Restore;

impl Restore {
    pub(crate) fn run(self, engine: &Engine) -> Result<Restored> {
        let run = &engine.folders().run;
        create_dir_all(run)?;
        let _lock = Lock::exclusive(run)?;
        let boot = boot_id();
        match read_capped(&run.join(STAMP), 256) {
            Ok(text) if text == boot.as_bytes() => return Ok(Restored::default()),
            Err(error) if error.kind() != Kind::NotFound => return Err(error),
            _ => (),
        }
        engine.sweep_uppers()?;
        engine.sweep_volumes()?;
        let mut restored = Restored::default();
        // The oldest first: later ones were made by somebody who knew of the earlier.
        for container in engine.containers().list()?.iter().rev().filter(|one| is_wanted(one)) {
            let name = container.record.name.clone();
            match (Start { container: container.id().to_string() }).run(engine) {
                Ok(()) => restored.started.push(name),
                // Somebody was faster.
                Err(error) if error.kind() == Kind::NotModified => (),
                Err(error) => restored.failed.push(format!("{name}: {}", error.message())),
            }
        }
        write_then_rename(run, STAMP, boot.as_bytes(), Sync::No)?;
        Ok(restored)
    }
}

fn is_wanted(container: &Container) -> bool {
    match (policy_of(container), container.wish()) {
        (Policy::No, _) | (_, Wish::Created) => false,
        // docker's difference between the two.
        (Policy::Always, _) => true,
        (_, wish) => wish == Wish::Running,
    }
}
