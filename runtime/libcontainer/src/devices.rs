//! /dev of a container: a tmpfs with a few nodes, and the rules that say which devices exist.

use crate::spec::UserNamespace;
use base::paths::set_option;
use base::paths::{chmodat, chownat, mkdirat, mknodat, openat, statat, symlinkat};
use base::sys::bpf::Instruction;
use base::text::path::clean;
use base::{Error, OnError, Result};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Uid, makedev};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// The character devices that every container has: name, major, minor.
pub(crate) const NODES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];
/// The links in /dev.
pub(crate) const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];
/// The folders in /dev that get mounts of their own.
pub(crate) const FOLDERS: [&str; 3] = ["pts", "shm", "mqueue"];
/// Options of the tmpfs.
pub(crate) const TMPFS: &str = "mode=755,size=65536k";

/// The tmpfs with everything in it, attached nowhere.
/// `ids`: the container's own, to which all of it belongs.
pub(crate) fn detached(
    console: bool,
    devices: &[Device],
    ids: Option<UserNamespace>,
    label: Option<&str>,
) -> Result<OwnedFd> {
    let context = fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).on("fsopen", "tmpfs")?;
    set_option(context.as_fd(), "mode", b"755").on("fsconfig mode", "tmpfs")?;
    set_option(context.as_fd(), "size", b"65536k").on("fsconfig size", "tmpfs")?;
    if let Some(label) = label {
        set_option(context.as_fd(), "context", label.as_bytes()).on("fsconfig context", label)?;
    }
    fsconfig_create(context.as_fd()).on("fsconfig", "tmpfs")?;
    let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_STRICTATIME;
    let mount =
        fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, flags).on("fsmount", "tmpfs")?;
    for (name, major, minor) in NODES {
        let mode = Mode::from_raw_mode(0o666);
        let path = (mount.as_fd(), name);
        mknodat(path.0, path.1, FileType::CharacterDevice, mode, makedev(major, minor))
            .on("mknod", format_args!("/dev/{name}"))?;
        // The process's umask has taken bits away.
        chmodat(path.0, path.1, mode, AtFlags::empty()).on("chmod", format_args!("/dev/{name}"))?;
    }
    for (name, target) in LINKS {
        symlinkat(target, &mount, name).on("symlink", format_args!("/dev/{name}"))?;
    }
    for name in FOLDERS {
        mkdirat(&mount, name, Mode::from_raw_mode(0o755))
            .on("mkdir", format_args!("/dev/{name}"))?;
    }
    if console {
        mknodat(&mount, "console", FileType::RegularFile, Mode::from_raw_mode(0o600), 0)
            .on("create", "/dev/console")?;
    }
    add(mount.as_fd(), devices)?;
    if let Some(ids) = ids {
        map_owners(mount.as_fd(), &ids).on("chown", "/dev")?;
    }
    Ok(mount)
}

/// Gives a folder and everything in it to the container's ids. Nothing but what was made here is in it.
fn map_owners(folder: BorrowedFd<'_>, ids: &UserNamespace) -> rustix::io::Result<()> {
    let own = |folder: BorrowedFd<'_>, name: &[u8]| -> rustix::io::Result<FileType> {
        let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        // Who is nobody inside stays who he is.
        let of = |id: u32, first: u32| if id < ids.count { first + id } else { id };
        let (uid, gid) = (of(stat.st_uid, ids.uid), of(stat.st_gid, ids.gid));
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        chownat(folder, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(FileType::from_raw_mode(stat.st_mode))
    };
    own(folder, b".")?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for entry in Dir::new(openat(folder, ".", flags, Mode::empty())?)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if own(folder, name.to_bytes())? == FileType::Directory {
            map_owners(openat(folder, name, flags, Mode::empty())?.as_fd(), ids)?;
        }
    }
    Ok(())
}

/// Is this the null device? What masks a path must not be something else (CVE-2025-31133).
pub(crate) fn host_null_is_null() -> bool {
    statat(CWD, "/dev/null", AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
            && stat.st_rdev == makedev(1, 3)
    })
}

/// A device of the host that the container gets.
#[derive(Clone, Debug)]
pub struct Device {
    /// Where it is inside, beneath the root.
    pub path: String,
    /// Block or character device.
    pub kind: Kind,
    /// Its numbers.
    pub major: u32,
    /// The second.
    pub minor: u32,
    /// Permissions of the node.
    pub mode: u32,
    /// Its owner,
    pub uid: u32,
    /// and group.
    pub gid: u32,
}

