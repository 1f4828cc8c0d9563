//! Where the two folders are: the root folder (kept) and the run folder (gone after a reboot).
//!
//! A flag wins over the environment, which wins over the settings, which win over the default.
//! The settings are `/etc/coracle/daemon.json`, else `/etc/docker/daemon.json`; every command and
//! the daemon read the same ones. Ordinary users have their own folders, and no settings' root.

use crate::json::{self, Rest};
use crate::{Error, Kind, Result, files, json_object};
use std::env;
use std::path::{Path, PathBuf};

json_object! {
    /// The settings file; what is not named here is kept for others to read.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Settings {
        /// The root folder.
        "data-root" ? => pub data_root: String,
        /// `overlay` or `vfs`.
        "storage-driver" ? => pub storage_driver: String,
        /// Read-only stores below the root folder, the first one looked at first.
        "base-stores" ? => pub base_stores: Vec<String>,
        /// Compressed layers are kept as they came, so that an image is saved and pushed as it was.
        "keep-blobs" ? => pub keep_blobs: bool,
        /// The largest window of zstd, as `64m`; 8 MiB where it is not set.
        "max-window" ? => pub max_window: String,
        /// Whose subordinate ids containers have; `default` for one of the usual users.
        "userns-remap" ? => pub userns_remap: String,
        /// Containers have SELinux labels without being asked.
        "selinux-enabled" ? => pub selinux_enabled: bool,
        /// Members for others.
        ..pub rest: Rest,
    }
}

/// The two folders and the settings.
#[derive(Clone, Debug, Default)]
pub struct Folders {
    /// Kept: images, containers, volumes.
    pub root: PathBuf,
    /// In RAM: state of what runs.
    pub run: PathBuf,
    /// The settings file.
    pub settings: Settings,
    /// Read-only stores below the root folder.
    pub base_stores: Vec<PathBuf>,
    /// The root folder was named by a flag, the environment or the settings.
    pub is_named: bool,
}

impl Folders {
    /// The folders, from flags (`--root`, `--run`), environment, settings, defaults. Makes nothing.
    pub fn find(root: Option<&Path>, run: Option<&Path>) -> Result<Self> {
        let settings = read_settings(&["/etc/coracle/daemon.json", "/etc/docker/daemon.json"])?;
        let uid = rustix::process::geteuid();
        let name = |variable: &str| {
            env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
        };
        let kept = || {
            if uid.is_root() {
                let set = &settings.data_root;
                return Some(PathBuf::from(if set.is_empty() { "/var/lib/coracle" } else { set }));
            }
            let data = name("XDG_DATA_HOME").or_else(|| Some(name("HOME")?.join(".local/share")));
            data.map(|folder| folder.join("coracle"))
        };
        let ram = || {
            if uid.is_root() {
                return PathBuf::from("/run/coracle");
            }
            match name("XDG_RUNTIME_DIR") {
                Some(folder) => folder.join("coracle"),
                None => PathBuf::from("/tmp").join(format!("coracle-run-{}", uid.as_raw())),
            }
        };
        let named = root.map(Path::to_owned).or_else(|| name("CORACLE_ROOT"));
        let is_named = named.is_some() || uid.is_root() && !settings.data_root.is_empty();
        let root = named.or_else(kept);
        let Some(root) = root else {
            return Err(Error::other("no root folder: neither --root nor HOME is set"));
        };
        let run = run.map(Path::to_owned).or_else(|| name("CORACLE_RUN")).unwrap_or_else(ram);
        let mut found =
            Self { root: absolute(root)?, run: absolute(run)?, is_named, ..Self::default() };
        match env::var_os("CORACLE_BASE_STORES") {
            Some(list) => found.set_base_stores(env::split_paths(&list))?,
            // Layers of root's stores are marked for root.
            None if uid.is_root() => {
                found.set_base_stores(settings.base_stores.iter().map(PathBuf::from))?;
            }
            None => {}
        }
        found.settings = settings;
        Ok(found)
    }

    /// The base stores that a flag names, in place of all others.
    pub fn set_base_stores(&mut self, list: impl Iterator<Item = PathBuf>) -> Result<()> {
        let named = list.filter(|path| !path.as_os_str().is_empty());
        self.base_stores = named.map(absolute).collect::<Result<_>>()?;
        Ok(())
    }
}

/// A relative folder is meant from where the command was given, once and for all.
fn absolute(path: PathBuf) -> Result<PathBuf> {
    if path.is_absolute() {
        return Ok(path);
    }
    match env::current_dir() {
        Ok(here) => Ok(here.join(path)),
        Err(e) => Err(Error::os("find", &"the working folder", e)),
    }
}

fn read_settings(files: &[&str]) -> Result<Settings> {
    for file in files {
        match files::read_capped(Path::new(file), 1 << 20) {
            Ok(text) => return json::parse(&text).map_err(|e| e.context(file)),
            Err(e) if e.kind() == Kind::NotFound || e.kind() == Kind::Denied => {}
            Err(e) => return Err(e),
        }
    }
    Ok(Settings::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_and_become_absolute() {
        let folders = Folders::find(Some(Path::new("/r")), Some(Path::new("x"))).unwrap();
        assert_eq!(folders.root, Path::new("/r"));
        assert!(folders.run.is_absolute() && folders.run.ends_with("x"));
    }

    #[test]
    fn the_first_settings_file_counts() {
        let dir = files::tests::scratch("settings");
        let file = |name: &str, text: &str| {
            std::fs::write(dir.join(name), text).unwrap();
            dir.join(name).to_str().unwrap().to_owned()
        };
        let none = dir.join("none").to_str().unwrap().to_owned();
        let a = file("a", r#"{"data-root":"/data","live-restore":true}"#);
        let bad = file("bad", "{");
        let found = read_settings(&[&none, &a, &bad]).unwrap();
        assert_eq!(found.data_root, "/data");
        assert_eq!(found.rest.get("live-restore").unwrap().text(), "true");
        assert!(read_settings(&[&bad]).unwrap_err().message().starts_with(&bad));
        assert_eq!(read_settings(&[&none]).unwrap(), Settings::default());
        std::fs::remove_dir_all(dir).unwrap();
    }
}
