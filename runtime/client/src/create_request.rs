//! From the flags of `run` and `create` to the body of `POST /containers/create`.
//!
//! Pure but for the environment and the current folder, which come in as functions: a table of
//! command lines and bodies tests it. What docker's client fills in is filled in here; what the
//! server decides (names, defaults, limits) is left to it.

mod values;

pub(crate) use values::{
    check_cpus, check_duration, check_label, check_restart, check_size, check_stream, check_swap,
    nano_cpus, pair, restart,
};

use crate::env_file::{self, Lookup};
use crate::foreground::Streams;
use crate::{mount_flag, network_flags};
use base::flags::Matches;
use base::json::Empty;
use base::map::Map;
use base::text::{duration, size};
use base::{Error, Result};
use base_http::api::container::HealthConfig;
use base_http::api::host_config::{LogConfig, ThrottleDevice, WeightDevice};
use base_http::api::{ContainerConfig, CreateRequest, HostConfig};
use values::{device, device_and_number, ulimit};

/// What the command knows beside its flags.
pub(crate) struct Around<'a> {
    /// It does not stay in the foreground.
    pub(crate) detach: bool,
    /// Without a word about the log there is none.
    pub(crate) quiet_log: bool,
    /// Height and width of the terminal.
    pub(crate) console: Option<(u16, u16)>,
    /// The environment.
    pub(crate) environment: Lookup<'a>,
    /// The current folder.
    pub(crate) folder: &'a str,
}

/// Reads the flags.
pub(crate) fn from(matches: &Matches, around: &Around<'_>) -> Result<CreateRequest> {
    let mut request =
        CreateRequest { config: config(matches, around)?, ..CreateRequest::default() };
    if request.config.image.is_empty() {
        return Err(Error::bad_input("invalid reference format"));
    }
    network_flags::refuse(matches)?;
    volumes(matches, around.folder, &mut request)?;
    host(matches, around, &mut request.options.host_config)?;
    Ok(request)
}

fn config(matches: &Matches, around: &Around<'_>) -> Result<ContainerConfig> {
    let interactive = matches.on("interactive");
    let streams = streams(matches, around.detach);
    let text = |name| matches.text(name).unwrap_or_default().to_string();
    let words = |words: &[String]| (!words.is_empty()).then(|| words.to_vec());
    Ok(ContainerConfig {
        hostname: text("hostname"),
        user: text("user"),
        working_dir: text("workdir"),
        attach_stdin: streams.stdin,
        attach_stdout: streams.stdout,
        attach_stderr: streams.stderr,
        tty: matches.on("tty"),
        open_stdin: interactive,
        stdin_once: interactive && streams.stdin,
        env: environment(matches, around.environment)?,
        cmd: words(matches.operands.get(1..).unwrap_or_default()),
        image: matches.operands.first().cloned().unwrap_or_default(),
        // One empty word: the image's own is taken away.
        entrypoint: matches.text("entrypoint").map(|word| vec![word.to_string()]),
        labels: labels(matches)?,
        healthcheck: health(matches)?,
        domainname: text("domainname"),
        exposed_ports: matches
            .list("expose")
            .filter_map(network_flags::exposed)
            .flatten()
            .map(|port| (port, Empty))
            .collect(),
        stop_signal: text("stop-signal"),
        stop_timeout: matches.number("stop-timeout"),
        ..ContainerConfig::default()
    })
}

/// `-e` and `--env-file`.
pub(crate) fn environment(matches: &Matches, lookup: Lookup<'_>) -> Result<Option<Vec<String>>> {
    let mut out = Vec::new();
    for path in matches.list("env-file") {
        env_file::parse(path, &env_file::read(path)?, lookup, &mut out)?;
    }
    out.extend(matches.list("env").map(|text| env_file::given(text, lookup)));
    Ok((!out.is_empty()).then_some(out))
}

/// `--health-…`; None when nothing is said of it.
fn health(matches: &Matches) -> Result<Option<HealthConfig>> {
    let nanos = |name| matches.text(name).and_then(|text| duration::parse(text).ok()).unwrap_or(0);
    let shell = |line: &str| vec!["CMD-SHELL".to_string(), line.to_string()];
    let mut health = HealthConfig {
        test: matches.text("health-cmd").map(shell),
        interval: nanos("health-interval"),
        timeout: nanos("health-timeout"),
        start_period: nanos("health-start-period"),
        start_interval: nanos("health-start-interval"),
        retries: matches.number("health-retries").unwrap_or(0),
    };
    let given = health != HealthConfig::default();
    if matches.on("no-healthcheck") {
        if given {
            return Err(Error::bad_input("--no-healthcheck conflicts with --health-* options"));
        }
        health.test = Some(vec!["NONE".to_string()]);
        return Ok(Some(health));
    }
    Ok(given.then_some(health))
}

