//! Makes each state of a recorded disk and gives it, mounted, to a check.
//!
//! The mounts are in the mount namespace of this process, which must be a private one: see
//! [`alone`].

use super::record::Recording;
use super::states::{State, states};
use base::{Error, OnError, Result};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How much of a recording is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    /// Sampled sets of unflushed writes, besides the state at every flush.
    pub samples: usize,
    /// The same seed samples the same sets.
    pub seed: u64,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Findings {
    /// How many states were looked at.
    pub states: usize,
    /// Those that were wrong, and why: the first few in words.
    pub wrong: usize,
    /// Their reasons.
    pub reasons: Vec<String>,
}

/// Looks at a mounted state, with what had been promised; an error says what is wrong with it.
pub type Check<'a> = &'a mut dyn FnMut(&Path, Option<u64>) -> std::result::Result<(), String>;

const MOST_REASONS: usize = 5;

/// Looks at every state: `check` gets the mounted file system and what had been promised.
pub fn replay(recording: &Recording, amount: Amount, check: Check<'_>) -> Result<Findings> {
    replay_on("ext4", recording, amount, check)
}

/// The same with another file system.
pub fn replay_on(
    kind: &str,
    recording: &Recording,
    amount: Amount,
    check: Check<'_>,
) -> Result<Findings> {
    let folder = recording.pristine.parent().unwrap_or(Path::new("."));
    let (base, work) = (folder.join("flushed"), folder.join("state"));
    let mounted = folder.join("mounted");
    std::fs::create_dir_all(&mounted).on_path("mkdir", &mounted)?;
    std::fs::copy(&recording.pristine, &base).on_path("copy", &recording.pristine)?;
    let base_file = File::options().write(true).open(&base).on_path("open", &base)?;
    let mut applied = 0;
    let mut findings = Findings::default();
    // In the order of their flushes, so that what is flushed is written once.
    for state in states(&recording.log.entries, amount.samples, amount.seed) {
        for entry in &recording.log.entries[applied..state.flushed.max(applied)] {
            recording.log.apply(entry, &base_file)?;
        }
        applied = applied.max(state.flushed);
        make(recording, &base, &work, &state)?;
        findings.states += 1;
        let result = match mount(kind, &work, &mounted) {
            Ok(()) => {
                let result = check(&mounted, state.promised);
                unmount(&mounted)?;
                result
            }
            Err(error) => Err(format!("it cannot be mounted: {}", error.message())),
        };
        if let Err(reason) = result {
            findings.wrong += 1;
            if findings.reasons.len() < MOST_REASONS {
                findings.reasons.push(format!(
                    "cut before request {}, {} unflushed of {} kept: {reason}",
                    state.cut,
                    state.more.len(),
                    state.cut - state.flushed
                ));
            }
        }
    }
    for path in [&base, &work] {
        let _ = std::fs::remove_file(path);
    }
    Ok(findings)
}

fn make(recording: &Recording, base: &PathBuf, work: &PathBuf, state: &State) -> Result<()> {
    std::fs::copy(base, work).on_path("copy", base)?;
    let image = File::options().write(true).open(work).on_path("open", work)?;
    for number in &state.more {
        recording.log.apply(&recording.log.entries[*number], &image)?;
    }
    Ok(())
}

fn mount(kind: &str, image: &Path, folder: &Path) -> Result<()> {
    let mut command = Command::new("mount");
    command.args(["-t", kind, "-o", "loop"]).arg(image).arg(folder);
    run(command, "mount")
}

fn unmount(folder: &Path) -> Result<()> {
    let mut command = Command::new("umount");
    command.arg(folder);
    run(command, "umount")
}

fn run(mut command: Command, name: &str) -> Result<()> {
    let output = command.output().on("start", name)?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::other(String::from_utf8_lossy(&output.stderr).trim().to_string()))
}

/// The variable that says that this process is in a mount namespace of its own.
const ALONE: &str = "CORACLE_POWER_CUT_ALONE";

/// Begins this program anew in a mount namespace of its own, unless it is in one already. Gives the
/// exit code of the new one, and `None` in it.
pub fn alone() -> Result<Option<i32>> {
    if std::env::var_os(ALONE).is_some() {
        return Ok(None);
    }
    let own = std::env::current_exe().on("find", "this program")?;
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(own)
        .args(std::env::args_os().skip(1))
        .env(ALONE, "1")
        .status()
        .on("start", "unshare")?;
    Ok(Some(status.code().unwrap_or(1)))
}
