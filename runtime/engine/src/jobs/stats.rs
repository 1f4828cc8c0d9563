//! `stats`: what a container uses now, read by whoever asks.

use crate::Engine;
use crate::container::Container;
use base::Result;
use base::files::read_capped;
use base::map::Map;
use base::text::time::{now, rfc3339};
use base_http::api::stats::{
    BlkioEntry, BlkioStats, ContainerStats, CpuStats, CpuUsage, MemoryStats, NetworkStats,
    PidsStats, Throttling,
};
use libcontainer::cgroup;
use std::path::Path;

/// Takes samples of a container.
pub(crate) struct Stats {
    container: Container,
    last: Option<ContainerStats>,
}

impl Stats {
    pub(crate) fn begin(engine: &Engine, name: &str) -> Result<Stats> {
        Ok(Stats { container: engine.containers().find(name)?, last: None })
    }

    /// The next sample; without numbers when the container does not run. None when it is gone.
    pub(crate) fn sample(&mut self) -> Option<ContainerStats> {
        if !base::files::exists(&self.container.folder.join("config.json")) {
            return None;
        }
        let record = &self.container.record;
        let mut sample = ContainerStats {
            id: record.id.clone(),
            name: format!("/{}", record.name),
            read: "0001-01-01T00:00:00Z".to_string(),
            preread: "0001-01-01T00:00:00Z".to_string(),
            ..ContainerStats::default()
        };
        let state = self.container.state();
        if let Some(process) = state.process.as_ref().filter(|_| state.is_alive()) {
            let (seconds, nanos) = now();
            sample.read = rfc3339(seconds, nanos);
            fill(&mut sample, &record.cgroup(), process.pid);
            if record.host_config.network_mode != "host" {
                sample.networks = networks(process.pid);
            }
        }
        if let Some(last) = self.last.replace(sample.clone()) {
            sample.cpu_before = last.cpu;
            sample.preread = last.read;
        }
        Some(sample)
    }
}

fn fill(sample: &mut ContainerStats, id: &str, first: i32) {
    let found = cgroup::statistics(id, &|| super::top::in_namespace_of(first));
    sample.cpu = CpuStats {
        usage: CpuUsage { total: found.cpu, kernel: found.cpu_system, user: found.cpu_user },
        system: system_time(),
        online: rustix::thread::sched_getaffinity(None).map_or(1, |set| u64::from(set.count())),
        throttling: Throttling {
            periods: found.periods,
            throttled_periods: found.throttled_periods,
            throttled: found.throttled,
        },
    };
    let mut stats = Map::default();
    // By the key, clients know which version it is.
    let key = match cgroup::Layout::find().version() {
        "2" => "inactive_file",
        _ => "total_inactive_file",
    };
    stats.insert(key.to_string(), found.inactive_file);
    let host = super::system::memory() as u64;
    let limit = found.memory_limit.map_or(host, |limit| limit.min(host));
    sample.memory = MemoryStats { usage: found.memory, stats, limit };
    sample.pids = PidsStats { current: found.pids, limit: found.pids_limit.unwrap_or(0) };
    let entry = |major: u32, minor: u32, operation: &str, value| BlkioEntry {
        major: major.into(),
        minor: minor.into(),
        operation: operation.to_string(),
        value,
    };
    let rows = found.io.iter();
    let bytes = rows
        .flat_map(|(major, minor, read, written)| {
            [entry(*major, *minor, "read", *read), entry(*major, *minor, "write", *written)]
        })
        .collect();
    sample.blkio = BlkioStats { bytes };
}

/// proc_stat(5): the first line's numbers up to steal, in USER_HZ.
fn system_time() -> u64 {
    let text = read_capped(Path::new("/proc/stat"), 1 << 20).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().next().unwrap_or_default();
    let numbers = line.split_ascii_whitespace().skip(1).take(8);
    numbers.filter_map(|number| number.parse::<u64>().ok()).sum::<u64>().saturating_mul(10_000_000)
}

/// proc_pid_net(5), `dev`: the interfaces of a process's network, without lo.
fn networks(pid: i32) -> Map<String, NetworkStats> {
    let path = format!("/proc/{pid}/net/dev");
    let text = read_capped(Path::new(&path), 1 << 20).unwrap_or_default();
    let mut found = Map::default();
    for line in String::from_utf8_lossy(&text).lines().skip(2) {
        let Some((name, numbers)) = line.split_once(':') else { continue };
        let numbers: Vec<u64> =
            numbers.split_ascii_whitespace().filter_map(|number| number.parse().ok()).collect();
        let at = |place: usize| numbers.get(place).copied().unwrap_or(0);
        if name.trim() == "lo" {
            continue;
        }
        let row = NetworkStats {
            rx_bytes: at(0),
            rx_packets: at(1),
            rx_errors: at(2),
            rx_dropped: at(3),
            tx_bytes: at(8),
            tx_packets: at(9),
            tx_errors: at(10),
            tx_dropped: at(11),
        };
        found.insert(name.trim().to_string(), row);
    }
    found
}
