//! The three ways in which systems mount cgroups.

use super::{mounted, say};
use rustix::mount::MountFlags;
use std::ffi::CString;

const MOUNT: &str = "/sys/fs/cgroup";

/// `v2`: one tree. `hybrid`: as systemd did, version 1 hierarchies with cpu and cpuacct together,
/// and version 2 in `unified`. `v1`: as cgroupfs-mount does, each controller alone.
pub(super) fn mount_all(layout: &str) -> Result<(), String> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    match layout {
        "v2" => return mounted("cgroup2", MOUNT, "cgroup2", flags, c""),
        "v1" | "hybrid" => (),
        "none" => return Ok(()),
        other => return Err(format!("unknown cgroup layout {other:?}")),
    }
    mounted("tmpfs", MOUNT, "tmpfs", flags, c"mode=0755")?;
    let hybrid = layout == "hybrid";
    for name in controllers()? {
        let option = match name.as_str() {
            "cpu" | "cpuacct" if hybrid => "cpu,cpuacct".to_string(),
            _ => name.clone(),
        };
        let target = format!("{MOUNT}/{option}");
        if option != name {
            // The second of the two finds the mount, and both have a link.
            if std::fs::symlink_metadata(&target).is_err() {
                mount_one(&target, &option, flags)?;
            }
            if std::fs::symlink_metadata(&target).is_err() {
                continue;
            }
            let link = format!("{MOUNT}/{name}");
            std::os::unix::fs::symlink(&option, &link)
                .map_err(|error| format!("{link}: {error}"))?;
            continue;
        }
        mount_one(&target, &option, flags)?;
    }
    if hybrid {
        mounted("cgroup2", &format!("{MOUNT}/unified"), "cgroup2", flags, c"")?;
    }
    Ok(())
}

fn mount_one(target: &str, option: &str, flags: MountFlags) -> Result<(), String> {
    let data = CString::new(option).map_err(|error| error.to_string())?;
    if let Err(error) = mounted("cgroup", target, "cgroup", flags, &data) {
        // Newer kernels know some controllers in version 2 alone (CONFIG_CPUSETS_V1, CONFIG_MEMCG_V1).
        say(&format!("note {error}"));
        let _ = std::fs::remove_dir(target);
    }
    Ok(())
}

/// Whether a controller can be used as cgroups are mounted here.
pub(super) fn is_usable(name: &str) -> bool {
    let version_2 = std::fs::read_to_string(format!("{MOUNT}/cgroup.controllers"));
    match version_2 {
        Ok(list) => match name {
            // Programs and a file of each cgroup.
            "devices" | "freezer" => true,
            name => list.split_whitespace().any(|other| other == name),
        },
        Err(_) => std::path::Path::new(&format!("{MOUNT}/{name}/cgroup.procs")).exists(),
    }
}

/// The controllers that this kernel has and that no boot parameter has disabled.
fn controllers() -> Result<Vec<String>, String> {
    let text = std::fs::read_to_string("/proc/cgroups").map_err(|error| error.to_string())?;
    let enabled = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        (fields.len() == 4 && fields[3] == "1").then(|| fields[0].to_string())
    });
    Ok(enabled.collect())
}
