//! The merged root as a detached mount: attached nowhere until the child takes it, so that a kill
//! of anybody leaves no mount behind.
//!
//! Where the new mount calls do not exist or refuse (kernels before 5.2, many layers before 6.8,
//! a user namespace, whose overlay must be mounted from inside), the child mounts it by mount(2)
//! in its own mount namespace, and hands its descriptor to the parent.

use crate::aside;
use crate::spec::RootSource;
use base::paths::open_tree;
use base::paths::set_option;
use base::sys::clone::namespace;
use base::sys::plan::{Operation, Plan, Tolerate};
use base::{Error, OnError, Result};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, OpenTreeFlags,
    fsconfig_create, fsconfig_set_flag, fsmount, fsopen,
};
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// fsconfig(2) takes values of at most 255 bytes.
const LONGEST_VALUE: usize = 255;

/// The detached mount, or `None` where the child must mount it. `mount_point`: any folder.
pub(crate) fn detached(source: &RootSource, mount_point: &Path) -> Result<Option<OwnedFd>> {
    let mount = match source {
        RootSource::Overlay { ram: Some(_), .. } => return with_upper_in_ram(source, mount_point),
        RootSource::Folder(folder) => open_tree(
            rustix::fs::CWD,
            folder,
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC,
        ),
        RootSource::Overlay { lower, upper, work, volatile, userxattr, label, .. } => {
            overlay(lower, [upper, work], *volatile, *userxattr, label.as_deref())
        }
    };
    match mount {
        Ok(mount) => Ok(Some(mount)),
        Err(Errno::NOSYS | Errno::INVAL | Errno::PERM | Errno::OPNOTSUPP) => Ok(None),
        Err(Errno::NODEV) => Err(no_overlay()),
        Err(errno) => Err(Error::os("mount root of", &source_name(source), errno)),
    }
}

/// A root that is open for looking into and changing, while no container runs on it. Nothing of it is
/// visible to others, and it goes with this value.
pub struct OpenRoot {
    _mount: OwnedFd,
    folder: OwnedFd,
}

impl OpenRoot {
    /// Mounts it.
    pub fn of(source: &RootSource) -> Result<OpenRoot> {
        let Some(mount) = detached(source, Path::new("/"))? else {
            return Err(Error::unsupported(
                "the files of a container that does not run need fsopen and fsmount (Linux 5.2) and \
                 root: start it first",
            ));
        };
        let folder = open(&mount)?;
        Ok(OpenRoot { _mount: mount, folder })
    }

    /// Its folder.
    pub fn folder(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }
}

/// A tmpfs must be mounted for an overlay to use it; the overlay holds it then.
fn with_upper_in_ram(source: &RootSource, mount_point: &Path) -> Result<Option<OwnedFd>> {
    let private = u64::from(MountPropagationFlags::PRIVATE.bits());
    let mut plan = Plan::new();
    plan.step(Operation::Propagation, Tolerate::Nothing).number(private);
    mount_steps(&mut plan, source, mount_point)?;
    let target = mount_point.as_os_str().as_bytes();
    plan.step(Operation::SendTree, Tolerate::Nothing).text(target);
    match aside::mount(&plan, namespace::MOUNT, &[])? {
        Ok(mount) => Ok(Some(mount)),
        Err((_, Errno::NOSYS)) => Ok(None),
        Err((_, Errno::NODEV)) => Err(no_overlay()),
        Err((offset, errno)) => Err(crate::start::step_failed(&plan, offset, errno)),
    }
}

/// A tmpfs of so many bytes on `target`, of which later steps make something.
pub(crate) fn tmpfs(plan: &mut Plan, target: &[u8], bytes: u64) {
    let data = format!("mode=755,size={bytes}");
    mount_step(plan, b"tmpfs", target, "tmpfs", 0, data.as_bytes());
    // The umask, which folders' modes depend on, is 022 then.
    plan.step(Operation::ResetInherited, Tolerate::Nothing);
}

fn no_overlay() -> Error {
    Error::unsupported("mount overlay: the kernel lacks CONFIG_OVERLAY_FS; use --driver vfs")
}

