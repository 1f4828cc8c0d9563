//! Containers as records: what each is, what is wished of it, and how it is now.
//!
//! ```text
//! ROOT/containers/ID/config.json   a kept container: synced when it is made
//! ROOT/containers/ID/wish-…        created, running, stopped: a name, changed by rename
//! RUN/containers/ID/config.json    a container of `run --rm`: gone after a reboot
//! RUN/containers/ID/state          pid, times, exit code: gone after a reboot
//! RUN/containers/ID/{ctl,log,…}    the monitor's
//! ```
//!
//! Nothing is visible before it is whole: folders are made aside and renamed.

mod names;
mod record;
mod state;

pub(crate) use record::{Mount, Record};
pub(crate) use state::{Process, State, Status, boot_id};

use base::files::{Lock, Sync, create_dir_all, exists, read_capped, remove_tree, sync_folder};
use base::folders::Folders;
use base::text::part::contains;
use base::{Error, Kind, OnError, Result, json, paths};
use rustix::fs::Mode;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A record is at most this long: arguments, environment and labels are in it.
const LARGEST_RECORD: usize = 4 << 20;

/// Where a container's command should be, after a reboot too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Never started.
    Created,
    /// Started.
    Running,
    /// Stopped by the user.
    Stopped,
    /// It has ended, and its policy `on-failure` has nothing more to do.
    Ended,
}

impl Wish {
    const ALL: [(Wish, &'static str); 4] = [
        (Wish::Created, "wish-created"),
        (Wish::Running, "wish-running"),
        (Wish::Stopped, "wish-stopped"),
        (Wish::Ended, "wish-ended"),
    ];

    fn name(self) -> &'static str {
        Wish::ALL.iter().find(|(wish, _)| *wish == self).map_or("", |(_, name)| name)
    }
}

/// One container.
#[derive(Debug)]
pub(crate) struct Container {
    /// What it is.
    pub(crate) record: Arc<Record>,
    /// Its record's folder.
    pub(crate) folder: PathBuf,
    /// Its folder in the run folder.
    pub(crate) run: PathBuf,
}

impl Container {
    /// 64 hex digits.
    pub(crate) fn id(&self) -> &str {
        &self.record.id
    }

    /// Made by `run --rm`: everything but its upper folder is in RAM.
    pub(crate) fn is_temporary(&self) -> bool {
        self.folder == self.run
    }

    /// How it is now. A dead process that nobody has recorded the end of shows as exited.
    pub(crate) fn state(&self) -> State {
        let found = State::read(&self.run);
        let is_new = found.is_none();
        let mut state = found.unwrap_or_default();
        if state.status == Status::Created && !self.is_temporary() {
            let wish = self.wish();
            if wish == Wish::Running || is_new && wish != Wish::Created {
                // It ran before the run folder was emptied: a reboot.
                state = State { status: Status::Exited, exit_code: 255, ..State::default() };
            }
        }
        // A monitor that is there is about to write down how it ended: until then it runs.
        if state.status == Status::Running && !state.is_alive() && !has_monitor(&self.run) {
            // The monitor may have written it between the two looks.
            state = State::read(&self.run).unwrap_or_default();
            if state.status != Status::Running {
                return state;
            }
            state.status = Status::Exited;
            state.exit_code = 255;
        }
        state
    }

    /// Whoever starts, ends or removes it, or makes its monitor, does so under this lock; nobody
    /// keeps it while the container runs. `NotFound` when the container is gone.
    pub(crate) fn lock(&self) -> Result<Lock> {
        let gone = || Error::not_found(format!("No such container: {}", self.id()));
        if !self.is_temporary() {
            // Gone after a reboot.
            make_folders(&self.run)?;
        }
        let lock = match Lock::exclusive(&self.run) {
            Err(error) if error.kind() == Kind::NotFound => return Err(gone()),
            result => result?,
        };
        if !exists(&self.folder.join("config.json")) {
            // Removed while we waited, or just before we made the folder again.
            let _ = remove_tree(&self.run);
            return Err(gone());
        }
        Ok(lock)
    }

