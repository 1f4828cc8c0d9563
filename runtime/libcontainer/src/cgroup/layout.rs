//! How cgroups are mounted, and what can be limited here.

use super::MOUNT;
use std::path::Path;

const UNIFIED: &str = "/sys/fs/cgroup/unified";
/// CGROUP2_SUPER_MAGIC of linux/magic.h.
const CGROUP2: u64 = 0x6367_7270;

/// How cgroups are mounted here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Version 2 alone, at /sys/fs/cgroup.
    Version2,
    /// Version 1 hierarchies, and version 2 at /sys/fs/cgroup/unified.
    Hybrid,
    /// Version 1 alone.
    Version1,
    /// Not mounted.
    None,
}

impl Layout {
    /// Looks at the mounts.
    pub fn find() -> Layout {
        let magic = |path| base::paths::statfs(path).map(|stat| stat.f_type as u64).ok();
        match (magic(MOUNT), magic(UNIFIED)) {
            (Some(CGROUP2), _) => Layout::Version2,
            (_, Some(CGROUP2)) => Layout::Hybrid,
            _ if Path::new("/sys/fs/cgroup/memory/cgroup.procs").exists()
                || Path::new("/sys/fs/cgroup/pids/cgroup.procs").exists() =>
            {
                Layout::Version1
            }
            _ => Layout::None,
        }
    }

    /// Docker's name for it in `info`.
    pub fn version(self) -> &'static str {
        match self {
            Layout::Version2 => "2",
            _ => "1",
        }
    }

    /// The version 2 tree, where there is one.
    pub(super) fn unified(self) -> Option<&'static str> {
        match self {
            Layout::Version2 => Some(MOUNT),
            Layout::Hybrid => Some(UNIFIED),
            _ => None,
        }
    }
}

/// Version 1: the files of the scheduler bfq are not in the root, only in what is below; the first
/// container makes that.
fn bfq_has_weights(tree: &Path) -> bool {
    let Ok(groups) = std::fs::read_dir(tree.join("blkio")) else { return false };
    let mut groups = groups.flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    match groups.next() {
        Some(first) => first.join("blkio.bfq.weight").exists(),
        None => std::fs::read_dir("/sys/block").into_iter().flatten().flatten().any(|disk| {
            std::fs::read_to_string(disk.path().join("queue/scheduler"))
                .is_ok_and(|text| text.contains("bfq"))
        }),
    }
}

/// Whether limits of this kind can be set here. `file`: its name in version 2; what only version 1
/// has, by that name.
pub fn supports(file: &str) -> bool {
    let tree = match Layout::find() {
        Layout::Version2 => {
            // The files are not in the root, only the controllers' names are.
            let controllers =
                std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
            let controller = file.split('.').next().unwrap_or("");
            let version1_alone = ["memory.swappiness", "memory.oom_control"].contains(&file);
            return !version1_alone
                && controllers.split_whitespace().any(|name| name == controller);
        }
        Layout::None => return false,
        Layout::Hybrid | Layout::Version1 => Path::new(MOUNT),
    };
    let names: &[&str] = match file {
        "memory.low" => &["memory/memory.soft_limit_in_bytes"],
        "memory.swappiness" => &["memory/memory.swappiness"],
        "memory.oom_control" => &["memory/memory.oom_control"],
        "cpu.weight" => &["cpu/cpu.shares"],
        "cpu.max" => &["cpu/cpu.cfs_quota_us"],
        "cpuset.cpus" => &["cpuset/cpuset.cpus"],
        "io.weight" => return tree.join("blkio/blkio.weight").exists() || bfq_has_weights(tree),
        _ => &["blkio/blkio.throttle.read_bps_device"],
    };
    names.iter().any(|name| tree.join(name).exists())
}
