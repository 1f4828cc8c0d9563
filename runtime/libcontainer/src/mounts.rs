//! The mounts that every container gets, and the paths that are hidden or not writable: Docker's.

use crate::devices::{FOLDERS, LINKS, NODES, TMPFS};
use crate::spec::SharedMemory;
use base::sys::plan::{Operation, Plan, Tolerate, target};
use rustix::mount::MountFlags;

const NOSUID: MountFlags = MountFlags::NOSUID;
const NODEV: MountFlags = MountFlags::NODEV;
const NOEXEC: MountFlags = MountFlags::NOEXEC;
const READ_ONLY: MountFlags = MountFlags::RDONLY;

/// MS_REMOUNT of mount(2).
pub(crate) const REMOUNT: u64 = 32;

pub(crate) fn bits(flags: MountFlags) -> u64 {
    u64::from(flags.bits())
}

/// Files under /proc that tell about the host: /dev/null is put over them.
const HIDDEN_FILES: [&str; 7] = [
    "proc/interrupts",
    "proc/kcore",
    "proc/keys",
    "proc/latency_stats",
    "proc/timer_list",
    "proc/timer_stats",
    "proc/sched_debug",
];
/// Folders that do: an empty one is put over them.
const HIDDEN_FOLDERS: [&str; 5] =
    ["proc/acpi", "proc/asound", "proc/scsi", "sys/firmware", "sys/devices/virtual/powercap"];
/// Paths through which the host could be changed.
const READ_ONLY_PATHS: [&str; 5] =
    ["proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"];

/// procfs. Its place in the image must be a folder, not a link to one (CVE-2023-27561).
pub(crate) fn proc(plan: &mut Plan) {
    let options = target::FOLDER | target::NO_LINKS;
    plan.mount_in(b"proc", b"proc", "proc", bits(NOSUID | NODEV | NOEXEC), "", options);
}

/// sysfs, and the container's own cgroup where version 2 is there to show it.
/// Both can be written only by the privileged (CVE-2022-0492).
pub(crate) fn sys(
    plan: &mut Plan,
    host_network_in_user_namespace: bool,
    cgroup2: bool,
    privileged: bool,
) {
    let protection = if privileged { MountFlags::empty() } else { READ_ONLY };
    let flags = NOSUID | NODEV | NOEXEC | protection;
    let options = target::FOLDER | target::NO_LINKS;
    let own_cgroup = |plan: &mut Plan, tolerate| {
        if cgroup2 {
            plan.mount(tolerate, "cgroup", "sys/fs/cgroup", "cgroup2", bits(flags), "");
        }
    };
    if host_network_in_user_namespace {
        // sysfs belongs to the network namespace, which is not ours: the host's is shown. Only its upper
        // mount is read-only then, and some cgroups below are the user's own (CVE-2023-25809).
        let bind = bits(MountFlags::BIND | MountFlags::REC | NOSUID | NODEV | NOEXEC);
        plan.mount_in(b"/sys", b"sys", "", bind, "", options | target::READ_ONLY);
        let (place, empty) = ("sys/fs/cgroup", bits(READ_ONLY | NOSUID | NODEV | NOEXEC));
        plan.mount(Tolerate::Missing, "tmpfs", place, "tmpfs", empty, "nr_inodes=1");
        own_cgroup(plan, Tolerate::Anything);
        return;
    }
    plan.mount_in(b"sysfs", b"sys", "sysfs", bits(flags), "", options);
    own_cgroup(plan, Tolerate::Missing);
}

/// What lies below /dev. `label`: the end of each mount's options. `terminal_group`: the group that terminals belong to, where it exists.
/// `shm_slot`: where the /dev/shm of another container is.
pub(crate) fn below_dev(
    plan: &mut Plan,
    terminal_group: bool,
    shared_memory: &SharedMemory,
    shm_slot: Option<u64>,
    label: &str,
) {
    let options = if terminal_group {
        "newinstance,ptmxmode=0666,mode=0620,gid=5"
    } else {
        "newinstance,ptmxmode=0666,mode=0620"
    };
    plan.mount(Tolerate::Nothing, "devpts", "dev/pts", "devpts", bits(NOSUID | NOEXEC), options);
    let flags = bits(NOSUID | NODEV | NOEXEC);
    let bind = bits(MountFlags::BIND);
    match shared_memory {
        SharedMemory::Own(size) => {
            let shm = format!("mode=1777,size={size}{label}");
            plan.mount(Tolerate::Nothing, "shm", "dev/shm", "tmpfs", flags, &shm);
        }
        SharedMemory::Host => {
            plan.mount(Tolerate::Missing, "/dev/shm", "dev/shm", "", bind, "");
        }
        SharedMemory::Of(_) => {
            if let Some(slot) = shm_slot {
                let step = plan.step(Operation::AttachIn, Tolerate::Nothing);
                step.number(slot).text(b"dev/shm").number(target::NO_LINKS);
            }
        }
        SharedMemory::Missing => (),
    }
    // A kernel without CONFIG_POSIX_MQUEUE has none. The file system shows the namespace's queues.
    let options = label.trim_start_matches(',');
    plan.mount(Tolerate::Anything, "mqueue", "dev/mqueue", "mqueue", flags, options);
}

/// /dev made by the child itself, where it may not make nodes (user namespaces) or where there are
/// no detached mounts: the host's nodes are shown instead.
pub(crate) fn dev_from_host(plan: &mut Plan, console: bool, label: &str) {
    let options = target::FOLDER | target::NO_LINKS;
    let data = [TMPFS, label].concat();
    plan.mount_in(b"tmpfs", b"dev", "tmpfs", bits(NOSUID), &data, options);
    for (name, _, _) in NODES {
        let path = format!("dev/{name}");
        plan.step(Operation::MakeFile, Tolerate::Nothing).text(path.as_bytes()).number(0o666);
        plan.mount(
            Tolerate::Missing,
            &format!("/dev/{name}"),
            &path,
            "",
            bits(MountFlags::BIND),
            "",
        );
    }
    for (name, link) in LINKS {
        plan.step(Operation::MakeLink, Tolerate::Nothing)
            .text(format!("dev/{name}").as_bytes())
            .text(link.as_bytes());
    }
    for name in FOLDERS {
        plan.step(Operation::MakeFolder, Tolerate::Nothing)
            .text(format!("dev/{name}").as_bytes())
            .number(0o755);
    }
    if console {
        plan.step(Operation::MakeFile, Tolerate::Nothing).text(b"dev/console").number(0o600);
    }
}

/// Hides and protects paths in the container's own procfs and sysfs. They were mounted by the
/// plan, so their paths cannot lead elsewhere.
pub(crate) fn protect(plan: &mut Plan) {
    let bind = bits(MountFlags::BIND);
    for path in READ_ONLY_PATHS {
        plan.mount(Tolerate::Missing, path, path, "", bind | bits(MountFlags::REC), "");
        let flags = bind | REMOUNT | bits(READ_ONLY | NOSUID | NODEV | NOEXEC);
        plan.mount(Tolerate::Missing, "none", path, "", flags, "");
    }
    for path in HIDDEN_FILES {
        plan.mount(Tolerate::Missing, "/dev/null", path, "", bind, "");
    }
    for path in HIDDEN_FOLDERS {
        plan.mount(Tolerate::Missing, "tmpfs", path, "tmpfs", bits(READ_ONLY), "nr_inodes=1");
    }
}
