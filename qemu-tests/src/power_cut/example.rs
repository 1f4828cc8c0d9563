//! The worked example: a program that keeps a file's newest version by write, sync, rename, sync,
//! and says after each that it is safe. Without the syncs the replay must find losses; with them
//! none.

use super::mark;
use super::record::{Recording, record};
use super::replay::{Amount, Findings, replay};
use crate::disk::DEVICE;
use crate::job::{Fetched, Job, Place, Report, Test, commons};
use crate::kernels::{KERNELS, Kernel};
use base::{Error, OnError, Result};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

/// How many versions are written.
const VERSIONS: u64 = 25;
/// The length of a version: more than a block, so that a torn one is seen.
const LENGTH: usize = 10_000;
const FOLDER: &str = "/var/lib/coracle";
const NAME: &str = "newest";

/// A version's text: its number over and over.
fn text(version: u64) -> Vec<u8> {
    format!("{version:06}\n").into_bytes().into_iter().cycle().take(LENGTH).collect()
}

/// Inside the machine: `probe versions sync|nosync`.
pub fn versions(with_sync: bool) -> Result<()> {
    let folder = Path::new(FOLDER);
    for version in 1..=VERSIONS {
        let (aside, name) = (folder.join("aside"), folder.join(NAME));
        let mut file = std::fs::File::create(&aside).on_path("create", &aside)?;
        file.write_all(&text(version)).on_path("write", &aside)?;
        if with_sync {
            file.sync_all().on_path("sync", &aside)?;
        }
        std::fs::rename(&aside, &name).on_path("rename", &aside)?;
        if with_sync {
            base::files::sync_folder(folder)?;
        }
        mark(DEVICE, version)?;
    }
    Ok(())
}

/// The boot that is recorded.
#[must_use]
pub fn job(kernel: &'static Kernel, with_sync: bool) -> Job {
    let word = if with_sync { "sync" } else { "nosync" };
    let test: Test = (format!("versions-{word}"), format!("$ probe versions {word}\n"));
    let mut job = Job::new(kernel, kernel.arch, "v2", vec![test]);
    job.variant = format!("power cut {word}");
    job
}

/// Looks at every state: the file holds one version, whole, and none older than was promised.
pub fn look(recording: &Recording, amount: Amount) -> Result<Findings> {
    replay(recording, amount, &mut |folder, promised| {
        let bytes = match std::fs::read(folder.join(NAME)) {
            Ok(bytes) => bytes,
            Err(error) => {
                return match promised {
                    None => Ok(()),
                    Some(number) => Err(format!("version {number} was safe, and now: {error}")),
                };
            }
        };
        let version = std::str::from_utf8(bytes.get(..6).unwrap_or_default())
            .ok()
            .and_then(|digits| digits.parse::<u64>().ok());
        match version {
            Some(version) if bytes == text(version) => {
                let promised = promised.unwrap_or(0);
                if version >= promised {
                    Ok(())
                } else {
                    Err(format!("version {promised} was safe, and now it is {version}"))
                }
            }
            _ => Err(format!("a torn version of {} bytes", bytes.len())),
        }
    })
}

/// Both: with the syncs nothing may be lost, without them something must be. Gives one verdict for
/// each, and the table.
pub fn run(place: &Place, fetched: &Fetched, samples: usize) -> Result<(Report, String)> {
    let begin = Instant::now();
    let kernel = KERNELS.first().ok_or_else(|| Error::other("no kernel"))?;
    let jobs = [true, false].map(|with_sync| job(kernel, with_sync));
    let commons = commons(place, fetched, &jobs)?;
    let key = (kernel.name(), kernel.arch.to_string());
    let (Some(unpacked), Some(common)) = (fetched.kernels.get(&key.0), commons.get(&key)) else {
        return Err(Error::not_found("its kernel was not downloaded"));
    };
    let mut table = format!(
        "{:16} {:>8} {:>8} {:>8} {:>8}\n",
        "power cut", "requests", "flushes", "states", "losses"
    );
    let mut verdicts = Vec::new();
    for (job, with_sync) in jobs.iter().zip([true, false]) {
        let folder = place.cache.join(job.name().replace(' ', "-"));
        let recording = record(place, unpacked, common, job, &folder)?;
        let entries = &recording.log.entries;
        let found = look(&recording, Amount { samples, seed: 1 })?;
        let name = if with_sync { "with syncs" } else { "without syncs" };
        let _ = writeln!(
            table,
            "    {name:12} {:8} {:8} {:8} {:8}",
            entries.len(),
            entries.iter().filter(|entry| entry.flush).count(),
            found.states,
            found.wrong
        );
        for reason in found.reasons.iter().take(2) {
            let _ = writeln!(table, "        {reason}");
        }
        let verdict = found.verdict(with_sync, "the bug on purpose was not found");
        verdicts.push((name.replace(' ', "-"), verdict));
        let _ = std::fs::remove_dir_all(&folder);
    }
    let report = Report::of_several("power cut", verdicts, begin.elapsed(), place);
    Ok((report, table))
}
