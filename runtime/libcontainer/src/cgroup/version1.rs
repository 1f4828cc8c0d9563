//! Version 1 hierarchies, each mounted at /sys/fs/cgroup/NAME.

use super::limits::Setting;
use super::{Join, Limits, MOUNT, PARENT, apply, kernel_option, make_folder, write};
use crate::devices::{DEFAULT_RULES, version_1_text};
use base::{Error, Kind, OnError, Result};
use std::fs::read_to_string;
use std::path::{Path, PathBuf};

/// Every hierarchy that we may have joined.
pub(super) const ALL: [&str; 8] =
    ["memory", "pids", "cpu", "cpuacct", "cpuset", "blkio", "devices", "freezer"];
/// What statistics and later updates need.
const STATISTICS: [&str; 5] = ["memory", "pids", "cpu", "cpuacct", "blkio"];

pub(super) fn folder(hierarchy: &str, id: &str) -> PathBuf {
    Path::new(MOUNT).join(hierarchy).join(PARENT).join(id)
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
        (limits.join == Join::Statistics && STATISTICS.contains(&name)) || besides.contains(&name)
    };
    ALL.into_iter().filter(|name| asked(name) || (wanted(name) && exists(name))).collect()
}

pub(super) fn create(hierarchy: &str, id: &str, limits: &Limits) -> Result<()> {
    let folder = folder(hierarchy, id);
    let path = folder.to_string_lossy();
    if let Err(error) = make_folder(&path) {
        if error.kind() != Kind::NotFound {
            return Err(error);
        }
        // The first container since the boot, or a hierarchy that is not there.
        let parent = Path::new(MOUNT).join(hierarchy).join(PARENT);
        make_folder(&parent.to_string_lossy()).map_err(|error| missing(hierarchy, error))?;
        if hierarchy == "devices" {
            write(&parent.join("devices.deny"), "a")?;
            for rule in &DEFAULT_RULES {
                write(&parent.join("devices.allow"), &version_1_text(rule))?;
            }
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

/// What the limits say in files of version 1.
pub(super) fn settings(limits: &Limits) -> Vec<Setting> {
    limits.version1(&|file| Path::new(MOUNT).join("blkio").join(file).exists())
}

/// A new cpuset is empty, and nobody can join an empty one: it gets what its parent has.
fn inherit_cpuset(folder: &Path) -> Result<()> {
    let Some(parent) = folder.parent() else { return Ok(()) };
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let read = |path: &Path| read_to_string(path.join(file)).on_path("read", path);
        let above = match read(parent)? {
            text if text.trim().is_empty() => {
                let top = read(&Path::new(MOUNT).join("cpuset"))?;
                write(&parent.join(file), top.trim())?;
                top
            }
            text => text,
        };
        write(&folder.join(file), above.trim())?;
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