/// Those of `-a`; without it output, and input with `-i`; none when it goes to the background.
pub(crate) fn streams(matches: &Matches, detach: bool) -> Streams {
    let given: Vec<&str> = matches.list("attach").collect();
    let has = |name: &str| given.iter().any(|text| text.eq_ignore_ascii_case(name));
    let all = given.is_empty() && !detach;
    Streams {
        stdin: has("stdin") || (all && matches.on("interactive")),
        stdout: has("stdout") || all,
        stderr: has("stderr") || all,
    }
}

/// `--label-file` and `--label`.
fn labels(matches: &Matches) -> Result<Option<Map<String, String>>> {
    let mut lines = Vec::new();
    for path in matches.list("label-file") {
        env_file::parse(path, &env_file::read(path)?, &|_| Some(String::new()), &mut lines)?;
    }
    let given = matches.list("label").map(pair);
    let labels: Map<_, _> = lines.iter().map(|line| pair(line)).chain(given).collect();
    Ok((!labels.is_empty()).then_some(labels))
}

/// `-v /x` is a volume of the container, `-v SOURCE:/x[:options]` a bind. What a path or an option
/// may be, the server decides; here only the colons count, as in docker's client.
fn volumes(matches: &Matches, folder: &str, request: &mut CreateRequest) -> Result<()> {
    let mut binds = Vec::new();
    let mut volumes = Map::new();
    for text in matches.list("volume") {
        let source = text.split(':').next().unwrap_or(text);
        match text.split(':').count() {
            _ if text.is_empty() => return Err(Error::bad_input("invalid empty volume spec")),
            4.. => {
                let text = ["invalid spec: ", text, ": too many colons"].concat();
                return Err(Error::bad_input(text));
            }
            2.. if text.len() > 2 => binds.push(match source.starts_with('.') {
                true => [&absolute(folder, source), &text[source.len()..]].concat(),
                false => text.to_string(),
            }),
            _ => drop(volumes.insert(text.to_string(), Empty)),
        }
    }
    let host = &mut request.options.host_config;
    host.mounts = matches.list("mount").map(mount_flag::parse).collect::<Result<_>>()?;
    host.volumes_from = list(matches, "volumes-from");
    host.volume_driver = matches.text("volume-driver").unwrap_or_default().to_string();
    request.config.volumes = (!volumes.is_empty()).then_some(volumes);
    request.options.host_config.binds = (!binds.is_empty()).then_some(binds);
    Ok(())
}

/// The folder, and a path that begins with a dot, without `.` and `..`.
fn absolute(folder: &str, path: &str) -> String {
    format!("/{}", base::text::path::clean(&format!("{folder}/{path}")))
}

fn host(matches: &Matches, around: &Around<'_>, host: &mut HostConfig) -> Result<()> {
    let bytes = |name| match matches.text(name) {
        Some(text) => size::parse(text).map(|bytes| bytes as i64),
        None => Ok(0),
    };
    host.container_id_file = matches.text("cidfile").unwrap_or_default().to_string();
    host.log_config = log(matches, around)?;
    host.network_mode = network(matches)?;
    host.auto_remove = matches.on("rm");
    host.restart_policy = restart(matches.text("restart").unwrap_or("no"));
    host.restart_unhealthy = matches.on("restart-unhealthy");
    host.readonly_rootfs = matches.on("read-only");
    let text = |name| matches.text(name).unwrap_or_default().to_string();
    let words = |name| matches.list(name).map(String::from).collect::<Vec<_>>();
    let pairs = |name| matches.list(name).map(pair).collect::<Map<_, _>>();
    host.cgroup_parent = text("cgroup-parent");
    host.cgroupns_mode = text("cgroupns");
    host.ipc_mode = text("ipc");
    host.pid_mode = text("pid");
    host.uts_mode = text("uts");
    host.userns_mode = text("userns");
    host.upper = text("upper");
    host.runtime = text("runtime");
    host.init = matches.on("init").then_some(true);
    host.sysctls = pairs("sysctl");
    host.annotations = pairs("annotation");
    host.storage_opt = pairs("storage-opt");
    host.dns = words("dns");
    host.dns_options = words("dns-option");
    host.dns_search = words("dns-search");
    host.extra_hosts = list(matches, "add-host");
    resources(matches, host)?;
    host.privileged = matches.on("privileged");
    host.cap_add = list(matches, "cap-add");
    host.cap_drop = list(matches, "cap-drop");
    security(matches, host)?;
    host.group_add = list(matches, "group-add");
    host.device_cgroup_rules = list(matches, "device-cgroup-rule");
    host.devices = matches.list("device").map(device).collect::<Result<_>>()?;
    host.ulimits = matches.list("ulimit").map(ulimit).collect::<Result<_>>()?;
    host.oom_score_adj = matches.number("oom-score-adj").unwrap_or(0);
    host.shm_size = bytes("shm-size")?;
    for text in matches.list("tmpfs") {
        let (target, options) = text.split_once(':').unwrap_or((text, ""));
        host.tmpfs.insert(target.to_string(), options.to_string());
    }
    if let Some((height, width)) = around.console.filter(|_| matches.on("tty")) {
        host.console_size = vec![height.into(), width.into()];
    }
    Ok(())
}

