//! `/version` and `/info`.

use super::container::ContainerSummary;
use super::image::ImageSummary;
use super::volume::Volume;
use base::json::Raw;
use base::json_object;
use base::map::Map;

json_object! {
    /// One of the programs that the server is made of.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Component {
        /// Its name.
        "Name" => pub name: String,
        /// Its version.
        "Version" => pub version: String,
        /// More about it.
        "Details" ? => pub details: Map<String, String>,
    }
}

json_object! {
    /// The server's edition, a name in an object of its own.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Platform {
        /// The name.
        "Name" => pub name: String,
    }
}

json_object! {
    /// The answer to `GET /version`.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Version {
        /// The edition.
        "Platform" ? => pub platform: Option<Platform>,
        /// The parts.
        "Components" ? => pub components: Vec<Component>,
        /// Of the server.
        "Version" => pub version: String,
        /// The newest API version that it speaks.
        "ApiVersion" => pub api_version: String,
        /// The oldest.
        "MinAPIVersion" ? => pub min_api_version: String,
        /// The commit it was built from.
        "GitCommit" => pub git_commit: String,
        /// The compiler; docker calls it so.
        "GoVersion" => pub go_version: String,
        /// linux.
        "Os" => pub os: String,
        /// amd64, arm, ...
        "Arch" => pub arch: String,
        /// uname -r.
        "KernelVersion" ? => pub kernel_version: String,
        /// When it was built.
        "BuildTime" ? => pub build_time: String,
    }
}

json_object! {
    /// The answer to `GET /info`: the members that clients print.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Info {
        /// The store's own id.
        "ID" => pub id: String,
        /// Number of containers.
        "Containers" => pub containers: i64,
        /// Of these, running.
        "ContainersRunning" => pub containers_running: i64,
        /// Of these, paused.
        "ContainersPaused" => pub containers_paused: i64,
        /// Of these, stopped.
        "ContainersStopped" => pub containers_stopped: i64,
        /// Number of images.
        "Images" => pub images: i64,
        /// The graphdriver.
        "Driver" => pub driver: String,
        /// Lines about the graphdriver, each a name and a value.
        "DriverStatus" => pub driver_status: Vec<Vec<String>>,
        /// Names of the plug-in kinds.
        "Plugins" ? => pub plugins: Raw,
        /// The kernel limits memory.
        "MemoryLimit" => pub memory_limit: bool,
        /// And swap.
        "SwapLimit" => pub swap_limit: bool,
        /// And the number of processes.
        "PidsLimit" => pub pids_limit: bool,
        /// CFS periods.
        "CpuCfsPeriod" => pub cpu_cfs_period: bool,
        /// CFS quotas.
        "CpuCfsQuota" => pub cpu_cfs_quota: bool,
        /// CPU shares.
        "CPUShares" => pub cpu_shares: bool,
        /// CPU sets.
        "CPUSet" => pub cpu_set: bool,
        /// net.ipv4.ip_forward.
        "IPv4Forwarding" => pub ipv4_forwarding: bool,
        /// The server tells more.
        "Debug" => pub debug: bool,
        /// Open descriptors.
        "NFd" => pub fds: i64,
        /// Now, at the server.
        "SystemTime" => pub system_time: String,
        /// The log driver of containers that name none.
        "LoggingDriver" => pub logging_driver: String,
        /// cgroupfs.
        "CgroupDriver" => pub cgroup_driver: String,
        /// 1 or 2.
        "CgroupVersion" ? => pub cgroup_version: String,
        /// uname -r.
        "KernelVersion" => pub kernel_version: String,
        /// The distribution's name.
        "OperatingSystem" => pub operating_system: String,
        /// The distribution's version.
        "OSVersion" ? => pub os_version: String,
        /// linux.
        "OSType" => pub os_type: String,
        /// uname -m.
        "Architecture" => pub architecture: String,
        /// Processors.
        "NCPU" => pub cpus: i64,
        /// Bytes of memory.
        "MemTotal" => pub memory: i64,
        /// The root folder.
        "DockerRootDir" => pub root: String,
        /// The host's name.
        "Name" => pub name: String,
        /// The server's version.
        "ServerVersion" => pub server_version: String,
        /// The runtime that containers get.
        "DefaultRuntime" => pub default_runtime: String,
        /// Whether containers survive the server.
        "LiveRestoreEnabled" => pub live_restore: bool,
        /// Seccomp, rootless, ...
        "SecurityOptions" => pub security_options: Vec<String>,
        /// What the user should know.
        "Warnings" ? => pub warnings: Vec<String>,
    }
}

json_object! {
    /// The answer to `GET /system/df`.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct DiskUsage {
        /// Bytes of all layers.
        "LayersSize" => pub layers_size: i64,
        /// Images.
        "Images" => pub images: Vec<ImageSummary>,
        /// Containers.
        "Containers" => pub containers: Vec<ContainerSummary>,
        /// Volumes.
        "Volumes" => pub volumes: Vec<Volume>,
        /// Nothing is built here.
        "BuildCache" => pub build_cache: Vec<String>,
    }
}

json_object! {
    /// The answer of `POST /coracle/boot`: containers by name.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Restored {
        /// Those that were started.
        "Started" => pub started: Vec<String>,
        /// Those that were not, each with the reason.
        "Failed" => pub failed: Vec<String>,
    }
}
