//! The version 2 tree: controllers are enabled from the top down, then the files of each cgroup.

use super::limits::Setting;
use super::{Limits, PARENT, apply, make_folder, write};
use base::Result;
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

/// What the limits say in files of version 2.
pub(super) fn settings(folder: &Path, limits: &Limits) -> Vec<Setting> {
    limits.version2(&|file| folder.join(file).exists())
}

pub(super) fn set(folder: &Path, limits: &Limits) -> Result<()> {
    settings(folder, limits).iter().try_for_each(|setting| apply(folder, setting))
}
