//! What the engine asks for, as plain values.

use crate::capabilities::Capabilities;
use crate::cgroup::Limits;
use crate::devices::{Device, Rule};
use crate::kept_root::KeptRoot;
use crate::seccomp::Seccomp;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// Where the container's root comes from.
#[derive(Clone, Debug)]
pub enum RootSource {
    /// Layers below, a writable folder above.
    Overlay {
        /// The layers' folders, the topmost first.
        lower: Vec<PathBuf>,
        /// The writable folder.
        upper: PathBuf,
        /// overlay's own folder, on the same file system as `upper`.
        work: PathBuf,
        /// No sync at the end: the container will never be started again.
        volatile: bool,
        /// overlay's marks are user.* attributes (an ordinary user's store).
        userxattr: bool,
        /// In the place of `upper` and `work` a tmpfs of so many bytes, gone with the container.
        ram: Option<u64>,
        /// The SELinux context of all its files.
        label: Option<String>,
    },
    /// A folder as it is.
    Folder(PathBuf),
}

/// Which namespace of a kind the container is in.
#[derive(Debug, Default)]
pub enum Namespace {
    /// One of its own; a network then has nothing but `lo`.
    #[default]
    Own,
    /// The host's.
    Host,
    /// Another container's.
    Of(OwnedFd),
}

impl Namespace {
    /// Another container's.
    pub fn is_of(&self) -> bool {
        matches!(self, Namespace::Of(_))
    }

    /// The host's.
    pub fn is_host(&self) -> bool {
        matches!(self, Namespace::Host)
    }
}

/// The namespaces that can be chosen. Mounts are always the container's own.
#[derive(Debug, Default)]
pub struct Namespaces {
    /// Interfaces, addresses, sockets.
    pub network: Namespace,
    /// Processes.
    pub pid: Namespace,
    /// Queues, semaphores, shared memory.
    pub ipc: Namespace,
    /// The host name.
    pub uts: Namespace,
    /// The host's view of cgroups instead of the container's own.
    pub host_cgroups: bool,
}

/// /dev/shm.
#[derive(Debug)]
pub enum SharedMemory {
    /// One of its own, of so many bytes.
    Own(u64),
    /// The host's.
    Host,
    /// None.
    Missing,
    /// That of the container with this mount namespace.
    Of(OwnedFd),
}

/// A file or folder of the host, visible inside.
#[derive(Clone, Debug)]
pub struct Bind {
    /// Path on the host.
    pub source: PathBuf,
    /// Path inside, resolved beneath the root.
    pub target: String,
    /// Not writable from inside; file systems that lie in it neither, where the kernel can (5.12).
    pub read_only: bool,
    /// Whether mounts that are made later are seen on the other side.
    pub propagation: Propagation,
    /// The folder is empty: it gets what the image has at the target. It is filled aside, under this
    /// name in the same file system, and takes the source's place when it is whole.
    pub copy_up: Option<PathBuf>,
    /// Its owners are the container's ids, whatever they are on the host: a volume.
    pub mapped: bool,
    /// What SELinux shall call its files, on the host.
    pub label: Option<String>,
}

impl Bind {
    /// A private bind.
    pub fn new(source: PathBuf, target: String, read_only: bool) -> Bind {
        Bind {
            source,
            target,
            read_only,
            propagation: Propagation::Private,
            copy_up: None,
            mapped: false,
            label: None,
        }
    }
}

/// How later mounts travel: mount_namespaces(7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Propagation {
    /// Not at all.
    #[default]
    Private,
    /// From the host into the container.
    Slave,
    /// Both ways.
    Shared,
}

/// The ids of a user namespace: 0 inside is this one on the host, and so on. One id, the caller's, or
/// his own and subordinate ones: an ordinary user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserNamespace {
    /// The host's number of the root inside.
    pub uid: u32,
    /// The same of its group.
    pub gid: u32,
    /// How many there are of each.
    pub count: u32,
    /// An ordinary user's subordinate ids, of users and of groups: where 1 and what follows it are.
    pub rest: Option<(u32, u32)>,
}

impl UserNamespace {
    /// An ordinary user's: his own id is the root inside, and much needs another way.
    pub fn is_ordinary(&self) -> bool {
        self.count == 1 || self.rest.is_some()
    }
}

/// The standard streams of the program.
pub enum Stdio {
    /// Input, output, error.
    Descriptors([OwnedFd; 3]),
    /// A terminal of this size (columns, rows; zeroes when nobody knows it yet).
    Terminal(u16, u16),
}

