//! Version 1 hierarchies, each mounted at /sys/fs/cgroup/NAME.

use super::{Join, Limits, MOUNT, PARENT, make_folder, write};
use crate::devices::{DEFAULT_RULES, version_1_text};
use base::{Error, Kind, Result};
use std::path::{Path, PathBuf};

/// Every hierarchy that we may have joined.
pub(super) const ALL: [&str; 7] =
    ["memory", "pids", "cpu", "cpuacct", "blkio", "devices", "freezer"];
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
    let asked = |name: &str| match name {
        "memory" => limits.memory.is_some() || limits.memory_and_swap.is_some(),
        "pids" => limits.pids.is_some(),
        _ => false,
    };
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
    match hierarchy {
        "memory" => set_memory(&folder, limits),
        "pids" => match limits.pids {
            Some(limit) => write(&folder.join("pids.max"), &limit.to_string()),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

fn set_memory(folder: &Path, limits: &Limits) -> Result<()> {
    let Some(memory) = limits.memory else { return Ok(()) };
    write(&folder.join("memory.limit_in_bytes"), &memory.to_string())?;
    let both = limits.memory_and_swap.unwrap_or(memory.saturating_mul(2)).to_string();
    match write(&folder.join("memory.memsw.limit_in_bytes"), &both) {
        // No CONFIG_MEMCG_SWAP, or swapaccount=0: then swap is not limited, as Docker warns.
        Err(error) if error.kind() == Kind::NotFound && limits.memory_and_swap.is_none() => Ok(()),
        result => result,
    }
}

fn missing(hierarchy: &str, error: Error) -> Error {
    let option = match hierarchy {
        "memory" => "CONFIG_MEMCG, cgroup_enable=memory",
        "pids" => "CONFIG_CGROUP_PIDS",
        _ => "CONFIG_CGROUPS",
    };
    let text = format!("no {hierarchy} cgroup (is it mounted? kernel option {option})");
    match error.kind() {
        // Without the kernel's words: "no such file" would be taken for the command's (exit code 127).
        Kind::NotFound => Error::unsupported(text),
        _ => error.context(text),
    }
}
