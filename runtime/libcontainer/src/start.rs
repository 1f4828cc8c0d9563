//! Starts a container: parent and child side by side.
//!
//! ```text
//! parent                                         child
//! cgroups made, clone into them              ->  dies with the parent, closes descriptors
//! first part sent                            ->  private mounts, network namespace, lo
//! root and /dev as detached mounts
//! version 1 cgroups joined
//! users, folders, mount points resolved
//! second part sent, with the mounts          ->  mounts, masks, pivot_root, user, capabilities
//!                                            <-  program runs, or which step failed
//! ```
//!
//! Whatever fails, what was done is undone, the last first.

use crate::cgroup::{self, Cgroup};
use crate::kept_root::KeptRoot;
use crate::mapped::Mapping;
use crate::plan::{self, Root};
use crate::spec::{Namespace, RootSource, SharedMemory, Spec, Stdio, UserNamespace};
use crate::{aside, copy_up, devices, places, relabel, root, subordinate};
use base::sys::clone::{Answer, Child, Clone, namespace};
use base::sys::pass::MOST_DESCRIPTORS;
use base::sys::plan::{Operation, Plan};
use base::sys::process::Process;
use base::text::quote::quoted;
use base::{Error, OnError, Result};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// A container's running first process.
pub struct Started {
    /// Its process id on the host.
    pub pid: Pid,
    /// The same, safe from reuse.
    pub process: Process,
    /// The terminal's master, when one was asked for.
    pub terminal: Option<OwnedFd>,
    /// For the next start, when it was asked for and can be.
    pub root: Option<KeptRoot>,
}

/// Starts it. The calling thread becomes the parent, unless [`Spec::parent_waits`].
pub fn start(spec: &Spec, stdio: &Stdio) -> Result<Started> {
    if !devices::host_null_is_null() {
        return Err(Error::other("/dev/null on this host is not the null device (1:3)"));
    }
    let cgroup = match &spec.limits {
        Some(limits) => Some(Cgroup::create(&spec.id, limits, spec.device_rules.as_deref())?),
        None => None,
    };
    let result = clone_and_act(spec, stdio, cgroup.as_ref());
    if result.is_err() && cgroup.is_some() {
        // The first error is the one to tell.
        let _ = cgroup::kill(&spec.id);
        let _ = cgroup::remove(&spec.id);
    }
    result
}

fn clone_and_act(spec: &Spec, stdio: &Stdio, cgroup: Option<&Cgroup>) -> Result<Started> {
    let chosen = &spec.namespaces;
    let mut namespaces = namespace::MOUNT;
    for (one, flag) in [
        (&chosen.pid, namespace::PID),
        (&chosen.ipc, namespace::IPC),
        (&chosen.uts, namespace::UTS),
    ] {
        if matches!(one, Namespace::Own) {
            namespaces |= flag;
        }
    }
    if spec.user_namespace.is_some() {
        namespaces |= namespace::USER;
    }
    let child = Child::start(&Clone {
        namespaces,
        cgroup: cgroup.and_then(Cgroup::born_into),
        pid_namespace: match &chosen.pid {
            Namespace::Of(file) => Some(file.as_fd()),
            _ => None,
        },
        parent_waits: spec.parent_waits,
    })
    .map_err(|errno| {
        // That of the network comes later, but is worth the same line.
        let own_network = matches!(chosen.network, Namespace::Own);
        cannot_clone(errno, namespaces | if own_network { namespace::NET } else { 0 })
    })?;
    let result = act(spec, stdio, cgroup, &child);
    if result.is_err() {
        let _ = child.process.signal(Signal::KILL);
        if !spec.parent_waits {
            let _ = rustix::process::waitpid(Some(child.pid), WaitOptions::empty());
        }
    }
    let (terminal, root) = result?;
    Ok(Started { pid: child.pid, process: child.process, terminal, root })
}

fn cannot_clone(errno: Errno, namespaces: u64) -> Error {
    let user_namespace = namespaces & namespace::USER != 0;
    match errno {
        Errno::INVAL => {
            lacking(namespaces).unwrap_or_else(|| Error::os("clone", &"container", errno))
        }
        // ENOSPC: the limit of namespaces is reached, or 0.
        // EPERM also where there are none at all: the other namespaces are asked for without rights.
        Errno::PERM | Errno::NOSPC | Errno::USERS if user_namespace => lacking(namespace::USER)
            .unwrap_or_else(|| {
                Error::unsupported(format!(
                    "{}: user namespaces are not allowed here (kernel.unprivileged_userns_clone, \
                     user.max_user_namespaces)",
                    Error::os("clone", &"container", errno).message()
                ))
            }),
        errno => Error::os("clone", &"container", errno),
    }
}

