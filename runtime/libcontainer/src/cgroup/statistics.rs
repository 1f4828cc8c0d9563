//! What a container has used so far, read from its cgroups; from /proc where it has not joined the
//! one that counts.

use super::{Layout, place, processes, version1};
use rustix::process::Pid;
use std::fs::read_to_string;
use std::path::{Path, PathBuf};

/// Counters and levels of one container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Nanoseconds of processor time,
    pub cpu: u64,
    /// of these in the program,
    pub cpu_user: u64,
    /// and in the kernel.
    pub cpu_system: u64,
    /// Periods of its quota, and those in which it was held back.
    pub periods: u64,
    /// See above.
    pub throttled_periods: u64,
    /// Nanoseconds for which it was held back.
    pub throttled: u64,
    /// Bytes of memory, page cache included.
    pub memory: u64,
    /// Bytes of page cache that can go at once.
    pub inactive_file: u64,
    /// Bytes that it may have; None for no limit.
    pub memory_limit: Option<u64>,
    /// Processes and threads.
    pub pids: u64,
    /// How many it may have; None for no limit.
    pub pids_limit: Option<u64>,
    /// Bytes read and written, by disk: major, minor, read, written.
    pub io: Vec<(u32, u32, u64, u64)>,
}

/// Reads them. `pids`: the processes of a container that has no cgroup.
pub fn statistics(id: &str, pids: &dyn Fn() -> Vec<Pid>) -> Statistics {
    let layout = Layout::find();
    let mut found = Statistics::default();
    let tree = layout.unified().map(|tree| place(Path::new(tree), id));
    match (layout, &tree) {
        (Layout::Version2, Some(folder)) => version2(folder, &mut found),
        _ => hierarchies(id, &mut found),
    }
    if found.cpu == 0
        && let Some(folder) = &tree
    {
        processor_times(folder, &mut found);
    }
    let folder = tree.unwrap_or_else(|| version1::folder("pids", id));
    if found.memory == 0 || found.pids == 0 || found.cpu == 0 {
        let mut inside = processes(&folder);
        if inside.is_empty() {
            inside = pids();
        }
        found.pids = found.pids.max(inside.len() as u64);
        if found.memory == 0 {
            found.memory = inside.iter().filter_map(|pid| resident(*pid)).sum();
        }
        if found.cpu == 0 {
            let times = inside.iter().filter_map(|pid| processor_time(*pid));
            (found.cpu_user, found.cpu_system) =
                times.fold((0, 0), |sum, time| (sum.0 + time.0, sum.1 + time.1));
            found.cpu = found.cpu_user + found.cpu_system;
        }
    }
    found
}

fn number(path: PathBuf) -> Option<u64> {
    read_to_string(path).ok()?.trim().parse().ok()
}

/// The number after a key at a line's beginning.
fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// cpu.stat is in every version 2 cgroup, with or without its controller. Gives its text.
fn processor_times(folder: &Path, found: &mut Statistics) -> String {
    let text = read_to_string(folder.join("cpu.stat")).unwrap_or_default();
    let micros = |key| keyed(&text, key).unwrap_or(0).saturating_mul(1000);
    found.cpu = micros("usage_usec");
    found.cpu_user = micros("user_usec");
    found.cpu_system = micros("system_usec");
    text
}

fn version2(folder: &Path, found: &mut Statistics) {
    let text = processor_times(folder, found);
    found.periods = keyed(&text, "nr_periods").unwrap_or(0);
    found.throttled_periods = keyed(&text, "nr_throttled").unwrap_or(0);
    found.throttled = keyed(&text, "throttled_usec").unwrap_or(0).saturating_mul(1000);
    found.memory = number(folder.join("memory.current")).unwrap_or(0);
    found.memory_limit = number(folder.join("memory.max"));
    let text = read_to_string(folder.join("memory.stat")).unwrap_or_default();
    found.inactive_file = keyed(&text, "inactive_file").unwrap_or(0);
    found.pids = number(folder.join("pids.current")).unwrap_or(0);
    found.pids_limit = number(folder.join("pids.max"));
    // 8:0 rbytes=1 wbytes=2 rios=3 …
    for line in read_to_string(folder.join("io.stat")).unwrap_or_default().lines() {
        let mut words = line.split_ascii_whitespace();
        let Some((major, minor)) = words.next().and_then(device) else { continue };
        let (mut read, mut written) = (0, 0);
        for word in words {
            match word.split_once('=') {
                Some(("rbytes", count)) => read = count.parse().unwrap_or(0),
                Some(("wbytes", count)) => written = count.parse().unwrap_or(0),
                _ => (),
            }
        }
        found.io.push((major, minor, read, written));
    }
}

