//! `container_copy`: files of a container as an archive, and back.

use crate::Engine;
use crate::container::Container;
use crate::tree::{Place, Tree};
use base::paths::{openat, readlinkat, statat};
use base::sys::mount::FileOwner;
use base::text::time::rfc3339;
use base::{Error, OnError, Result, copy};
use base_http::api::container::PathStat;
use imgstore::{Extract, Packer};
use libcontainer::users;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use std::io::{Read, Write};
use std::os::fd::AsFd;

/// Lists of users are at most this long.
const LARGEST_LIST: usize = 1 << 20;

/// A path in a container, found.
pub(crate) struct Archive<'a> {
    tree: Tree<'a>,
    path: String,
    place: Place,
    stat: Stat,
}

impl<'a> Archive<'a> {
    pub(crate) fn find(
        engine: &'a Engine,
        container: &'a Container,
        path: &str,
    ) -> Result<Archive<'a>> {
        if path.is_empty() {
            return Err(Error::bad_input("missing parameter: path"));
        }
        let tree = Tree::open(engine, container)?;
        let place = tree.find(path)?;
        let stat = statat(&place.folder, &place.name, AtFlags::SYMLINK_NOFOLLOW)
            .on("stat", format_args!("{path} in the container"))?;
        Ok(Archive { tree, path: path.to_string(), place, stat })
    }

    /// The last name of the path as it was asked for.
    fn name(&self) -> &str {
        let mut names = self.path.split('/').filter(|name| !["", "."].contains(name));
        names.next_back().unwrap_or("/")
    }

    /// What it is, as docker's header says it.
    pub(crate) fn stat(&self) -> Result<PathStat> {
        let stat = &self.stat;
        let mut link_target = String::new();
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            let target = readlinkat(&self.place.folder, &self.place.name).on("read", &self.path)?;
            let target = target.to_string_lossy();
            let folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
            link_target = match target.starts_with('/') {
                true => target.into_owned(),
                false => format!("{folder}/{target}"),
            };
        }
        Ok(PathStat {
            name: self.name().to_string(),
            #[allow(clippy::unnecessary_cast, reason = "the width depends on the target")]
            size: stat.st_size as i64,
            mode: go_mode(stat.st_mode),
            mtime: rfc3339(copy::seconds(stat), copy::nanos(stat)),
            link_target,
        })
    }

    /// The user that the container runs as, if it names one.
    pub(crate) fn owner(&self, container: &Container) -> Result<Option<(u32, u32)>> {
        let user = container.record.config.user.as_str();
        if user.is_empty() {
            return Ok(None);
        }
        let file = |path| self.tree.read(path, LARGEST_LIST);
        let user = users::resolve(user, &file("/etc/passwd")?, &file("/etc/group")?)?;
        Ok(Some((user.uid, user.gid)))
    }

    /// Packs it, under its last name.
    pub(crate) fn pack(&self, out: &mut dyn Write) -> Result<()> {
        let mut packer = Packer::new(out);
        if let Some(ids) = self.tree.ids() {
            packer.shift_owners(ids.uid, ids.gid);
        }
        let folder = self.place.folder.as_fd();
        match self.name() {
            "/" => packer.folder(folder, b"")?,
            name => packer.entry(folder, &self.place.name, name.as_bytes())?,
        }
        packer.finish()
    }

    /// Extracts an archive into it: a folder.
    pub(crate) fn extract(
        &self,
        archive: &mut dyn Read,
        keep_kinds: bool,
        owner: Option<(u32, u32)>,
    ) -> Result<()> {
        if self.place.read_only {
            return Err(Error::bad_input(match self.place.in_mount {
                true => "mounted volume is marked read-only",
                false => "container rootfs is marked read-only",
            }));
        }
        let not_a_folder = || Error::bad_input("extraction point is not a directory");
        // A link to a folder is as good as the folder.
        let way = [self.path.trim_end_matches('/'), "/."].concat();
        let place = self.tree.find(&way).map_err(|_| not_a_folder())?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder =
            openat(&place.folder, ".", flags, Mode::empty()).map_err(|_| not_a_folder())?;
        let keep_owners = rustix::process::geteuid().is_root();
        let ids = self.tree.ids();
        let shift = ids.map_or((0, 0), |ids| (ids.uid, ids.gid));
        // Others' files cannot be made in its mounts.
        let _own = match ids {
            Some(ids) => Some(FileOwner::set(ids.uid, ids.gid).on("setfsuid", ids.uid)?),
            None => None,
        };
        let how = Extract { name: None, keep_owners, owner, shift, keep_kinds };
        imgstore::extract(archive, folder, &how)
    }
}

/// Kind and permissions as Go's os.FileMode has them.
fn go_mode(mode: u32) -> u32 {
    let kind = match FileType::from_raw_mode(mode) {
        FileType::Directory => 1 << 31,
        FileType::Symlink => 1 << 27,
        FileType::BlockDevice => 1 << 26,
        FileType::CharacterDevice => 1 << 26 | 1 << 21,
        FileType::Fifo => 1 << 25,
        FileType::Socket => 1 << 24,
        _ => 0,
    };
    let bit = |from: u32, to: u32| if mode & from != 0 { 1 << to } else { 0 };
    kind | bit(0o4000, 23) | bit(0o2000, 22) | bit(0o1000, 20) | mode & 0o777
}

#[cfg(test)]
mod tests {
    use super::go_mode;

    #[test]
    fn modes_as_go_has_them() {
        assert_eq!(go_mode(0o040755), 0x8000_01ed);
        assert_eq!(go_mode(0o104755), 1 << 23 | 0o755);
        assert_eq!(go_mode(0o120777), 1 << 27 | 0o777);
        assert_eq!(go_mode(0o100644), 0o644);
    }
}
