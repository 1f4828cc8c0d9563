//! What the host gives a container: limits, mounts, network, log.
//!
//! The members that this cut acts on have a field; every other one is kept as it came (`rest`), so
//! that `inspect` shows it and a newer binary can act on it.

use super::volume::Mount;
use base::json::Rest;
use base::json_object;
use base::map::Map;

json_object! {
    /// Where a container's output goes.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct LogConfig {
        /// json-file, none, ...; empty for the server's default.
        "Type" => pub kind: String,
        /// The driver's options.
        "Config" => pub config: Map<String, String>,
    }
}

json_object! {
    /// When to start a container again.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct RestartPolicy {
        /// no, always, on-failure, unless-stopped; empty for no.
        "Name" => pub name: String,
        /// With on-failure: how often at most; 0 for ever.
        "MaximumRetryCount" => pub maximum_retry_count: i64,
    }
}

json_object! {
    /// A device of the host and where it is inside.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct DeviceMapping {
        /// A device or a folder of devices.
        "PathOnHost" => pub on_host: String,
        /// Below /dev.
        "PathInContainer" => pub inside: String,
        /// Of r, w and m; empty for all.
        "CgroupPermissions" => pub permissions: String,
    }
}

json_object! {
    /// A limit of setrlimit(2).
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Ulimit {
        /// nofile, nproc, ...
        "Name" => pub name: String,
        /// How far the program may raise it; -1 for no limit.
        "Hard" => pub hard: i64,
        /// What holds; -1 for no limit.
        "Soft" => pub soft: i64,
    }
}

json_object! {
    /// A disk's weight.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct WeightDevice {
        /// The block device on the host.
        "Path" => pub path: String,
        /// 10 to 1000.
        "Weight" => pub weight: i64,
    }
}

json_object! {
    /// A limit of what may be done with a disk.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct ThrottleDevice {
        /// The block device on the host.
        "Path" => pub path: String,
        /// Bytes or operations in a second.
        "Rate" => pub rate: u64,
    }
}

