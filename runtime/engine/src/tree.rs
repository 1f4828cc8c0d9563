//! A container's files as it sees them, whether it runs or not: for `cp`.
//!
//! Paths are resolved beneath its root by descriptor: a link inside cannot lead out (CVE-2018-15664),
//! and what is found is held while it is used.

use crate::container::{Container, Process};
use crate::execdriver::root_source;
use crate::monitor::control::{Control, Message};
use crate::{Engine, idmaps};
use base::files::Lock;
use base::paths::openat;
use base::sys::resolve::{Links, beneath};
use base::text::quote::quoted;
use base::{Error, OnError, Result};
use libcontainer::{OpenRoot, UserNamespace};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// See the module's text.
pub(crate) struct Tree<'a> {
    engine: &'a Engine,
    container: &'a Container,
    root: Root,
}

enum Root {
    /// What its first process sees.
    Running { root: OwnedFd, ids: Option<UserNamespace> },
    /// Mounted for us alone. It cannot be started meanwhile.
    Stopped { root: OpenRoot, _lock: Lock },
}

/// Where a path leads: a name in an open folder, not looked through if it is a link.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) folder: OwnedFd,
    /// `.` for the folder itself.
    pub(crate) name: Vec<u8>,
    /// It lies in a bind or a volume.
    pub(crate) in_mount: bool,
    /// It may not be changed.
    pub(crate) read_only: bool,
}

impl<'a> Tree<'a> {
    pub(crate) fn open(engine: &'a Engine, container: &'a Container) -> Result<Tree<'a>> {
        let state = container.state();
        if let Some(process) = state.process.as_ref().and_then(Process::folder) {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let root = openat(&process, "root", flags, Mode::empty())
                .on("open", "the container's root")?;
            let ids = idmaps::of_process(process.as_fd())?.filter(|ids| !ids.is_ordinary());
            return Ok(Tree { engine, container, root: Root::Running { root, ids } });
        }
        if !container.record.host_config.upper.is_empty() {
            return Err(Error::conflict("its files are in RAM while it runs: start it first"));
        }
        // A monitor that is to start it again keeps its root: overlay is not to be mounted twice.
        if let Ok(control) = Control::connect(&container.run) {
            let _ = control.ask(Message::Look, &[]);
        }
        let lock = container.lock()?;
        let image = engine.store()?.find(&container.record.image)?;
        let source = root_source(engine.root_of(container, &image)?, None, None);
        // In vain: the next who asks must find it free.
        let root = OpenRoot::of(&source).inspect_err(|_| engine.leave_upper(container.id()))?;
        Ok(Tree { engine, container, root: Root::Stopped { root, _lock: lock } })
    }

    /// What its owners are on the host, where that is something else.
    pub(crate) fn ids(&self) -> Option<UserNamespace> {
        match self.root {
            Root::Running { ids, .. } => ids,
            Root::Stopped { .. } => None,
        }
    }

    /// Finds a path's last name.
    pub(crate) fn find(&self, path: &str) -> Result<Place> {
        let missing = |errno| match errno {
            Errno::NOENT | Errno::NOTDIR => Error::not_found(format!(
                "Could not find the file {path} in container {}",
                self.container.id()
            )),
            errno => Error::os("open", &format_args!("{path} in the container"), errno),
        };
        // A slash at the end: what it leads to, not the link itself.
        let whole = path.ends_with('/') || path.ends_with("/.");
        let clean = base::text::path::clean(path);
        let (from, rest, in_mount, read_only) = self.start(&clean)?;
        if let Some((folder, name)) = file_of(&from, &rest)? {
            return Ok(Place { folder, name, in_mount, read_only });
        }
        let root = match &from {
            From::Root => match &self.root {
                Root::Running { root, .. } => root.as_fd().try_clone_to_owned(),
                Root::Stopped { root, .. } => root.folder().try_clone_to_owned(),
            }
            .on("dup", "root")?,
            From::Source(source) => base::files::open_folder(source)?,
        };
        let (above, name) = match rest.rsplit_once('/') {
            _ if whole || rest.is_empty() => (rest.as_str(), "."),
            Some((above, name)) => (above, name),
            None => ("", rest.as_str()),
        };
        let above = CString::new(if above.is_empty() { "." } else { above })
            .map_err(|_| Error::bad_input([&quoted(path), ": a NUL in a path"].concat()))?;
        let found = beneath(root.as_fd(), &above, Links::Follow).map_err(missing)?;
        // For reading, by the name that cannot change any more.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = openat(&found, ".", flags, Mode::empty()).map_err(missing)?;
        let name = name.as_bytes().to_vec();
        base::paths::statat(&folder, &name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
            .map_err(missing)?;
        Ok(Place { folder, name, in_mount, read_only })
    }

    /// A small regular file; empty when there is none.
    pub(crate) fn read(&self, path: &str, cap: usize) -> Result<Vec<u8>> {
        let Ok(place) = self.find(path) else { return Ok(Vec::new()) };
        // A FIFO or a device in its place does nothing.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&place.folder, &place.name, flags, Mode::empty()).on("open", path)?;
        let mut file = std::fs::File::from(file);
        if !file.metadata().on("stat", path)?.is_file() {
            return Ok(Vec::new());
        }
        let mut bytes = Vec::new();
        base::read::at_most(&mut file, cap as u64, &mut bytes).on("read", path)?;
        Ok(bytes)
    }

    /// A running container's mounts are in its tree. Else the source of the innermost mount is where a
    /// path begins.
    fn start(&self, path: &str) -> Result<(From, String, bool, bool)> {
        let record = &self.container.record;
        let read_only = record.host_config.readonly_rootfs;
        if matches!(self.root, Root::Running { .. }) {
            return Ok((From::Root, path.to_string(), false, false));
        }
        let mut best: Option<(&str, PathBuf, bool)> = None;
        for mount in &record.mounts {
            let target = mount.target.trim_start_matches('/');
            let below = path
                .strip_prefix(target)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            if below && best.as_ref().is_none_or(|(other, ..)| other.len() < target.len()) {
                let source = match mount.name.as_str() {
                    "" => PathBuf::from(&mount.source),
                    name => self.engine.volumes().find(name)?.data(),
                };
                best = Some((target, source, !mount.writable));
            }
        }
        Ok(match best {
            None => (From::Root, path.to_string(), false, read_only),
            Some((target, source, read_only)) => {
                let rest = path[target.len()..].trim_start_matches('/').to_string();
                (From::Source(source), rest, true, read_only)
            }
        })
    }
}

impl Drop for Tree<'_> {
    fn drop(&mut self) {
        if let Root::Stopped { .. } = self.root {
            self.engine.leave_upper(self.container.id());
        }
    }
}

enum From {
    Root,
    Source(PathBuf),
}

/// A bind of a single file.
fn file_of(from: &From, rest: &str) -> Result<Option<(OwnedFd, Vec<u8>)>> {
    let From::Source(source) = from else { return Ok(None) };
    if !rest.is_empty() || source.is_dir() {
        return Ok(None);
    }
    let above = source.parent().unwrap_or(Path::new("/"));
    let name = source.file_name().unwrap_or_default().as_encoded_bytes().to_vec();
    Ok(Some((base::files::open_folder(above)?, name)))
}
