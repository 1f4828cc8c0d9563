//! The version 2 tree: controllers are enabled from the top down, then the files of each cgroup.

use super::{Limits, PARENT, make_folder, write};
use base::{Error, Kind, Result};
use std::path::Path;

/// The controllers that containers use.
const CONTROLLERS: [&str; 5] = ["memory", "pids", "cpu", "cpuset", "io"];

/// Makes `coracle/`. With `controllers`, those that this kernel offers are handed down to it and
/// to the cgroups below it.
pub(super) fn make_parent(tree: &str, controllers: bool) -> Result<()> {
    let parent = format!("{tree}/{PARENT}");
    make_folder(&parent)?;
    if !controllers {
        return Ok(());
    }
    let available =
        std::fs::read_to_string(format!("{tree}/cgroup.controllers")).unwrap_or_default();
    for folder in [tree, &parent] {
        for name in CONTROLLERS {
            if available.split_whitespace().any(|other| other == name) {
                // A controller that is in use by a version 1 hierarchy cannot be handed down; a
                // limit that needs it fails later with its name.
                let _ =
                    write(&Path::new(folder).join("cgroup.subtree_control"), &format!("+{name}"));
            }
        }
    }
    Ok(())
}

pub(super) fn set(folder: &Path, limits: &Limits) -> Result<()> {
    if let Some(memory) = limits.memory {
        set_one(folder, "memory.max", memory, "memory", "CONFIG_MEMCG, cgroup_enable=memory")?;
        let both = limits.memory_and_swap.unwrap_or(memory.saturating_mul(2));
        let swap = both.saturating_sub(memory);
        match write(&folder.join("memory.swap.max"), &swap.to_string()) {
            // Without swap accounting there is no such file.
            Err(error) if error.kind() == Kind::NotFound => (),
            result => result?,
        }
    }
    if let Some(pids) = limits.pids {
        set_one(folder, "pids.max", pids, "pids", "CONFIG_CGROUP_PIDS")?;
    }
    Ok(())
}

fn set_one(folder: &Path, file: &str, value: u64, controller: &str, option: &str) -> Result<()> {
    write(&folder.join(file), &value.to_string()).map_err(|error: Error| match error.kind() {
        Kind::NotFound => {
            Error::unsupported(format!("no {controller} controller (kernel option {option})"))
        }
        _ => error,
    })
}
