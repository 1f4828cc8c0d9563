//! Memory, processors, processes and disks: from the words of the API to the limits of a cgroup,
//! with Docker's rules about them.

use base::paths::stat;
use base::{Error, Result};
use base_http::api::host_config::{HostConfig, ThrottleDevice};
use libcontainer::cgroup::{Amount, DeviceNumber, Join, Limits, Throttle, supports};
use rustix::fs::{FileType, major, minor};

const LEAST_MEMORY: i64 = 512 << 10;
const LEAST_RESERVATION: i64 = 512 << 10;
/// Microseconds.
const PERIODS: std::ops::RangeInclusive<i64> = 1_000..=1_000_000;
const LEAST_QUOTA: i64 = 1_000;
const USUAL_PERIOD: i64 = 100_000;

/// Refuses what cannot be meant, takes away what this kernel cannot do, and gives a warning for
/// each such word.
pub(crate) fn check(host: &mut HostConfig) -> Result<Vec<String>> {
    check_memory(host)?;
    check_processors(host)?;
    if host.blkio_weight != 0 && !(10..=1000).contains(&host.blkio_weight) {
        return Err(Error::bad_input("Range of blkio weight is from 10 to 1000"));
    }
    let warnings = drop_unsupported(host);
    // The devices are there.
    limits(host, Join::Asked)?;
    Ok(warnings)
}

fn check_memory(host: &HostConfig) -> Result<()> {
    let refuse = |text: &str| Err(Error::bad_input(text));
    if host.memory > 0 && host.memory < LEAST_MEMORY {
        return refuse("Minimum memory limit allowed is 512KB");
    }
    if host.memory > 0 && host.memory_swap > 0 && host.memory_swap < host.memory {
        return refuse("Minimum memoryswap limit should be larger than memory limit, see usage");
    }
    if host.memory == 0 && host.memory_swap > 0 {
        return refuse(
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        );
    }
    if let Some(swappiness) = host.memory_swappiness
        && !(-1..=100).contains(&swappiness)
    {
        return Err(Error::bad_input(format!(
            "Invalid value: {swappiness}, valid memory swappiness range is 0-100"
        )));
    }
    if host.memory_reservation > 0 && host.memory_reservation < LEAST_RESERVATION {
        return refuse("Minimum memory reservation allowed is 512KB");
    }
    if host.memory > 0 && host.memory_reservation > host.memory {
        return refuse(
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        );
    }
    Ok(())
}

fn check_processors(host: &HostConfig) -> Result<()> {
    let refuse = |text: String| Err(Error::bad_input(text));
    if host.nano_cpus != 0 {
        for (given, name) in [(host.cpu_period, "Period"), (host.cpu_quota, "Quota")] {
            if given != 0 {
                return refuse(format!(
                    "Conflicting options: Nano CPUs and CPU {name} cannot both be set."
                ));
            }
        }
        let count = processors().len();
        if host.nano_cpus < 10_000_000 || host.nano_cpus > count as i64 * 1_000_000_000 {
            return refuse(format!(
                "range of CPUs is from 0.01 to {count}.00, as there are only {count} CPUs available"
            ));
        }
    }
    if host.cpu_shares < 0 {
        return refuse(format!(
            "invalid CPU shares ({}): value must be a positive integer",
            host.cpu_shares
        ));
    }
    if host.cpu_period != 0 && !PERIODS.contains(&host.cpu_period) {
        return refuse(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"
                .to_string(),
        );
    }
    if host.cpu_quota > 0 && host.cpu_quota < LEAST_QUOTA {
        return refuse("CPU cfs quota can not be less than 1ms (i.e. 1000)".to_string());
    }
    check_list("cpus", "CPUs", &host.cpuset_cpus, "/sys/devices/system/cpu/online")?;
    check_list("mems", "memory nodes", &host.cpuset_mems, "/sys/devices/system/node/has_memory")
}

/// The host's processors that are on.
fn processors() -> Vec<u32> {
    list("0", "/sys/devices/system/cpu/online")
}

