//! Writes the plan's parts: what the child does at once, and what it does when the root is there.

use crate::capabilities::bit;
use crate::cgroup;
use crate::mounts::{self, bits};
use crate::places;
use crate::prepare::{ensure_folder, read};
use crate::root::label_option;
use crate::seccomp;
use crate::spec::{Namespace, Program, Spec, Stdio};
use crate::users::{self, User};
use base::sys::clone::namespace;
use base::sys::plan::{Operation, Plan, Tolerate, target};
use base::text::path::clean;
use base::text::quote::quoted;
use base::{Error, Result};
use rustix::mount::MountFlags;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where commands are looked for when the environment names no PATH.
pub(crate) const DEFAULT_PATH: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What does not depend on the root: done beside the parent's mounts.
pub(crate) fn early(spec: &Spec) -> (Plan, Vec<BorrowedFd<'_>>) {
    let mut plan = Plan::new();
    let mut files = Vec::new();
    let user_namespace = spec.user_namespace.is_some();
    if user_namespace {
        // The parent has written the id maps: from now on this child is root inside.
        plan.step(Operation::Gid, Tolerate::Nothing).number(0);
        plan.step(Operation::Uid, Tolerate::Nothing).number(0);
    }
    plan.step(Operation::Dumpable, Tolerate::Nothing).number(0);
    enter_profile(&mut plan, &spec.program);
    let private = rustix::mount::MountPropagationFlags::PRIVATE.bits();
    plan.step(Operation::Propagation, Tolerate::Nothing).number(u64::from(private));
    let chosen = &spec.namespaces;
    for (one, flag) in [
        (&chosen.ipc, namespace::IPC),
        (&chosen.uts, namespace::UTS),
        (&chosen.network, namespace::NET),
    ] {
        if let Namespace::Of(file) = one {
            plan.step(Operation::Join, Tolerate::Nothing).number(files.len() as u64).number(flag);
            files.push(file.as_fd());
        }
    }
    if matches!(chosen.network, Namespace::Own) {
        plan.step(Operation::Unshare, Tolerate::Nothing).number(namespace::NET);
        // A kernel without IPv4 has no lo to bring up.
        plan.step(Operation::LoopbackUp, Tolerate::Anything);
    }
    (plan, files)
}

/// The profile of the next exec. Written while the host's procfs is at hand: what the container has
/// there could be something else (CVE-2025-52881).
pub(crate) fn enter_profile(plan: &mut Plan, program: &Program) {
    if let Some(label) = &program.selinux {
        plan.step(Operation::WriteFile, Tolerate::Nothing)
            .text(b"/proc/thread-self/attr/exec")
            .text(label.as_bytes());
    }
    let Some(profile) = &program.apparmor else { return };
    // Linux 5.8; before it there is room for one security module alone.
    let own = "/proc/self/attr/apparmor/exec";
    let path = if Path::new(own).exists() { own } else { "/proc/self/attr/exec" };
    plan.step(Operation::WriteFile, Tolerate::Nothing)
        .text(path.as_bytes())
        .text(["exec ", profile].concat().as_bytes());
}

/// The container's root as the parent sees it.
pub(crate) struct Root<'a> {
    /// Its folder.
    pub(crate) folder: &'a OwnedFd,
    /// The slot of the detached mount; `None` when the child has mounted it.
    pub(crate) slot: Option<u64>,
    /// The slot of the detached /dev; `None` when the child shall make it.
    pub(crate) dev_slot: Option<u64>,
    /// The slot of another container's /dev/shm.
    pub(crate) shm_slot: Option<u64>,
    /// The slots of standard input, output and error.
    pub(crate) stdio_slots: [u64; 3],
    /// The version 1 cgroups that the child attaches itself to, and the slot of the first.
    pub(crate) tasks: &'a [(OwnedFd, PathBuf)],
    pub(crate) tasks_slot: u64,
    /// A version 2 cgroup to show.
    pub(crate) cgroup2: bool,
    /// The slots of the binds that come as detached trees.
    pub(crate) trees: &'a [Option<u64>],
}