fn source_name(source: &RootSource) -> String {
    match source {
        RootSource::Folder(folder) => folder.display().to_string(),
        RootSource::Overlay { upper, .. } => format!("overlay at {}", upper.display()),
    }
}

fn overlay(
    lower: &[PathBuf],
    [upper, work]: [&Path; 2],
    volatile: bool,
    userxattr: bool,
    label: Option<&str>,
) -> rustix::io::Result<OwnedFd> {
    let context = fsopen(c"overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let context = context.as_fd();
    let joined = joined(lower);
    if joined.len() <= LONGEST_VALUE {
        set_option(context, "lowerdir", &joined)?;
    } else {
        for folder in lower {
            set_option(context, "lowerdir+", folder.as_os_str().as_bytes())?;
        }
    }
    set_option(context, "upperdir", upper.as_os_str().as_bytes())?;
    set_option(context, "workdir", work.as_os_str().as_bytes())?;
    harmless(context)?;
    if let Some(label) = label {
        set_option(context, "context", label.as_bytes())?;
    }
    if userxattr {
        fsconfig_set_flag(context, c"userxattr")?;
    }
    // Linux 5.10; before it the option is unknown, and the sync happens.
    if volatile && fsconfig_set_flag(context, c"volatile").is_err() {
        base::log::debug("overlay: no `volatile`: the kernel is older than 5.10");
    }
    fsconfig_create(context)?;
    fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}

/// Layers are hostile: neither redirects nor metadata-only copies are followed in them.
fn harmless(context: BorrowedFd<'_>) -> rustix::io::Result<()> {
    for (option, value) in HARMLESS {
        match set_option(context, option, value.as_bytes()) {
            // A kernel that does not know the option does not do what it would forbid.
            Err(Errno::INVAL) => (),
            result => result?,
        }
    }
    Ok(())
}

const HARMLESS: [(&str, &str); 2] = [("redirect_dir", "nofollow"), ("metacopy", "off")];

/// Layers as overlay reads them: a colon between, colons and backslashes within escaped.
pub(crate) fn joined(lower: &[PathBuf]) -> Vec<u8> {
    let mut text = Vec::new();
    for (number, folder) in lower.iter().enumerate() {
        if number > 0 {
            text.push(b':');
        }
        for byte in folder.as_os_str().as_bytes() {
            if matches!(byte, b':' | b'\\') {
                text.push(b'\\');
            }
            text.push(*byte);
        }
    }
    text
}

/// The steps by which the child mounts the root on `mount_point` and sends its descriptor.
pub(crate) fn mounted_by_child(
    plan: &mut Plan,
    source: &RootSource,
    mount_point: &Path,
) -> Result<()> {
    mount_steps(plan, source, mount_point)?;
    let target = mount_point.as_os_str().as_bytes();
    plan.step(Operation::SendFolder, Tolerate::Nothing).text(target);
    Ok(())
}

fn mount_steps(plan: &mut Plan, source: &RootSource, mount_point: &Path) -> Result<()> {
    let target = mount_point.as_os_str().as_bytes();
    match source {
        RootSource::Folder(folder) => {
            let flags = rustix::mount::MountFlags::BIND.bits();
            mount_step(plan, folder.as_os_str().as_bytes(), target, "", u64::from(flags), &[]);
        }
        RootSource::Overlay { lower, upper, work, volatile, userxattr, ram, label } => {
            // Found before the overlay lies over them.
            let (mut upper, mut work) = (upper.clone(), work.clone());
            if let Some(bytes) = ram {
                tmpfs(plan, target, *bytes);
                (upper, work) = (mount_point.join("upper"), mount_point.join("work"));
                for folder in [&upper, &work] {
                    plan.step(Operation::MakeFolder, Tolerate::Nothing)
                        .text(folder.as_os_str().as_bytes())
                        .number(0o755);
                }
            }
            // mount(2) takes one page of options: layers are named relative to their common
            // folder, which must then be the working directory.
            let (common, names) = relative(lower);
            if let Some(common) = common {
                plan.step(Operation::ChangeFolder, Tolerate::Nothing)
                    .text(common.as_os_str().as_bytes());
            }
            let mut folders = b"lowerdir=".to_vec();
            folders.extend(joined(&names));
            for (name, folder) in [(",upperdir=", upper), (",workdir=", work)] {
                folders.extend_from_slice(name.as_bytes());
                folders.extend(joined(&[folder]));
            }
            folders.extend_from_slice(label_option(label.as_deref()).as_bytes());
            let choices = choices(*userxattr, *volatile);
            let data: Vec<Vec<u8>> =
                choices.iter().map(|more| [&folders, more.as_bytes()].concat()).collect();
            if data.iter().any(|data| data.len() >= 4096) {
                return Err(Error::unsupported(format!(
                    "mount overlay: {} layers do not fit into one page of options on this kernel",
                    lower.len()
                )));
            }
            plan.step(Operation::MountFirst, Tolerate::Nothing)
                .text(b"overlay")
                .text(target)
                .texts(data.iter().map(Vec::as_slice));
        }
    }
    Ok(())
}

/// The option of mount(2) for a file system of the container's own: its SELinux context, which may have
/// commas.
#[must_use]
pub fn label_option(label: Option<&str>) -> String {
    label.map_or(String::new(), |label| format!(",context=\"{label}\""))
}

/// The options besides the folders, the best first: mount(2) refuses all of them for one that it
/// does not know, and the kernel does not say which. `volatile` came with Linux 5.10, `metacopy`
/// with 4.19, `nofollow` with 4.16, and `redirect_dir` with 4.10: a kernel that does not know an
/// option does not do what it would forbid, except that 4.10 to 4.15 may follow what they find.
pub(crate) fn choices(userxattr: bool, volatile: bool) -> Vec<&'static str> {
    match (userxattr, volatile) {
        (true, true) => vec![",userxattr,volatile", ",userxattr"],
        (true, false) => vec![",userxattr"],
        (false, volatile) => {
            let all = [
                ",redirect_dir=nofollow,metacopy=off,volatile",
                ",redirect_dir=nofollow,metacopy=off",
                ",redirect_dir=nofollow",
                ",redirect_dir=off",
                "",
            ];
            all[usize::from(!volatile)..].to_vec()
        }
    }
}

