//! What a kernel has, asked of the kernel itself: what a test says in its line `needs`.

use super::cgroups::is_usable;

/// Why a feature is not there; `None` when it is.
pub(super) fn missing(name: &str) -> Option<String> {
    let has = match name {
        "memory" | "pids" | "devices" | "freezer" | "cpu" | "cpuset" => is_usable(name),
        "overlay" => file_systems("overlay"),
        "user-namespaces" => {
            let text = std::fs::read_to_string("/proc/sys/user/max_user_namespaces");
            text.is_ok_and(|text| text.trim() != "0")
        }
        _ => return Some(format!("unknown feature {name}")),
    };
    (!has).then(|| format!("this kernel lacks {name} here"))
}

fn file_systems(name: &str) -> bool {
    std::fs::read_to_string("/proc/filesystems")
        .is_ok_and(|text| text.lines().any(|line| line.split_whitespace().last() == Some(name)))
}
