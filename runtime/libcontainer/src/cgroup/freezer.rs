//! Freezing: `cgroup.freeze` of version 2 (Linux 5.2), else the version 1 freezer.

use super::{Layout, folders, place, sleep_briefly, version1, write};
use base::{Error, Kind, Result};
use std::path::{Path, PathBuf};

/// Which file freezes, and what is written there.
struct Switch {
    path: PathBuf,
    words: [&'static str; 2],
}

fn switch(id: &str) -> Option<Switch> {
    let kinds = [("cgroup.freeze", ["0", "1"]), ("freezer.state", ["THAWED", "FROZEN"])];
    let folders = folders(id);
    kinds.into_iter().find_map(|(name, words)| {
        let path = folders.iter().map(|folder| folder.join(name)).find(|path| path.exists())?;
        Some(Switch { path, words })
    })
}

/// Freezes every process of a container, or lets them run again; returns when it is so.
pub fn freeze(id: &str, wanted: bool) -> Result<()> {
    let Some(switch) = switch(id) else {
        return Err(Error::new(
            Kind::Unsupported,
            "freezing needs cgroup.freeze (Linux 5.2) or the version 1 freezer \
             (CONFIG_CGROUP_FREEZER), and a container with a cgroup",
        ));
    };
    write(&switch.path, switch.words[usize::from(wanted)])?;
    for _ in 0..1000 {
        if is_settled(&switch, wanted) {
            return Ok(());
        }
        sleep_briefly();
    }
    Err(Error::other(format!("freeze container {id}: a process in the kernel does not stop")))
}

/// The kernel says `frozen 1`, or FROZEN, when the last process has stopped.
fn is_settled(switch: &Switch, wanted: bool) -> bool {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    match switch.words {
        ["0", _] => {
            let events = read(&switch.path.with_file_name("cgroup.events"));
            events.lines().any(|line| line == if wanted { "frozen 1" } else { "frozen 0" })
        }
        words => read(&switch.path).trim() == words[usize::from(wanted)],
    }
}

/// Whether a container was frozen. `ps` asks it of each one: what is there is read, not looked for.
pub fn is_frozen(id: &str) -> bool {
    let read = |folder: &Path, name| std::fs::read_to_string(folder.join(name)).ok();
    let unified = Layout::find().unified().map(|tree| place(Path::new(tree), id));
    let text = unified
        .and_then(|folder| read(&folder, "cgroup.freeze"))
        .or_else(|| read(&version1::folder("freezer", id), "freezer.state"));
    text.is_some_and(|text| ["1", "FROZEN", "FREEZING"].contains(&text.trim()))
}