    /// The same; None when the container is gone.
    pub(crate) fn lock_if_there(&self) -> Result<Option<Lock>> {
        match self.lock() {
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            result => result.map(Some),
        }
    }

    /// What is wished of it.
    pub(crate) fn wish(&self) -> Wish {
        let found = Wish::ALL.iter().find(|(_, name)| exists(&self.folder.join(name)));
        found.map_or(Wish::Created, |(wish, _)| *wish)
    }

    /// Notes why it could not be started. Docker's exit codes: 127 for a command that is not
    /// there, 126 for one that cannot be executed, else 128.
    pub(crate) fn fail(&self, error: &Error) -> Result<()> {
        let exit_code = if is_missing_command(error) {
            127
        } else if contains(error.message(), "permission denied") {
            126
        } else {
            128
        };
        let state = State { exit_code, error: error.message().to_string(), ..State::default() };
        state.write(&self.run)
    }

    /// Changes the wish: one rename and one sync.
    pub(crate) fn set_wish(&self, wish: Wish) -> Result<()> {
        let present = self.wish();
        if self.is_temporary() || present == wish {
            return Ok(());
        }
        let path = self.folder.join(wish.name());
        paths::rename(&self.folder.join(present.name()), &path).on_path("rename", &path)?;
        sync_folder(&self.folder)
    }
}

/// Whether a start failed because the command is not there.
pub(crate) fn is_missing_command(error: &Error) -> bool {
    let texts = ["executable file not found", "no such file or directory"];
    texts.iter().any(|text| contains(error.message(), text))
}

/// The record that was read last: one command asks for the same one from job to job. It is read
/// again when its file is another one or has changed.
#[derive(Default)]
pub(crate) struct Recent(Mutex<Option<(FileState, Arc<Record>)>>);

/// Device, inode and change time.
type FileState = (u64, u64, i64, i64);

/// All containers of a root and a run folder.
pub(crate) struct Containers<'a> {
    folders: &'a Folders,
    recent: &'a Recent,
}

