//! Cgroups: one for each container, below `coracle/`, in every hierarchy that it needs.
//!
//! On version 2, and in the `unified` tree of a hybrid host, the child is born into its cgroup:
//! that is free, where a first attach costs 6 to 12 ms. The parent `coracle/` carries the default
//! device filter, so that a container without rules of its own needs no filter. Version 1
//! hierarchies are joined only as far as the container needs them. Removal never stops at the
//! first failure.

mod filter;
mod freezer;
mod layout;
mod limits;
mod statistics;
mod update;
mod version1;
mod version2;

pub use freezer::{freeze, is_frozen};
pub use layout::{Layout, supports};
use limits::Setting;
pub use limits::{Amount, DeviceNumber, Join, Limits, Throttle};
pub use statistics::{Statistics, statistics};
pub use update::update;

use crate::devices::{DEFAULT_RULES, Rule};
use base::sys::clone::Child;
use base::sys::plan::{Operation, Plan, Tolerate};
use base::{Error, Kind, OnError, Result};
use rustix::fs::{Mode, OFlags};
use rustix::process::Pid;
use std::fmt::Write as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The parent of all our cgroups.
pub const PARENT: &str = "coracle";
const MOUNT: &str = "/sys/fs/cgroup";

/// The name of a container's cgroup: its id, which lies below [`PARENT`], or, with a parent of its own,
/// the path from the top.
pub fn name(id: &str, parent: &str) -> String {
    match parent {
        "" => id.to_string(),
        parent => format!("/{}/{id}", base::text::path::clean(parent)),
    }
}

/// Where the cgroup of this name is in a tree.
fn place(tree: &Path, name: &str) -> PathBuf {
    match name.strip_prefix('/') {
        Some(path) => tree.join(path.trim_start_matches('/')),
        None => tree.join(PARENT).join(name),
    }
}

/// A container's cgroups.
pub struct Cgroup {
    layout: Layout,
    id: String,
    /// The version 2 cgroup's folder.
    unified: Option<OwnedFd>,
    /// Version 1 hierarchies to join.
    hierarchies: Vec<&'static str>,
}

impl Cgroup {
    /// Makes the cgroups and sets the limits. What was made is removed again on failure.
    /// `rules`: what devices may be used, in place of the default ones.
    pub fn create(id: &str, limits: &Limits, rules: Option<&[Rule]>) -> Result<Cgroup> {
        let layout = Layout::find();
        let mut cgroup =
            Cgroup { layout, id: id.to_string(), unified: None, hierarchies: Vec::new() };
        let result = match layout {
            Layout::Version2 => cgroup.create_unified(Some(limits)),
            Layout::Hybrid => match cgroup.create_unified(None) {
                // Linux before 4.15: device rules by the version 1 controller instead.
                Err(error) if error.kind() == Kind::Unsupported && version1::exists("devices") => {
                    cgroup.create_version1(limits, &["devices"])
                }
                result => result.and_then(|()| cgroup.create_version1(limits, &[])),
            },
            Layout::Version1 => cgroup.create_version1(limits, &["devices", "freezer", "pids"]),
            Layout::None => Err(Error::unsupported(
                "no cgroups: mount cgroup2 on /sys/fs/cgroup (kernel option CONFIG_CGROUPS)",
            )),
        };
        match result.and_then(|()| cgroup.own_devices(rules)) {
            Ok(()) => Ok(cgroup),
            Err(error) => {
                // The first error is the one to tell.
                let _ = remove(id);
                Err(error)
            }
        }
    }

    /// The cgroups of a container that runs.
    pub fn existing(id: &str) -> Result<Cgroup> {
        let layout = Layout::find();
        let folder = |tree| place(Path::new(tree), id);
        let unified = layout.unified().map(folder).filter(|folder| folder.exists());
        let mut hierarchies = Vec::new();
        if matches!(layout, Layout::Hybrid | Layout::Version1) {
            let joined = |name: &&&str| version1::folder(name, id).exists();
            hierarchies.extend(version1::ALL.iter().filter(joined));
        }
        let unified = unified.map(|folder| open_folder(&folder.to_string_lossy())).transpose()?;
        Ok(Cgroup { layout, id: id.to_string(), unified, hierarchies })
    }

