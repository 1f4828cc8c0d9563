//! What a container may use, and the files of each version that say so.

use std::fmt::Write as _;

/// A number, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// At most so much.
    Of(u64),
    /// As much as there is.
    Unlimited,
}

impl Amount {
    /// The number, or the file's own word for no limit.
    fn text(self, unlimited: &str) -> String {
        match self {
            Amount::Of(number) => number.to_string(),
            Amount::Unlimited => unlimited.to_string(),
        }
    }
}

/// What is counted in a limit of a block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Throttle {
    /// Bytes read in a second,
    ReadBytes,
    /// bytes written,
    WriteBytes,
    /// operations that read,
    ReadOperations,
    /// operations that write.
    WriteOperations,
}

impl Throttle {
    /// The file of version 1, and the key in version 2's io.max.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Throttle::ReadBytes => ("blkio.throttle.read_bps_device", "rbps"),
            Throttle::WriteBytes => ("blkio.throttle.write_bps_device", "wbps"),
            Throttle::ReadOperations => ("blkio.throttle.read_iops_device", "riops"),
            Throttle::WriteOperations => ("blkio.throttle.write_iops_device", "wiops"),
        }
    }
}

/// A block device's number.
pub type DeviceNumber = (u32, u32);

/// What a container may use. `None` is no word about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Bytes of memory and swap together. Docker's default is twice the memory.
    pub memory_and_swap: Option<Amount>,
    /// Bytes that it is pushed back to when the host has little.
    pub memory_reservation: Option<u64>,
    /// How gladly its memory is swapped out, from 0 to 100. Version 1 alone.
    pub swappiness: Option<u64>,
    /// Who wants more memory than allowed waits instead of being killed. Version 1 alone.
    pub wait_for_memory: bool,
    /// Its share of the processors against others; 1024 is the usual one.
    pub cpu_shares: Option<u64>,
    /// Microseconds of processor time in each period.
    pub cpu_quota: Option<Amount>,
    /// Microseconds of a period; 100000 when there is only a quota.
    pub cpu_period: Option<u64>,
    /// The processors that it may run on, as `0-2,4`.
    pub cpus: Option<String>,
    /// The memory nodes that it may use, the same way.
    pub memory_nodes: Option<String>,
    /// Processes and threads.
    pub pids: Option<Amount>,
    /// Its share of the disks against others, from 10 to 1000.
    pub io_weight: Option<u64>,
    /// The same for single disks.
    pub io_weights: Vec<(DeviceNumber, u64)>,
    /// What it may do with a disk in a second.
    pub throttles: Vec<(Throttle, DeviceNumber, u64)>,
    /// Version 1 hierarchies to join on a hybrid host besides those that a limit asks for.
    pub join: Join,
}

/// Which version 1 hierarchies a container joins on a hybrid host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Join {
    /// Those that its limits ask for: a command in the foreground that is removed at its end.
    #[default]
    Asked,
    /// Also those that statistics and later updates need.
    Statistics,
    /// And processor sets: a parent of the user's may have limits of every kind.
    Parent,
}

/// One file of a cgroup, and what is written there.
pub(super) struct Setting {
    pub(super) controller: &'static str,
    pub(super) file: &'static str,
    pub(super) value: String,
    /// Not every kernel has it, and nobody asked for it by name.
    pub(super) may_lack: bool,
}

/// The settings so far.
struct Settings(Vec<Setting>);

impl Settings {
    fn add(&mut self, controller: &'static str, file: &'static str, value: Option<String>) {
        let setting = |value| Setting { controller, file, value, may_lack: false };
        self.0.extend(value.map(setting));
    }
}

/// Most kernels' quota is of a tenth of a second.
const USUAL_PERIOD: u64 = 100_000;

impl Limits {
    /// Memory and swap together, and whether that is only the default.
    fn both(&self) -> Option<(Amount, bool)> {
        let default = || self.memory.map(|memory| (Amount::Of(memory.saturating_mul(2)), true));
        self.memory_and_swap.map(|both| (both, false)).or_else(default)
    }

    /// The files of version 1, in the order in which they are written. `exists`: whether a file is
    /// there, where its name depends on the kernel.
    pub(super) fn version1(&self, exists: &dyn Fn(&str) -> bool) -> Vec<Setting> {
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        let mut list = Settings(Vec::new());
        list.add("memory", "memory.limit_in_bytes", number(self.memory));
        if let Some((both, is_default)) = self.both() {
            list.0.push(Setting {
                controller: "memory",
                file: "memory.memsw.limit_in_bytes",
                value: both.text("-1"),
                // No CONFIG_MEMCG_SWAP, or swapaccount=0.
                may_lack: is_default,
            });
        }
        list.add("memory", "memory.soft_limit_in_bytes", number(self.memory_reservation));
        list.add("memory", "memory.swappiness", number(self.swappiness));
        list.add("memory", "memory.oom_control", self.wait_for_memory.then(|| "1".to_string()));
        list.add("cpu", "cpu.shares", number(self.cpu_shares));
        list.add("cpu", "cpu.cfs_period_us", number(self.cpu_period));
        list.add("cpu", "cpu.cfs_quota_us", self.cpu_quota.map(|quota| quota.text("-1")));
        list.add("cpuset", "cpuset.cpus", self.cpus.clone());
        list.add("cpuset", "cpuset.mems", self.memory_nodes.clone());
        list.add("pids", "pids.max", self.pids.map(|pids| pids.text("max")));
        if self.weighs_io() {
            // bfq has no files in the root cgroup of newer kernels, and those have no other weights.
            let names = match exists("blkio.bfq.weight") || !exists("blkio.weight") {
                true => ["blkio.bfq.weight", "blkio.bfq.weight_device"],
                false => ["blkio.weight", "blkio.weight_device"],
            };
            list.add("blkio", names[0], number(self.io_weight));
            for ((major, minor), value) in &self.io_weights {
                list.add("blkio", names[1], Some(format!("{major}:{minor} {value}")));
            }
        }
        for (kind, (major, minor), rate) in &self.throttles {
            list.add("blkio", kind.names().0, Some(format!("{major}:{minor} {rate}")));
        }
        list.0
    }

