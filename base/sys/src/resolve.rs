//! Paths inside a container's root, resolved so that nothing outside of it is ever reached.
//!
//! openat2(2) with RESOLVE_IN_ROOT (Linux 5.6) does it; on older kernels a walk of O_PATH
//! descriptors gives the same: absolute links and `..` end at the root. Both allocate nothing, so
//! that a cloned child can use them.

use crate::Errno;
use crate::syscall::{check_int, raw};
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// What may stand in the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Symbolic links are followed, beneath the root.
    Follow,
    /// A symbolic link anywhere in the path is refused (ELOOP).
    Refuse,
}

const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
const RESOLVE_NO_SYMLINKS: u64 = 0x04;
const RESOLVE_IN_ROOT: u64 = 0x10;

#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// Opens the object at `path` beneath `root` as an O_PATH descriptor, close-on-exec.
pub fn beneath(root: BorrowedFd<'_>, path: &CStr, links: Links) -> Result<OwnedFd, Errno> {
    let descriptor = beneath_raw(root.as_raw_fd(), path, links)?;
    // SAFETY: a fresh descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// The same with a bare descriptor, for the child between clone and exec.
pub(crate) fn beneath_raw(root: RawFd, path: &CStr, links: Links) -> Result<RawFd, Errno> {
    let mut how = OpenHow {
        flags: (libc::O_PATH | libc::O_CLOEXEC) as u64,
        mode: 0,
        resolve: RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    if links == Links::Refuse {
        how.resolve |= RESOLVE_NO_SYMLINKS;
    }
    for _ in 0..32 {
        // SAFETY: path and `how` are valid for the call; the kernel only reads them.
        let result = unsafe {
            raw!(
                libc::SYS_openat2,
                root,
                path.as_ptr(),
                &how as *const OpenHow,
                size_of::<OpenHow>()
            )
        };
        match result {
            // A rename raced with "..": the kernel asks us to try again.
            Err(Errno::AGAIN) => (),
            Err(Errno::NOSYS | Errno::PERM) => return walk(root, path, links),
            result => return result.map(|descriptor| descriptor as RawFd),
        }
    }
    Err(Errno::AGAIN)
}

const DEPTH: usize = 64;
const PATH: usize = 4096;
const MOST_LINKS: usize = 40;

/// The descriptors of the folders from the root down to where the walk stands.
struct Trail {
    folders: [RawFd; DEPTH],
    depth: usize,
}

impl Trail {
    fn here(&self) -> RawFd {
        self.folders[self.depth]
    }

    fn enter(&mut self, folder: RawFd) -> Result<(), Errno> {
        if self.depth + 1 >= DEPTH {
            close(folder);
            return Err(Errno::NAMETOOLONG);
        }
        self.depth += 1;
        self.folders[self.depth] = folder;
        Ok(())
    }

    fn leave(&mut self) {
        if self.depth > 0 {
            close(self.here());
            self.depth -= 1;
        }
    }
}

fn close(descriptor: RawFd) {
    // SAFETY: the walk opened it and forgets it now.
    unsafe { libc::close(descriptor) };
}

pub(crate) fn walk(root: RawFd, path: &CStr, links: Links) -> Result<RawFd, Errno> {
    let mut trail = Trail { folders: [-1; DEPTH], depth: 0 };
    trail.folders[0] = root;
    let result = walk_along(&mut trail, path, links);
    while trail.depth > 0 {
        trail.leave();
    }
    result
}

fn walk_along(trail: &mut Trail, path: &CStr, links: Links) -> Result<RawFd, Errno> {
    let mut rest = [0_u8; 2 * PATH];
    let path = path.to_bytes();
    if path.len() >= PATH {
        return Err(Errno::NAMETOOLONG);
    }
    // The part still to walk is rest[start..]; links are put before it, from the end backwards.
    let mut start = rest.len() - path.len();
    rest[start..].copy_from_slice(path);
    let mut links_left = MOST_LINKS;
    loop {
        while rest.get(start) == Some(&b'/') {
            start += 1;
        }
        let length = rest[start..].iter().position(|byte| *byte == b'/');
        let name = &rest[start..start + length.unwrap_or(rest.len() - start)];
        let mut text = [0_u8; 256];
        if name.len() >= text.len() {
            return Err(Errno::NAMETOOLONG);
        }
        text[..name.len()].copy_from_slice(name);
        let name_length = name.len();
        match name {
            b"" => return open(trail.here(), c".", 0),
            b"." => {
                start += name_length;
                continue;
            }
            b".." => {
                trail.leave();
                start += name_length;
                continue;
            }
            _ => start += name_length,
        }
        let text = CStr::from_bytes_until_nul(&text).map_err(|_| Errno::INVAL)?;
        let object = open(trail.here(), text, libc::O_NOFOLLOW)?;
        match kind(object)? {
            libc::S_IFDIR => trail.enter(object)?,
            libc::S_IFLNK => {
                let mut target = [0_u8; PATH];
                let length = read_link(object, &mut target);
                close(object);
                let target = &target[..length?];
                if links == Links::Refuse || links_left == 0 {
                    return Err(Errno::LOOP);
                }
                links_left -= 1;
                if start < target.len() + 1 {
                    return Err(Errno::NAMETOOLONG);
                }
                start -= 1;
                rest[start] = b'/';
                start -= target.len();
                rest[start..start + target.len()].copy_from_slice(target);
                if target.first() == Some(&b'/') {
                    while trail.depth > 0 {
                        trail.leave();
                    }
                }
            }
            _ if rest[start..].iter().all(|byte| *byte == 0) => return Ok(object),
            _ => {
                close(object);
                return Err(Errno::NOTDIR);
            }
        }
    }
}

fn open(folder: RawFd, name: &CStr, flags: libc::c_int) -> Result<RawFd, Errno> {
    // SAFETY: the name is a C string; the call only reads it.
    let descriptor = check_int(unsafe {
        libc::openat(folder, name.as_ptr(), libc::O_PATH | libc::O_CLOEXEC | flags)
    })?;
    Ok(descriptor as RawFd)
}

/// The type bits of an object's mode.
pub(crate) fn kind(object: RawFd) -> Result<libc::mode_t, Errno> {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: fstat fills the buffer, or fails and it is not read.
    check_int(unsafe { libc::fstat(object, stat.as_mut_ptr()) })?;
    // SAFETY: filled by the call above.
    Ok(unsafe { stat.assume_init() }.st_mode & libc::S_IFMT)
}

fn read_link(link: RawFd, target: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the buffer's length is given; an empty name means the descriptor itself.
    let length =
        unsafe { libc::readlinkat(link, c"".as_ptr(), target.as_mut_ptr().cast(), target.len()) };
    crate::syscall::check(length as libc::c_long)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::fs::{MetadataExt, symlink};
    use std::path::PathBuf;

    /// root/{a/b/file, abs -> /a/b, up -> ../../../../etc, loop -> loop}
    fn tree(name: &str) -> PathBuf {
        let root =
            std::env::temp_dir().join(format!("coracle-resolve-{name}-{}", std::process::id()));
        std::fs::create_dir_all(root.join("a/b")).expect("mkdir");
        std::fs::write(root.join("a/b/file"), "x").expect("write");
        symlink("/a/b", root.join("abs")).expect("symlink");
        symlink("../../../../etc", root.join("up")).expect("symlink");
        symlink("loop", root.join("loop")).expect("symlink");
        root
    }

    #[test]
    fn the_walk_gives_the_same_as_openat2() {
        let root = tree("same");
        let folder = std::fs::File::open(&root).expect("open");
        let paths = [
            c"a/b/file",
            c"/a/b/file",
            c"abs/file",
            c"abs/../b/file",
            c"../../a/b",
            c"up",
            c"up/passwd",
            c"loop",
            c"a/b/file/x",
            c"a//./b",
            c"",
            c"/",
            c"..",
            c"missing/x",
            c"a/../../../a/b/file",
        ];
        for path in paths {
            for links in [Links::Follow, Links::Refuse] {
                let inode = |found: Result<RawFd, Errno>| {
                    found.map(|descriptor| {
                        // SAFETY: just opened, owned by nobody else.
                        let file = std::fs::File::from(unsafe { OwnedFd::from_raw_fd(descriptor) });
                        file.metadata().expect("stat").ino()
                    })
                };
                let kernel = inode(beneath_raw(folder.as_raw_fd(), path, links));
                let walked = inode(walk(folder.as_raw_fd(), path, links));
                // The kernel refuses the empty path; for us it is the root.
                if !path.is_empty() {
                    assert_eq!(kernel, walked, "{path:?} {links:?}");
                }
            }
        }
        assert!(beneath(folder.as_fd(), c"abs", Links::Refuse).is_err());
        std::fs::remove_dir_all(root).expect("remove");
    }
}