/// `8:0`
fn device(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn hierarchies(id: &str, found: &mut Statistics) {
    let folder = |name| version1::folder(name, id);
    found.cpu = number(folder("cpuacct").join("cpuacct.usage")).unwrap_or(0);
    let text = read_to_string(folder("cpuacct").join("cpuacct.stat")).unwrap_or_default();
    // In USER_HZ, 100 on every CPU of ours.
    let ticks = |key| keyed(&text, key).unwrap_or(0).saturating_mul(10_000_000);
    found.cpu_user = ticks("user");
    found.cpu_system = ticks("system");
    let text = read_to_string(folder("cpu").join("cpu.stat")).unwrap_or_default();
    found.periods = keyed(&text, "nr_periods").unwrap_or(0);
    found.throttled_periods = keyed(&text, "nr_throttled").unwrap_or(0);
    found.throttled = keyed(&text, "throttled_time").unwrap_or(0);
    let memory = folder("memory");
    found.memory = number(memory.join("memory.usage_in_bytes")).unwrap_or(0);
    // No limit is the largest number of pages that fits.
    let limit = number(memory.join("memory.limit_in_bytes"));
    found.memory_limit = limit.filter(|limit| *limit < i64::MAX as u64 / 2);
    let text = read_to_string(memory.join("memory.stat")).unwrap_or_default();
    found.inactive_file = keyed(&text, "total_inactive_file").unwrap_or(0);
    found.pids = number(folder("pids").join("pids.current")).unwrap_or(0);
    found.pids_limit = number(folder("pids").join("pids.max"));
    // 8:0 Read 1 / 8:0 Write 2
    let path = folder("blkio").join("blkio.throttle.io_service_bytes_recursive");
    for line in read_to_string(path).unwrap_or_default().lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [disk, kind, count] = words[..] else { continue };
        let (Some((major, minor)), Ok(count)) = (device(disk), count.parse()) else { continue };
        if !found.io.iter().any(|row| (row.0, row.1) == (major, minor)) {
            found.io.push((major, minor, 0, 0));
        }
        let row = found.io.iter_mut().find(|row| (row.0, row.1) == (major, minor));
        match (row, kind) {
            (Some(row), "Read") => row.2 = count,
            (Some(row), "Write") => row.3 = count,
            _ => (),
        }
    }
}

/// Bytes of a process that are in memory: VmRSS of proc_pid_status(5).
fn resident(pid: Pid) -> Option<u64> {
    let text = read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Nanoseconds in the program and in the kernel: proc_pid_stat(5), the 14th and 15th field, in
/// USER_HZ, 100 on every CPU of ours.
fn processor_time(pid: Pid) -> Option<(u64, u64)> {
    let text = read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok()?.checked_mul(10_000_000);
    Some((ticks()?, ticks()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_whole_words() {
        let text = "user_usec 5\nuser 7\n";
        assert_eq!(keyed(text, "user"), Some(7));
        assert_eq!(keyed(text, "system"), None);
        assert_eq!(device("8:16"), Some((8, 16)));
        assert_eq!(device("Total"), None);
    }

    #[test]
    fn version_2_files_are_read() {
        let folder = std::env::temp_dir().join(format!("coracle-stat-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("mkdir");
        for (name, text) in [
            (
                "cpu.stat",
                "usage_usec 9\nuser_usec 5\nsystem_usec 4\nnr_periods 3\nnr_throttled 2\n",
            ),
            ("memory.current", "4096\n"),
            ("memory.max", "max\n"),
            ("memory.stat", "anon 1\ninactive_file 1024\n"),
            ("pids.current", "2\n"),
            ("pids.max", "20\n"),
            ("io.stat", "8:0 rbytes=10 wbytes=20 rios=1 wios=1\n7:0 \n"),
        ] {
            std::fs::write(folder.join(name), text).expect("write");
        }
        let mut found = Statistics::default();
        version2(&folder, &mut found);
        std::fs::remove_dir_all(&folder).expect("remove");
        let want = Statistics {
            cpu: 9000,
            cpu_user: 5000,
            cpu_system: 4000,
            periods: 3,
            throttled_periods: 2,
            memory: 4096,
            inactive_file: 1024,
            pids: 2,
            pids_limit: Some(20),
            io: vec![(8, 0, 10, 20), (7, 0, 0, 0)],
            ..Statistics::default()
        };
        assert_eq!(found, want);
    }
}
