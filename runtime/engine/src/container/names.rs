//! Container names: a file that only one can make, holding the id.
//!
//! Every name is first claimed in the run folder, so that kept and temporary containers exclude
//! each other; a kept container's name then stands in the root folder, and the claim is given
//! back. A name whose container does not exist and whose maker is dead is free.

use super::state::start_time;
use super::{Containers, make_folders, write_file};
use base::files::{Lock, read_capped};
use base::paths::{link, unlink};
use base::{Error, OnError, Result};
use rustix::io::Errno;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Docker's rule for names.
fn check(name: &str) -> Result<()> {
    let mut bytes = name.bytes();
    let good = bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && name.len() >= 2
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    // A name that looks like another container's id would make two meanings of one text.
    if good && name.len() <= 255 && !base::text::id::is_full(name) {
        return Ok(());
    }
    Err(Error::bad_input(format!(
        "Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
    )))
}

fn folders(containers: &Containers<'_>) -> [PathBuf; 2] {
    [
        containers.folders.run.join("container-names"),
        containers.folders.root.join("container-names"),
    ]
}

/// Takes a name for a new container.
pub(super) fn claim(
    containers: &Containers<'_>,
    name: &str,
    id: &str,
    temporary: bool,
) -> Result<()> {
    check(name)?;
    let [run, root] = folders(containers);
    take(containers, &run, name, id)?;
    if temporary {
        return match holder(containers, &root.join(name), name) {
            None => Ok(()),
            Some(error) => {
                let _ = unlink(&run.join(name));
                Err(error)
            }
        };
    }
    let taken = take(containers, &root, name, id);
    let _ = unlink(&run.join(name));
    taken
}

fn take(containers: &Containers<'_>, folder: &Path, name: &str, id: &str) -> Result<()> {
    let path = folder.join(name);
    // Our own start time never changes.
    static MAKER: OnceLock<String> = OnceLock::new();
    let maker = MAKER.get_or_init(|| {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        format!("{pid} {}", start_time(pid).unwrap_or(0))
    });
    let text = format!("{id} {maker}\n");
    // Written aside and linked: a name that is seen is whole.
    let aside = folder.join(format!(".{id}"));
    if let Err(error) = write_file(folder, &format!(".{id}"), text.as_bytes()) {
        if error.kind() != base::Kind::NotFound {
            return Err(error);
        }
        make_folders(folder)?;
        write_file(folder, &format!(".{id}"), text.as_bytes())?;
    }
    let mut taken = link(&aside, &path);
    if taken == Err(Errno::EXIST) && holder(containers, &path, name).is_none() {
        // Looked at again under the lock: of two who find a dead maker's name, one removes it.
        let _lock = Lock::exclusive(folder)?;
        if holder(containers, &path, name).is_none() {
            let _ = unlink(&path);
        }
        taken = link(&aside, &path);
    }
    let _ = unlink(&aside);
    match taken {
        Err(Errno::EXIST) => Err(holder(containers, &path, name).unwrap_or_else(|| {
            Error::conflict(format!("Conflict. The container name \"/{name}\" is being taken"))
        })),
        taken => taken.on_path("create", &path),
    }
}

/// Who has a name, as the error that says so; None when it is free.
fn holder(containers: &Containers<'_>, path: &Path, name: &str) -> Option<Error> {
    let (id, maker_lives) = read(path)?;
    let exists = containers.open(&id).map_or(true, |found| found.is_some());
    (exists || maker_lives).then(|| {
        Error::conflict(format!(
            "Conflict. The container name \"/{name}\" is already in use by container \"{id}\". You \
             have to remove (or rename) that container to be able to reuse that name."
        ))
    })
}

/// The id in a name's file, and whether the process that made the file lives.
fn read(path: &Path) -> Option<(String, bool)> {
    let text = read_capped(path, 1024).ok()?;
    let text = String::from_utf8_lossy(&text);
    let mut words = text.split_ascii_whitespace();
    let id = words.next().unwrap_or("");
    let maker = words.next().and_then(|pid| pid.parse().ok());
    let start = words.next().and_then(|start| start.parse::<u64>().ok());
    let lives = maker.and_then(start_time).is_some_and(|now| Some(now) == start);
    Some((id.to_string(), lives))
}

/// The id that a name stands for.
pub(super) fn look_up(containers: &Containers<'_>, name: &str) -> Option<String> {
    check(name).ok()?;
    folders(containers).iter().find_map(|folder| read(&folder.join(name))).map(|(id, _)| id)
}

/// Gives a name back, if it is this container's.
pub(super) fn release(containers: &Containers<'_>, name: &str, id: &str) {
    for folder in folders(containers) {
        let path = folder.join(name);
        if read(&path).is_some_and(|(holder, _)| holder == id) {
            let _ = unlink(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_dockers_rule() {
        for name in ["ab", "a_b", "0.-x", "Web1"] {
            assert!(check(name).is_ok(), "{name}");
        }
        let id = "0".repeat(64);
        for name in ["", "a", "-a", "../x", "a/b", "a b", ".a", "ä1", "a\0b", &id] {
            assert!(check(name).is_err(), "{name:?}");
        }
    }
}
