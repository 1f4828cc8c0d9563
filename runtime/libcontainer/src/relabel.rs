//! `:z` and `:Z`: the files of a bind or volume get the label that SELinux lets the container reach.
//!
//! What has it already is not written again. Links get it themselves, and are not followed: another
//! container may change the folder meanwhile.

use crate::spec::Spec;
use base::paths::{lgetxattr, lsetxattr, openat};
use base::{Error, OnError, Result};
use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, XattrFlags};
use rustix::io::Errno;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const NAME: &CStr = c"security.selinux";
/// Docker's list: what they hold is the system's.
const KEPT: [&str; 24] = [
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/etc/passwd",
    "/etc/pki",
    "/etc/shadow",
    "/home",
    "/lib",
    "/lib64",
    "/media",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/srv",
    "/sys",
    "/tmp",
    "/usr",
    "/var",
    "/var/lib",
    "/var/log",
];
/// The folders that are held open on the way down.
const DEEPEST: usize = 256;

/// Labels the binds that ask for it.
pub(crate) fn binds(spec: &Spec) -> Result<()> {
    for bind in &spec.binds {
        if let Some(label) = &bind.label {
            tree(&bind.source, label)?;
        }
    }
    Ok(())
}

fn tree(path: &Path, label: &str) -> Result<()> {
    let path = path.canonicalize().on("relabel", path.display())?;
    if KEPT.iter().any(|kept| Path::new(kept) == path) {
        let what = format!("SELinux relabeling of {} is not allowed", path.display());
        return Err(Error::bad_input(what));
    }
    let wrong = |errno| Error::os("relabel", &path.display(), errno);
    match one(&path, label) {
        // A file system without labels.
        Err(Errno::OPNOTSUPP) => return Ok(()),
        result => result.map_err(wrong)?,
    }
    let top = match folder(CWD, &path) {
        Err(Errno::NOTDIR) => return Ok(()),
        result => result.map_err(wrong)?,
    };
    below(top, label).map_err(wrong)
}

fn folder(
    above: BorrowedFd<'_>,
    name: &(impl base::paths::Name + ?Sized),
) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(above, name, flags, Mode::empty())
}

/// Everything in a folder. The list is of folders on the way down, each with its folders still to visit.
fn below(top: OwnedFd, label: &str) -> rustix::io::Result<()> {
    let mut way = Vec::new();
    let names = members(top.as_fd(), label)?;
    way.push((top, names));
    while let Some((here, names)) = way.last_mut() {
        let Some(name) = names.pop() else {
            way.pop();
            continue;
        };
        let next = match folder(here.as_fd(), &name) {
            // Gone or something else meanwhile.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
            result => result?,
        };
        if way.len() >= DEEPEST {
            return Err(Errno::NAMETOOLONG);
        }
        let names = members(next.as_fd(), label)?;
        way.push((next, names));
    }
    Ok(())
}

/// Labels what lies in a folder, and gives the folders of it.
fn members(folder: BorrowedFd<'_>, label: &str) -> rustix::io::Result<Vec<CString>> {
    let mut folders = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let mut path = format!("/proc/self/fd/{}/", folder.as_raw_fd()).into_bytes();
        path.extend_from_slice(name.to_bytes());
        match one(Path::new(OsStr::from_bytes(&path)), label) {
            Err(Errno::NOENT | Errno::OPNOTSUPP) => (),
            result => result?,
        }
        if matches!(entry.file_type(), FileType::Directory | FileType::Unknown) {
            folders.push(name.to_owned());
        }
    }
    Ok(folders)
}

fn one(path: &Path, label: &str) -> rustix::io::Result<()> {
    let mut present = [0; 256];
    let length = lgetxattr(path, NAME, &mut present[..]).unwrap_or(0);
    let present = present.get(..length).unwrap_or_default();
    if present.strip_suffix(b"\0").unwrap_or(present) == label.as_bytes() {
        return Ok(());
    }
    lsetxattr(path, NAME, label.as_bytes(), XattrFlags::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_labelled_and_nothing_that_its_links_lead_to() {
        let folder = std::env::temp_dir().join(format!("coracle-relabel-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("tree/a/b")).expect("mkdir");
        for file in ["tree/f", "tree/a/b/f", "outside"] {
            std::fs::write(folder.join(file), "x").expect("write");
        }
        std::os::unix::fs::symlink("../outside", folder.join("tree/link")).expect("symlink");
        std::os::unix::fs::symlink(&folder, folder.join("tree/a/up")).expect("symlink");
        let label = "system_u:object_r:container_file_t:s0:c1,c2";
        let of = |name: &str| {
            let mut bytes = [0; 256];
            let found = lgetxattr(&folder.join(name), NAME, &mut bytes[..]);
            found.map(|length| String::from_utf8_lossy(&bytes[..length]).into_owned())
        };
        let host = of("outside");
        tree(&folder.join("tree"), label).expect("relabel");
        for name in ["tree", "tree/f", "tree/a", "tree/a/b", "tree/a/b/f", "tree/link", "tree/a/up"]
        {
            assert_eq!(
                of(name).as_deref().map(|text| text.trim_end_matches('\0')),
                Ok(label),
                "{name}"
            );
        }
        assert_eq!(of("outside"), host);
        tree(&folder.join("outside"), label).expect("a file");
        for kept in ["/", "/etc", "/usr/../var/log"] {
            let error = tree(Path::new(kept), label).expect_err(kept);
            assert!(error.message().contains("is not allowed"), "{}", error.message());
        }
        std::fs::remove_dir_all(folder).expect("remove");
    }
}