impl Device {
    /// The device at this path of the host, to be seen at `inside`; nothing if it is no device.
    pub fn of_host(path: &Path, inside: String) -> Option<Device> {
        let stat = base::paths::stat(path).ok()?;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::CharacterDevice => Kind::Character,
            FileType::BlockDevice => Kind::Block,
            _ => return None,
        };
        Some(Device {
            path: inside,
            kind,
            major: rustix::fs::major(stat.st_rdev),
            minor: rustix::fs::minor(stat.st_rdev),
            mode: stat.st_mode as u32 & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
        })
    }

    fn make(&self, folder: BorrowedFd<'_>, name: &str) -> rustix::io::Result<()> {
        let kind = match self.kind {
            Kind::Block => FileType::BlockDevice,
            Kind::Character => FileType::CharacterDevice,
        };
        let mode = Mode::from_raw_mode(self.mode);
        match mknodat(folder, name, kind, mode, makedev(self.major, self.minor)) {
            // One that every container has.
            Err(rustix::io::Errno::EXIST) => return Ok(()),
            result => result?,
        }
        chmodat(folder, name, mode, AtFlags::empty())?;
        let owner = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        chownat(folder, name, Some(owner.0), Some(owner.1), AtFlags::SYMLINK_NOFOLLOW)
    }
}

/// Makes the nodes below /dev, which is `dev`.
fn add(dev: BorrowedFd<'_>, devices: &[Device]) -> Result<()> {
    for device in devices {
        let path = clean(&device.path);
        let Some(name) = path.strip_prefix("dev/") else {
            return Err(Error::unsupported(format!("--device: /{path} is not below /dev")));
        };
        // Nothing is in this tmpfs but what was made here.
        for (end, _) in name.match_indices('/') {
            match mkdirat(dev, &name[..end], Mode::from_raw_mode(0o755)) {
                Err(rustix::io::Errno::EXIST) => (),
                result => result.on("mkdir", format_args!("/dev/{}", &name[..end]))?,
            }
        }
        device.make(dev, name).on("mknod", format_args!("/{path}"))?;
    }
    Ok(())
}

/// A rule: a type of device, a major and a minor number (`None`: any), and what may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Block or character devices.
    pub kind: Kind,
    /// Their first number,
    pub major: Option<u32>,
    /// and their second.
    pub minor: Option<u32>,
    /// Of [`MAKE`], [`READ`] and [`WRITE`].
    pub access: u32,
}

/// The two kinds of devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Disks.
    Block = 1,
    /// All others.
    Character = 2,
}

/// A node may be made (the bits are those of `enum` BPF_DEVCG_ACC_*),
pub const MAKE: u32 = 1;
/// read,
pub const READ: u32 = 2;
/// written.
pub const WRITE: u32 = 4;
const ALL: u32 = MAKE | READ | WRITE;

/// Every device.
pub const EVERYTHING: [Rule; 2] =
    [rule(Kind::Character, None, None, ALL), rule(Kind::Block, None, None, ALL)];

/// The default rules and these.
pub fn with_defaults(rules: &[Rule]) -> Vec<Rule> {
    DEFAULT_RULES.iter().chain(rules).copied().collect()
}

const fn rule(kind: Kind, major: Option<u32>, minor: Option<u32>, access: u32) -> Rule {
    Rule { kind, major, minor, access }
}

/// Docker's default rules: any node may be made, only these may be opened.
pub(crate) const DEFAULT_RULES: [Rule; 11] = [
    rule(Kind::Character, None, None, MAKE),
    rule(Kind::Block, None, None, MAKE),
    rule(Kind::Character, Some(1), Some(3), ALL),
    rule(Kind::Character, Some(1), Some(5), ALL),
    rule(Kind::Character, Some(1), Some(7), ALL),
    rule(Kind::Character, Some(1), Some(8), ALL),
    rule(Kind::Character, Some(1), Some(9), ALL),
    rule(Kind::Character, Some(5), Some(0), ALL),
    rule(Kind::Character, Some(5), Some(1), ALL),
    rule(Kind::Character, Some(5), Some(2), ALL),
    rule(Kind::Character, Some(136), None, ALL),
];