json_object! {
    /// What the host gives a container.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct HostConfig {
        /// host-path:container-path[:options], each `-v` of that form.
        "Binds" => pub binds: Option<Vec<String>>,
        /// The client's file with the id; only shown.
        "ContainerIDFile" => pub container_id_file: String,
        /// The log.
        "LogConfig" => pub log_config: LogConfig,
        /// none, host, bridge, container:ID, a network's name; default or empty for the default.
        "NetworkMode" => pub network_mode: String,
        /// Restarts.
        "RestartPolicy" => pub restart_policy: RestartPolicy,
        /// Remove it when it has ended.
        "AutoRemove" => pub auto_remove: bool,
        /// Height and width of the client's terminal, for `-t`.
        "ConsoleSize" ? => pub console_size: Vec<u32>,
        /// Groups beside the user's.
        "GroupAdd" ? => pub group_add: Option<Vec<String>>,
        /// Devices of the host.
        "Devices" ? => pub devices: Vec<DeviceMapping>,
        /// Rules about devices beside the default ones.
        "DeviceCgroupRules" ? => pub device_cgroup_rules: Option<Vec<String>>,
        /// Limits of setrlimit(2).
        "Ulimits" ? => pub ulimits: Vec<Ulimit>,
        /// The out-of-memory killer's liking for it.
        "OomScoreAdj" ? => pub oom_score_adj: i64,
        /// Capabilities beside the default ones.
        "CapAdd" => pub cap_add: Option<Vec<String>>,
        /// Capabilities to take away.
        "CapDrop" => pub cap_drop: Option<Vec<String>>,
        /// All devices and capabilities.
        "Privileged" => pub privileged: bool,
        /// The root is read-only.
        "ReadonlyRootfs" => pub readonly_rootfs: bool,
        /// Seccomp, no-new-privileges, ...
        "SecurityOpt" => pub security_opt: Option<Vec<String>>,
        /// Paths inside that are hidden; null for the server's list, empty for none.
        "MaskedPaths" ? => pub masked_paths: Option<Vec<String>>,
        /// Paths inside that are read-only; the same.
        "ReadonlyPaths" ? => pub readonly_paths: Option<Vec<String>>,
        /// Bytes of /dev/shm; 0 for the default.
        "ShmSize" ? => pub shm_size: i64,
        /// Bytes of memory; 0 for no limit.
        "Memory" => pub memory: i64,
        /// Bytes of memory and swap; -1 for no limit.
        "MemorySwap" => pub memory_swap: i64,
        /// Bytes of memory to keep below when the host has little.
        "MemoryReservation" => pub memory_reservation: i64,
        /// How gladly its memory is swapped out, 0 to 100; -1 for the host's.
        "MemorySwappiness" => pub memory_swappiness: Option<i64>,
        /// Who wants more memory than allowed waits.
        "OomKillDisable" => pub oom_kill_disable: Option<bool>,
        /// Billionths of a processor.
        "NanoCpus" => pub nano_cpus: i64,
        /// Its share of the processors; 0 for the usual one.
        "CpuShares" => pub cpu_shares: i64,
        /// Microseconds of a period.
        "CpuPeriod" => pub cpu_period: i64,
        /// Microseconds of processor time in it.
        "CpuQuota" => pub cpu_quota: i64,
        /// The processors that it may run on.
        "CpusetCpus" => pub cpuset_cpus: String,
        /// The memory nodes that it may use.
        "CpusetMems" => pub cpuset_mems: String,
        /// Its share of the disks, 10 to 1000; 0 for the usual one.
        "BlkioWeight" => pub blkio_weight: i64,
        /// The same for single disks.
        "BlkioWeightDevice" ? => pub blkio_weight_device: Vec<WeightDevice>,
        /// Bytes read in a second,
        "BlkioDeviceReadBps" ? => pub blkio_device_read_bps: Vec<ThrottleDevice>,
        /// bytes written,
        "BlkioDeviceWriteBps" ? => pub blkio_device_write_bps: Vec<ThrottleDevice>,
        /// operations that read,
        "BlkioDeviceReadIOps" ? => pub blkio_device_read_iops: Vec<ThrottleDevice>,
        /// operations that write.
        "BlkioDeviceWriteIOps" ? => pub blkio_device_write_iops: Vec<ThrottleDevice>,
        /// Processes; 0 and -1 for no limit.
        "PidsLimit" => pub pids_limit: Option<i64>,
        /// Mounted tmpfs by target, with options.
        "Tmpfs" ? => pub tmpfs: Map<String, String>,
        /// Its cgroup's parent.
        "CgroupParent" ? => pub cgroup_parent: String,
        /// Which cgroups it sees: private, host.
        "CgroupnsMode" ? => pub cgroupns_mode: String,
        /// Whose System V objects and /dev/shm it has: private, shareable, none, host.
        "IpcMode" ? => pub ipc_mode: String,
        /// Whose processes it sees: empty, host, container:ID.
        "PidMode" ? => pub pid_mode: String,
        /// Whose host name it has: empty, host.
        "UTSMode" ? => pub uts_mode: String,
        /// Whose users it has: empty, host.
        "UsernsMode" ? => pub userns_mode: String,
        /// Kernel parameters of its namespaces.
        "Sysctls" ? => pub sysctls: Map<String, String>,
        /// A first process that waits for orphans.
        "Init" ? => pub init: Option<bool>,
        /// For other tools; only kept.
        "Annotations" ? => pub annotations: Map<String, String>,
        /// The runtime's name; empty for ours.
        "Runtime" ? => pub runtime: String,
        /// Options of the graph driver.
        "StorageOpt" ? => pub storage_opt: Map<String, String>,
        /// Name servers.
        "Dns" ? => pub dns: Vec<String>,
        /// Options of resolv.conf.
        "DnsOptions" ? => pub dns_options: Vec<String>,
        /// Domains that names are looked for in.
        "DnsSearch" ? => pub dns_search: Vec<String>,
        /// HOST:IP, lines for /etc/hosts.
        "ExtraHosts" ? => pub extra_hosts: Option<Vec<String>>,
        /// Our own: what becomes unhealthy is restarted.
        "RestartUnhealthy" ? => pub restart_unhealthy: bool,
        /// Our own: where it writes: empty for the store, ram, ram:SIZE.
        "Upper" ? => pub upper: String,
        /// Each `--mount`.
        "Mounts" ? => pub mounts: Vec<Mount>,
        /// CONTAINER[:ro]: all mounts of that container.
        "VolumesFrom" => pub volumes_from: Option<Vec<String>>,
        /// The driver of new volumes.
        "VolumeDriver" => pub volume_driver: String,
        /// Everything else, as it came.
        ..pub rest: Rest,
    }
}