fn mount_step(plan: &mut Plan, source: &[u8], target: &[u8], kind: &str, flags: u64, data: &[u8]) {
    plan.step(Operation::Mount, Tolerate::Nothing)
        .text(source)
        .text(target)
        .text(kind.as_bytes())
        .number(flags)
        .text(data);
}

/// The folder that all layers lie in, some levels above, and their names relative to it.
pub(crate) fn relative(lower: &[PathBuf]) -> (Option<PathBuf>, Vec<PathBuf>) {
    let Some(first) = lower.first() else { return (None, Vec::new()) };
    let common = first
        .ancestors()
        .skip(1)
        .find(|folder| lower.iter().all(|layer| layer.starts_with(folder)))
        .filter(|folder| *folder != Path::new(OsStr::new("")));
    let Some(common) = common else { return (None, lower.to_vec()) };
    let names = lower
        .iter()
        .map(|layer| layer.strip_prefix(common).unwrap_or(layer).to_path_buf())
        .collect();
    (Some(common.to_path_buf()), names)
}

/// What the child's refusal to mount the root most likely means.
pub(crate) fn explain(errno: Errno) -> Option<Error> {
    (errno == Errno::NODEV).then(no_overlay)
}

/// The root's folder itself, from which paths inside are resolved.
pub(crate) fn open(descriptor: &OwnedFd) -> Result<OwnedFd> {
    rustix::io::fcntl_dupfd_cloexec(descriptor, 3).on("dup", "root")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_escaped_and_named_from_their_common_folder() {
        let layers = [PathBuf::from("/s/layers/a:b/root"), PathBuf::from("/s/layers/c/root")];
        assert_eq!(joined(&layers), b"/s/layers/a\\:b/root:/s/layers/c/root");
        let (common, names) = relative(&layers);
        assert_eq!(common, Some(PathBuf::from("/s/layers")));
        assert_eq!(names, [PathBuf::from("a:b/root"), PathBuf::from("c/root")]);
        let (common, names) = relative(&layers[..1]);
        assert_eq!(common, Some(PathBuf::from("/s/layers/a:b")));
        assert_eq!(names, [PathBuf::from("root")]);
    }
}
