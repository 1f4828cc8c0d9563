//! Container names: a file that only one can make, holding the id.
//!
//! Every name is first claimed in the run folder, so that kept and temporary containers exclude
//! each other; a kept container's name then stands in the root folder, and the claim is given
//! back. A name whose container does not exist or has another name, and whose maker is dead, is free.
//!
//! A name's file is not synced: the record has the name too. Until the first container of this boot is
//! made, before which [`sweep`] puts right what a power cut may have taken, whoever finds no file looks at
//! the records.

use super::state::{boot_id, start_time};
use super::{Container, Containers, make_folders, write_file};
use base::files::{Lock, Sync, read_capped, write_then_rename};
use base::paths::{link, unlink};
use base::text::id::is_full;
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
    if good && name.len() <= 255 && !is_full(name) {
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
        format!("{pid} {} {}", start_time(pid).unwrap_or(0), boot_id())
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
    if !is_full(&id) {
        // A power cut has left the file without its text.
        return lost(containers, name);
    }
    let exists =
        containers.open(&id).map_or(true, |found| found.is_some_and(|one| one.record.name == name));
    (exists || maker_lives).then(|| taken_by(name, &id))
}

fn taken_by(name: &str, id: &str) -> Error {
    Error::conflict(format!(
        "Conflict. The container name \"/{name}\" is already in use by container \"{id}\". You \
         have to remove (or rename) that container to be able to reuse that name."
    ))
}

/// The container that has this name although no file says so, as long as that can be.
fn lost(containers: &Containers<'_>, name: &str) -> Option<Error> {
    by_record(containers, name).map_or_else(Some, |id| Some(taken_by(name, &id?)))
}

fn by_record(containers: &Containers<'_>, name: &str) -> Result<Option<String>> {
    if crate::claim::is_held(containers.folders)? {
        return Ok(None);
    }
    let found = containers.list()?.into_iter().find(|one| one.record.name == name);
    Ok(found.map(|one| one.id().to_string()))
}

/// The id in a name's file, and whether the process that made the file lives.
fn read(path: &Path) -> Option<(String, bool)> {
    let text = read_capped(path, 1024).ok()?;
    let text = String::from_utf8_lossy(&text);
    let mut words = text.split_ascii_whitespace();
    let id = words.next().unwrap_or("");
    let maker = words.next().and_then(|pid| pid.parse().ok());
    let start = words.next().and_then(|start| start.parse::<u64>().ok());
    let boot = words.next();
    let lives = maker.and_then(start_time).is_some_and(|now| Some(now) == start)
        && boot.is_none_or(|boot| boot == boot_id());
    Some((id.to_string(), lives))
}

/// The id that a name stands for.
pub(super) fn look_up(containers: &Containers<'_>, name: &str) -> Result<Option<String>> {
    if check(name).is_err() {
        return Ok(None);
    }
    let found = folders(containers).iter().find_map(|folder| read(&folder.join(name)));
    match found.map(|(id, _)| id).filter(|id| is_full(id)) {
        None => by_record(containers, name),
        found => Ok(found),
    }
}

/// Every kept container has its name, and no other has one.
pub(super) fn sweep(containers: &Containers<'_>) -> Result<()> {
    let [_, folder] = folders(containers);
    let kept = containers.list()?.into_iter().filter(|one| !one.is_temporary());
    let mut named: Vec<Container> = kept.collect();
    if !named.is_empty() {
        make_folders(&folder)?;
    }
    let Ok(entries) = std::fs::read_dir(&folder) else { return Ok(()) };
    let _lock = Lock::exclusive(&folder)?;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some((id, maker_lives)) = read(&entry.path()) else { continue };
        if let Some(own) = named.iter().position(|one| one.record.name == name && one.id() == id) {
            named.swap_remove(own);
        } else if !maker_lives {
            let _ = unlink(&entry.path());
        }
    }
    for one in named {
        let text = [one.id(), "\n"].concat();
        write_then_rename(&folder, &one.record.name, text.as_bytes(), Sync::No)?;
    }
    Ok(())
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