/// Limits: the flags that `update` has too, and those of `run` alone.
pub(crate) fn resources(matches: &Matches, host: &mut HostConfig) -> Result<()> {
    let bytes = |name| match matches.text(name) {
        Some("-1") => Ok(-1),
        Some(text) => size::parse(text).map(|bytes| bytes as i64),
        None => Ok(0),
    };
    let number = |name| matches.number(name).unwrap_or(0);
    let text = |name| matches.text(name).unwrap_or_default().to_string();
    host.memory = bytes("memory")?;
    host.memory_swap = bytes("memory-swap")?;
    host.memory_reservation = bytes("memory-reservation")?;
    host.memory_swappiness = matches.number("memory-swappiness").filter(|value| *value != -1);
    host.oom_kill_disable = matches.on("oom-kill-disable").then_some(true);
    host.nano_cpus = matches.text("cpus").and_then(nano_cpus).unwrap_or(0);
    host.cpu_shares = number("cpu-shares");
    host.cpu_period = number("cpu-period");
    host.cpu_quota = number("cpu-quota");
    host.cpuset_cpus = text("cpuset-cpus");
    host.cpuset_mems = text("cpuset-mems");
    host.pids_limit = matches.number("pids-limit");
    host.blkio_weight = number("blkio-weight");
    for text in matches.list("blkio-weight-device") {
        let (path, weight) = device_and_number(text, &|text| text.parse().ok())?;
        host.blkio_weight_device.push(WeightDevice { path, weight: weight as i64 });
    }
    let rates = |name, parse: &dyn Fn(&str) -> Option<u64>| {
        let rate = |text| {
            let (path, rate) = device_and_number(text, parse)?;
            Ok(ThrottleDevice { path, rate })
        };
        matches.list(name).map(rate).collect::<Result<Vec<_>>>()
    };
    let bytes = |text: &str| size::parse(text).ok();
    let operations = |text: &str| text.parse().ok();
    host.blkio_device_read_bps = rates("device-read-bps", &bytes)?;
    host.blkio_device_write_bps = rates("device-write-bps", &bytes)?;
    host.blkio_device_read_iops = rates("device-read-iops", &operations)?;
    host.blkio_device_write_iops = rates("device-write-iops", &operations)?;
    Ok(())
}

/// All values of a flag, if it was given.
fn list(matches: &Matches, name: &str) -> Option<Vec<String>> {
    let values: Vec<String> = matches.list(name).map(String::from).collect();
    (!values.is_empty()).then_some(values)
}

/// A profile's file is sent as its text; `systempaths` is a word of the client's alone.
fn security(matches: &Matches, host: &mut HostConfig) -> Result<()> {
    let mut options = Vec::new();
    for option in matches.list("security-opt") {
        let Some((name, value)) = option.split_once('=').or_else(|| option.split_once(':')) else {
            if option == "no-new-privileges" {
                options.push(option.to_string());
                continue;
            }
            return Err(Error::bad_input(["invalid --security-opt: \"", option, "\""].concat()));
        };
        match (name, value) {
            ("systempaths", "unconfined") => {
                host.masked_paths = Some(Vec::new());
                host.readonly_paths = Some(Vec::new());
            }
            ("seccomp", file) if file != "unconfined" && file != "builtin" => {
                let bytes = base::files::read_capped(std::path::Path::new(file), 1 << 20);
                let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                let text = text.map_err(|error| {
                    let why = ["opening seccomp profile (", file, ") failed: ", error.message()];
                    Error::bad_input(why.concat())
                })?;
                options.push(["seccomp=", text.trim()].concat());
            }
            _ => options.push(option.to_string()),
        }
    }
    host.security_opt = (!options.is_empty()).then_some(options);
    Ok(())
}

fn log(matches: &Matches, around: &Around<'_>) -> Result<LogConfig> {
    let config: Map<_, _> = matches.list("log-opt").map(pair).collect();
    let kind = match matches.text("log-driver") {
        Some(driver) => driver,
        None if around.quiet_log && config.is_empty() => "none",
        None => "",
    };
    if kind == "none" && !config.is_empty() {
        return Err(Error::bad_input("invalid logging opts for driver none"));
    }
    Ok(LogConfig { kind: kind.to_string(), config })
}

fn network(matches: &Matches) -> Result<String> {
    let mut networks = matches.list("network");
    let first = networks.next().unwrap_or("default");
    let fixed = |name: &str| matches!(name, "none" | "host" | "default" | "bridge");
    for other in networks {
        if fixed(first) || fixed(other) {
            return Err(Error::bad_input(
                "conflicting options: cannot attach both user-defined and non-user-defined \
                 network-modes",
            ));
        }
    }
    Ok(first.to_string())
}

#[cfg(test)]
mod tests;
