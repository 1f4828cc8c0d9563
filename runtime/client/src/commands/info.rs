//! `info`: the server, its store and its host.

use super::Failure;
use crate::session::Session;
use base::flags::{Command, Matches, Operands};
use base_http::api::Info;
use base_http::{Method, Payload};

pub(super) static COMMAND: Command = Command {
    name: "info",
    usage: "[OPTIONS]",
    about: "Display system-wide information",
    aliases: &["system info"],
    flags: &[],
    common: &[],
    operands: Operands::None,
    stops: false,
};

pub(super) fn run(session: &Session<'_>, _: &Matches) -> Result<u8, Failure> {
    let target = session.target("/info", "", "")?;
    let found: Info = session.json(Method::Get, &target, Payload::None)?;
    let place = if session.connect.in_process() { "in this process" } else { "daemon" };
    let mut out =
        format!("Client:\n Version:    {}\n\nServer: {place}\n", env!("CARGO_PKG_VERSION"));
    let number = |number: i64| number.to_string();
    let yes = |on: bool| String::from(if on { "true" } else { "false" });
    let lines = [
        (" Containers", number(found.containers)),
        ("  Running", number(found.containers_running)),
        ("  Paused", number(found.containers_paused)),
        ("  Stopped", number(found.containers_stopped)),
        (" Images", number(found.images)),
        (" Server Version", found.server_version),
        (" Storage Driver", found.driver),
    ];
    lines.iter().for_each(|(name, value)| line(&mut out, name, value));
    for status in &found.driver_status {
        if let [name, value] = status.as_slice() {
            line(&mut out, &["  ", name].concat(), value);
        }
    }
    let lines = [
        (" Logging Driver", found.logging_driver),
        (" Cgroup Driver", found.cgroup_driver),
        (" Cgroup Version", found.cgroup_version),
        (" Default Runtime", found.default_runtime),
        (" Security Options", found.security_options.join(" ")),
        (" Kernel Version", found.kernel_version),
        (" Operating System", found.operating_system),
        (" OSType", found.os_type),
        (" Architecture", found.architecture),
        (" CPUs", number(found.cpus)),
        (" Total Memory", gibibytes(found.memory.max(0) as u64)),
        (" Name", found.name),
        (" ID", found.id),
        (" Docker Root Dir", found.root),
        (" Debug Mode", yes(found.debug)),
        (" Live Restore Enabled", yes(found.live_restore)),
    ];
    lines.iter().for_each(|(name, value)| line(&mut out, name, value));
    session.print(&out)?;
    for warning in &found.warnings {
        session.tell(warning);
    }
    Ok(0)
}

/// One line, unless there is nothing to say.
fn line(out: &mut String, name: &str, value: &str) {
    if !value.is_empty() {
        for part in [name, ": ", value, "\n"] {
            out.push_str(part);
        }
    }
}

/// Memory as docker shows it here alone: in powers of 1024, with two digits.
fn gibibytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let mut hundredths = bytes.saturating_mul(100);
    let mut unit = 0;
    while hundredths >= 102_400 && unit + 1 < UNITS.len() {
        hundredths /= 1024;
        unit += 1;
    }
    format!("{}.{:02}{}", hundredths / 100, hundredths % 100, UNITS[unit])
}