/// Everything from the entry into the root to the program.
pub(crate) fn late(spec: &Spec, stdio: &Stdio, root: &Root<'_>) -> Result<Plan> {
    let folder = root.folder.as_fd();
    let user = user_of(&spec.program, folder)?;
    let mut plan = Plan::new();
    let mount_point = match spec.mapped_ids() {
        // It may not enter the run folder. Any folder will do: this mount namespace is its own.
        Some(_) => &b"/sys"[..],
        None => spec.mount_point.as_os_str().as_bytes(),
    };
    match root.slot {
        Some(slot) => {
            plan.step(Operation::EnterDetached, Tolerate::Nothing).number(slot).text(mount_point)
        }
        None => plan.step(Operation::EnterFolder, Tolerate::Nothing).text(mount_point),
    };
    for name in ["proc", "dev", "sys"] {
        ensure_folder(folder, name)?;
    }
    cgroup::attach_itself(&mut plan, root.tasks, root.tasks_slot);
    // From within its cgroups: they are the root of what it sees.
    if !spec.namespaces.host_cgroups {
        plan.step(Operation::Unshare, Tolerate::Anything).number(namespace::CGROUP);
    }
    mounts::proc(&mut plan);
    // In the procfs that was just mounted, before anything of the container's can lie over it
    // (CVE-2025-52881).
    for (path, value) in &spec.sysctls {
        plan.step(Operation::WriteFile, Tolerate::Nothing)
            .text(["proc/sys/", path].concat().as_bytes())
            .text(value.as_bytes());
    }
    let terminal = matches!(stdio, Stdio::Terminal(..));
    let label = label_option(spec.mount_label.as_deref());
    match root.dev_slot {
        Some(slot) => {
            plan.step(Operation::AttachIn, Tolerate::Nothing)
                .number(slot)
                .text(b"dev")
                .number(target::NO_LINKS);
        }
        None => mounts::dev_from_host(&mut plan, terminal, &label),
    }
    // Terminals' group is 5, if there is one.
    let group = spec.user_namespace.is_none_or(|ids| ids.count > 5);
    mounts::below_dev(&mut plan, group, &spec.shared_memory, root.shm_slot, &label);
    let foreign_sysfs = spec.user_namespace.is_some() && spec.namespaces.network.is_host();
    mounts::sys(&mut plan, foreign_sysfs, root.cgroup2, spec.privileged);
    places::mounts(&mut plan, spec, folder, root.trees)?;
    if let Stdio::Terminal(columns, rows) = stdio {
        plan.step(Operation::OpenTerminal, Tolerate::Nothing);
        if *columns > 0 && *rows > 0 {
            plan.step(Operation::TerminalSize, Tolerate::Nothing)
                .number(u64::from(*columns))
                .number(u64::from(*rows));
        }
        plan.step(Operation::BindTerminal, Tolerate::Nothing).text(b"dev/console");
    }
    if !spec.privileged && !spec.system_paths {
        mounts::protect(&mut plan);
    }
    plan.step(Operation::PivotRoot, Tolerate::Nothing);
    if spec.read_only_root {
        let flags = mounts::REMOUNT | bits(MountFlags::BIND | MountFlags::RDONLY);
        plan.step(Operation::RemountRoot, Tolerate::Nothing).number(flags);
    }
    if matches!(spec.namespaces.uts, Namespace::Own) {
        plan.step(Operation::Hostname, Tolerate::Nothing).text(spec.hostname.as_bytes());
        // By the call: the file of the same name is the host's root's, whoever's the namespace is.
        if !spec.domainname.is_empty() {
            plan.step(Operation::Domainname, Tolerate::Nothing).text(spec.domainname.as_bytes());
        }
    }
    let work = clean(&spec.program.folder);
    if !work.is_empty() {
        ensure_folder(folder, &work)?;
    }
    let streams = if terminal { Streams::Terminal } else { Streams::Slots(root.stdio_slots) };
    if spec.init {
        plan.step(Operation::Init, Tolerate::Nothing);
    }
    become_program(&mut plan, &spec.program, &user, &streams, spec.dies_with_parent)?;
    Ok(plan)
}

/// The user that a program runs as, by the files inside.
pub(crate) fn user_of(program: &Program, root: BorrowedFd<'_>) -> Result<User> {
    let (passwd, group) = (read(root, "etc/passwd")?, read(root, "etc/group")?);
    let mut user = users::resolve(&program.user, &passwd, &group)?;
    for name in &program.groups {
        let number = users::group(name, &group)?;
        if !user.groups.contains(&number) {
            user.groups.push(number);
        }
    }
    match program.ids {
        Some(1) if user.uid != 0 || user.gid != 0 => Err(Error::unsupported(format!(
            "user {}: an ordinary user's container has one id, root",
            quoted(&program.user)
        ))),
        Some(count) if count > 1 => {
            let ids = [user.uid, user.gid].into_iter().chain(user.groups.iter().copied());
            match ids.max().filter(|id| *id >= count) {
                Some(id) => Err(Error::bad_input(format!(
                    "user {}: the container's user namespace has {count} ids, and {id} is none \
                     of them",
                    quoted(&program.user)
                ))),
                None => Ok(user),
            }
        }
        _ => Ok(user),
    }
}

/// What becomes a program's standard streams.
pub(crate) enum Streams {
    /// The terminal that the plan has opened.
    Terminal,
    /// These slots.
    Slots([u64; 3]),
}

