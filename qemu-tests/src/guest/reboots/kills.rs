//! A command, and SIGKILL at a random instant for it, for a worker or for a monitor.

use super::tell;
use crate::guest::runner::{Done, Running};
use crate::random::Random;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Before anything was measured.
const FIRST_GUESS: Duration = Duration::from_millis(200);
/// Commands for which a monitor has workers.
const WITH_WORKERS: [&str; 5] = ["run", "start", "stop", "rm", "boot"];
const PAUSE: Duration = Duration::from_millis(1);

#[derive(Default)]
pub(super) struct Killer {
    /// How many were killed.
    pub(super) count: u32,
    /// How long each command takes, about.
    usual: HashMap<String, Duration>,
}

#[derive(Clone, Copy)]
enum Victim {
    Nobody,
    Command,
    Worker,
    Monitor,
}

impl Killer {
    /// Runs it to its end; an error when there is none.
    pub(super) fn beside(
        &mut self,
        words: &[String],
        random: &mut Random,
        limit: Duration,
        may_kill: bool,
    ) -> Result<Done, String> {
        let verb = words.get(1).cloned().unwrap_or_default();
        let usual = self.usual.get(&verb).copied().unwrap_or(FIRST_GUESS);
        let has_worker = WITH_WORKERS.contains(&verb.as_str());
        let victim = match random.below(20) {
            _ if !may_kill => Victim::Nobody,
            0..=7 if has_worker => Victim::Worker,
            8..=11 => Victim::Monitor,
            _ => Victim::Command,
        };
        // A worker is there for a part of the time; it is waited for.
        let most = usual.mul_f32(if matches!(victim, Victim::Worker) { 0.4 } else { 1.1 });
        let delay = Duration::from_micros(random.below(most.as_micros() as usize) as u64);
        let (mut running, begin) = (Running::start(words)?, Instant::now());
        let (mut seen, mut killed) = (begin, false);
        loop {
            if let Some(done) = running.ended()? {
                if !killed {
                    let took = begin.elapsed();
                    self.usual.insert(verb, (usual + took) / 2);
                }
                return Ok(done);
            }
            if !killed {
                let targets = match victim {
                    Victim::Nobody => Vec::new(),
                    Victim::Command => vec![running.pid()],
                    Victim::Worker => named("coracle-job"),
                    Victim::Monitor => named("coracle-monitor"),
                };
                if targets.is_empty() {
                    seen = Instant::now();
                } else if seen.elapsed() >= delay {
                    let number = random.below(targets.len());
                    killed = targets.get(number).is_some_and(|target| kill(*target));
                    if killed {
                        self.count += 1;
                        tell(match victim {
                            Victim::Command => "kill command",
                            Victim::Worker => "kill worker",
                            _ => "kill monitor",
                        });
                    }
                }
            }
            if begin.elapsed() > limit {
                running.end();
                return Err(format!("no end after {} s", limit.as_secs()));
            }
            std::thread::sleep(PAUSE);
        }
    }
}

fn kill(pid: Pid) -> bool {
    kill_process(pid, Signal::KILL).is_ok()
}

/// Living processes with this argv\[0\]; what has ended has none.
fn named(name: &str) -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_it = |entry: std::fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let words = std::fs::read(entry.path().join("cmdline")).ok()?;
        let first = words.split(|byte| *byte == 0).next()?;
        Pid::from_raw(pid).filter(|_| first == name.as_bytes())
    };
    entries.filter_map(is_it).collect()
}

/// How many monitors and workers there are.
pub(super) fn counts() -> (usize, usize) {
    (named("coracle-monitor").len(), named("coracle-job").len())
}
