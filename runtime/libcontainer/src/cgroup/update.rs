//! New limits for a container that runs.

use super::limits::{Limits, Setting};
use super::{Layout, apply, place, processes, version1, version2, write};
use base::{Error, Kind, Result};
use std::path::Path;

/// Rounds until every process of a container is in a hierarchy that it joins late.
const MOST_ROUNDS: usize = 10;

/// Sets what the limits name; everything else stays as it is.
pub fn update(id: &str, limits: &Limits) -> Result<()> {
    let layout = Layout::find();
    match layout {
        Layout::Version2 => {
            let folder = place(Path::new(super::MOUNT), id);
            write_all(&version2::settings(&folder, limits), &mut |setting| apply(&folder, setting))
        }
        Layout::Hybrid | Layout::Version1 => {
            let settings = version1::settings(limits);
            for setting in &settings {
                join_late(layout, setting.controller, id)?;
            }
            write_all(&settings, &mut |setting| {
                apply(&version1::folder(setting.controller, id), setting)
            })
        }
        Layout::None => Err(Error::unsupported("no cgroups are mounted")),
    }
}

/// Some files refuse a value that another one, which comes later, makes possible (memory above the
/// old limit of memory and swap): what was refused is tried again after the others.
fn write_all(settings: &[Setting], write: &mut dyn FnMut(&Setting) -> Result<()>) -> Result<()> {
    let refused: Vec<&Setting> =
        settings.iter().filter(|setting| write(setting).is_err()).collect();
    refused.into_iter().try_for_each(write)
}

/// A container in the foreground has joined only what its limits asked for. Each attach costs some
/// milliseconds, which nobody waits for here.
fn join_late(layout: Layout, hierarchy: &'static str, id: &str) -> Result<()> {
    let folder = version1::folder(hierarchy, id);
    if folder.exists() {
        return Ok(());
    }
    let tree = match layout.unified() {
        Some(tree) => place(Path::new(tree), id),
        None => version1::folder("pids", id),
    };
    version1::create(hierarchy, id, &Limits::default())?;
    for _ in 0..MOST_ROUNDS {
        let inside = processes(&folder);
        let mut left = processes(&tree);
        left.retain(|pid| !inside.contains(pid));
        if left.is_empty() {
            return Ok(());
        }
        for pid in left {
            match write(&folder.join("cgroup.procs"), &pid.as_raw_nonzero().to_string()) {
                // It has ended meanwhile.
                Err(error) if error.kind() == Kind::NotFound => (),
                result => result?,
            }
        }
    }
    Err(Error::other(format!(
        "update container {id}: it makes processes faster than they are moved"
    )))
}
