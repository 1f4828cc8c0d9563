//! Where binds, volumes and file systems of a container's own are mounted: from the root down, so that
//! one may lie in another.

use crate::mapped::Mapping;
use crate::mounts::bits;
use crate::prepare::{ensure_file, ensure_folder};
use crate::spec::{Bind, Propagation, Spec};
use base::paths::open_tree;
use base::sys::mount::set_attributes;
use base::sys::plan::{Operation, Plan, Tolerate, target};
use base::text::path::clean;
use base::{Error, OnError, Result};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, OpenTreeFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// Which list of the spec, and where in it.
#[derive(Clone, Copy)]
enum What {
    FileSystem(usize),
    Bind(usize),
}

/// One mount and its target without dots and doubled slashes.
struct Place {
    target: String,
    what: What,
}

/// All mounts, the outer before the inner.
fn places(spec: &Spec) -> Result<Vec<Place>> {
    let file_systems = spec.file_systems.iter().map(|one| &one.target).enumerate();
    let binds = spec.binds.iter().map(|one| &one.target).enumerate();
    let mut places: Vec<Place> = file_systems
        .map(|(number, target)| (What::FileSystem(number), target))
        .chain(binds.map(|(number, target)| (What::Bind(number), target)))
        .map(|(what, target)| Place { target: clean(target), what })
        .collect();
    for place in &places {
        if ["", "proc", "sys", "dev"].contains(&place.target.as_str()) {
            let what = format!("invalid mount: destination can't be '/{}'", place.target);
            return Err(Error::bad_input(what));
        }
        // CVE-2019-19921: what is in /proc decides about the container's confinement.
        if place.target.starts_with("proc/") && !is_allowed_in_proc(&place.target) {
            return Err(Error::bad_input(format!(
                "invalid mount: \"/{}\" cannot be mounted because it is inside /proc",
                place.target
            )));
        }
    }
    places.sort_by_key(|place| place.target.split('/').count());
    Ok(places)
}

/// runc's list: files that programs read and that confine nothing.
fn is_allowed_in_proc(target: &str) -> bool {
    const FILES: [&str; 11] = [
        "proc/cpuinfo",
        "proc/diskstats",
        "proc/meminfo",
        "proc/stat",
        "proc/swaps",
        "proc/uptime",
        "proc/loadavg",
        "proc/slabinfo",
        "proc/net/dev",
        "proc/sys/kernel/ns_last_pid",
        "proc/sys/crypto/fips_enabled",
    ];
    FILES.contains(&target)
}

/// Writes the steps. `trees`: the slots of those binds that come as detached trees.
pub(crate) fn mounts(
    plan: &mut Plan,
    spec: &Spec,
    root: BorrowedFd<'_>,
    trees: &[Option<u64>],
) -> Result<()> {
    let places = places(spec)?;
    for (number, place) in places.iter().enumerate() {
        let outer = places.get(..number).unwrap_or_default().iter().rev().find(|outer| {
            let rest = place.target.strip_prefix(outer.target.as_str());
            rest.is_some_and(|rest| rest.starts_with('/'))
        });
        let outer = outer.map(|outer| outer.target.as_str());
        let name = place.target.as_bytes();
        // A link in the image may lead there all the same: then the child refuses it.
        let by_name = is_allowed_in_proc(&place.target);
        let not_proc = if by_name { 0 } else { target::NOT_PROC };
        match place.what {
            What::FileSystem(number) => {
                let Some(one) = spec.file_systems.get(number) else { continue };
                make_place(plan, root, &place.target, outer, true)?;
                let source = one.source.as_bytes();
                let options = target::FOLDER | not_proc;
                plan.mount_in(source, name, &one.kind, one.flags, &one.options, options);
            }
            What::Bind(number) => {
                let Some(one) = spec.binds.get(number) else { continue };
                let metadata = std::fs::metadata(&one.source)
                    .map_err(|error| Error::os("bind", &one.source.display(), error))?;
                make_place(plan, root, &place.target, outer, metadata.is_dir())?;
                if let Some(slot) = trees.get(number).copied().flatten() {
                    plan.step(Operation::AttachIn, Tolerate::Nothing)
                        .number(slot)
                        .text(name)
                        .number(not_proc);
                    continue;
                }
                let mut options = not_proc | if metadata.is_dir() { target::FOLDER } else { 0 };
                if one.read_only {
                    options |= target::READ_ONLY;
                }
                let flags = bits(MountFlags::BIND | MountFlags::REC);
                plan.mount_in(one.source.as_os_str().as_bytes(), name, "", flags, "", options);
            }
        }
    }
    Ok(())
}