/// The rules as a cgroup device program: allow what one rule allows, refuse all else.
///
/// The context is `struct bpf_cgroup_dev_ctx`: access and type in one number (access in the high
/// 16 bits), then major, then minor.
pub(crate) fn program(rules: &[Rule]) -> Vec<Instruction> {
    const LOAD: u8 = 0x61; // BPF_LDX | BPF_MEM | BPF_W
    const MOVE: u8 = 0xbf; // BPF_ALU64 | BPF_MOV | BPF_X
    const MOVE_CONSTANT: u8 = 0xb7; // BPF_ALU64 | BPF_MOV | BPF_K
    const AND_32: u8 = 0x54; // BPF_ALU | BPF_AND | BPF_K
    const SHIFT_RIGHT_32: u8 = 0x74; // BPF_ALU | BPF_RSH | BPF_K
    const JUMP_NOT_EQUAL: u8 = 0x55; // BPF_JMP | BPF_JNE | BPF_K
    const EXIT: u8 = 0x95;
    const RESULT: u8 = 0;
    const CONTEXT: u8 = 1;
    const TYPE: u8 = 2;
    const ACCESS: u8 = 3;
    const MAJOR: u8 = 4;
    const MINOR: u8 = 5;
    const SCRATCH: u8 = 6;
    let one = Instruction::new;
    let mut program = vec![
        one(LOAD, TYPE, CONTEXT, 0, 0),
        one(MOVE, ACCESS, TYPE, 0, 0),
        one(SHIFT_RIGHT_32, ACCESS, 0, 0, 16),
        one(AND_32, TYPE, 0, 0, 0xffff),
        one(LOAD, MAJOR, CONTEXT, 4, 0),
        one(LOAD, MINOR, CONTEXT, 8, 0),
    ];
    for rule in rules {
        let mut tests = vec![(TYPE, rule.kind as i32)];
        tests.extend(rule.major.map(|major| (MAJOR, major as i32)));
        tests.extend(rule.minor.map(|minor| (MINOR, minor as i32)));
        // After the tests: three instructions for the access, two that allow.
        let access = rule.access != ALL;
        let mut left = tests.len() + if access { 3 } else { 0 } + 2;
        for (register, value) in tests {
            left -= 1;
            program.push(one(JUMP_NOT_EQUAL, register, 0, left as i16, value));
        }
        if access {
            program.push(one(MOVE, SCRATCH, ACCESS, 0, 0));
            program.push(one(AND_32, SCRATCH, 0, 0, !rule.access as i32));
            program.push(one(JUMP_NOT_EQUAL, SCRATCH, 0, 2, 0));
        }
        program.push(one(MOVE_CONSTANT, RESULT, 0, 0, 1));
        program.push(one(EXIT, 0, 0, 0, 0));
    }
    program.push(one(MOVE_CONSTANT, RESULT, 0, 0, 0));
    program.push(one(EXIT, 0, 0, 0, 0));
    program
}

/// A rule as the version 1 controller's `devices.allow` reads it.
pub(crate) fn version_1_text(rule: &Rule) -> String {
    let kind = if rule.kind == Kind::Block { 'b' } else { 'c' };
    let number = |number: Option<u32>| number.map_or("*".to_string(), |number| number.to_string());
    let mut access = String::new();
    for (bit, letter) in [(READ, 'r'), (WRITE, 'w'), (MAKE, 'm')] {
        if rule.access & bit != 0 {
            access.push(letter);
        }
    }
    format!("{kind} {}:{} {access}", number(rule.major), number(rule.minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_rules_are_written_as_the_kernel_reads_them() {
        let texts: Vec<String> = DEFAULT_RULES.iter().map(version_1_text).collect();
        assert_eq!(texts[..3], ["c *:* m", "b *:* m", "c 1:3 rwm"]);
        assert_eq!(texts.last().map(String::as_str), Some("c 136:* rwm"));
    }

    #[test]
    fn no_jump_leaves_the_program() {
        let program = program(&DEFAULT_RULES);
        for (place, instruction) in program.iter().enumerate() {
            let target = place as i64 + 1 + i64::from(instruction.offset);
            let jumps = instruction.code == 0x55;
            assert!(!jumps || (target > 0 && (target as usize) < program.len()), "{place}");
        }
    }
}
