//! Containers whose ids are others on the host: their files are 0 and so on on the disk, as everybody's,
//! and the mounts through which the container sees them map the owners (mount_setattr, Linux 5.12).
//!
//! Layers and upper folder lie under such mounts, and the overlay is mounted by somebody whose files
//! belong to the container's root, for overlay makes files of its own there (Linux 5.19). A layer of an
//! overlay must be mounted somewhere: a helper does it in a mount namespace that goes with it.

use crate::root::{choices, joined, label_option, relative};
use crate::spec::{RootSource, Spec, UserNamespace};
use crate::{aside, root};
use base::paths::open_tree;
use base::sys::clone::namespace;
use base::sys::mount::{FileOwner, map_owners};
use base::sys::plan::{Operation, Plan, Tolerate};
use base::{Error, OnError, Result};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, OpenTreeFlags};
use rustix::process::Pid;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A container's ids, and the user namespace that has them.
pub(crate) struct Mapping {
    ids: UserNamespace,
    namespace: OwnedFd,
}

impl Mapping {
    /// Of a child whose maps have been written; `None` when its files need none.
    pub(crate) fn of(spec: &Spec, pid: Pid) -> Result<Option<Mapping>> {
        let Some(ids) = spec.mapped_ids() else { return Ok(None) };
        let path = format!("/proc/{}/ns/user", pid.as_raw_nonzero());
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let namespace =
            base::paths::open(Path::new(&path), flags, Mode::empty()).on("open", path)?;
        Ok(Some(Mapping { ids, namespace }))
    }

    /// From now on this thread's files are the container's root's: others could not be made under its
    /// mounts.
    pub(crate) fn own_files(&self) -> Result<FileOwner> {
        FileOwner::set(self.ids.uid, self.ids.gid).on("setfsuid", self.ids.uid)
    }

    /// A folder or file as the container sees it, detached.
    pub(crate) fn tree(&self, path: &Path) -> Result<OwnedFd> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let tree = open_tree(rustix::fs::CWD, path, flags).on_path("open_tree", path)?;
        self.map(tree.as_fd(), path)?;
        Ok(tree)
    }

    /// Maps the owners in a detached tree.
    pub(crate) fn map(&self, tree: BorrowedFd<'_>, path: &Path) -> Result<()> {
        map_owners(tree, self.namespace.as_fd()).map_err(|errno| match errno {
            Errno::NOSYS => Error::unsupported(
                "--userns: owners are mapped by mount_setattr (Linux 5.12): this kernel is older",
            ),
            Errno::INVAL | Errno::PERM | Errno::OPNOTSUPP => Error::unsupported(format!(
                "--userns: the file system of {} cannot map owners (ext4, xfs, fat: Linux 5.12; \
                 btrfs 5.15; f2fs 5.18; erofs 5.19; tmpfs 6.3)",
                path.display()
            )),
            errno => Error::os("map owners of", &path.display(), errno),
        })
    }

    /// The root, detached. `mount_point`: any folder.
    pub(crate) fn root(&self, source: &RootSource, mount_point: &Path) -> Result<OwnedFd> {
        match source {
            RootSource::Folder(folder) => self.tree(folder),
            RootSource::Overlay { lower, upper, work, volatile, ram, label, .. } => {
                let (layers, names) = relative(lower);
                let (own, folders) = relative(&[upper.clone(), work.clone()]);
                let (Some(layers), Some(own), [upper, work]) = (layers, own, folders.as_slice())
                else {
                    return Err(Error::unsupported("--userns: layers without a common folder"));
                };
                let mut trees = vec![self.tree(&layers)?];
                // In RAM they are made by the container's root, and need no map.
                if ram.is_none() {
                    trees.push(self.tree(&own)?);
                }
                let mut data = b"lowerdir=".to_vec();
                data.extend(joined(&names));
                let own = mount_point.join("own");
                for (name, folder) in [(",upperdir=", upper), (",workdir=", work)] {
                    data.extend_from_slice(name.as_bytes());
                    data.extend(joined(&[own.join(folder)]));
                }
                data.extend_from_slice(label_option(label.as_deref()).as_bytes());
                let made = ram.map(|bytes| (bytes, [upper, work].map(|folder| own.join(folder))));
                self.mounted_aside(&data, *volatile, mount_point, &trees, made)
            }
        }
    }

    /// The helper's part: `data` names the layers from their folder on.
    fn mounted_aside(
        &self,
        data: &[u8],
        volatile: bool,
        mount_point: &Path,
        trees: &[OwnedFd],
        made: Option<(u64, [PathBuf; 2])>,
    ) -> Result<OwnedFd> {
        let data: Vec<Vec<u8>> = choices(false, volatile)
            .iter()
            .map(|more| [data, more.as_bytes()].concat())
            .filter(|data| data.len() < 4096)
            .collect();
        if data.is_empty() {
            return Err(Error::unsupported("mount overlay: the layers do not fit into one page"));
        }
        let path = |name: &str| mount_point.join(name).into_os_string().into_encoded_bytes();
        let target = mount_point.as_os_str().as_bytes();
        let private = u64::from(MountPropagationFlags::PRIVATE.bits());
        let mut plan = Plan::new();
        plan.step(Operation::Propagation, Tolerate::Nothing).number(private);
        let bytes = made.as_ref().map_or(64 << 10, |(bytes, _)| *bytes);
        root::tmpfs(&mut plan, target, bytes);
        for name in ["layers", "own", "root"] {
            let step = plan.step(Operation::MakeFolder, Tolerate::Nothing);
            step.text(&path(name)).number(0o755);
        }
        // The layers' last: their names begin in the working directory.
        let names = ["layers", "own"].into_iter().take(trees.len()).enumerate();
        for (slot, name) in names.rev() {
            let step = plan.step(Operation::EnterDetached, Tolerate::Nothing);
            step.number(slot as u64).text(&path(name));
        }
        let (uid, gid) = (u64::from(self.ids.uid), u64::from(self.ids.gid));
        plan.step(Operation::FileOwner, Tolerate::Nothing).number(uid).number(gid);
        let all = crate::plan::own_capabilities();
        plan.step(Operation::Capabilities, Tolerate::Nothing).number(all).number(all).number(0);
        for folder in made.iter().flat_map(|(_, folders)| folders) {
            let step = plan.step(Operation::MakeFolder, Tolerate::Nothing);
            step.text(folder.as_os_str().as_bytes()).number(0o755);
        }
        let mounts = plan.bytes().len();
        plan.step(Operation::MountFirst, Tolerate::Nothing)
            .text(b"overlay")
            .text(&path("root"))
            .texts(data.iter().map(Vec::as_slice));
        plan.step(Operation::SendTree, Tolerate::Nothing).text(&path("root"));
        let files: Vec<BorrowedFd<'_>> = trees.iter().map(AsFd::as_fd).collect();
        match aside::mount(&plan, namespace::MOUNT, &files)? {
            Ok(root) => Ok(root),
            Err((offset, Errno::INVAL)) if offset == mounts => Err(Error::unsupported(
                "--userns: overlay cannot map owners on this kernel (Linux 5.19)",
            )),
            Err((offset, errno)) => Err(crate::start::step_failed(&plan, offset, errno)),
        }
    }
}
