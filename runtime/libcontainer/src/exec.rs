//! One more process in a container that runs.
//!
//! ```text
//! parent                                   child, born into the container's cgroup
//! namespaces sent                      ->  joins version 1 cgroups and them; clones itself into the PID namespace
//! users and folders resolved inside    <-  the clone's number; the first one ends
//! plan sent                            ->  the clone: streams, folder, user, program
//!                                      <-  program runs, or which step failed
//! ```
//!
//! Neither process can be looked into from inside (CVE-2016-9962), and neither has a descriptor of
//! the host but the channel.

use crate::cgroup::{Cgroup, attach_itself};
use crate::plan::{Streams, become_program, enter_profile, user_of};
use crate::spec::{Program, Stdio};
use crate::start::{Started, step_failed};
use base::paths::{openat, statat};
use base::sys::clone::{Answer, Child, Clone, namespace};
use base::sys::plan::{Operation, Plan, Tolerate};
use base::{Error, OnError, Result};
use rustix::fs::{Mode, OFlags, fstat};
use rustix::process::Signal;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// The namespaces, in the order in which they are joined: the user's first, for it gives the right
/// to join the others; the mounts' last, for it changes what every path means.
const NAMESPACES: [(&str, u64); 7] = [
    ("ns/user", namespace::USER),
    ("ns/ipc", namespace::IPC),
    ("ns/uts", namespace::UTS),
    ("ns/net", namespace::NET),
    ("ns/pid", namespace::PID),
    ("ns/cgroup", namespace::CGROUP),
    ("ns/mnt", namespace::MOUNT),
];

/// Where a process shall run, and as what.
pub struct Exec<'a> {
    /// The container's id.
    pub id: &'a str,
    /// /proc/PID of the container's first process.
    pub first_process: BorrowedFd<'a>,
    /// What to run. Its working directory must be there.
    pub program: &'a Program,
    /// The container has cgroups.
    pub has_cgroup: bool,
}

/// Starts it. The calling process is its parent.
pub fn exec(exec: &Exec<'_>, stdio: &Stdio) -> Result<Started> {
    let cgroup = exec.has_cgroup.then(|| Cgroup::existing(exec.id)).transpose()?;
    let mut child = Child::start(&Clone {
        namespaces: 0,
        cgroup: cgroup.as_ref().and_then(Cgroup::born_into),
        pid_namespace: None,
        parent_waits: false,
    })
    .on("clone", "process")?;
    let result = act(exec, stdio, cgroup.as_ref(), &mut child);
    if result.is_err() {
        let _ = child.process.signal(Signal::KILL);
        let _ = rustix::process::waitpid(Some(child.pid), rustix::process::WaitOptions::empty());
    }
    let terminal = result?;
    Ok(Started { pid: child.pid, process: child.process, terminal, root: None })
}

fn act(
    exec: &Exec<'_>,
    stdio: &Stdio,
    cgroup: Option<&Cgroup>,
    child: &mut Child,
) -> Result<Option<OwnedFd>> {
    let mut tasks = Vec::new();
    if let Some(cgroup) = cgroup {
        cgroup.attach(child)?;
        tasks = cgroup.tasks()?;
    }
    if let Some(score) = exec.program.oom_score.filter(|_| exec.program.ids.is_some()) {
        crate::start::set_oom_score(child.pid, score)?;
    }
    let joined = namespaces(exec.first_process)?;
    let mut entry = Plan::new();
    entry.step(Operation::Dumpable, Tolerate::Nothing).number(0);
    enter_profile(&mut entry, exec.program);
    attach_itself(&mut entry, &tasks, joined.len() as u64);
    for (slot, (_, flag)) in joined.iter().enumerate() {
        entry.step(Operation::Join, Tolerate::Nothing).number(slot as u64).number(*flag);
    }
    entry.step(Operation::Fork, Tolerate::Nothing);
    let mut files: Vec<BorrowedFd<'_>> = joined.iter().map(|(file, _)| file.as_fd()).collect();
    files.extend(tasks.iter().map(|(file, _)| file.as_fd()));
    child.send(&entry, &files).on("talk to", "process")?;
    // Beside its way in.
    let mut plan = Plan::new();
    let mut descriptors: Vec<BorrowedFd<'_>> = Vec::new();
    let streams = match stdio {
        Stdio::Descriptors(streams) => {
            let first = files.len() as u64;
            descriptors.extend(streams.iter().map(AsFd::as_fd));
            Streams::Slots([first, first + 1, first + 2])
        }
        Stdio::Terminal(columns, rows) => {
            plan.step(Operation::OpenTerminal, Tolerate::Nothing);
            if *columns > 0 && *rows > 0 {
                plan.step(Operation::TerminalSize, Tolerate::Nothing)
                    .number(u64::from(*columns))
                    .number(u64::from(*rows));
            }
            Streams::Terminal
        }
    };
    let root = root_of(exec.first_process)?;
    let user = user_of(exec.program, root.as_fd())?;
    become_program(&mut plan, exec.program, &user, &streams, false)?;
    enter(child, &entry)?;
    let mut received = Vec::new();
    child.send(&plan, &descriptors).on("talk to", "process")?;
    match child.answer(&mut received).on("talk to", "process")? {
        Answer::Running => Ok(received.pop()),
        Answer::Failed { offset, errno } => Err(step_failed(&plan, offset, errno)),
        Answer::Forked(_) | Answer::Waiting | Answer::Died => Err(died()),
    }
}

/// Waits until the clone is in. The first process's word of it and the clone's own may come in any
/// order.
fn enter(child: &mut Child, plan: &Plan) -> Result<()> {
    let (mut followed, mut waits) = (false, false);
    while !(followed && waits) {
        match child.answer(&mut Vec::new()).on("talk to", "process")? {
            Answer::Forked(pid) => {
                child.follow(pid).on("watch", "process")?;
                followed = true;
            }
            Answer::Waiting => waits = true,
            Answer::Failed { offset, errno } => return Err(step_failed(plan, offset, errno)),
            Answer::Running | Answer::Died => return Err(died()),
        }
    }
    Ok(())
}

fn died() -> Error {
    Error::other("exec: the process died before the command ran")
}

/// The first process's namespaces that are not ours, opened, with their flags.
fn namespaces(process: BorrowedFd<'_>) -> Result<Vec<(OwnedFd, u64)>> {
    let own = base::paths::open(
        Path::new("/proc/self"),
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .on("open", "/proc/self")?;
    let mut found = Vec::with_capacity(NAMESPACES.len());
    for (name, flag) in NAMESPACES {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = match openat(process, name, flags, Mode::empty()) {
            // A kernel without this kind.
            Err(rustix::io::Errno::NOENT) if flag != namespace::MOUNT => continue,
            result => result.on("open", name)?,
        };
        let theirs = fstat(&file).on("stat", name)?;
        let same = statat(&own, name, rustix::fs::AtFlags::empty())
            .is_ok_and(|ours| (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino));
        if !same {
            found.push((file, flag));
        }
    }
    Ok(found)
}

/// The root that the first process sees, for looking into by descriptor.
fn root_of(process: BorrowedFd<'_>) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(process, "root", flags, Mode::empty()).on("open", "the container's root")
}
