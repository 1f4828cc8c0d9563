//! `version` and `info`.

use crate::container::Status;
use crate::{API_VERSION, Engine, MIN_API_VERSION};
use base::Result;
use base::text::time::{now, rfc3339};
use base_http::api::system::{Component, Info, Platform, Version};
use libcontainer::cgroup::{Layout, supports};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Docker's names for CPUs.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "mips" if cfg!(target_endian = "little") => "mipsle",
        other => other,
    }
}

/// `GET /version`.
pub(crate) fn version() -> Version {
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    // docker's client shows these, not the members of old.
    let details = [
        ("ApiVersion", API_VERSION),
        ("Arch", architecture()),
        ("KernelVersion", &kernel),
        ("MinAPIVersion", MIN_API_VERSION),
        ("Os", "linux"),
    ];
    let details = details.map(|(name, value)| (name.to_string(), value.to_string()));
    Version {
        platform: Some(Platform { name: "coracle".to_string() }),
        components: vec![Component {
            name: "Engine".to_string(),
            version: VERSION.to_string(),
            details: details.into_iter().collect(),
        }],
        version: VERSION.to_string(),
        api_version: API_VERSION.to_string(),
        min_api_version: MIN_API_VERSION.to_string(),
        os: "linux".to_string(),
        arch: architecture().to_string(),
        kernel_version: kernel,
        ..Version::default()
    }
}

/// `GET /info`.
pub(crate) fn info(engine: &Engine) -> Result<Info> {
    let containers = engine.containers().list()?;
    let count = |status: Status| {
        containers.iter().filter(|container| container.state().status == status).count() as i64
    };
    let running = count(Status::Running);
    let total = containers.len() as i64;
    let store = engine.store()?;
    let name = rustix::system::uname();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let layout = Layout::find();
    let ordinary_user = engine.is_ordinary();
    let limits = !ordinary_user && layout != Layout::None;
    let (seconds, nanos) = now();
    let folders = engine.folders();
    let mut warnings = Vec::new();
    if ordinary_user {
        let others = match engine.user_namespace().is_some_and(|ids| ids.count == 1) {
            true => "one id, ",
            false => "",
        };
        warnings.push(format!(
            "ordinary user: containers have {others}no limits, and a store of their own"
        ));
    }
    let mut security_options = Vec::new();
    // As Docker: a line for what is there, a warning for what is not.
    if base::sys::seccomp::is_supported() {
        security_options.push("name=seccomp,profile=builtin".to_string());
    } else {
        warnings.push("No seccomp support (kernel option CONFIG_SECCOMP_FILTER)".to_string());
    }
    if ordinary_user {
        security_options.push("name=rootless".to_string());
    }
    Ok(Info {
        containers: total,
        containers_running: running,
        containers_stopped: total - running,
        images: store.list()?.len() as i64,
        driver: store.driver()?.name().to_string(),
        driver_status: vec![
            vec!["Run folder".to_string(), folders.run.display().to_string()],
            vec!["Cgroup layout".to_string(), format!("{layout:?}").to_ascii_lowercase()],
        ],
        memory_limit: limits,
        pids_limit: limits,
        cpu_cfs_period: limits && supports("cpu.max"),
        cpu_cfs_quota: limits && supports("cpu.max"),
        cpu_shares: limits && supports("cpu.weight"),
        cpu_set: limits && supports("cpuset.cpus"),
        system_time: rfc3339(seconds, nanos),
        logging_driver: "local".to_string(),
        cgroup_driver: if ordinary_user { "none" } else { "cgroupfs" }.to_string(),
        cgroup_version: layout.version().to_string(),
        kernel_version: text(name.release()),
        operating_system: operating_system(),
        os_type: "linux".to_string(),
        architecture: text(name.machine()),
        cpus: rustix::thread::sched_getaffinity(None).map_or(1, |set| i64::from(set.count())),
        memory: memory(),
        root: folders.root.display().to_string(),
        name: text(name.nodename()),
        server_version: VERSION.to_string(),
        default_runtime: "coracle".to_string(),
        live_restore: true,
        security_options,
        warnings,
        ..Info::default()
    })
}

fn file(path: &str) -> String {
    let bytes = base::files::read_capped(std::path::Path::new(path), 64 << 10).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn operating_system() -> String {
    let text = file("/etc/os-release");
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or("Linux".to_string(), |name| name.trim_matches('"').to_string())
}

/// Bytes of the host's memory.
pub(super) fn memory() -> i64 {
    let text = file("/proc/meminfo");
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|total| total.trim().strip_suffix("kB")?.trim().parse::<i64>().ok());
    kib.unwrap_or(0) * 1024
}
