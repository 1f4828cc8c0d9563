//! What a container uses: the answer to `GET /containers/ID/stats`.

use base::json_object;
use base::map::Map;

json_object! {
    /// Processor time in nanoseconds.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct CpuUsage {
        /// In all,
        "total_usage" => pub total: u64,
        /// in the kernel,
        "usage_in_kernelmode" => pub kernel: u64,
        /// in the program.
        "usage_in_usermode" => pub user: u64,
    }
}

json_object! {
    /// How often its quota held it back.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Throttling {
        /// Periods so far,
        "periods" => pub periods: u64,
        /// those in which it was held back,
        "throttled_periods" => pub throttled_periods: u64,
        /// and for how many nanoseconds.
        "throttled_time" => pub throttled: u64,
    }
}

json_object! {
    /// Processors.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct CpuStats {
        /// The container's time.
        "cpu_usage" => pub usage: CpuUsage,
        /// All processors' time, idle included, in nanoseconds.
        "system_cpu_usage" => pub system: u64,
        /// How many there are.
        "online_cpus" => pub online: u64,
        /// Its quota.
        "throttling_data" => pub throttling: Throttling,
    }
}

json_object! {
    /// Memory in bytes.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct MemoryStats {
        /// In use, page cache included.
        "usage" => pub usage: u64,
        /// Counters by the kernel's names.
        "stats" => pub stats: Map<String, u64>,
        /// What it may have: its limit, or the host's memory.
        "limit" => pub limit: u64,
    }
}

json_object! {
    /// Processes and threads.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct PidsStats {
        /// How many there are,
        "current" => pub current: u64,
        /// and may be; 0 for no limit.
        "limit" ? => pub limit: u64,
    }
}

json_object! {
    /// One counter of one disk.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct BlkioEntry {
        /// The disk's number,
        "major" => pub major: u64,
        /// its second half.
        "minor" => pub minor: u64,
        /// read or write.
        "op" => pub operation: String,
        /// Bytes.
        "value" => pub value: u64,
    }
}

json_object! {
    /// Disks.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct BlkioStats {
        /// Bytes by disk and direction.
        "io_service_bytes_recursive" => pub bytes: Vec<BlkioEntry>,
    }
}

json_object! {
    /// One network interface.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct NetworkStats {
        /// Received,
        "rx_bytes" => pub rx_bytes: u64,
        /// packets,
        "rx_packets" => pub rx_packets: u64,
        /// broken,
        "rx_errors" => pub rx_errors: u64,
        /// dropped.
        "rx_dropped" => pub rx_dropped: u64,
        /// Sent,
        "tx_bytes" => pub tx_bytes: u64,
        /// packets,
        "tx_packets" => pub tx_packets: u64,
        /// broken,
        "tx_errors" => pub tx_errors: u64,
        /// dropped.
        "tx_dropped" => pub tx_dropped: u64,
    }
}

json_object! {
    /// One sample, and the processors of the one before.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct ContainerStats {
        /// When, RFC 3339.
        "read" => pub read: String,
        /// When the one before was taken.
        "preread" => pub preread: String,
        /// Processes.
        "pids_stats" => pub pids: PidsStats,
        /// Disks.
        "blkio_stats" => pub blkio: BlkioStats,
        /// Processors.
        "cpu_stats" => pub cpu: CpuStats,
        /// Processors before.
        "precpu_stats" => pub cpu_before: CpuStats,
        /// Memory.
        "memory_stats" => pub memory: MemoryStats,
        /// A slash and the name.
        "name" => pub name: String,
        /// 64 hex digits.
        "id" => pub id: String,
        /// Interfaces by name.
        "networks" ? => pub networks: Map<String, NetworkStats>,
    }
}