    fn own_devices(&self, rules: Option<&[Rule]>) -> Result<()> {
        if self.hierarchies.contains(&"devices") {
            let folder = version1::folder("devices", &self.id);
            return version1::allow(&folder, rules.unwrap_or(&DEFAULT_RULES));
        }
        match (rules, &self.unified) {
            (Some(rules), Some(folder)) => filter::attach_own(folder.as_fd(), rules),
            (Some(_), None) => Err(Error::unsupported(
                "devices of a container's own need the version 1 controller (kernel option \
                 CONFIG_CGROUP_DEVICE) or the version 2 tree",
            )),
            (None, _) => Ok(()),
        }
    }

    fn create_unified(&mut self, limits: Option<&Limits>) -> Result<()> {
        let tree = self.layout.unified().unwrap_or(MOUNT);
        let path = place(Path::new(tree), &self.id);
        let folder = path.to_string_lossy();
        let shared = !self.id.starts_with('/');
        if base::paths::access(&path, rustix::fs::Access::EXISTS).is_ok() {
            // A start that was killed has left it, perhaps with a process.
            let _ = kill(&self.id);
            remove(&self.id)?;
        }
        let made = match make_folder(&folder) {
            // The first container since the boot.
            Err(error) if error.kind() == Kind::NotFound => {
                version2::make_parents(tree, &path, limits.is_some())?;
                make_folder(&folder)
            }
            result => result,
        };
        made?;
        self.unified = Some(open_folder(&folder)?);
        if let Some(limits) = limits {
            version2::set(&path, limits)?;
        }
        match (shared, &self.unified) {
            (false, Some(folder)) => filter::attach_own(folder.as_fd(), &DEFAULT_RULES),
            _ => filter::ensure(&format!("{tree}/{PARENT}")),
        }
    }

    fn create_version1(&mut self, limits: &Limits, besides: &[&str]) -> Result<()> {
        self.hierarchies = version1::hierarchies(limits, besides);
        for hierarchy in &self.hierarchies {
            version1::create(hierarchy, &self.id, limits)?;
        }
        Ok(())
    }

    /// The cgroup that the child is to be born into.
    pub fn born_into(&self) -> Option<BorrowedFd<'_>> {
        self.unified.as_ref().map(AsFd::as_fd)
    }

    /// Attaches a child to the version 2 cgroup when the kernel could not let it be born there.
    pub fn attach(&self, child: &Child) -> Result<()> {
        let unborn = self.unified.is_some() && !child.born_in_cgroup;
        match self.layout.unified().filter(|_| unborn) {
            Some(tree) => {
                let pid = child.pid.as_raw_nonzero().to_string();
                write(&place(Path::new(tree), &self.id).join("cgroup.procs"), &pid)
            }
            None => Ok(()),
        }
    }

    /// The `tasks` files of the version 1 hierarchies. A thread that writes 0 there attaches itself,
    /// for which the kernel need not wait; for a process attached by another it waits until no
    /// thread can fork or exit, 6 to 25 ms.
    pub fn tasks(&self) -> Result<Vec<(OwnedFd, PathBuf)>> {
        let open = |hierarchy: &&'static str| {
            let path = version1::folder(hierarchy, &self.id).join("tasks");
            let flags = OFlags::WRONLY | OFlags::CLOEXEC;
            let file = base::paths::open(&path, flags, Mode::empty()).on_path("open", &path)?;
            Ok((file, path))
        };
        self.hierarchies.iter().map(open).collect()
    }
}

/// Steps that attach the process itself; the first file is at this slot.
pub(crate) fn attach_itself(plan: &mut Plan, tasks: &[(OwnedFd, PathBuf)], first_slot: u64) {
    use std::os::unix::ffi::OsStrExt;
    for (number, (_, path)) in tasks.iter().enumerate() {
        plan.step(Operation::WriteSlot, Tolerate::Nothing)
            .number(first_slot + number as u64)
            .text(b"0")
            .text(path.as_os_str().as_bytes());
    }
}

/// The folders of a container's cgroups that exist.
fn folders(id: &str) -> Vec<PathBuf> {
    let layout = Layout::find();
    let mut folders = Vec::new();
    folders.extend(layout.unified().map(|tree| place(Path::new(tree), id)));
    if matches!(layout, Layout::Hybrid | Layout::Version1) {
        folders.extend(version1::ALL.iter().map(|name| version1::folder(name, id)));
    }
    folders.retain(|folder| folder.exists());
    folders
}