    fn weighs_io(&self) -> bool {
        self.io_weight.is_some() || !self.io_weights.is_empty()
    }

    /// The files of version 2, the same way.
    pub(super) fn version2(&self, exists: &dyn Fn(&str) -> bool) -> Vec<Setting> {
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        let mut list = Settings(Vec::new());
        list.add("memory", "memory.max", number(self.memory));
        if let Some((both, is_default)) = self.both() {
            let memory = self.memory.unwrap_or(0);
            let swap = match both {
                Amount::Of(both) => Amount::Of(both.saturating_sub(memory)),
                Amount::Unlimited => Amount::Unlimited,
            };
            list.0.push(Setting {
                controller: "memory",
                file: "memory.swap.max",
                value: swap.text("max"),
                may_lack: is_default,
            });
        }
        list.add("memory", "memory.low", number(self.memory_reservation));
        list.add("cpu", "cpu.weight", self.cpu_shares.map(|shares| weight(shares).to_string()));
        if self.cpu_quota.is_some() || self.cpu_period.is_some() {
            let mut text = self.cpu_quota.unwrap_or(Amount::Unlimited).text("max");
            let _ = write!(text, " {}", self.cpu_period.unwrap_or(USUAL_PERIOD));
            list.add("cpu", "cpu.max", Some(text));
        }
        list.add("cpuset", "cpuset.cpus", self.cpus.clone());
        list.add("cpuset", "cpuset.mems", self.memory_nodes.clone());
        list.add("pids", "pids.max", self.pids.map(|pids| pids.text("max")));
        if self.weighs_io() {
            // The scheduler bfq has kept version 1's numbers, 10 to 1000; others have 1 to 10000.
            let (file, scale): (_, fn(u64) -> u64) = match exists("io.bfq.weight") {
                true => ("io.bfq.weight", |weight| weight),
                false => ("io.weight", |weight| 1 + weight.saturating_sub(10) * 9999 / 990),
            };
            list.add("io", file, number(self.io_weight.map(scale)));
            for ((major, minor), value) in &self.io_weights {
                list.add("io", file, Some(format!("{major}:{minor} {}", scale(*value))));
            }
        }
        for (kind, (major, minor), rate) in &self.throttles {
            list.add("io", "io.max", Some(format!("{major}:{minor} {}={rate}", kind.names().1)));
        }
        list.0
    }
}

/// From version 1's 2 to 262144 to version 2's 1 to 10000, as runc and systemd count.
fn weight(shares: u64) -> u64 {
    let shares = shares.clamp(2, 262_144);
    1 + (shares - 2) * 9999 / 262_142
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(settings: Vec<Setting>) -> Vec<String> {
        settings.iter().map(|setting| format!("{}={}", setting.file, setting.value)).collect()
    }

    #[test]
    fn each_limit_has_its_files() {
        let limits = Limits {
            memory: Some(1 << 20),
            memory_reservation: Some(4096),
            cpu_shares: Some(1024),
            cpu_quota: Some(Amount::Of(50_000)),
            cpus: Some("0-1".into()),
            pids: Some(Amount::Unlimited),
            throttles: vec![(Throttle::WriteBytes, (8, 1), 7)],
            ..Limits::default()
        };
        assert_eq!(
            texts(limits.version1(&|_| false)),
            [
                "memory.limit_in_bytes=1048576",
                "memory.memsw.limit_in_bytes=2097152",
                "memory.soft_limit_in_bytes=4096",
                "cpu.shares=1024",
                "cpu.cfs_quota_us=50000",
                "cpuset.cpus=0-1",
                "pids.max=max",
                "blkio.throttle.write_bps_device=8:1 7",
            ]
        );
        assert_eq!(
            texts(limits.version2(&|_| false)),
            [
                "memory.max=1048576",
                "memory.swap.max=1048576",
                "memory.low=4096",
                "cpu.weight=39",
                "cpu.max=50000 100000",
                "cpuset.cpus=0-1",
                "pids.max=max",
                "io.max=8:1 wbps=7",
            ]
        );
    }

    #[test]
    fn swap_without_limit_and_weights() {
        let limits = Limits {
            memory: Some(4096),
            memory_and_swap: Some(Amount::Unlimited),
            ..Limits::default()
        };
        assert!(
            texts(limits.version1(&|_| false))
                .contains(&"memory.memsw.limit_in_bytes=-1".to_string())
        );
        assert!(texts(limits.version2(&|_| false)).contains(&"memory.swap.max=max".to_string()));
        assert_eq!([0, 2, 1024, 262_144, u64::MAX].map(weight), [1, 1, 39, 10_000, 10_000]);
    }
}
