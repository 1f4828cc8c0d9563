//! From the flags of `run` and `create` to the body of `POST /containers/create`.
//!
//! Pure but for the environment and the current folder, which come in as functions: a table of
//! command lines and bodies tests it. What docker's client fills in is filled in here; what the
//! server decides (names, defaults, limits) is left to it.

use crate::env_file::{self, Lookup};
use base::flags::Matches;
use base::json::Empty;
use base::map::Map;
use base::{Error, Result, text::size};
use base_http::api::host_config::{LogConfig, RestartPolicy};
use base_http::api::{ContainerConfig, CreateRequest, HostConfig};

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

/// What is wrong with a size.
pub(crate) fn check_size(text: &str) -> std::result::Result<(), String> {
    size::parse(text).map(|_| ()).map_err(|error| error.message().to_string())
}

/// What is wrong with a restart policy. Which names there are, the server knows.
pub(crate) fn check_restart(text: &str) -> std::result::Result<(), String> {
    match text.split_once(':') {
        Some((_, count)) if count.parse::<u32>().is_err() => {
            Err("invalid restart policy format: maximum retry count must be an integer".into())
        }
        _ => Ok(()),
    }
}

/// `always`, `on-failure:3`.
fn restart(text: &str) -> RestartPolicy {
    let (name, count) = text.split_once(':').unwrap_or((text, "0"));
    RestartPolicy { name: name.to_string(), maximum_retry_count: count.parse().unwrap_or(0) }
}

/// What is wrong with a label.
pub(crate) fn check_label(text: &str) -> std::result::Result<(), String> {
    match text.is_empty() || text.starts_with('=') {
        true => Err(["invalid label '", text, "': empty name"].concat()),
        false => Ok(()),
    }
}

/// `NAME=VALUE` or `NAME`.
fn pair(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (name.to_string(), value.to_string())
}

/// Reads the flags.
pub(crate) fn from(matches: &Matches, around: &Around<'_>) -> Result<CreateRequest> {
    let mut request =
        CreateRequest { config: config(matches, around)?, ..CreateRequest::default() };
    if request.config.image.is_empty() {
        return Err(Error::bad_input("invalid reference format"));
    }
    volumes(matches, around.folder, &mut request)?;
    host(matches, around, &mut request.options.host_config)?;
    Ok(request)
}

fn config(matches: &Matches, around: &Around<'_>) -> Result<ContainerConfig> {
    let interactive = matches.on("interactive");
    let text = |name| matches.text(name).unwrap_or_default().to_string();
    let words = |words: &[String]| (!words.is_empty()).then(|| words.to_vec());
    Ok(ContainerConfig {
        hostname: text("hostname"),
        user: text("user"),
        working_dir: text("workdir"),
        attach_stdin: interactive && !around.detach,
        attach_stdout: !around.detach,
        attach_stderr: !around.detach,
        tty: matches.on("tty"),
        open_stdin: interactive,
        stdin_once: interactive && !around.detach,
        env: environment(matches, around.environment)?,
        cmd: words(matches.operands.get(1..).unwrap_or_default()),
        image: matches.operands.first().cloned().unwrap_or_default(),
        // One empty word: the image's own is taken away.
        entrypoint: matches.text("entrypoint").map(|word| vec![word.to_string()]),
        labels: labels(matches),
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

fn labels(matches: &Matches) -> Option<Map<String, String>> {
    let labels: Map<_, _> = matches.list("label").map(pair).collect();
    (!labels.is_empty()).then_some(labels)
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
    request.config.volumes = (!volumes.is_empty()).then_some(volumes);
    request.options.host_config.binds = (!binds.is_empty()).then_some(binds);
    Ok(())
}

/// The folder, and a path that begins with a dot, without `.` and `..`.
fn absolute(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    ["/", &parts.join("/")].concat()
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
    host.readonly_rootfs = matches.on("read-only");
    host.memory = bytes("memory")?;
    host.pids_limit = matches.number("pids-limit");
    if let Some((height, width)) = around.console.filter(|_| matches.on("tty")) {
        host.console_size = vec![height.into(), width.into()];
    }
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
