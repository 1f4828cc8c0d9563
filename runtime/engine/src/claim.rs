//! A root folder belongs to one run folder at a time.
//!
//! With another run folder, containers that run would look as if they had ended, and what they use
//! would be swept away. So the first container that is made since a boot writes the run folder and
//! the boot's id into `ROOT/run-folder`; commands with another run folder are refused. A reboot, or
//! the end of that run folder, frees the root folder.

use crate::container::boot_id;
use base::files::{Lock, Sync, read_capped, write_then_rename};
use base::folders::Folders;
use base::{Error, Kind, Result};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const NAME: &str = "run-folder";

/// Refuses a run folder that is not the root folder's.
pub fn check(folders: &Folders) -> Result<()> {
    is_held(folders).map(drop)
}

/// Makes the root folder the run folder's own. `first`: what must be done once a boot, before anybody
/// makes a container.
pub(crate) fn claim(folders: &Folders, first: impl FnOnce() -> Result<()>) -> Result<()> {
    if is_held(folders)? {
        return Ok(());
    }
    let _lock = Lock::exclusive(&folders.root)?;
    if is_held(folders)? {
        return Ok(());
    }
    first()?;
    let text = [boot_id().as_bytes(), b" ", folders.run.as_os_str().as_bytes()].concat();
    write_then_rename(&folders.root, NAME, &text, Sync::No)
}

/// Takes away what killed processes have left of [`claim`]. The caller holds its lock.
pub(crate) fn sweep(folders: &Folders) {
    let begin = [".", NAME, "."].concat();
    for entry in std::fs::read_dir(&folders.root).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(&begin) {
            let _ = base::paths::unlink(&entry.path());
        }
    }
}

/// Whether it is ours already, since this boot.
pub(crate) fn is_held(folders: &Folders) -> Result<bool> {
    let text = match read_capped(&folders.root.join(NAME), 8192) {
        Err(error) if error.kind() == Kind::NotFound => return Ok(false),
        result => result?,
    };
    let mut parts = text.splitn(2, |byte| *byte == b' ');
    let (boot, run) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if boot != boot_id().as_bytes() {
        return Ok(false);
    }
    let run = Path::new(OsStr::from_bytes(run));
    if run == folders.run || is_same(run, &folders.run) {
        return Ok(true);
    }
    if !run.exists() {
        return Ok(false);
    }
    Err(Error::conflict(format!(
        "the root folder {} belongs to the run folder {}: name that one with --run, or remove it",
        folders.root.display(),
        run.display()
    )))
}

/// Two paths of one folder, `/run` and `/var/run` say.
fn is_same(one: &Path, other: &Path) -> bool {
    match (std::fs::metadata(one), std::fs::metadata(other)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]

    use super::*;

    #[test]
    fn one_run_folder_at_a_time() {
        let base = std::env::temp_dir().join(format!("coracle-claim-{}", std::process::id()));
        let folders = |run: &str| {
            let folder = base.join(run);
            std::fs::create_dir_all(&folder).expect("mkdir");
            Folders { root: base.clone(), run: folder, ..Folders::default() }
        };
        let (one, other) = (folders("one"), folders("other"));
        assert!(check(&one).is_ok() && check(&other).is_ok());
        claim(&one, || Ok(())).expect("claim");
        claim(&one, || Err(Error::other("again"))).expect("claim again");
        let refused = check(&other).expect_err("refused");
        assert!(refused.message().contains("belongs to the run folder"), "{refused:?}");
        std::os::unix::fs::symlink(&one.run, base.join("link")).expect("symlink");
        assert!(check(&folders("link")).is_ok());
        std::fs::write(base.join(NAME), format!("another-boot {}", one.run.display()))
            .expect("write");
        assert!(check(&other).is_ok());
        claim(&other, || Ok(())).expect("claim");
        std::fs::remove_dir(&other.run).expect("rmdir");
        assert!(check(&one).is_ok());
        std::fs::remove_dir_all(&base).expect("remove");
    }
}
