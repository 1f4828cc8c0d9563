//! Version 1 hierarchies, each mounted at /sys/fs/cgroup/NAME.

use super::limits::Setting;
use super::{Join, Limits, MOUNT, apply, kernel_option, make_folder, place, write};
use crate::devices::{Rule, version_1_text};
use base::{Error, Kind, OnError, Result};
use std::fs::read_to_string;
use std::path::{Path, PathBuf};

/// Every hierarchy that we may have joined.
pub(super) const ALL: [&str; 8] =
    ["memory", "pids", "cpu", "cpuacct", "cpuset", "blkio", "devices", "freezer"];
/// What statistics and later updates need.
const STATISTICS: [&str; 5] = ["memory", "pids", "cpu", "cpuacct", "blkio"];

pub(super) fn folder(hierarchy: &str, id: &str) -> PathBuf {
    place(&Path::new(MOUNT).join(hierarchy), id)
}

/// Whether a hierarchy is mounted.
pub(super) fn exists(name: &str) -> bool {
    Path::new(MOUNT).join(name).join("cgroup.procs").exists()
}

/// Which hierarchies to join: what limits ask for, and, where they exist, what is wanted besides.
/// `besides`: what the version 2 tree would do (tracking, freezing, device rules) where it is not
/// there or cannot.
pub(super) fn hierarchies(limits: &Limits, besides: &[&str]) -> Vec<&'static str> {
    let settings = settings(limits);
    let asked = |name: &str| settings.iter().any(|setting| setting.controller == name);
    let wanted = |name: &str| {
        let joined = match limits.join {
            Join::Asked => false,
            Join::Statistics => STATISTICS.contains(&name),
            Join::Parent => STATISTICS.contains(&name) || name == "cpuset",
        };
        joined || besides.contains(&name)
    };
    ALL.into_iter().filter(|name| asked(name) || (wanted(name) && exists(name))).collect()
}

pub(super) fn create(hierarchy: &str, id: &str, limits: &Limits) -> Result<()> {
    let folder = folder(hierarchy, id);
    let path = folder.to_string_lossy();
    if hierarchy == "devices"
        && !id.starts_with('/')
        && let Some(parent) = folder.parent()
    {
        // An older coracle's parent refuses what its containers shall have. The kernel changes that as
        // long as there are none.
        let _ = write(&parent.join("devices.allow"), "a");
    }
    if let Err(error) = make_folder(&path) {
        if error.kind() != Kind::NotFound {
            return Err(error);
        }
        // The first container since the boot, or a hierarchy that is not there.
        let top = Path::new(MOUNT).join(hierarchy);
        let parent = folder.parent().unwrap_or(&top);
        let mut above: Vec<&Path> = parent.ancestors().take_while(|path| *path != top).collect();
        above.reverse();
        for parent in above {
            make_folder(&parent.to_string_lossy()).map_err(|error| missing(hierarchy, error))?;
        }
        make_folder(&path)?;
    }
    if hierarchy == "cpuset" {
        inherit_cpuset(&folder)?;
    }
    for setting in settings(limits).iter().filter(|setting| setting.controller == hierarchy) {
        apply(&folder, setting)?;
    }
    Ok(())
}

/// These devices and no others. They are the container's own and not its parent's: what a parent
/// refuses, nobody below it can be given.
pub(super) fn allow(folder: &Path, rules: &[Rule]) -> Result<()> {
    write(&folder.join("devices.deny"), "a")?;
    rules.iter().try_for_each(|rule| write(&folder.join("devices.allow"), &version_1_text(rule)))
}

/// What the limits say in files of version 1.
pub(super) fn settings(limits: &Limits) -> Vec<Setting> {
    limits.version1(&|file| Path::new(MOUNT).join("blkio").join(file).exists())
}

/// A new cpuset is empty, and nobody can join an empty one: it gets what its parent has.
fn inherit_cpuset(folder: &Path) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let read = |path: &Path| read_to_string(path.join(file)).on_path("read", path);
        // The nearest one above that has something.
        let mut empty = vec![folder];
        let mut text = String::new();
        for above in folder.ancestors().skip(1).take_while(|path| path.starts_with(MOUNT)) {
            text = read(above)?;
            if !text.trim().is_empty() {
                break;
            }
            empty.push(above);
        }
        empty.iter().rev().try_for_each(|path| write(&path.join(file), text.trim()))?;
    }
    Ok(())
}

/// A hierarchy that is not there.
fn missing(hierarchy: &str, error: Error) -> Error {
    let option = kernel_option(hierarchy);
    let text = format!("no {hierarchy} cgroup (is it mounted? kernel option {option})");
    match error.kind() {
        // Without the kernel's words: "no such file" would be taken for the command's (exit code 127).
        Kind::NotFound => Error::unsupported(text),
        _ => error.context(text),
    }
}