/// From a process inside the container to the program: streams, folder, user, and execve(2).
pub(crate) fn become_program(
    plan: &mut Plan,
    program: &Program,
    user: &User,
    streams: &Streams,
    dies_with_parent: bool,
) -> Result<()> {
    plan.step(Operation::NewSession, Tolerate::Nothing);
    plan.step(Operation::ResetInherited, Tolerate::Nothing);
    // In a user namespace the parent has done it: the file is the host's root's.
    if let Some(score) = program.oom_score.filter(|_| program.ids.is_none()) {
        plan.step(Operation::WriteFile, Tolerate::Nothing)
            .text(b"/proc/self/oom_score_adj")
            .text(score.to_string().as_bytes());
    }
    for limit in &program.limits {
        plan.step(Operation::ResourceLimit, Tolerate::Nothing)
            .number(u64::from(limit.resource))
            .number(limit.soft)
            .number(limit.hard);
    }
    match streams {
        Streams::Terminal => {
            plan.step(Operation::TakeTerminal, Tolerate::Nothing).number(u64::from(user.uid));
        }
        Streams::Slots(slots) => {
            for (number, slot) in slots.iter().enumerate() {
                let step = plan.step(Operation::Descriptor, Tolerate::Nothing);
                step.number(*slot).number(number as u64);
            }
        }
    }
    let folder = format!("/{}", clean(&program.folder));
    plan.step(Operation::ChangeFolder, Tolerate::Nothing).text(folder.as_bytes());
    plan.step(Operation::CheckFolder, Tolerate::Nothing);
    let filter = seccomp::filter(&program.seccomp, program.capabilities)?;
    let given = become_user(plan, program, user, filter.is_some());
    if program.no_new_privileges {
        plan.step(Operation::NoNewPrivileges, Tolerate::Nothing);
    }
    if let Some(filter) = filter {
        plan.step(Operation::Filter, Tolerate::Nothing)
            .number(filter.flags)
            .number(given)
            .blob(&base::sys::seccomp::bytes(&filter.instructions));
    }
    let signal = if dies_with_parent { rustix::process::Signal::KILL.as_raw() } else { 0 };
    plan.step(Operation::ParentDeathSignal, Tolerate::Nothing).number(signal as u64);
    execute(plan, program, user)
}

/// Gives the capabilities that the program has at its beginning.
fn become_user(plan: &mut Plan, program: &Program, user: &User, filter: bool) -> u64 {
    // Without no_new_privs only CAP_SYS_ADMIN may load a filter: it stays until then.
    let administrator = filter && !program.no_new_privileges;
    let wanted = program.capabilities.0;
    plan.step(Operation::BoundingSet, Tolerate::Nothing).number(wanted);
    if program.ids != Some(1) {
        let groups = plan.step(Operation::Groups, Tolerate::Nothing);
        groups.number(user.groups.len() as u64);
        for group in &user.groups {
            groups.number(u64::from(*group));
        }
        plan.step(Operation::Gid, Tolerate::Nothing).number(u64::from(user.gid));
        if administrator {
            plan.step(Operation::KeepCapabilities, Tolerate::Nothing);
        }
        plan.step(Operation::Uid, Tolerate::Nothing).number(u64::from(user.uid));
    }
    // Never more than we have ourselves (a root without CAP_SYS_RESOURCE); nothing inheritable
    // (CVE-2022-29162); in a user namespace of its own it has all, over what is in it.
    let own = if program.ids.is_some() { u64::MAX } else { own_capabilities() };
    let given = if user.uid == 0 { wanted & own } else { 0 };
    let for_now = if administrator { given | bit("SYS_ADMIN") } else { given };
    plan.step(Operation::Capabilities, Tolerate::Nothing).number(for_now).number(for_now).number(0);
    given
}

pub(crate) fn own_capabilities() -> u64 {
    rustix::thread::capabilities(None).map_or(u64::MAX, |sets| sets.permitted.bits())
}

fn execute(plan: &mut Plan, program: &Program, user: &User) -> Result<()> {
    let Some(command) = program.arguments.first() else {
        return Err(Error::bad_input("no command specified"));
    };
    for text in program.arguments.iter().chain(&program.environment) {
        if text.contains('\0') {
            return Err(Error::bad_input(
                [&quoted(text), ": a NUL in the command or environment"].concat(),
            ));
        }
    }
    let mut environment = program.environment.clone();
    if !environment.iter().any(|variable| variable.starts_with("HOME=")) {
        environment.push(format!("HOME={}", user.home));
    }
    let path = environment.iter().find_map(|variable| variable.strip_prefix("PATH="));
    let paths: Vec<String> = if command.contains('/') {
        vec![command.clone()]
    } else {
        let folders = path.unwrap_or(DEFAULT_PATH).split(':');
        folders
            .map(|folder| format!("{}/{command}", if folder.is_empty() { "." } else { folder }))
            .collect()
    };
    plan.step(Operation::Execute, Tolerate::Nothing)
        .texts(paths.iter().map(String::as_bytes))
        .texts(program.arguments.iter().map(String::as_bytes))
        .texts(environment.iter().map(String::as_bytes));
    Ok(())
}
