//! The least memory: with how many megabytes a kernel boots at all, and with how many each test
//! passes. Every size is tried once, from the smallest on, until all tests have passed.

use crate::console::Verdict;
use crate::job::{self, Fetched, Job, Place};
use base::Result;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// What is tried, in megabytes.
const SIZES: [u32; 14] = [32, 40, 48, 56, 64, 72, 80, 96, 112, 128, 160, 192, 256, 512];
/// Too little memory often ends in silence, which is not worth the usual limit.
const LIMIT: Duration = Duration::from_secs(120);

/// What was found for one boot of the list.
struct Least {
    boots: Option<u32>,
    tests: BTreeMap<String, u32>,
}

/// Finds it for every job and prints the table, a row for each job.
pub fn run(place: &Place, fetched: &Fetched, jobs: &[Job]) -> Result<()> {
    let commons = job::commons(place, fetched, jobs)?;
    let found: Vec<Result<Least>> = std::thread::scope(|scope| {
        // Two at once: each job is a row of boots, one after the other.
        let mut found = Vec::new();
        for pair in jobs.chunks(place.at_once.max(1)) {
            let running: Vec<_> = pair
                .iter()
                .map(|job| scope.spawn(|| least(place, fetched, &commons, job)))
                .collect();
            found.extend(running.into_iter().filter_map(|thread| thread.join().ok()));
        }
        found
    });
    let names: Vec<&String> = jobs.iter().flat_map(|job| &job.tests).map(|test| &test.0).collect();
    let mut columns: Vec<&String> = Vec::new();
    for name in names {
        if !columns.contains(&name) {
            columns.push(name);
        }
    }
    let mut text = String::from("| kernel | boots |");
    for name in &columns {
        let _ = write!(text, " {name} |");
    }
    let _ = write!(text, "\n|---|---:|{}\n", "---:|".repeat(columns.len()));
    for (job, least) in jobs.iter().zip(found) {
        let least = least?;
        let cell = |size: Option<&u32>| size.map_or("-".to_string(), ToString::to_string);
        let _ = write!(text, "| {} | {} |", job.name(), cell(least.boots.as_ref()));
        for name in &columns {
            let _ = write!(text, " {} |", cell(least.tests.get(*name)));
        }
        text.push('\n');
    }
    print!("{text}");
    Ok(())
}

fn least(place: &Place, fetched: &Fetched, commons: &job::Commons, job: &Job) -> Result<Least> {
    let mut least = Least { boots: None, tests: BTreeMap::new() };
    let key = (job.kernel.name(), job.arch.clone());
    let (Some(unpacked), Some(common)) = (fetched.kernels.get(&key.0), commons.get(&key)) else {
        return Ok(least);
    };
    let mut left = job.tests.clone();
    for size in SIZES {
        let mut smaller = job.clone();
        smaller.memory = Some(size);
        smaller.limit = Some(LIMIT);
        smaller.variant = format!("{size} MB");
        smaller.tests.clone_from(&left);
        let boot = job::boot(place, unpacked, common, &smaller)?;
        if boot.console.release.is_some() {
            least.boots.get_or_insert(size);
        }
        for (name, verdict) in &boot.console.results {
            if !matches!(verdict, Verdict::Failed(_)) {
                least.tests.insert(name.clone(), size);
            }
        }
        left.retain(|(name, _)| !least.tests.contains_key(name));
        eprintln!("{}: {} tests left", smaller.name(), left.len());
        if left.is_empty() {
            break;
        }
    }
    Ok(least)
}
