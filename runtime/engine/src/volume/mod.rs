//! Volumes: folders that outlive containers.
//!
//! ```text
//! ROOT/volumes/NAME/record   JSON: what it is
//! ROOT/volumes/NAME/_data    its files
//! ```
//!
//! A volume is made aside and renamed. Who uses it is seen from the containers' records: a container
//! that is being made holds the volume's lock, shared, until its record is there; who removes a volume
//! holds it alone.

pub(crate) mod mounts;

use base::files::{Lock, Sync, create_dir_all, read_capped, remove_tree, sync_folder};
use base::json::Rest;
use base::map::Map;
use base::text::quote::quoted;
use base::text::time::{now, rfc3339};
use base::{Error, Kind, OnError, Result, json, json_object, paths};
use rustix::fs::Mode;
use std::path::{Path, PathBuf};

json_object! {
    /// What a volume is.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub(crate) struct VolumeRecord {
        /// When it was made, RFC 3339.
        "CreatedAt" => pub(crate) created: String,
        /// Labels.
        "Labels" => pub(crate) labels: Map<String, String>,
        /// type, device, o.
        "Options" => pub(crate) options: Map<String, String>,
        /// Made for a container without a name for it.
        "Anonymous" ? => pub(crate) anonymous: bool,
        /// Its container ends with the power: so does it.
        "Temporary" ? => pub(crate) temporary: bool,
        ..pub(crate) rest: Rest,
    }
}

/// A record is at most this long.
const LARGEST_RECORD: usize = 1 << 20;

/// Docker's label of volumes that nobody has named.
pub(crate) const ANONYMOUS_LABEL: &str = "com.docker.volume.anonymous";

/// One volume.
pub(crate) struct Volume {
    pub(crate) name: String,
    pub(crate) record: VolumeRecord,
    folder: PathBuf,
}

impl Volume {
    /// Its files.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("_data")
    }

    /// A folder beside, in which new contents are made.
    pub(crate) fn aside(&self) -> PathBuf {
        self.folder.join("_new")
    }

    /// Nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        std::fs::read_dir(self.data()).is_ok_and(|mut entries| entries.next().is_none())
    }

    /// Its lock, shared. None when it is gone.
    pub(crate) fn share(&self) -> Result<Option<Lock>> {
        still_there(&self.folder, Lock::shared(&self.folder))
    }

    /// Its lock, alone. None when it is gone.
    pub(crate) fn own(&self) -> Result<Option<Lock>> {
        still_there(&self.folder, Lock::exclusive(&self.folder))
    }
}

fn still_there(folder: &Path, lock: Result<Lock>) -> Result<Option<Lock>> {
    match lock {
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        // Removed while we waited.
        Ok(_) if !base::files::exists(&folder.join("record")) => Ok(None),
        lock => lock.map(Some),
    }
}

/// What a new volume shall be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// Empty for a random one.
    pub(crate) name: String,
    pub(crate) labels: Map<String, String>,
    pub(crate) options: Map<String, String>,
    pub(crate) anonymous: bool,
    pub(crate) temporary: bool,
}

/// All volumes of a root folder.
pub(crate) struct Volumes {
    folder: PathBuf,
}

impl Volumes {
    pub(crate) fn new(root: &Path) -> Volumes {
        Volumes { folder: root.join("volumes") }
    }

    /// The volume of this name. `NotFound` with docker's words.
    pub(crate) fn find(&self, name: &str) -> Result<Volume> {
        let missing = || Error::not_found(format!("get {name}: no such volume"));
        if check_name(name).is_err() {
            return Err(missing());
        }
        self.open(name)?.ok_or_else(missing)
    }

    fn open(&self, name: &str) -> Result<Option<Volume>> {
        let folder = self.folder.join(name);
        let path = folder.join("record");
        let text = match read_capped(&path, LARGEST_RECORD) {
            Err(error) if error.kind() == Kind::NotFound => return Ok(None),
            text => text?,
        };
        let record = json::parse(&text).map_err(|error| error.context(path.display()))?;
        Ok(Some(Volume { name: name.to_string(), record, folder }))
    }

    /// Makes it, unless one of that name is there. It is locked, shared, when this returns.
    pub(crate) fn ensure(&self, wanted: &Wanted) -> Result<(Volume, Lock)> {
        let name = match wanted.name.as_str() {
            "" => base::text::id::new()?,
            name => name.to_string(),
        };
        check_name(&name)?;
        check_options(&wanted.options)?;
        // Somebody may remove it between two looks.
        for _ in 0..10 {
            if let Some(volume) = self.open(&name)? {
                if let Some(lock) = volume.share()? {
                    return Ok((volume, lock));
                }
                continue;
            }
            self.make(&name, wanted)?;
        }
        Err(Error::conflict(format!("volume {name} is removed again and again")))
    }

    fn make(&self, name: &str, wanted: &Wanted) -> Result<()> {
        create_dir_all(&self.folder)?;
        let (seconds, nanos) = now();
        let mut labels = wanted.labels.clone();
        if wanted.anonymous {
            labels.insert(ANONYMOUS_LABEL.to_string(), String::new());
        }
        let record = VolumeRecord {
            created: rfc3339(seconds, nanos),
            labels,
            options: wanted.options.clone(),
            anonymous: wanted.anonymous,
            temporary: wanted.temporary,
            ..VolumeRecord::default()
        };
        let sync = if wanted.temporary { Sync::No } else { Sync::Yes };
        let aside = self.folder.join(format!(".{}", base::text::id::new()?));
        paths::mkdir(&aside, Mode::RWXU).on_path("mkdir", &aside)?;
        let _lock = Lock::exclusive(&aside)?;
        let data = aside.join("_data");
        let text = json::to_string(&record);
        let folder = self.folder.join(name);
        let made = paths::mkdir(&data, Mode::from_raw_mode(0o755))
            .on_path("mkdir", &data)
            .and_then(|()| base::files::write_then_rename(&aside, "record", text.as_bytes(), sync))
            .and_then(|()| match paths::rename_new(&aside, &folder) {
                // Somebody was faster.
                Err(rustix::io::Errno::EXIST | rustix::io::Errno::NOTEMPTY) => Ok(false),
                result => result.on_path("rename", &folder).map(|()| true),
            });
        match made {
            Ok(true) if sync == Sync::Yes => sync_folder(&self.folder),
            Ok(true) => Ok(()),
            other => {
                let _ = remove_tree(&aside);
                other.map(drop)
            }
        }
    }