/// The kernel's options for those of these namespaces that it does not have.
fn lacking(namespaces: u64) -> Option<Error> {
    let options: Vec<&str> = [
        (namespace::UTS, "uts", "CONFIG_UTS_NS"),
        (namespace::IPC, "ipc", "CONFIG_IPC_NS"),
        (namespace::PID, "pid", "CONFIG_PID_NS"),
        (namespace::NET, "net", "CONFIG_NET_NS"),
        (namespace::USER, "user", "CONFIG_USER_NS"),
    ]
    .into_iter()
    .filter(|(flag, name, _)| {
        namespaces & flag != 0 && !Path::new("/proc/self/ns").join(name).exists()
    })
    .map(|(_, _, option)| option)
    .collect();
    let options = options.join(", ");
    (!options.is_empty()).then(|| Error::unsupported(format!("clone: the kernel lacks {options}")))
}

/// Gives the terminal's master, if there is one, and the root, if it is to be kept.
fn act(
    spec: &Spec,
    stdio: &Stdio,
    cgroup: Option<&Cgroup>,
    child: &Child,
) -> Result<(Option<OwnedFd>, Option<KeptRoot>)> {
    if let Some(ids) = &spec.user_namespace {
        write_id_maps(child.pid, ids)?;
        if let Some(score) = spec.program.oom_score {
            set_oom_score(child.pid, score)?;
        }
    }
    let mapping = Mapping::of(spec, child.pid)?;
    let ordinary = spec.is_ordinary();
    let (mut early, joined) = plan::early(spec);
    // In an ordinary user's namespace the root must be mounted from inside.
    let detached = match &mapping {
        _ if ordinary => None,
        // The part that does not need the root is on its way before the root is made.
        mapping => {
            send(child, &early, &joined)?;
            match (spec.kept_root.as_ref().map(KeptRoot::again).transpose()?.flatten(), mapping) {
                (Some(clone), _) => Some(clone),
                (None, None) => root::detached(&spec.root, &spec.mount_point)?,
                (None, Some(mapping)) => Some(mapping.root(&spec.root, &spec.mount_point)?),
            }
        }
    };
    let mut received = Vec::new();
    let folder = match &detached {
        Some(mount) => root::open(mount)?,
        None => {
            if !ordinary {
                answered(child, &early, spec, &mut received)?;
                early = Plan::new();
            }
            root::mounted_by_child(&mut early, &spec.root, &spec.mount_point)?;
            let files: &[BorrowedFd<'_>] = if ordinary { &joined } else { &[] };
            send(child, &early, files)?;
            answered(child, &early, spec, &mut received)?;
            received.pop().ok_or_else(|| Error::other("start container: no root was mounted"))?
        }
    };
    // While the child waits: a program that is short may be gone before it can be asked.
    let kept = match &detached {
        Some(mount) if spec.keep_root => Some(KeptRoot::of(child.pid, mount)?),
        _ => None,
    };
    let console = matches!(stdio, Stdio::Terminal(..));
    // Without a detached root: an old kernel.
    let dev = match &detached {
        Some(_) => Some(devices::detached(
            console,
            &spec.devices,
            spec.mapped_ids(),
            spec.mount_label.as_deref(),
        )?),
        None => None,
    };
    let mut tasks = Vec::new();
    if let Some(cgroup) = cgroup {
        cgroup.attach(child)?;
        tasks = cgroup.tasks()?;
    }
    // Slots count over both parts.
    let first_slot = joined.len() as u64;
    let mut descriptors: Vec<BorrowedFd<'_>> = Vec::new();
    let mut slot = |descriptor| {
        descriptors.push(descriptor);
        first_slot + descriptors.len() as u64 - 1
    };
    let root_slot = detached.as_ref().map(|mount| slot(mount.as_fd()));
    let dev_slot = dev.as_ref().map(|mount| slot(mount.as_fd()));
    let shm = match &spec.shared_memory {
        SharedMemory::Of(mounts) => Some(aside::shared_memory(mounts)?),
        _ => None,
    };
    let shm_slot = shm.as_ref().map(|mount| slot(mount.as_fd()));
    let stdio_slots = match stdio {
        Stdio::Descriptors(streams) => streams.each_ref().map(|stream| slot(stream.as_fd())),
        Stdio::Terminal(..) => [0; 3],
    };
    // A volume that is filled is another folder afterwards.
    copy_up::fill(spec, folder.as_fd(), mapping.as_ref())?;
    relabel::binds(spec)?;
    let trees = places::trees(spec, mapping.as_ref())?;
    let tree_slots: Vec<Option<u64>> =
        trees.iter().map(|tree| tree.as_ref().map(|tree| slot(tree.as_fd()))).collect();
    let tasks_slot = first_slot + descriptors.len() as u64;
    descriptors.extend(tasks.iter().map(|(file, _)| file.as_fd()));
    let root = Root {
        folder: &folder,
        slot: root_slot,
        dev_slot,
        shm_slot,
        stdio_slots,
        tasks: &tasks,
        tasks_slot,
        cgroup2: cgroup.is_none_or(|cgroup| cgroup.born_into().is_some()),
        trees: &tree_slots,
    };
    if descriptors.len() > MOST_DESCRIPTORS {
        return Err(Error::bad_input(format!(
            "too many mounts that need a tree of their own: {}",
            trees.iter().flatten().count()
        )));
    }
    // What is made for it in its root is its own.
    let owner = mapping.as_ref().map(Mapping::own_files).transpose()?;
    let late = plan::late(spec, stdio, &root)?;
    drop(owner);
    if detached.is_some() {
        answered(child, &early, spec, &mut received)?;
    }
    send(child, &late, &descriptors)?;
    match child.answer(&mut received).on("talk to", "container")? {
        Answer::Running => Ok((received.pop(), kept)),
        Answer::Failed { offset, errno } => Err(failed(&late, offset, errno, spec)),
        Answer::Waiting | Answer::Forked(_) | Answer::Died => Err(died()),
    }
}

fn send(child: &Child, plan: &Plan, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
    match child.send(plan, descriptors) {
        Err(Errno::PIPE | Errno::CONNRESET) => Err(died()),
        result => result.on("talk to", "container"),
    }
}

/// The child has walked a part, or why not.
fn answered(child: &Child, plan: &Plan, spec: &Spec, received: &mut Vec<OwnedFd>) -> Result<()> {
    match child.answer(received).on("talk to", "container")? {
        Answer::Waiting => Ok(()),
        Answer::Failed { offset, errno } => Err(failed(plan, offset, errno, spec)),
        Answer::Running | Answer::Forked(_) | Answer::Died => Err(died()),
    }
}

fn died() -> Error {
    Error::other("start container: its process was killed before the command ran (memory limit?)")
}

fn failed(plan: &Plan, offset: usize, errno: Errno, spec: &Spec) -> Error {
    let (_, object) = plan.describe(offset);
    let executes = plan.bytes().get(offset) == Some(&(Operation::Execute as u8));
    if matches!(spec.root, RootSource::Overlay { .. })
        && !executes
        && object.contains(&*spec.mount_point.to_string_lossy())
        && let Some(error) = root::explain(errno)
    {
        return error;
    }
    if object.starts_with("/proc/thread-self/attr/")
        && let Some(label) = &spec.program.selinux
    {
        return Error::bad_input(format!(
            "--security-opt label: SELinux does not take the context {label}"
        ));
    }
    if errno == Errno::NOENT
        && object.starts_with("/proc/self/attr/")
        && let Some(profile) = &spec.program.apparmor
    {
        return Error::bad_input(format!(
            "--security-opt apparmor={profile}: no such profile is loaded"
        ));
    }
    step_failed(plan, offset, errno)
}

/// A step's failure in the words that users of docker know.
pub(crate) fn step_failed(plan: &Plan, offset: usize, errno: Errno) -> Error {
    let (action, object) = plan.describe(offset);
    if plan.bytes().get(offset) == Some(&(Operation::Execute as u8)) {
        let reason = match errno {
            Errno::NOENT if !object.contains('/') => "executable file not found in $PATH",
            Errno::NOENT => "no such file or directory",
            Errno::ACCESS => "permission denied",
            Errno::NOEXEC => "exec format error",
            errno => {
                return Error::bad_input(
                    ["exec: ", &quoted(&object), ": ", &reason(errno)].concat(),
                );
            }
        };
        return Error::bad_input(["exec: ", &quoted(&object), ": ", reason].concat());
    }
    if plan.bytes().get(offset) == Some(&(Operation::Unshare as u8))
        && errno == Errno::INVAL
        && let Some(error) = lacking(namespace::NET)
    {
        return error;
    }
    if plan.bytes().get(offset) == Some(&(Operation::Filter as u8))
        && matches!(errno, Errno::INVAL | Errno::NOSYS)
    {
        return Error::unsupported("load seccomp filter: the kernel lacks CONFIG_SECCOMP_FILTER");
    }
    if action == "check" {
        return Error::bad_input(object);
    }
    Error::os(action, &object, errno)
}

fn reason(errno: Errno) -> String {
    Error::os("", &"", errno).message().trim_start_matches([' ', ':']).to_ascii_lowercase()
}

fn write_id_maps(pid: Pid, ids: &UserNamespace) -> Result<()> {
    let folder = format!("/proc/{}", pid.as_raw_nonzero());
    let write = |name: &str, text: &str| {
        let path = format!("{folder}/{name}");
        std::fs::write(&path, text).on("write", path)
    };
    if let Some(rest) = ids.rest {
        return subordinate::write_maps(&pid.as_raw_nonzero(), ids, rest);
    }
    if ids.is_ordinary() {
        // Else an ordinary user could leave a group that keeps him from something.
        write("setgroups", "deny")?;
    }
    write("uid_map", &format!("0 {} {}", ids.uid, ids.count))?;
    write("gid_map", &format!("0 {} {}", ids.gid, ids.count))
}

/// For a process in another user namespace, which may not do it itself.
pub(crate) fn set_oom_score(pid: Pid, score: i32) -> Result<()> {
    let path = format!("/proc/{}/oom_score_adj", pid.as_raw_nonzero());
    std::fs::write(&path, score.to_string()).on("write", path)
}
