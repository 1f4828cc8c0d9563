//! The program of the built-in image: it greets, and shows what it finds inside its container.

use libcontainer::capabilities::Capabilities;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

pub(crate) fn main(_words: Vec<OsString>) -> ExitCode {
    let text = greeting();
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn greeting() -> String {
    let mut text = String::from(
        "Hello from inside a container!\n\nThis is the coracle binary itself, alone in a root file \
         system of its own.\nWhat it finds here:\n\n",
    );
    let status = file("/proc/self/status");
    let name = rustix::system::uname();
    let rows = [
        ("process id", rustix::process::getpid().as_raw_nonzero().to_string()),
        ("host name", name.nodename().to_string_lossy().into_owned()),
        ("user", format!("{}", rustix::process::geteuid().as_raw())),
        ("root", root()),
        ("network", network()),
        ("memory limit", memory_limit()),
        ("capabilities", capabilities(&status)),
        ("kernel", name.release().to_string_lossy().into_owned()),
    ];
    for (label, value) in rows {
        let _ = writeln!(text, "  {label:<14}{value}");
    }
    text.push_str(
        "\nNext: `coracle import` a root file system or `coracle load` an image, then\n\
         `coracle run -it --rm IMAGE sh`.\n",
    );
    text
}

fn file(path: &str) -> String {
    let bytes = base::files::read_capped(Path::new(path), 64 << 10).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn names(folder: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

fn root() -> String {
    let names = names("/");
    let shown = names.iter().take(8).map(|name| format!("/{name}")).collect::<Vec<_>>().join(" ");
    if names.len() > 8 { format!("{shown} and {} more", names.len() - 8) } else { shown }
}

fn network() -> String {
    match names("/sys/class/net") {
        names if names.is_empty() => "not to be seen".to_string(),
        names if names == ["lo"] => "lo alone".to_string(),
        names => names.join(" "),
    }
}

/// Version 2 shows the own cgroup's files; version 1 has no place inside, so only the kernel's
/// figure for the whole machine is there.
fn memory_limit() -> String {
    match file("/sys/fs/cgroup/memory.max").trim() {
        "" => "not to be seen from inside (cgroup version 1)".to_string(),
        "max" => "none".to_string(),
        bytes => format!("{bytes} bytes"),
    }
}

fn capabilities(status: &str) -> String {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = line.and_then(|line| u64::from_str_radix(line.trim(), 16).ok()).unwrap_or(0);
    let set = Capabilities(mask);
    let count = set.names().count();
    match count {
        0 => "none".to_string(),
        _ if count == libcontainer::capabilities::NAMES.len() => format!("all {count}"),
        _ => format!("{count}: {}", set.names().collect::<Vec<_>>().join(" ").to_ascii_lowercase()),
    }
}
