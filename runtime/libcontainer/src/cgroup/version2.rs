//! The version 2 tree: controllers are enabled from the top down, then the files of each cgroup.

use super::limits::Setting;
use super::{Limits, apply, make_folder, write};
use base::Result;
use std::path::Path;

/// The controllers that containers use.
const CONTROLLERS: [&str; 5] = ["memory", "pids", "cpu", "cpuset", "io"];

/// Makes what lies above a cgroup. With `controllers`, those that this kernel offers are handed down to
/// it.
pub(super) fn make_parents(tree: &str, cgroup: &Path, controllers: bool) -> Result<()> {
    let top = Path::new(tree);
    let mut above: Vec<&Path> =
        cgroup.ancestors().skip(1).take_while(|path| *path != top).collect();
    above.reverse();
    above.iter().try_for_each(|folder| make_folder(&folder.to_string_lossy()))?;
    if !controllers {
        return Ok(());
    }
    let available =
        std::fs::read_to_string(format!("{tree}/cgroup.controllers")).unwrap_or_default();
    for folder in std::iter::once(top).chain(above) {
        for name in CONTROLLERS {
            if available.split_whitespace().any(|other| other == name) {
                // A controller that is in use by a version 1 hierarchy cannot be handed down; a
                // limit that needs it fails later with its name.
                let _ = write(&folder.join("cgroup.subtree_control"), &format!("+{name}"));
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
