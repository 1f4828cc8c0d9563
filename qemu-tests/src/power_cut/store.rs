//! Power cuts and the image store: load, tag, bake, import, rmi, commit, gc, on ext4, btrfs and f2fs, and
//! pulls from a registry inside the machine ([`story`](super::story)). At every instant the disk is mounted and the store
//! looked at ([`look`](super::look)).
//!
//! The same session with syncs that do nothing (a seccomp filter answers them) must lose something.

use super::inside::replay_inside;
use super::look::Tool;
use super::record::{Recording, record_on};
use super::replay::{Amount, Findings, NOT_FOUND, replay_on};
use super::states::states;
use super::story::{LOCAL, PULLS, Story};
use crate::hosted;
use crate::image;
use crate::job::{Fetched, Job, Place, Report, Test, commons};
use crate::kernels::{FULL, KERNELS, Kernel};
use base::{Error, OnError, Result};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

/// A recording: a file system, with syncs or without.
struct Row {
    kind: &'static str,
    with_sync: bool,
    story: &'static Story,
    /// Modules of the file system.
    modules: &'static [&'static str],
    /// The host need not have it: the states are looked at inside machines.
    inside: bool,
}

const fn row(kind: &'static str, with_sync: bool, story: &'static Story) -> Row {
    Row { kind, with_sync, story, modules: &[], inside: false }
}

// crc32 is asked for by name at run time, as crc32c is.
const F2FS: &[&str] = &["crc32_generic", "f2fs"];

const ROWS: [Row; 8] = [
    row("ext4", true, &LOCAL),
    Row { modules: &["btrfs"], ..row("btrfs", true, &LOCAL) },
    row("ext4", false, &LOCAL),
    row("ext4", true, &PULLS),
    row("ext4", false, &PULLS),
    Row { modules: F2FS, inside: true, ..row("f2fs", true, &LOCAL) },
    Row { modules: F2FS, inside: true, ..row("f2fs", false, &LOCAL) },
    Row { modules: F2FS, inside: true, ..row("f2fs", true, &PULLS) },
];

impl Row {
    fn pulls(&self) -> bool {
        self.story.name == PULLS.name
    }

    fn name(&self) -> String {
        let what = if self.pulls() { " pulls" } else { "" };
        format!("{}{what}, {} syncs", self.kind, if self.with_sync { "with" } else { "without" })
    }

    /// What the command line calls it.
    fn word(&self) -> &'static str {
        if self.pulls() && !self.inside { self.story.name } else { self.kind }
    }

    fn kernel(&self) -> Option<&'static Kernel> {
        if self.inside { Some(&FULL) } else { KERNELS.first() }
    }
}

/// The words for which there are rows.
pub const WORDS: [&str; 4] = ["ext4", "btrfs", "pulls", "f2fs"];

/// Whether the words want a kernel that has everything.
#[must_use]
pub fn needs_full_kernel(words: &[&str]) -> bool {
    ROWS.iter().any(|row| row.inside && words.contains(&row.word()))
}

fn job(kernel: &'static Kernel, row: &Row) -> Job {
    let word = if row.with_sync { "sync" } else { "nosync" };
    let what = row.story.name;
    let test: Test = (format!("{what}-{}-{word}", row.kind), row.story.session(row.with_sync));
    let mut job = Job::new(kernel, kernel.arch, "v2", vec![test]);
    job.hosted = row.pulls().then_some(hosted::three);
    job.modules = row.modules;
    job.variant = format!("power cut {what} {} {word}", row.kind);
    job
}

/// The rows of these words: with syncs nothing may be lost, without them something must be.
pub fn run(
    place: &Place,
    fetched: &Fetched,
    samples: usize,
    words: &[&str],
) -> Result<(Report, String)> {
    let begin = Instant::now();
    let mut rows = Vec::new();
    for row in ROWS.iter().filter(|row| words.contains(&row.word())) {
        let kernel = row.kernel().ok_or_else(|| Error::other("no kernel"))?;
        // Else it is among the failed downloads.
        if fetched.kernels.contains_key(&kernel.name()) {
            rows.push((row, job(kernel, row)));
        }
    }
    let jobs: Vec<Job> = rows.iter().map(|(_, job)| job.clone()).collect();
    let commons = commons(place, fetched, &jobs)?;
    let mut table = format!(
        "{:24} {:>8} {:>8} {:>8} {:>8} {:>8}\n",
        "power cut, store", "requests", "flushes", "sampled", "states", "losses"
    );
    let mut verdicts = Vec::new();
    let folder = place.cache.join("power-cut-tool");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).on_path("mkdir", &folder)?;
    let binary = place.dist.join(std::env::consts::ARCH).join("small/coracle");
    let mut tool = Tool::new(&binary, folder.join("run"), folder.join("probe.tar"));
    let guest = binary.with_file_name("qemu-guest");
    let guest = std::fs::read(&guest).on_path("read", &guest)?;
    std::fs::write(&tool.archive, image::archives(&guest, "amd64")?.docker)
        .on_path("write", &tool.archive)?;
    tool.bake(&LOCAL, &folder.join("bake"))?;
    for (row, job) in &rows {
        let key = (job.kernel.name(), job.arch.clone());
        let (Some(unpacked), Some(common)) = (fetched.kernels.get(&key.0), commons.get(&key))
        else {
            continue;
        };
        let folder = place.cache.join(job.name().replace(' ', "-"));
        let recording = record_on(row.kind, place, unpacked, common, job, &folder)?;
        let amount = Amount { samples, seed: 1 };
        let found = if row.inside {
            let what = (row.kind, row.story.name);
            replay_inside(place, unpacked, common, job, &recording, what, amount)?
        } else {
            replay(&tool, row, &recording, amount)?
        };
        verdicts
            .push((row.name().replace([' ', ','], "-"), found.verdict(row.with_sync, NOT_FOUND)));
        let line = line(row, &recording, &found);
        // A long run is looked at before its end.
        eprint!("{line}");
        table.push_str(&line);
        let _ = std::fs::remove_dir_all(&folder);
    }
    let _ = std::fs::remove_dir_all(&folder);
    let report = Report::of_several("power cut, store", verdicts, begin.elapsed(), place);
    Ok((report, table))
}

fn replay(tool: &Tool<'_>, row: &Row, recording: &Recording, amount: Amount) -> Result<Findings> {
    let look = &mut |folder: &Path, promised| tool.look(row.story, folder, promised);
    replay_on(row.kind, recording, amount, look)
}

fn line(row: &Row, recording: &Recording, found: &Findings) -> String {
    let entries = &recording.log.entries;
    let mut text = format!(
        "    {:20} {:8} {:8} {:8} {:8} {:8}\n",
        row.name(),
        entries.len(),
        entries.iter().filter(|entry| entry.flush).count(),
        // Sets that are no state at a flush, nor sampled twice.
        found.states.saturating_sub(states(entries, 0, 0).len()),
        found.states,
        found.wrong
    );
    for reason in found.reasons.iter().take(3) {
        let _ = writeln!(text, "        {reason}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_has_a_word() {
        assert!(ROWS.iter().all(|row| WORDS.contains(&row.word())));
        assert!(WORDS.iter().all(|word| ROWS.iter().any(|row| row.word() == *word)));
    }
}
