//! Kills and reboots: a machine with a disk runs commands, beside them SIGKILL at random instants for the
//! command, a worker or a monitor, until the host ends QEMU in the middle: the power is off, and what the
//! machine had not given to its disk is lost. The next boot calls `coracle boot` and looks at every
//! promise of the design's table of states; then it goes on.
//!
//! The console is the truth: the machine says what it is about to do before it does it, and what was
//! acknowledged before it goes on ([`model`]). What was under way may be in the state before it or after it.

pub mod model;
pub mod step;

use crate::console::{Ending, Verdict};
use crate::disk;
use crate::job::{Fetched, Job, Place, Report, Test, boot, commons, log_of};
use crate::kernels::KERNELS;
use crate::random::Random;
use base::{Error, OnError, Result};
use model::{Model, Outcome};
use std::fmt::Write as _;
use std::time::{Duration, Instant};
use step::Step;

/// What lines of the story begin with.
pub const LINE: &str = "story: ";
/// The name of the test.
pub const TEST: &str = "reboots";
/// The line after which the power may go.
const CUT: &str = "story: cut";
/// The longest time from then on.
const LONGEST: usize = 400;
const DISK: u64 = 128 << 20;
const LIMIT: Duration = Duration::from_secs(240);

/// How much is done.
#[derive(Clone, Copy)]
pub struct Amount {
    /// Boots that end with the power off.
    pub boots: u64,
    /// Kills in each.
    pub kills: u32,
    /// What the random choices begin with.
    pub seed: u64,
}

/// What a console told.
#[derive(Debug, Default)]
struct Told {
    acknowledged: usize,
    not: usize,
    killed: [usize; 3],
    promises: usize,
    broken: Vec<String>,
}

const VICTIMS: [&str; 3] = ["command", "worker", "monitor"];

/// Reads a console's text and takes each step into account.
fn read(text: &str, model: &mut Model) -> Told {
    let (mut told, mut present) = (Told::default(), None);
    for line in text.lines().filter_map(|line| Some(line.split_once(LINE)?.1.trim_end())) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "do" => {
                present = rest.split_once(' ').and_then(|(_, step)| Step::parse(step));
                if let Some(step) = &present {
                    model.step(step, Outcome::Begun);
                }
            }
            "ok" => {
                told.acknowledged += 1;
                if let Some(step) = present.take() {
                    model.step(&step, Outcome::Done);
                }
            }
            "no" => told.not += 1,
            "kill" => {
                let count = VICTIMS.iter().position(|victim| *victim == rest);
                if let Some(count) = count.and_then(|number| told.killed.get_mut(number)) {
                    *count += 1;
                }
            }
            "checked" => told.promises += rest.parse().unwrap_or(0),
            "bad" => told.broken.push(rest.to_string()),
            _ => (),
        }
    }
    told
}

/// All boots, and a last one that looks and takes everything away. The report, and a table.
pub fn run(place: &Place, fetched: &Fetched, amount: Amount) -> Result<(Report, String)> {
    let begin = Instant::now();
    let kernel = KERNELS.first().ok_or_else(|| Error::other("no kernel"))?;
    let mut job = Job::new(kernel, kernel.arch, "v2", Vec::new());
    let commons = commons(place, fetched, std::slice::from_ref(&job))?;
    let key = (kernel.name(), kernel.arch.to_string());
    let (Some(unpacked), Some(common)) = (fetched.kernels.get(&key.0), commons.get(&key)) else {
        return Err(Error::not_found("its kernel was not downloaded"));
    };
    let image = place.cache.join("reboots.disk");
    disk::make(&image, "ext4", DISK, 0)?;
    job.configuration.disk = disk::DEVICE.to_string();
    job.devices = disk::drive(&image).to_vec();
    job.limit = Some(LIMIT);
    let mut table = format!(
        "{:8} {:>12} {:>7} {:>7} {:>8} {:>6} {:>8} {:>6} {:>7}\n",
        "reboots", "acknowledged", "not", "command", "worker", "monitor", "promises", "broken", "s"
    );
    let (mut model, mut verdicts) = (Model::default(), Vec::new());
    let mut random = Random::new(amount.seed);
    for number in 0..=amount.boots {
        let last = number == amount.boots;
        job.variant = format!("{TEST} {}", number + 1);
        job.tests = vec![(TEST.to_string(), model.text()) as Test];
        let kills = if last { 0 } else { amount.kills };
        job.configuration.reboots = format!("{} {kills}", random.below(1 << 30));
        let delay = Duration::from_millis(random.below(LONGEST) as u64);
        job.cut = (!last).then(|| (CUT.to_string(), delay));
        let boot = boot(place, unpacked, common, &job)?;
        let log = log_of(place, &job);
        let text = std::fs::read(&log).on_path("read", &log)?;
        let told = read(&String::from_utf8_lossy(&text), &mut model);
        let _ = writeln!(
            table,
            "    {:4} {:12} {:7} {:7} {:8} {:6} {:9} {:7} {:7.1}",
            number + 1,
            told.acknowledged,
            told.not,
            told.killed[0],
            told.killed[1],
            told.killed[2],
            told.promises,
            told.broken.len(),
            boot.took.as_secs_f32()
        );
        for reason in &told.broken {
            let _ = writeln!(table, "        {reason}");
        }
        let ended = boot.ending == if last { Ending::Itself } else { Ending::Cut };
        let verdict = match told.broken.first() {
            Some(reason) => Verdict::Failed(reason.clone()),
            None if told.promises == 0 || !ended => {
                Verdict::Failed(boot.console.why_incomplete(boot.ending))
            }
            None => Verdict::Passed(String::new()),
        };
        let went_on = ended && told.promises > 0;
        verdicts.push((format!("{TEST}-{}", number + 1), verdict));
        if !went_on {
            break;
        }
    }
    let _ = std::fs::remove_file(&image);
    let report = Report::of_several(TEST, verdicts, begin.elapsed(), place);
    Ok((report, table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_console_is_the_truth() {
        let mut model = Model::default();
        let text = "   1.00 story: checked 7\n1 story: do 1 run c1 no\n1 story: kill worker\n\
                    2 noise story: no 1 125 it was killed\n3 story: do 2 volume-create v1\n\
                    3 story: ok 2\n4 story: cut\n4 story: do 3 tag t1:1\n5 story: bad x\n";
        let told = read(text, &mut model);
        assert_eq!((told.acknowledged, told.not, told.killed), (1, 1, [0, 1, 0]));
        assert_eq!((told.promises, told.broken), (7, vec!["x".to_string()]));
        assert_eq!(
            model.text(),
            "container c1 -,created/no,running/no -\nvolume v1 true -\nimage t1:1 false,true\n"
        );
    }
}
