//! `top`: the processes of a container, as the host sees them.
//!
//! There is no `ps` on a device, so its columns are fixed: those of `ps -ef`.

use crate::Engine;
use crate::engine::not_running;
use base::Result;
use base::files::read_capped;
use base_http::api::container::ContainerTop;
use rustix::process::Pid;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Shows a container's processes.
pub(crate) struct Top {
    pub(crate) container: String,
}

const TITLES: [&str; 6] = ["UID", "PID", "PPID", "STAT", "TIME", "CMD"];

impl Top {
    pub(crate) fn run(self, engine: &Engine) -> Result<ContainerTop> {
        let container = engine.containers().find(&self.container)?;
        let state = container.state();
        let Some(first) = state.process.as_ref().filter(|_| state.is_alive()) else {
            return Err(not_running(container.id()));
        };
        let mut pids = libcontainer::cgroup::processes_of(&container.record.cgroup());
        if pids.is_empty() {
            pids = in_namespace_of(first.pid);
        }
        Ok(ContainerTop {
            titles: TITLES.map(str::to_string).to_vec(),
            // One that has ended meanwhile has no row.
            processes: pids.into_iter().filter_map(row).collect(),
        })
    }
}

/// The processes in the PID namespace of another one: an ordinary user's container has no cgroup, but
/// always a namespace of its own.
pub(super) fn in_namespace_of(first: i32) -> Vec<Pid> {
    let namespace = |pid: &str| {
        let file = std::fs::metadata(format!("/proc/{pid}/ns/pid")).ok()?;
        Some((file.dev(), file.ino()))
    };
    let wanted = namespace(&first.to_string());
    let mut pids = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        if let Some(pid) = name.parse().ok().and_then(Pid::from_raw)
            && wanted.is_some()
            && namespace(&name) == wanted
        {
            pids.push(pid);
        }
    }
    pids.sort_unstable_by_key(|pid| pid.as_raw_nonzero());
    pids
}

fn row(pid: Pid) -> Option<Vec<String>> {
    let pid = pid.as_raw_nonzero();
    let read = |name: &str| read_capped(Path::new(&format!("/proc/{pid}/{name}")), 64 << 10).ok();
    let stat = String::from_utf8_lossy(&read("stat")?).into_owned();
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // proc_pid_stat(5): state and ppid, the third and fourth; utime and stime, the 14th and 15th.
    let (state, parent) = (fields.first()?, fields.get(1)?);
    let ticks = |place: usize| fields.get(place).and_then(|text| text.parse::<u64>().ok());
    let seconds = (ticks(11)? + ticks(12)?) / TICKS;
    let time = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let owner = std::fs::metadata(format!("/proc/{pid}")).ok()?.uid();
    let words = String::from_utf8_lossy(&read("cmdline")?).replace('\0', " ");
    let command = match words.trim_end() {
        "" => format!("[{name}]"),
        words => words.to_string(),
    };
    let number = pid.to_string();
    Some(vec![owner.to_string(), number, parent.to_string(), state.to_string(), time, command])
}

/// USER_HZ: 100 on every CPU of ours.
const TICKS: u64 = 100;
