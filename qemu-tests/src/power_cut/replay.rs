//! Makes each state of a recorded disk and gives it, mounted, to a check: here, where the kernel has the
//! file system ([`replay_on`]), or inside a machine ([`super::inside`]).
//!
//! The mounts are in the mount namespace of this process, which must be a private one: see
//! [`alone`].

use super::log::{Entry, Log};
use super::record::Recording;
use super::states::{State, states};
use crate::console::Verdict;
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

impl Findings {
    /// Of so many parts, which are looked at at the same time.
    pub fn of_parts(
        parts: usize,
        one: &(dyn Fn(usize) -> Result<Findings> + Sync),
    ) -> Result<Findings> {
        let found: Vec<Result<Findings>> = std::thread::scope(|scope| {
            let parts: Vec<_> = (0..parts).map(|part| scope.spawn(move || one(part))).collect();
            let ended = || Err(Error::other("a thread of a replay has ended"));
            parts.into_iter().map(|part| part.join().unwrap_or_else(|_| ended())).collect()
        });
        let mut all = Findings::default();
        for one in found {
            let one = one?;
            all.states += one.states;
            all.wrong += one.wrong;
            all.reasons.extend(one.reasons);
        }
        Ok(all)
    }

    /// With syncs nothing may be lost; without them something must be, or `missed` is said.
    #[must_use]
    pub fn verdict(&self, with_sync: bool, missed: &str) -> Verdict {
        match (with_sync, self.wrong) {
            (true, 0) | (false, 1..) => Verdict::Passed(String::new()),
            (true, _) => Verdict::Failed("something was lost in spite of the syncs".to_string()),
            (false, _) => Verdict::Failed(missed.to_string()),
        }
    }

    /// One state more.
    pub fn add(&mut self, result: std::result::Result<(), String>) {
        self.states += 1;
        if let Err(reason) = result {
            self.wrong += 1;
            if self.reasons.len() < MOST_REASONS {
                self.reasons.push(reason);
            }
        }
    }
}

/// Looks at a mounted state, with what had been promised; an error says what is wrong with it.
pub type Check<'a> = &'a mut dyn FnMut(&Path, Option<u64>) -> std::result::Result<(), String>;

/// Where states are made and mounted.
pub trait Bench {
    /// A request that is there from now on.
    fn keep(&mut self, log: &Log, entry: &Entry) -> Result<()>;
    /// What is kept and these requests, mounted; an error of the inner kind is the state's.
    fn mount(&mut self, log: &Log, more: &[&Entry])
    -> Result<std::result::Result<PathBuf, String>>;
    /// The end of what `mount` gave.
    fn unmount(&mut self) -> Result<()>;
}

const MOST_REASONS: usize = 5;
/// What is said where the store without syncs lost nothing.
pub(super) const NOT_FOUND: &str = "that nothing is synced was not found";

/// Looks at every state: `check` gets the mounted file system and what had been promised.
pub fn replay(recording: &Recording, amount: Amount, check: Check<'_>) -> Result<Findings> {
    replay_on("ext4", recording, amount, check)
}

/// The same with another file system.
pub fn replay_on(
    kind: &'static str,
    recording: &Recording,
    amount: Amount,
    check: Check<'_>,
) -> Result<Findings> {
    let mut files = Files::new(kind, recording)?;
    let all = states(&recording.log.entries, amount.samples, amount.seed);
    let findings = look_at(&recording.log, &all, &mut files, check);
    for path in [&files.base, &files.work] {
        let _ = std::fs::remove_file(path);
    }
    findings
}

/// Looks at these states, which are in the order of their flushes, so that what is flushed is written once.
pub fn look_at(
    log: &Log,
    states: &[State],
    bench: &mut dyn Bench,
    check: Check<'_>,
) -> Result<Findings> {
    let mut kept = 0;
    let mut findings = Findings::default();
    for state in states {
        for entry in log.entries.get(kept..state.flushed.max(kept)).unwrap_or_default() {
            bench.keep(log, entry)?;
        }
        kept = kept.max(state.flushed);
        let more: Vec<&Entry> =
            state.more.iter().filter_map(|number| log.entries.get(*number)).collect();
        let result = match bench.mount(log, &more)? {
            Ok(folder) => {
                let result = check(&folder, state.promised);
                bench.unmount()?;
                result
            }
            Err(error) => Err(format!("it cannot be mounted: {error}")),
        };
        findings.add(result.map_err(|reason| {
            format!(
                "cut before request {}, {} unflushed of {} kept: {reason}",
                state.cut,
                state.more.len(),
                state.cut - state.flushed
            )
        }));
    }
    Ok(findings)
}

/// Images in files, mounted by the loop device.
struct Files {
    kind: &'static str,
    base: PathBuf,
    base_file: File,
    work: PathBuf,
    mounted: PathBuf,
}

impl Files {
    fn new(kind: &'static str, recording: &Recording) -> Result<Files> {
        let folder = recording.pristine.parent().unwrap_or(Path::new("."));
        let (base, work) = (folder.join("flushed"), folder.join("state"));
        let mounted = folder.join("mounted");
        std::fs::create_dir_all(&mounted).on_path("mkdir", &mounted)?;
        std::fs::copy(&recording.pristine, &base).on_path("copy", &recording.pristine)?;
        let base_file = File::options().write(true).open(&base).on_path("open", &base)?;
        Ok(Files { kind, base, base_file, work, mounted })
    }
}

impl Bench for Files {
    fn keep(&mut self, log: &Log, entry: &Entry) -> Result<()> {
        log.apply(entry, &self.base_file)
    }

    fn mount(
        &mut self,
        log: &Log,
        more: &[&Entry],
    ) -> Result<std::result::Result<PathBuf, String>> {
        std::fs::copy(&self.base, &self.work).on_path("copy", &self.base)?;
        let image = File::options().write(true).open(&self.work).on_path("open", &self.work)?;
        for entry in more {
            log.apply(entry, &image)?;
        }
        let mut command = Command::new("mount");
        command.args(["-t", self.kind, "-o", "loop"]).arg(&self.work).arg(&self.mounted);
        let mounted = run(command, "mount").map_err(|error| error.message().to_string());
        Ok(mounted.map(|()| self.mounted.clone()))
    }

    fn unmount(&mut self) -> Result<()> {
        let mut command = Command::new("umount");
        command.arg(&self.mounted);
        run(command, "umount")
    }
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