/// The numbers in a file of sysfs; `otherwise` where there is none.
fn list(otherwise: &str, path: &str) -> Vec<u32> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let text = if text.trim().is_empty() { otherwise } else { text.trim() };
    parse_list(text).unwrap_or_default()
}

/// `0-2,4`.
fn parse_list(text: &str) -> Option<Vec<u32>> {
    const MOST: u32 = 8192;
    let mut numbers = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
        if first > last || last >= MOST {
            return None;
        }
        numbers.extend(first..=last);
    }
    Some(numbers)
}

fn check_list(name: &str, what: &str, wanted: &str, online: &str) -> Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    let Some(numbers) = parse_list(wanted) else {
        return Err(Error::bad_input(format!("Invalid value {wanted} for cpuset {name}")));
    };
    let there = list("0", online);
    if numbers.iter().all(|number| there.contains(number)) {
        return Ok(());
    }
    let text = std::fs::read_to_string(online).unwrap_or_default();
    Err(Error::bad_input(format!(
        "Requested {what} are not available - requested {wanted}, available: {}",
        text.trim()
    )))
}

/// Docker's warnings, and what they say.
fn drop_unsupported(host: &mut HostConfig) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut drop = |wanted: bool, file: &str, what: &str, end: &str| {
        let gone = wanted && !supports(file);
        if gone {
            warnings.push(format!(
                "Your kernel does not support {what} or the cgroup is not mounted. {end} discarded."
            ));
        }
        gone
    };
    let swappiness = host.memory_swappiness.is_some_and(|value| value != -1);
    if drop(swappiness, "memory.swappiness", "memory swappiness capabilities", "Memory swappiness")
    {
        host.memory_swappiness = None;
    }
    if drop(
        host.memory_reservation > 0,
        "memory.low",
        "memory soft limit capabilities",
        "Limitation",
    ) {
        host.memory_reservation = 0;
    }
    let waits = host.oom_kill_disable == Some(true);
    if drop(waits, "memory.oom_control", "OomKillDisable", "OomKillDisable") {
        host.oom_kill_disable = None;
    }
    if drop(host.cpu_shares > 0, "cpu.weight", "CPU shares", "Shares") {
        host.cpu_shares = 0;
    }
    let quota = host.nano_cpus != 0 || host.cpu_quota != 0 || host.cpu_period != 0;
    if drop(quota, "cpu.max", "CPU cfs period/quota", "CPU limitation") {
        (host.nano_cpus, host.cpu_quota, host.cpu_period) = (0, 0, 0);
    }
    let cpuset = !host.cpuset_cpus.is_empty() || !host.cpuset_mems.is_empty();
    if drop(cpuset, "cpuset.cpus", "cpuset", "Cpuset") {
        host.cpuset_cpus.clear();
        host.cpuset_mems.clear();
    }
    let weights = host.blkio_weight > 0 || !host.blkio_weight_device.is_empty();
    if drop(weights, "io.weight", "Block I/O weight", "Weight") {
        host.blkio_weight = 0;
        host.blkio_weight_device.clear();
    }
    for (list, what) in [
        (&mut host.blkio_device_read_bps, "BPS Block I/O read limit"),
        (&mut host.blkio_device_write_bps, "BPS Block I/O write limit"),
        (&mut host.blkio_device_read_iops, "IOPS Block read limit"),
        (&mut host.blkio_device_write_iops, "IOPS Block write limit"),
    ] {
        if drop(!list.is_empty(), "io.max", what, &what.replace(" limit", "")) {
            list.clear();
        }
    }
    warnings
}