/// Kills every process in a container's cgroups: `cgroup.kill` (Linux 5.14), else one by one
/// until none is left.
pub fn kill(id: &str) -> Result<()> {
    for folder in folders(id) {
        if write(&folder.join("cgroup.kill"), "1").is_ok() {
            continue;
        }
        // A fork may escape one round; the rounds end when a list is empty.
        for _ in 0..100 {
            let pids = processes(&folder);
            if pids.is_empty() {
                break;
            }
            for pid in pids {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            sleep_briefly();
        }
    }
    Ok(())
}

/// The processes of a container, by its cgroup.
pub fn processes_of(id: &str) -> Vec<Pid> {
    let mut pids: Vec<Pid> = folders(id).iter().flat_map(|folder| processes(folder)).collect();
    pids.sort_unstable_by_key(|pid| pid.as_raw_nonzero());
    pids.dedup();
    pids
}

fn processes(folder: &Path) -> Vec<Pid> {
    let text = std::fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)).collect()
}

/// Removes a container's cgroups. Processes that were just killed may still be on their way out:
/// then it waits, two seconds at most.
pub fn remove(id: &str) -> Result<()> {
    let mut first_error = Ok(());
    for folder in folders(id) {
        let mut result = Err(rustix::io::Errno::BUSY);
        for _ in 0..1000 {
            result = base::paths::rmdir(&folder);
            if result != Err(rustix::io::Errno::BUSY) {
                break;
            }
            remove_below(&folder);
            sleep_briefly();
        }
        if !matches!(result, Ok(()) | Err(rustix::io::Errno::NOENT)) && first_error.is_ok() {
            first_error = result.on_path("rmdir", &folder);
        }
    }
    first_error
}

/// The groups that a privileged container has made in its own.
fn remove_below(folder: &Path) {
    let mut found = vec![folder.to_path_buf()];
    let mut next = 0;
    while let Some(folder) = found.get(next) {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let below: Vec<_> = entries
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| entry.path())
            .collect();
        found.extend(below);
        next += 1;
    }
    // The lowest first; what is in use is tried again.
    for folder in found.iter().skip(1).rev() {
        let _ = base::paths::rmdir(folder);
    }
}

fn sleep_briefly() {
    std::thread::sleep(std::time::Duration::from_millis(2));
}

/// Has the kernel killed a process here for want of memory? Read it before [`remove`].
pub fn was_out_of_memory(id: &str) -> bool {
    let count = |text: String, key: &str| {
        text.lines().any(|line| {
            line.strip_prefix(key).is_some_and(|count| count.trim().parse::<u64>().unwrap_or(0) > 0)
        })
    };
    folders(id).iter().any(|folder| {
        std::fs::read_to_string(folder.join("memory.events"))
            .is_ok_and(|text| count(text, "oom_kill "))
            || std::fs::read_to_string(folder.join("memory.oom_control"))
                .is_ok_and(|text| count(text, "oom_kill "))
    })
}

fn make_folder(path: &str) -> Result<()> {
    match base::paths::mkdir(Path::new(path), Mode::from_raw_mode(0o755)) {
        Err(rustix::io::Errno::EXIST) => Ok(()),
        result => result.on("mkdir", path),
    }
}

fn open_folder(path: &str) -> Result<OwnedFd> {
    base::paths::open(
        Path::new(path),
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .on("open", path)
}

/// Writes a value to a file of the cgroup file system: one write, no creation.
fn write(path: &Path, value: &str) -> Result<()> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = base::paths::open(path, flags, Mode::empty()).on_path("open", path)?;
    match rustix::io::write(&file, value.as_bytes()) {
        Ok(_) => Ok(()),
        Err(errno) => {
            let mut action = String::from("write ");
            let _ = write!(action, "{value} to");
            Err(errno).on_path(&action, path)
        }
    }
}

/// Writes one limit.
fn apply(folder: &Path, setting: &Setting) -> Result<()> {
    let path = folder.join(setting.file);
    match write(&path, &setting.value) {
        Err(error) if error.kind() == Kind::NotFound && setting.may_lack => Ok(()),
        Err(error) if error.kind() == Kind::NotFound => Err(Error::unsupported(format!(
            "no {} in the {} cgroup (kernel option {})",
            setting.file,
            setting.controller,
            kernel_option(setting.controller)
        ))),
        result => result,
    }
}

/// What a kernel without a controller lacks.
fn kernel_option(controller: &str) -> &'static str {
    match controller {
        "memory" => "CONFIG_MEMCG, cgroup_enable=memory",
        "pids" => "CONFIG_CGROUP_PIDS",
        "cpu" => "CONFIG_CGROUP_SCHED, CONFIG_CFS_BANDWIDTH",
        "cpuset" => "CONFIG_CPUSETS",
        "io" | "blkio" => "CONFIG_BLK_CGROUP",
        _ => "CONFIG_CGROUPS",
    }
}
