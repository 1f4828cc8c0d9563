//! A root that stays mounted from one life of a container to its next.
//!
//! Each mount of overlay makes its work folder anew, and each end of one writes out what is unwritten of
//! the whole file system below: a container that crashes again and again would wear the flash out. So
//! whoever is to start it again holds the mount namespace of its last life, and the next one gets a clone
//! of the root in there. That is made from the root's own descriptor: whatever a container has mounted
//! over its root, or made its root, is not looked at.

use base::paths::open_tree;
use base::sys::mount;
use base::{OnError, Result};
use rustix::fs::{Mode, OFlags};
use rustix::mount::OpenTreeFlags;
use rustix::process::{Pid, chroot, fchdir};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// See the module's text. The root is unmounted when the last of these and the last process are gone.
#[derive(Debug)]
pub struct KeptRoot {
    /// The mount namespace that it is in.
    pub namespace: OwnedFd,
    /// The root's mount.
    pub mount: OwnedFd,
}

impl KeptRoot {
    /// Of a container whose first process is this one, and waits for its plan.
    pub(crate) fn of(process: Pid, mount: &OwnedFd) -> Result<KeptRoot> {
        let path = format!("/proc/{}/ns/mnt", process.as_raw_nonzero());
        let namespace = open(&path, OFlags::RDONLY)?;
        Ok(KeptRoot { namespace, mount: mount.try_clone().on("dup", "root")? })
    }

    /// A detached clone; None where the kernel refuses, and the root must be mounted anew. For
    /// processes with one thread: it goes into the other namespace and comes back.
    pub(crate) fn again(&self) -> Result<Option<OwnedFd>> {
        let here = open("/proc/self/ns/mnt", OFlags::RDONLY)?;
        let root = open("/", OFlags::PATH)?;
        let folder = open(".", OFlags::PATH)?;
        let kind = Some(LinkNameSpaceType::Mount);
        if move_into_link_name_space(self.namespace.as_fd(), kind).is_err() {
            return Ok(None);
        }
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_EMPTY_PATH;
        let clone = open_tree(&self.mount, c"", flags);
        move_into_link_name_space(here.as_fd(), kind).on("return to", "the host's mounts")?;
        // setns(2) has put root and working directory to the namespace's root.
        fchdir(&root).on("return to", "/")?;
        chroot(".").on("return to", "/")?;
        fchdir(&folder).on("return to", "the working directory")?;
        let Ok(clone) = clone else { return Ok(None) };
        // A root that was read-only inside: mount points are made before it is so again.
        Ok(mount::make_writable(clone.as_fd()).is_ok().then_some(clone))
    }
}

fn open(path: &str, flags: OFlags) -> Result<OwnedFd> {
    base::paths::open(Path::new(path), flags | OFlags::CLOEXEC, Mode::empty()).on("open", path)
}
