//! What a run prints: a line for each boot, every failure and skip with its reason, the sums.

use crate::console::Verdict;
use crate::job::{Fetched, Report};
use std::fmt::Write as _;

/// Counts of verdicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Tests as they must be.
    pub passed: usize,
    /// The others.
    pub failed: usize,
    /// Tests whose kernel lacks the feature.
    pub skipped: usize,
}

impl Sums {
    /// Counts.
    #[must_use]
    pub fn of(reports: &[Report]) -> Sums {
        let mut sums = Sums::default();
        for (_, verdict) in reports.iter().flat_map(|report| &report.verdicts) {
            match verdict {
                Verdict::Passed(_) => sums.passed += 1,
                Verdict::Failed(_) => sums.failed += 1,
                Verdict::Skipped(_) => sums.skipped += 1,
            }
        }
        sums
    }
}

/// A boot's lines.
#[must_use]
pub fn of_report(report: &Report) -> String {
    let count = |wanted: fn(&Verdict) -> bool| {
        report.verdicts.iter().filter(|(_, verdict)| wanted(verdict)).count()
    };
    let mut text = format!(
        "{:28} {:3} passed {:3} failed {:3} skipped  {:5.1} s  {}\n",
        report.name,
        count(|verdict| matches!(verdict, Verdict::Passed(_))),
        count(|verdict| matches!(verdict, Verdict::Failed(_))),
        count(|verdict| matches!(verdict, Verdict::Skipped(_))),
        report.took.as_secs_f32(),
        report.release,
    );
    for (name, verdict) in &report.verdicts {
        match verdict {
            Verdict::Passed(_) => (),
            Verdict::Failed(reason) => drop(writeln!(text, "    FAILED {name}: {reason}")),
            Verdict::Skipped(reason) => drop(writeln!(text, "    skipped: {name}: {reason}")),
        }
    }
    if !report.is_good() {
        for note in &report.notes {
            let _ = writeln!(text, "    note: {note}");
        }
        let _ = writeln!(text, "    console: {}", report.log.display());
    }
    text
}

/// The kernels: name, version and checksum; and loudly those that could not be downloaded.
#[must_use]
pub fn of_kernels(fetched: &Fetched) -> String {
    let mut text = String::new();
    for (name, unpacked) in &fetched.kernels {
        let _ = writeln!(text, "kernel {name}: {}", unpacked.origin);
    }
    for (name, reason) in &fetched.failed {
        let _ = writeln!(text, "FAILED DOWNLOAD of kernel {name}: {reason}");
    }
    text
}

/// The last line.
#[must_use]
pub fn last_line(sums: Sums, fetched: &Fetched) -> String {
    let mut text =
        format!("{} passed, {} failed, {} skipped", sums.passed, sums.failed, sums.skipped);
    if !fetched.failed.is_empty() {
        let names: Vec<&str> = fetched.failed.iter().map(|(name, _)| name.as_str()).collect();
        let _ = write!(text, "; not downloaded: {}", names.join(", "));
    }
    text
}