/// The limits of a container's cgroup. Negative numbers take a limit away.
pub(crate) fn limits(host: &HostConfig, join: Join) -> Result<Limits> {
    let positive = |number: i64| u64::try_from(number).ok().filter(|number| *number > 0);
    let amount = |number: i64| match number {
        0 => None,
        number => Some(u64::try_from(number).map_or(Amount::Unlimited, Amount::Of)),
    };
    let text = |text: &String| (!text.is_empty()).then(|| text.clone());
    let (period, quota) = match host.nano_cpus {
        0 => (host.cpu_period, host.cpu_quota),
        nano => (USUAL_PERIOD, nano / 1_000_000_000 * USUAL_PERIOD + nano % 1_000_000_000 / 10_000),
    };
    let mut io_weights = Vec::new();
    for device in &host.blkio_weight_device {
        io_weights.push((block_device(&device.path)?, device.weight.unsigned_abs()));
    }
    let mut throttles = Vec::new();
    let mut throttle = |kind: Throttle, list: &[ThrottleDevice]| {
        for device in list {
            throttles.push((kind, block_device(&device.path)?, device.rate));
        }
        Ok::<(), Error>(())
    };
    throttle(Throttle::ReadBytes, &host.blkio_device_read_bps)?;
    throttle(Throttle::WriteBytes, &host.blkio_device_write_bps)?;
    throttle(Throttle::ReadOperations, &host.blkio_device_read_iops)?;
    throttle(Throttle::WriteOperations, &host.blkio_device_write_iops)?;
    Ok(Limits {
        memory: positive(host.memory),
        memory_and_swap: amount(host.memory_swap),
        memory_reservation: positive(host.memory_reservation),
        swappiness: host.memory_swappiness.and_then(|value| u64::try_from(value).ok()),
        wait_for_memory: host.oom_kill_disable == Some(true),
        cpu_shares: positive(host.cpu_shares),
        cpu_quota: amount(quota),
        cpu_period: positive(period),
        cpus: text(&host.cpuset_cpus),
        memory_nodes: text(&host.cpuset_mems),
        pids: host.pids_limit.and_then(amount),
        io_weight: positive(host.blkio_weight),
        io_weights,
        throttles,
        join,
    })
}

fn block_device(path: &str) -> Result<DeviceNumber> {
    let found = stat(path).map_err(|error| Error::os("stat", &path, error))?;
    match FileType::from_raw_mode(found.st_mode) {
        FileType::BlockDevice => Ok((major(found.st_rdev), minor(found.st_rdev))),
        _ => Err(Error::bad_input(format!("{path} is not a block device"))),
    }
}

/// Whether anything here needs a cgroup.
pub(crate) fn any(host: &HostConfig) -> bool {
    let nothing = Limits::default();
    !matches!(limits(host, Join::Asked), Ok(limits) if limits == nothing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_numbers() {
        assert_eq!(parse_list("0-2,4"), Some(vec![0, 1, 2, 4]));
        for wrong in ["", "a", "2-1", "0-", "0-99999", ",", "1,,2"] {
            assert_eq!(parse_list(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn dockers_rules() {
        type Change = fn(&mut HostConfig);
        let cases: [(Change, &str); 9] = [
            (|host| host.memory = 1, "Minimum memory limit allowed"),
            (|host| (host.memory, host.memory_swap) = (1 << 20, 1 << 19), "Minimum memoryswap"),
            (|host| host.memory_swap = 1 << 20, "always set the Memory limit"),
            (|host| host.memory_swappiness = Some(101), "swappiness range is 0-100"),
            (|host| (host.nano_cpus, host.cpu_quota) = (1, 1), "Nano CPUs and CPU Quota"),
            (|host| host.nano_cpus = 1, "range of CPUs is from 0.01"),
            (|host| host.cpu_period = 10, "CPU cfs period"),
            (|host| host.cpuset_cpus = "x".into(), "Invalid value x for cpuset cpus"),
            (|host| host.cpuset_cpus = "8000".into(), "Requested CPUs are not available"),
        ];
        for (change, want) in cases {
            let mut host = HostConfig::default();
            change(&mut host);
            let error = check(&mut host).expect_err(want);
            assert!(error.message().contains(want), "{}", error.message());
        }
    }

    #[test]
    fn processors_become_a_quota() {
        let host = HostConfig { nano_cpus: 1_500_000_000, ..HostConfig::default() };
        let limits = limits(&host, Join::Asked).expect("limits");
        assert_eq!(limits.cpu_quota, Some(Amount::Of(150_000)));
        assert_eq!(limits.cpu_period, Some(100_000));
        assert!(any(&host) && !any(&HostConfig::default()));
    }
}