impl<'a> Containers<'a> {
    pub(crate) fn new(folders: &'a Folders, recent: &'a Recent) -> Containers<'a> {
        Containers { folders, recent }
    }

    fn kept(&self) -> PathBuf {
        self.folders.root.join("containers")
    }

    fn running(&self) -> PathBuf {
        self.folders.run.join("containers")
    }

    /// A container's folder in the run folder.
    pub(crate) fn run_folder(&self, id: &str) -> PathBuf {
        self.running().join(id)
    }

    /// Makes a new one under its name. `Conflict` when the name is taken. A temporary one comes
    /// with its lock: as long as it is held, nobody else makes a monitor for it.
    pub(crate) fn create(
        &self,
        record: Arc<Record>,
        temporary: bool,
    ) -> Result<(Container, Option<Lock>)> {
        let run = self.run_folder(&record.id);
        make_folders(&self.running())?;
        let text = json::to_string(&*record);
        names::claim(self, &record.name, &record.id, temporary)?;
        let made = if temporary {
            paths::mkdir(&run, Mode::from_raw_mode(0o700)).on_path("mkdir", &run).and_then(|()| {
                // Before anybody can find it.
                let lock = Lock::exclusive(&run)?;
                write_record(&run, &text, Sync::No)?;
                Ok((run.clone(), Some(lock)))
            })
        } else {
            self.create_kept(&record.id, &text).and_then(|folder| {
                make_folders(&run)?;
                Ok((folder, None))
            })
        };
        match made {
            Ok((folder, lock)) => {
                // The command that made it asks for it next.
                if let Ok(Some(now)) = file_state(&folder.join("config.json")) {
                    *self.recent() = Some((now, record.clone()));
                }
                Ok((Container { record, folder, run }, lock))
            }
            Err(error) => {
                let _ = remove_tree(&run);
                let _ = remove_tree(&self.kept().join(&record.id));
                names::release(self, &record.name, &record.id);
                Err(error)
            }
        }
    }

    fn create_kept(&self, id: &str, text: &str) -> Result<PathBuf> {
        let kept = self.kept();
        make_folders(&kept)?;
        let aside = kept.join(format!(".{id}"));
        let folder = kept.join(id);
        paths::mkdir(&aside, Mode::from_raw_mode(0o700)).on_path("mkdir", &aside)?;
        // The sweep leaves alone what somebody holds.
        let _lock = Lock::exclusive(&aside)?;
        let made = write_file(&aside, Wish::Created.name(), b"")
            .and_then(|()| write_record(&aside, text, Sync::Yes))
            .and_then(|()| paths::rename(&aside, &folder).on_path("rename", &folder))
            .and_then(|()| sync_folder(&kept));
        if made.is_err() {
            let _ = remove_tree(&aside);
        }
        made.map(|()| folder)
    }

    /// The container with this full id.
    pub(crate) fn open(&self, id: &str) -> Result<Option<Container>> {
        let run = self.run_folder(id);
        for folder in [self.kept().join(id), run.clone()] {
            if let Some(record) = self.read(&folder.join("config.json"))? {
                return Ok(Some(Container { record, folder, run }));
            }
        }
        Ok(None)
    }

    fn recent(&self) -> MutexGuard<'_, Option<(FileState, Arc<Record>)>> {
        self.recent.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The record in this file, if there is one.
    fn read(&self, path: &Path) -> Result<Option<Arc<Record>>> {
        let Some(now) = file_state(path)? else { return Ok(None) };
        let mut recent = self.recent();
        if let Some((_, record)) = recent.as_ref().filter(|(then, _)| *then == now) {
            return Ok(Some(record.clone()));
        }
        let Some(record) = read_anew(path)? else { return Ok(None) };
        let record = Arc::new(record);
        *recent = Some((now, record.clone()));
        Ok(Some(record))
    }

    /// Its record once more, for somebody who changes it.
    pub(crate) fn own_record(&self, container: &Container) -> Result<Record> {
        let missing = || Error::not_found(format!("No such container: {}", container.id()));
        read_anew(&container.folder.join("config.json"))?.ok_or_else(missing)
    }

    /// Its record for somebody who takes it apart: the one at hand, or read once more. (To clone one
    /// would take 5 kB of code.)
    pub(crate) fn take_record(&self, container: Container) -> Result<Record> {
        *self.recent() = None;
        let Container { record, folder, run } = container;
        Arc::try_unwrap(record)
            .or_else(|record| self.own_record(&Container { record, folder, run }))
    }

    /// The container that a user means: a full id, a name, or the beginning of one id.
    pub(crate) fn find(&self, text: &str) -> Result<Container> {
        let missing = || Error::not_found(format!("No such container: {text}"));
        let text = text.strip_prefix('/').unwrap_or(text);
        if base::text::id::is_full(text)
            && let Some(found) = self.open(text)?
        {
            return Ok(found);
        }
        if let Some(id) = names::look_up(self, text)?
            && let Some(found) = self.open(&id)?
        {
            return Ok(found);
        }
        if !base::text::id::is_prefix(text) {
            return Err(missing());
        }
        let mut ids = self.ids()?;
        ids.retain(|id| id.starts_with(text));
        match ids.as_slice() {
            [id] => self.open(id)?.ok_or_else(missing),
            [] => Err(missing()),
            _ => Err(Error::bad_input(format!("Multiple IDs found with provided prefix: {text}"))),
        }
    }

    /// Every id, sorted.
    fn ids(&self) -> Result<Vec<String>> {
        let mut ids = Vec::new();
        for folder in [self.kept(), self.running()] {
            match std::fs::read_dir(&folder) {
                Ok(entries) => ids.extend(
                    entries
                        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                        .filter(|name| base::text::id::is_full(name)),
                ),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => (),
                Err(error) => return Err(error).on_path("read", &folder),
            }
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    /// All of them, the newest first. A record that cannot be read is told and left alone.
    pub(crate) fn list(&self) -> Result<Vec<Container>> {
        let mut containers = Vec::new();
        for id in self.ids()? {
            match self.open(&id) {
                Ok(found) => containers.extend(found),
                Err(error) => base::log::warn(error.message()),
            }
        }
        containers.sort_unstable_by(|a, b| {
            b.record.created.cmp(&a.record.created).then_with(|| a.record.id.cmp(&b.record.id))
        });
        Ok(containers)
    }

    /// Gives it another name. `Conflict` when that is taken.
    pub(crate) fn rename(&self, container: &Container, name: &str) -> Result<()> {
        let _lock = container.lock()?;
        let record = &container.record;
        if name == record.name {
            return Err(Error::bad_input(
                "Renaming a container with the same name as its current name",
            ));
        }
        let renamed = Record { name: name.to_string(), ..self.own_record(container)? };
        names::claim(self, name, &record.id, container.is_temporary())?;
        let written = self.rewrite(container, &renamed);
        let free = if written.is_ok() { &record.name } else { &renamed.name };
        names::release(self, free, &record.id);
        written
    }

    /// Puts another record in the place of a container's. The caller holds the container's lock.
    pub(crate) fn rewrite(&self, container: &Container, record: &Record) -> Result<()> {
        let sync = if container.is_temporary() { Sync::No } else { Sync::Yes };
        let text = json::to_string(record);
        base::files::write_then_rename(&container.folder, "config.json", text.as_bytes(), sync)
    }

    /// Takes it away: record and name, then the run folder. Goes on past errors, gives the first.
    pub(crate) fn remove(&self, container: &Container) -> Result<()> {
        let mut result = Ok(());
        if !container.is_temporary() {
            // Out of sight in one step, for good, then away. A name without a container is free: so it
            // goes afterwards.
            let aside = self.kept().join(format!(".{}", container.id()));
            result = paths::rename(&container.folder, &aside).on_path("remove", &container.folder);
            result = result.and(sync_folder(&self.kept())).and(remove_tree(&aside));
        }
        names::release(self, &container.record.name, container.id());
        result.and(remove_tree(&container.run))
    }

    /// Puts away folders that were never finished or never quite removed, and names without a
    /// container; gives names back to those whom a power cut has left without.
    pub(crate) fn sweep(&self) -> Result<()> {
        for entry in std::fs::read_dir(self.kept()).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with('.')
                && matches!(Lock::try_exclusive(&path), Ok(Some(_)))
            {
                remove_tree(&path)?;
            }
        }
        names::sweep(self)
    }
}

