//! Events: whoever does something appends a line to a file in the run folder.
//!
//! `RUN/events/log` is a document a line; at half of the cap it becomes `log.1`, so that a container
//! which ends again and again cannot fill the memory. Followers watch the folder.

use crate::container::Record;
use base::files::{Lock, create_dir_all};
use base::folders::Folders;
use base::map::Map;
use base::{Kind, OnError, Result, json, paths};
use base_http::api::events::{Actor, Event};
use rustix::fs::{Mode, OFlags, fstat};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The two files hold at most twice so many bytes.
const CAP: u64 = 128 << 10;
/// A line is at most this long: labels are in it.
const LONGEST: u64 = 64 << 10;

fn folder(folders: &Folders) -> PathBuf {
    folders.run.join("events")
}

/// Something that happened to a container.
pub(crate) fn of_container(
    folders: &Folders,
    record: &Record,
    action: &str,
    more: &[(&str, &str)],
) {
    let mut attributes = record.config.labels.clone().unwrap_or_default();
    attributes.insert("image".to_string(), record.config.image.clone());
    attributes.insert("name".to_string(), record.name.clone());
    for (name, text) in more {
        attributes.insert(name.to_string(), text.to_string());
    }
    let from = record.config.image.clone();
    write(folders, event("container", action, &record.id, attributes, from));
}

/// Something that happened to an image or a volume.
pub(crate) fn of(folders: &Folders, kind: &str, action: &str, id: &str, more: &[(&str, &str)]) {
    let pair = |(name, text): &(&str, &str)| (name.to_string(), text.to_string());
    write(folders, event(kind, action, id, more.iter().map(pair).collect(), String::new()));
}

fn event(
    kind: &str,
    action: &str,
    id: &str,
    attributes: Map<String, String>,
    from: String,
) -> Event {
    let (seconds, nanos) = base::text::time::now();
    let old = ["container", "image"].contains(&kind);
    let for_old = |text: &str| if old { text.to_string() } else { String::new() };
    Event {
        kind: kind.to_string(),
        action: action.to_string(),
        actor: Actor { id: id.to_string(), attributes },
        scope: "local".to_string(),
        time: seconds,
        time_nano: seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(nanos)),
        status: for_old(action),
        id: for_old(id),
        from,
    }
}

/// Nothing fails because it cannot be told.
fn write(folders: &Folders, event: Event) {
    let mut line = json::to_string(&event);
    line.push('\n');
    if line.len() as u64 > LONGEST {
        return;
    }
    if let Err(error) = append(&folder(folders), line.as_bytes()) {
        base::log::debug(error.message());
    }
}

fn append(folder: &Path, line: &[u8]) -> Result<()> {
    let lock = match Lock::exclusive(folder) {
        Err(error) if error.kind() == Kind::NotFound => {
            create_dir_all(folder)?;
            Lock::exclusive(folder)?
        }
        lock => lock?,
    };
    let path = folder.join("log");
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC;
    let open = || paths::open(&path, flags, Mode::RUSR | Mode::WUSR).on_path("open", &path);
    let mut file = open()?;
    if fstat(&file).is_ok_and(|stat| stat.st_size as u64 > CAP) {
        let older = folder.join("log.1");
        paths::rename(&path, &older).on_path("rename", &older)?;
        file = open()?;
    }
    rustix::io::write(&file, line).on_path("write", &path)?;
    drop(lock);
    Ok(())
}

/// Reads events, the oldest first, and goes on with those that come.
pub(crate) struct Reader {
    folder: PathBuf,
    file: Option<(u64, BufReader<std::fs::File>)>,
    older: Option<BufReader<std::fs::File>>,
    line: Vec<u8>,
    pending: VecDeque<Event>,
}

impl Reader {
    pub(crate) fn new(folders: &Folders) -> Reader {
        let folder = folder(folders);
        let older = std::fs::File::open(folder.join("log.1")).ok().map(BufReader::new);
        Reader { folder, file: None, older, line: Vec::new(), pending: VecDeque::new() }
    }

    /// The folder to watch for more; it is there then.
    pub(crate) fn folder(&self) -> Result<&Path> {
        create_dir_all(&self.folder)?;
        Ok(&self.folder)
    }

    /// The next one, if there is one by now.
    pub(crate) fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(event);
            }
            if let Some(older) = &mut self.older {
                if let Some(event) = read(older, &mut self.line) {
                    return Some(event);
                }
                self.older = None;
            }
            if self.file.is_none() {
                let file = std::fs::File::open(self.folder.join("log")).ok()?;
                self.file = Some((file.metadata().ok()?.ino(), BufReader::new(file)));
            }
            let (inode, file) = self.file.as_mut()?;
            if let Some(event) = read(file, &mut self.line) {
                return Some(event);
            }
            // Its end: of the file that is written to, or of one that was renamed meanwhile.
            let now = std::fs::metadata(self.folder.join("log")).map(|file| file.ino());
            if now.ok() == Some(*inode) {
                return None;
            }
            // What was written between the end and the rename.
            while let Some(event) = read(file, &mut self.line) {
                self.pending.push_back(event);
            }
            self.file = None;
        }
    }
}

/// One line; what is half written is read again when it is whole.
fn read(file: &mut BufReader<std::fs::File>, line: &mut Vec<u8>) -> Option<Event> {
    loop {
        let space = LONGEST.saturating_sub(line.len() as u64).max(1);
        std::io::Read::take(&mut *file, space).read_until(b'\n', line).ok()?;
        if line.last() != Some(&b'\n') {
            return None;
        }
        let event = json::parse(line).ok();
        line.clear();
        // A line that makes no sense is no reason to stop.
        if event.is_some() {
            return event;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_across_the_change_of_files() {
        let run = std::env::temp_dir().join(format!("coracle-events-{}", std::process::id()));
        let folders = Folders::find(Some(&run.join("root")), Some(&run)).expect("folders");
        let mut reader = Reader::new(&folders);
        assert_eq!(reader.next(), None);
        let long = "x".repeat(1000);
        let mut seen = 0;
        for number in 0..600 {
            of(&folders, "volume", "create", &number.to_string(), &[("text", &long)]);
            // Now and then the reader is behind.
            while number % 7 == 0 && seen <= number {
                let event = reader.next().expect("event");
                assert_eq!(event.actor.id, seen.to_string());
                seen += 1;
            }
        }
        while let Some(event) = reader.next() {
            assert_eq!(event.actor.id, seen.to_string());
            seen += 1;
        }
        assert_eq!(seen, 600);
        let size = |name: &str| folder(&folders).join(name).metadata().expect("stat").len();
        assert!(size("log") <= CAP + 2000 && size("log.1") <= CAP + 2000);
        // Who comes later reads what is left.
        let mut reader = Reader::new(&folders);
        assert!(std::iter::from_fn(|| reader.next()).count() < 300);
        std::fs::remove_dir_all(run).expect("remove");
    }
}