/// The place for a mount: made in the root by us; in another mount by the child, when that is there.
fn make_place(
    plan: &mut Plan,
    root: BorrowedFd<'_>,
    path: &str,
    outer: Option<&str>,
    folder: bool,
) -> Result<()> {
    let Some(outer) = outer else {
        return match folder {
            true => ensure_folder(root, path),
            false => ensure_file(root, path),
        };
    };
    let mut above = outer.to_string();
    let mut names = path.get(outer.len() + 1..).unwrap_or_default().split('/').peekable();
    while let Some(name) = names.next() {
        let kind = folder || names.peek().is_some();
        plan.step(Operation::MakeIn, Tolerate::Nothing)
            .text(above.as_bytes())
            .text(name.as_bytes())
            .number(u64::from(kind));
        above = [above.as_str(), "/", name].concat();
    }
    Ok(())
}

/// The binds that must be made here, where their source's mounts are: those whose later mounts travel,
/// read-only ones with file systems in them, and all of a container that may not reach their sources
/// itself. One for each bind of the spec.
pub(crate) fn trees(spec: &Spec, mapping: Option<&Mapping>) -> Result<Vec<Option<OwnedFd>>> {
    spec.binds.iter().map(|bind| tree(spec, bind, mapping)).collect()
}

fn tree(spec: &Spec, bind: &Bind, mapping: Option<&Mapping>) -> Result<Option<OwnedFd>> {
    let travels = bind.propagation != Propagation::Private;
    if travels && spec.is_ordinary() {
        return Err(Error::unsupported("mount propagation needs root"));
    }
    let covered = || bind.read_only && has_mounts_inside(bind);
    if spec.is_ordinary() || !(mapping.is_some() || travels || covered()) {
        return Ok(None);
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    let made = open_tree(rustix::fs::CWD, &bind.source, flags);
    let propagation = match bind.propagation {
        Propagation::Private => MountPropagationFlags::PRIVATE,
        Propagation::Slave => MountPropagationFlags::DOWNSTREAM,
        // As the source is; what the host keeps for itself cannot be shared.
        Propagation::Shared => MountPropagationFlags::empty(),
    };
    let attributes = |tree: &OwnedFd| {
        set_attributes(tree.as_fd(), bind.read_only, u64::from(propagation.bits()), true)
    };
    if let (Some(mapping), Ok(tree)) = (mapping.filter(|_| bind.mapped), &made) {
        mapping.map(tree.as_fd(), &bind.source)?;
    }
    match made.and_then(|tree| attributes(&tree).map(|()| tree)) {
        Ok(tree) => Ok(Some(tree)),
        Err(Errno::NOSYS | Errno::PERM) if travels => {
            Err(Error::unsupported("mount propagation needs mount_setattr (Linux 5.12)"))
        }
        // As docker before version 25: only the bind itself is read-only.
        Err(Errno::NOSYS | Errno::PERM) => Ok(None),
        Err(errno) => Err(errno).on_path("bind", &bind.source),
    }
}

/// Whether other file systems are mounted below a bind's source.
fn has_mounts_inside(bind: &Bind) -> bool {
    let Ok(source) = bind.source.canonicalize() else { return false };
    let text = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    text.split(|byte| *byte == b'\n').any(|line| {
        let place = line.split(|byte| *byte == b' ').nth(4).unwrap_or_default();
        let rest = unescaped(place);
        rest.strip_prefix(source.as_os_str().as_bytes()).is_some_and(|rest| rest.starts_with(b"/"))
    })
}

/// proc_pid_mountinfo(5) writes spaces, tabs, line ends and backslashes as `\\040`.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let octal = |digits: &[u8]| {
            digits.iter().try_fold(0_u32, |sum, digit| {
                (b'0'..=b'7').contains(digit).then(|| sum * 8 + u32::from(digit - b'0'))
            })
        };
        match after.get(..3).and_then(octal).filter(|_| *first == b'\\') {
            Some(byte) => {
                out.push(byte as u8);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::unescaped;

    #[test]
    fn mount_points_are_unescaped() {
        assert_eq!(unescaped(b"/a\\040b\\134"), b"/a b\\");
        assert_eq!(unescaped(b"/a\\x"), b"/a\\x");
    }
}