    /// All of them, by name. One that cannot be read is told and left alone.
    pub(crate) fn list(&self) -> Result<Vec<Volume>> {
        let mut names = self.entries()?;
        names.retain(|name| !name.starts_with('.'));
        names.sort_unstable();
        let mut volumes = Vec::new();
        for name in names {
            match self.open(&name) {
                Ok(found) => volumes.extend(found),
                Err(error) => base::log::warn(error.message()),
            }
        }
        Ok(volumes)
    }

    fn entries(&self) -> Result<Vec<String>> {
        match std::fs::read_dir(&self.folder) {
            Ok(entries) => {
                Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error).on_path("read", &self.folder),
        }
    }

    /// Takes it away. The caller holds its lock alone and knows that nobody uses it.
    pub(crate) fn remove(&self, volume: &Volume) -> Result<()> {
        // Out of sight in one step, then away.
        let aside = self.folder.join(format!(".{}", base::text::id::new()?));
        paths::rename(&volume.folder, &aside).on_path("remove", &volume.folder)?;
        let synced = if volume.record.temporary { Ok(()) } else { sync_folder(&self.folder) };
        remove_tree(&aside).and(synced)
    }

    /// Puts away what a command that was cut off has left, and volumes whose record has no text: it was
    /// never synced, for their containers ended with the power.
    pub(crate) fn sweep(&self) -> Result<()> {
        for name in self.entries()? {
            let path = self.folder.join(&name);
            let is_half = name.starts_with('.')
                || std::fs::metadata(path.join("record")).is_ok_and(|record| record.len() == 0);
            if is_half && matches!(Lock::try_exclusive(&path), Ok(Some(_))) {
                remove_tree(&path)?;
            }
        }
        Ok(())
    }
}

/// Docker's rule for names.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let mut bytes = name.bytes();
    let good = bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && (2..=255).contains(&name.len())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if good {
        return Ok(());
    }
    Err(Error::bad_input(format!(
        "create {name}: \"{name}\" includes invalid characters for a local volume name, only \
         \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use \
         absolute path"
    )))
}

/// What is mounted for a volume: all three, or nothing.
fn check_options(options: &Map<String, String>) -> Result<()> {
    if let Some(name) =
        options.keys().find(|name| !["type", "device", "o"].contains(&name.as_str()))
    {
        return Err(Error::bad_input(["invalid option: ", &quoted(name)].concat()));
    }
    let has = |name: &str| options.get(name).is_some_and(|text| !text.is_empty());
    if options.keys().next().is_some() && !has("device") {
        return Err(Error::bad_input("missing required option: \"device\""));
    }
    if has("device") && !has("type") && !has("o") {
        return Err(Error::bad_input("missing required option: \"type\""));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> PathBuf {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("coracle-volumes-{}-{number}", std::process::id());
        let root = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&root).expect("mkdir");
        root
    }

    #[test]
    fn a_volume_is_made_once_and_removed() {
        let root = root();
        let volumes = Volumes::new(&root);
        let wanted = Wanted { name: "data".into(), ..Wanted::default() };
        let (volume, lock) = volumes.ensure(&wanted).expect("ensure");
        std::fs::write(volume.data().join("f"), "x").expect("write");
        drop(lock);
        let (again, lock) = volumes.ensure(&wanted).expect("again");
        assert!(!again.is_empty());
        drop(lock);
        assert_eq!(volumes.list().expect("list").len(), 1);
        let lock = again.own().expect("own").expect("there");
        volumes.remove(&again).expect("remove");
        drop(lock);
        assert!(volume.share().expect("share").is_none());
        assert_eq!(volumes.find("data").err().expect("gone").kind(), Kind::NotFound);
        assert_eq!(volumes.entries().expect("entries"), Vec::<String>::new());
        std::fs::remove_dir_all(root).expect("remove");
    }

    #[test]
    fn what_was_cut_off_is_swept() {
        let root = root();
        let volumes = Volumes::new(&root);
        for name in [".cut", ".held"] {
            std::fs::create_dir_all(root.join("volumes").join(name)).expect("mkdir");
        }
        let held = Lock::exclusive(&root.join("volumes/.held")).expect("lock");
        volumes.sweep().expect("sweep");
        assert_eq!(volumes.entries().expect("entries"), [".held"]);
        drop(held);
        std::fs::remove_dir_all(root).expect("remove");
    }

    #[test]
    fn names_and_options_are_checked() {
        assert!(check_name("a.b-c_1").is_ok());
        for name in ["", "a", "../x", "a/b", ".x", "a b", "ä1"] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        let options = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect()
        };
        assert!(check_options(&options(&[])).is_ok());
        assert!(check_options(&options(&[("type", "tmpfs"), ("device", "tmpfs")])).is_ok());
        for wrong in [&[("x", "y")][..], &[("type", "nfs")], &[("device", "/dev/sda")]] {
            assert!(check_options(&options(wrong)).is_err(), "{wrong:?}");
        }
    }
}