/// A program to run inside: a container's first process, or one more.
pub struct Program {
    /// The command: at least one text.
    pub arguments: Vec<String>,
    /// `NAME=value`
    pub environment: Vec<String>,
    /// Working directory inside.
    pub folder: String,
    /// `user[:group]`, names or numbers, as the image or the command line say it.
    pub user: String,
    /// Its capabilities, if it is root, and what it can get at all.
    pub capabilities: Capabilities,
    /// No new privileges by exec.
    pub no_new_privileges: bool,
    /// Groups beside those of its user: names or numbers.
    pub groups: Vec<String>,
    /// Limits of its own, set before its first instruction.
    pub limits: Vec<ResourceLimit>,
    /// The out-of-memory killer's liking for it, from -1000 to 1000.
    pub oom_score: Option<i32>,
    /// The AppArmor profile that it enters by its first exec.
    pub apparmor: Option<String>,
    /// The SELinux context that it gets by its first exec.
    pub selinux: Option<String>,
    /// Which system calls it may make.
    pub seccomp: Seccomp,
    /// The container's user namespace has so many ids; `None` for the host's.
    pub ids: Option<u32>,
}

/// A limit of setrlimit(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceLimit {
    /// RLIMIT_*
    pub resource: u32,
    /// What holds.
    pub soft: u64,
    /// How far the program may raise it.
    pub hard: u64,
}

/// A file system of the container's own: tmpfs, or one on a device or a server.
#[derive(Clone, Debug)]
pub struct FileSystem {
    /// tmpfs, ext4, nfs, …
    pub kind: String,
    /// The device, or what the file system wants in its place.
    pub source: String,
    /// Path inside, resolved beneath the root.
    pub target: String,
    /// MS_* of mount(2).
    pub flags: u64,
    /// Options of the file system.
    pub options: String,
}

/// One container to start.
pub struct Spec {
    /// The name of its cgroup ([`crate::cgroup::name`]).
    pub id: String,
    /// Where the root comes from.
    pub root: RootSource,
    /// The root of the container's last life, to be used again.
    pub kept_root: Option<KeptRoot>,
    /// [`Started::root`](crate::Started::root) is wanted.
    pub keep_root: bool,
    /// A folder that exists, on which the root is mounted in the child's own mount namespace.
    pub mount_point: PathBuf,
    /// The root may not be written.
    pub read_only_root: bool,
    /// Every device of the host, /sys and cgroups that can be written, no hidden paths.
    pub privileged: bool,
    /// No hidden or read-only paths in /proc and /sys.
    pub system_paths: bool,
    /// Host name inside.
    pub hostname: String,
    /// NIS domain name inside; empty for the host's.
    pub domainname: String,
    /// Its first process. Its working directory is made when it is missing.
    pub program: Program,
    /// Its namespaces.
    pub namespaces: Namespaces,
    /// Kernel parameters of its namespaces: path below /proc/sys, and value.
    pub sysctls: Vec<(String, String)>,
    /// Its first process is not the program but its parent, which waits for orphans.
    pub init: bool,
    /// Files and folders of the host.
    pub binds: Vec<Bind>,
    /// File systems of its own. Both are mounted by the depth of their targets.
    pub file_systems: Vec<FileSystem>,
    /// The SELinux context of /dev, /dev/shm and /dev/mqueue.
    pub mount_label: Option<String>,
    /// /dev/shm.
    pub shared_memory: SharedMemory,
    /// Devices of the host in /dev.
    pub devices: Vec<Device>,
    /// What devices may be used; `None` for the default rules.
    pub device_rules: Option<Vec<Rule>>,
    /// Limits; `None` for an ordinary user without a cgroup of his own.
    pub limits: Option<Limits>,
    /// An ordinary user's container, or one whose root is nobody on the host.
    pub user_namespace: Option<UserNamespace>,
    /// The container is killed when the thread that starts it ends.
    pub dies_with_parent: bool,
    /// Our parent process is the one that waits for the container.
    pub parent_waits: bool,
}

impl Spec {
    /// An ordinary user's container.
    pub(crate) fn is_ordinary(&self) -> bool {
        self.user_namespace.is_some_and(|ids| ids.is_ordinary())
    }

    /// Root's container whose ids are others on the host.
    pub(crate) fn mapped_ids(&self) -> Option<UserNamespace> {
        self.user_namespace.filter(|ids| !ids.is_ordinary())
    }
}
