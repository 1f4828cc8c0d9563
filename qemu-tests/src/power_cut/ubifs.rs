//! Power cuts on ubifs: it lies on no disk whose writes could be recorded, but on a NAND chip (nandsim, in the
//! machine's memory), where what was written is there at once and in order. The kernel itself can cut there, by
//! its switches in debugfs: with `ro_error` ubifs refuses every write from a random instant on, as if the power had
//! gone, and what lay in its own buffers is lost; with `tst_recovery` it chooses a write, mostly one of its own
//! structures, and tears that. Then it is unmounted, mounted again, and looked at.

use super::inside::{TEST, told};
use super::replay::{Findings, NOT_FOUND};
use crate::job::{Fetched, Job, Place, Report, boot, commons};
use crate::kernels::FULL;
use crate::tool::system_tool;
use base::{Error, OnError, Result};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// What the command line calls it.
pub const WORD: &str = "ubifs";
/// Where the machine finds the chip's first content: an empty volume.
pub const IMAGE: &str = "/ubi.img";
/// The volume.
pub const VOLUME: &str = "store";
/// Modules that PID 1 loads itself, with settings.
pub const LATER: [&str; 3] = ["nandsim", "ubi", "ubifs"];
/// A chip of 128 MiB, with pages of 2 KiB.
pub const CHIP: &str =
    "first_id_byte=0xec second_id_byte=0xa1 third_id_byte=0x00 fourth_id_byte=0x15";
/// What ubifs asks for by name at run time, and what belongs to it.
const MODULES: &[&str] = &["lzo", "deflate", "zstd", "nandsim", "ubifs"];
/// More cuts are not made, whatever was asked for: each is a story of its own.
const MOST: usize = 400;
/// Without syncs.
const CONTROL: usize = 40;
const MEMORY: u32 = 512;
const LIMIT: Duration = Duration::from_secs(2 * 3600);

/// An empty volume, as `ubinize` makes it for this chip.
fn image(folder: &Path) -> Result<Vec<u8>> {
    let (settings, path) = (folder.join("ubi.ini"), folder.join("ubi.img"));
    let text = format!(
        "[{VOLUME}]\nmode=ubi\nvol_id=0\nvol_type=dynamic\nvol_name={VOLUME}\nvol_size=64MiB\n"
    );
    std::fs::write(&settings, text).on_path("write", &settings)?;
    let mut command = system_tool("ubinize");
    command.args(["-p", "128KiB", "-m", "2048", "-s", "512", "-o"]).arg(&path).arg(&settings);
    let output = command.stdin(Stdio::null()).output().on("start", "ubinize")?;
    let bytes = std::fs::read(&path);
    for path in [&settings, &path] {
        let _ = std::fs::remove_file(path);
    }
    match bytes {
        Ok(bytes) if output.status.success() => Ok(bytes),
        _ => {
            let text = String::from_utf8_lossy(&output.stderr);
            Err(Error::other(format!("ubinize: {}", text.trim())))
        }
    }
}

/// With syncs nothing may be lost, without them something must be.
pub fn run(place: &Place, fetched: &Fetched, samples: usize) -> Result<(Report, String)> {
    let begin = Instant::now();
    let mut job = Job::new(&FULL, FULL.arch, "v2", vec![(TEST.to_string(), String::new())]);
    job.modules = MODULES;
    job.memory = Some(MEMORY);
    job.limit = Some(LIMIT);
    job.configuration.without = LATER.map(String::from).to_vec();
    let commons = commons(place, fetched, std::slice::from_ref(&job))?;
    let key = (FULL.name(), FULL.arch.to_string());
    let mut table = format!("{:24} {:>8} {:>8}\n", "power cut, ubifs", "cuts", "losses");
    let mut verdicts = Vec::new();
    // Else it is among the failed downloads.
    if let (Some(unpacked), Some(common)) = (fetched.kernels.get(&key.0), commons.get(&key)) {
        job.files.push((IMAGE.to_string(), image(&place.cache)?));
        for (with_sync, cuts) in [(true, samples.min(MOST)), (false, CONTROL)] {
            let parts = place.at_once.max(1);
            let one = |part: usize| -> Result<Findings> {
                let mut job = job.clone();
                let word = if with_sync { "sync" } else { "nosync" };
                job.variant = format!("power cut {WORD} {word} {}", part + 1);
                job.configuration.ubifs = format!("{part} {} {word}", cuts.div_ceil(parts));
                let boot = boot(place, unpacked, common, &job)?;
                told(&boot.console.verdicts(&[TEST.to_string()], boot.ending), &boot.console.notes)
            };
            let found = Findings::of_parts(parts, &one)?;
            let name = if with_sync { "with syncs" } else { "without syncs" };
            let _ = writeln!(table, "    {name:20} {:8} {:8}", found.states, found.wrong);
            for reason in found.reasons.iter().take(3) {
                let _ = writeln!(table, "        {reason}");
            }
            let verdict = found.verdict(with_sync, NOT_FOUND);
            verdicts.push((format!("{WORD}-{}", name.replace(' ', "-")), verdict));
        }
    }
    let report = Report::of_several("power cut, ubifs", verdicts, begin.elapsed(), place);
    Ok((report, table))
}