fn read_anew(path: &Path) -> Result<Option<Record>> {
    let text = match read_capped(path, LARGEST_RECORD) {
        Err(error) if error.kind() == Kind::NotFound => return Ok(None),
        result => result?,
    };
    json::parse(&text).map(Some).map_err(|e| e.context(path.display()))
}

/// None when there is no such file.
fn file_state(path: &Path) -> Result<Option<FileState>> {
    match std::fs::metadata(path) {
        Ok(file) => Ok(Some((file.dev(), file.ino(), file.ctime(), file.ctime_nsec()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).on_path("stat", path),
    }
}

fn has_monitor(run: &Path) -> bool {
    crate::monitor::control::Control::connect(run).is_ok()
}

/// A folder and those above it. Most often it is there.
fn make_folders(path: &Path) -> Result<()> {
    match paths::mkdir(path, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        _ => create_dir_all(path),
    }
}

fn write_record(folder: &Path, text: &str, sync: Sync) -> Result<()> {
    if sync == Sync::No {
        return write_file(folder, "config.json", text.as_bytes());
    }
    base::files::write_then_rename(folder, "config.json", text.as_bytes(), sync)
}

/// A file in a folder that nobody looks into yet: no need to write aside.
pub(crate) fn write_file(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    use rustix::fs::OFlags;
    let path = folder.join(name);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    let file = paths::open(&path, flags, Mode::from_raw_mode(0o644)).on_path("create", &path)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let count = rustix::io::write(&file, rest).on_path("write", &path)?;
        rest = &rest[count..];
    }
    Ok(())
}
