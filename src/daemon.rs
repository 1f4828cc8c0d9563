//! `coracle daemon` (or argv[0] `dockerd`): the engine behind sockets, for docker's own clients.

use crate::connect::DEFAULT_SOCKET;
use base::flags::{Command, Flag, Matches, Operands, Program};
use base::folders::Folders;
use base::{Error, Kind, OnError, Result};
use engine::{Daemon, Engine};
use rustix::fs::Mode;
use rustix::process::{Gid, Signal};
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

static DAEMON: Command = Command {
    name: "daemon",
    usage: "[OPTIONS]",
    about: "Serve the Engine API to docker's clients",
    aliases: &[],
    flags: &[
        Flag::text("group", "string", "Group for the unix socket (default \"docker\")").short(b'G'),
        Flag::text(
            "host",
            "list",
            "Daemon socket(s) to connect to: unix://PATH or fd:// (default unix:///var/run/docker.sock)",
        )
        .short(b'H'),
    ],
    common: client::ENGINE_FLAGS,
    operands: Operands::None,
    stops: false,
};

static PROGRAM: Program = Program {
    name: "coracle",
    about: "Containers on small devices",
    version: concat!("coracle version ", env!("CARGO_PKG_VERSION")),
    globals: &[],
    common: &[],
    groups: &[("System", &[&DAEMON])],
};

/// The group of the socket where none is named, as docker's.
const GROUP: &str = "docker";
/// The first descriptor that a supervisor hands over (sd_listen_fds(3)).
const FIRST: i32 = 3;

/// Its words are its name and its flags.
pub(crate) fn main(words: Vec<OsString>) -> ExitCode {
    let words = std::iter::once(OsString::from(DAEMON.name)).chain(words.into_iter().skip(1));
    let matches = match PROGRAM.parse(words.collect(), 80) {
        Ok((_, _, matches)) => matches,
        Err(usage) => {
            usage.print();
            return ExitCode::from(usage.code);
        }
    };
    match run(&matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            base::log::warn(error.message());
            ExitCode::FAILURE
        }
    }
}

fn run(matches: &Matches) -> Result<()> {
    base::log::set_debug(matches.on("debug"));
    let path = |name| matches.text(name).map(Path::new);
    let mut folders = Folders::find(path("root"), path("run"))?;
    if matches.list("base-store").next().is_some() {
        folders.set_base_stores(matches.list("base-store").map(PathBuf::from))?;
    }
    let hosts: Vec<String> = matches.list("host").map(String::from).collect();
    let hosts = if hosts.is_empty() { vec![default_host(&folders)?] } else { hosts };
    engine::check_run_folder(&folders)?;
    libcontainer::self_exe::protect(&folders.run)?;
    // Behind the line before, which may execute this program anew.
    let handed = handed_over()?;
    let signals = [Signal::TERM, Signal::INT, Signal::HUP, Signal::CHILD].map(Signal::as_raw);
    let signals = base::sys::signal::descriptor(&signals).on("signalfd", "signals")?;
    let engine = Engine::new(folders, matches.text("driver").map(String::from));
    let daemon = Daemon::begin(Arc::new(engine))?;
    let mut sockets = Vec::new();
    let mut listeners = Vec::new();
    let mut handed = Some(handed);
    for host in &hosts {
        if let Some(path) = host.strip_prefix("unix://") {
            let path = PathBuf::from(path);
            listeners.push(listen(&path, matches.text("group"))?);
            sockets.push(path);
        } else if host.starts_with("fd://") {
            let given = handed.take().unwrap_or_default();
            if given.is_empty() {
                return Err(Error::bad_input(format!("-H {host}: no socket was handed over")));
            }
            listeners.extend(given);
        } else {
            return Err(Error::unsupported(format!(
                "-H {host}: only unix:// and fd:// addresses are supported yet"
            )));
        }
        base::log::warn(["API listen on ", host].concat());
    }
    let served = daemon.serve(&listeners, &signals);
    for path in sockets {
        // Gone already: nothing is left behind.
        let _ = base::paths::unlink(&path);
    }
    served
}

/// Where docker's clients look; for an ordinary user in his own run folder.
fn default_host(folders: &Folders) -> Result<String> {
    if rustix::process::geteuid().is_root() {
        return Ok(["unix://", DEFAULT_SOCKET].concat());
    }
    let above = folders.run.parent().ok_or_else(|| Error::bad_input("no place for a socket"))?;
    Ok(format!("unix://{}", above.join("docker.sock").display()))
}

/// The sockets of a supervisor, `LISTEN_FDS` of them.
fn handed_over() -> Result<Vec<UnixListener>> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    if number("LISTEN_PID") != Some(std::process::id()) {
        return Ok(Vec::new());
    }
    let count = number("LISTEN_FDS").unwrap_or(0).min(64) as i32;
    let mut found = Vec::new();
    for number in FIRST..FIRST + count {
        let Some(socket) = base::sys::spawn::inherited(number) else { continue };
        found.push(unix_listener(socket)?);
    }
    Ok(found)
}

fn unix_listener(socket: OwnedFd) -> Result<UnixListener> {
    let listener = UnixListener::from(socket);
    match listener.local_addr() {
        Ok(_) => Ok(listener),
        Err(_) => Err(Error::unsupported("fd://: only unix sockets are supported yet")),
    }
}

/// A socket that its owner and the group may use. What a killed daemon has left is replaced.
fn listen(path: &Path, group: Option<&str>) -> Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(Error::conflict(format!("listen on {}: it is no socket", path.display())));
        }
        Ok(_) => match UnixStream::connect(path) {
            Ok(_) => {
                let text = format!("listen on {}: another program does", path.display());
                return Err(Error::conflict(text));
            }
            Err(_) => base::paths::unlink(path).on_path("remove", path)?,
        },
        Err(_) => {
            if let Some(above) = path.parent() {
                base::files::create_dir_all(above)?;
            }
        }
    }
    // Nobody but us may connect before the group is right. There is one thread.
    let before = rustix::process::umask(Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(path);
    rustix::process::umask(before);
    let listener = listener.on_path("listen on", path)?;
    if rustix::process::geteuid().is_root() {
        give_to_group(path, group)?;
    }
    Ok(listener)
}

fn give_to_group(path: &Path, group: Option<&str>) -> Result<()> {
    let name = group.unwrap_or(GROUP);
    let text = match base::files::read_capped(Path::new("/etc/group"), 1 << 20) {
        Err(error) if error.kind() == Kind::NotFound => Vec::new(),
        other => other?,
    };
    let Some(gid) = gid_of(name, &String::from_utf8_lossy(&text)) else {
        // As docker: without the usual group it is root's alone.
        return match group {
            None | Some("") => Ok(()),
            Some(name) => Err(Error::bad_input(format!("--group: no group {name} in /etc/group"))),
        };
    };
    rustix::fs::chown(path, None, Some(Gid::from_raw(gid))).on_path("change group of", path)?;
    base::paths::chmod(path, Mode::from_raw_mode(0o660)).on_path("change mode of", path)
}

/// The number of a group, from the text of group(5); a number is one itself.
fn gid_of(name: &str, text: &str) -> Option<u32> {
    let found = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    });
    found.or_else(|| name.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::gid_of;

    #[test]
    fn groups_by_name_or_number() {
        let text = "root:x:0:\ndocker:x:998:a,b\nbad\n";
        assert_eq!(gid_of("docker", text), Some(998));
        assert_eq!(gid_of("12", text), Some(12));
        assert_eq!(gid_of("bad", text), None);
        assert_eq!(gid_of("nobody", text), None);
    }
}
