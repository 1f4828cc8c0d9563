//! A boot of the story of reboots ([`crate::reboots`]): `coracle boot`, a look at every promise, then steps
//! with kills beside them until the power goes. PID 1 does it all; each line is on the console, and out of
//! the machine, before what it announces begins.

mod kills;
mod look;

use super::runner::{load_image, run};
use super::{TESTS, say};
use crate::random::Random;
use crate::reboots::model::{Model, Outcome, State, Wish};
use crate::reboots::step::{Kind, Step};
use crate::reboots::{LINE, TEST};
use kills::Killer;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// For one command.
const LIMIT: Duration = Duration::from_secs(60);
/// What is left for the host to end the machine, after so many kills.
const AFTER: Duration = Duration::from_secs(30);

/// No beginnings of ids.
const CONTAINERS: [&str; 6] = ["k1", "k2", "k3", "k4", "k5", "k6"];
const VOLUMES: [&str; 3] = ["v1", "v2", "v3"];
const IMAGES: [&str; 3] = ["t1:1", "t2:1", "t3:1"];
const POLICIES: [&str; 4] = ["no", "always", "unless-stopped", "on-failure"];

/// A line of the story, sent before anything else happens.
fn tell(text: &str) {
    let line = format!("{LINE}{}\n", text.replace(['\n', '\r'], " "));
    let _ = rustix::io::write(rustix::stdio::stdout(), line.as_bytes());
    let _ = rustix::termios::tcdrain(rustix::stdio::stdout());
}

/// What `SEED KILLS` asks for; without kills, the last boot: everything is looked at and taken away.
pub(super) fn run_all(settings: &str) -> Result<(), String> {
    let mut words = settings.split(' ').map(|word| word.parse::<u64>().unwrap_or(0));
    let (seed, kills) = (words.next().unwrap_or(0), words.next().unwrap_or(0) as u32);
    let path = Path::new(TESTS).join(TEST).join("session");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("model: {error}"))?;
    let mut story = Story {
        model: Model::parse(&text),
        random: Random::new(seed),
        killer: Killer::default(),
        live: BTreeSet::new(),
        used: BTreeSet::new(),
        number: 0,
        acknowledged: 0,
    };
    // Where nothing has been promised yet.
    if text.is_empty() {
        load_image()?;
    }
    story.boot(kills > 0)?;
    let found = look::at(&story.model);
    found.broken.iter().for_each(|text| tell(&format!("bad {text}")));
    tell(&format!("checked {}", found.count));
    story.live = found.running;
    if kills == 0 {
        story.take_away();
    } else {
        while story.killer.count < kills {
            let step = story.choose();
            story.step(step, true);
        }
        let begin = Instant::now();
        if story.random.below(3) != 0 {
            // Nothing comes after it: what is not on the disk now will never be there.
            story.one_change();
            tell("cut");
            std::thread::sleep(AFTER);
        }
        tell("cut");
        while begin.elapsed() < AFTER {
            let step = story.choose();
            story.step(step, true);
        }
        return Err("the power did not go".to_string());
    }
    say(&format!("{TEST} ok {} steps", story.number));
    say("end 1");
    Ok(())
}

struct Story {
    model: Model,
    random: Random,
    killer: Killer,
    /// Containers that run now: acknowledged since the boot, or started by it.
    live: BTreeSet<String>,
    /// Volumes that a killed `run --rm` may use: one that was killed between the container's making and
    /// its start leaves it as it is.
    used: BTreeSet<String>,
    number: u32,
    /// The last step that succeeded.
    acknowledged: u32,
}

impl Story {
    /// `coracle boot`; every other time it is killed, and called again.
    fn boot(&mut self, may_kill: bool) -> Result<(), String> {
        let words = ["coracle", "boot"].map(str::to_string);
        if may_kill && self.random.below(2) == 0 {
            match self.killer.beside(&words, &mut self.random, LIMIT, true) {
                Ok(done) => tell(&format!("boot {} {}", done.code, done.errors.trim())),
                Err(error) => tell(&format!("bad boot: {error}")),
            }
        }
        let done = run(&words, false)?;
        if done.code != 0 || !done.errors.is_empty() {
            tell(&format!("bad coracle boot: exit code {}: {}", done.code, done.errors.trim()));
        }
        Ok(())
    }

    /// One that can be done now.
    fn choose(&mut self) -> Step {
        loop {
            if let Some(step) = self.propose() {
                return step;
            }
        }
    }

    fn propose(&mut self) -> Option<Step> {
        let pick = |random: &mut Random, list: &[&str]| {
            list.get(random.below(list.len())).copied().unwrap_or("").to_string()
        };
        let random = &mut self.random;
        let container = pick(random, &CONTAINERS);
        let states = self.model.container(&container);
        let sure = !states.contains(&None);
        let runs = |states: &BTreeSet<State>| {
            states.iter().all(|state| matches!(state, Some((Wish::Running, _))))
        };
        let text = format!("t{}", random.below(1_000_000));
        let (kind, name, other) = match random.below(22) {
            0..=1 if !sure => (Kind::Create, container, pick(random, &POLICIES)),
            2..=6 if !sure => (Kind::Run, container, pick(random, &POLICIES)),
            0..=3 if sure => (Kind::Start, container, String::new()),
            4..=6 if sure => (Kind::Stop, container, String::new()),
            7..=8 if states.len() > 1 || sure => (Kind::Remove, container, String::new()),
            9 if sure => {
                let other = pick(random, &CONTAINERS);
                let is_free = self.model.container(&other) == BTreeSet::from([None]);
                (Kind::Rename, container, Some(other).filter(|_| is_free)?)
            }
            10..=12 if sure && runs(&states) && self.live.contains(&container) => {
                (Kind::Keep, container, text)
            }
            13 => (Kind::VolumeCreate, pick(random, &VOLUMES), String::new()),
            14 => (Kind::VolumeRemove, pick(random, &VOLUMES), String::new()),
            15 => (Kind::VolumeKeep, pick(random, &VOLUMES), text),
            16 => (Kind::Tag, pick(random, &IMAGES), String::new()),
            17 => (Kind::Untag, pick(random, &IMAGES), String::new()),
            18 if sure => (Kind::Commit, container, pick(random, &IMAGES)),
            19..=20 => (Kind::Once, format!("once{}", self.number), String::new()),
            21 => (Kind::OnceDetached, format!("detached{}", self.number), String::new()),
            _ => return None,
        };
        let there = match kind {
            Kind::VolumeRemove | Kind::VolumeKeep => {
                let states = self.model.volume(&name);
                states.contains(&true) && (kind == Kind::VolumeRemove || !states.contains(&false))
            }
            Kind::Untag => self.model.image(&name).contains(&true),
            _ => true,
        };
        there.then_some(Step { kind, name, other })
    }

    /// Whether it cannot but succeed, if nobody is killed.
    fn must_succeed(&self, step: &Step) -> bool {
        match step.kind {
            Kind::Create | Kind::Run => self.model.container(&step.name) == BTreeSet::from([None]),
            Kind::VolumeRemove => {
                self.model.volume(&step.name) == BTreeSet::from([true])
                    && !self.used.contains(&step.name)
            }
            Kind::Untag => self.model.image(&step.name) == BTreeSet::from([true]),
            // What is not there is no error, but no acknowledgement either.
            Kind::Remove => !self.model.container(&step.name).contains(&None),
            _ => true,
        }
    }

    /// A change of a container that is acknowledged.
    fn one_change(&mut self) {
        for _ in 0..1000 {
            let step = self.choose();
            let kinds = [Kind::Start, Kind::Stop, Kind::Remove, Kind::Create, Kind::Rename];
            let (before, mut then) = (self.model.container(&step.name), self.model.clone());
            then.step(&step, Outcome::Done);
            let after = then.container(&step.name);
            if kinds.contains(&step.kind) && before.len() == 1 && before != after {
                let number = self.number;
                self.step(step, false);
                if self.acknowledged > number {
                    return;
                }
            }
        }
    }

    fn step(&mut self, step: Step, may_kill: bool) {
        self.number += 1;
        let number = self.number;
        tell(&format!("do {number} {}", step.text()));
        let must = self.must_succeed(&step);
        self.model.step(&step, Outcome::Begun);
        let words: Vec<String> =
            std::iter::once("coracle".to_string()).chain(step.command()).collect();
        let may_kill = may_kill && self.random.below(3) != 0;
        let before = self.killer.count;
        let done = self.killer.beside(&words, &mut self.random, LIMIT, may_kill);
        let killed = self.killer.count > before;
        match done {
            Ok(done) if done.code == 0 && !done.errors.contains("No such container") => {
                self.model.step(&step, Outcome::Done);
                self.acknowledged = number;
                tell(&format!("ok {number}"));
                match step.kind {
                    Kind::Run | Kind::Start => drop(self.live.insert(step.name)),
                    Kind::Stop | Kind::Remove => drop(self.live.remove(&step.name)),
                    Kind::Rename if self.live.remove(&step.name) => {
                        self.live.insert(step.other);
                    }
                    _ => (),
                }
            }
            other => {
                let text = match other {
                    Ok(done) => format!("{} {}", done.code, done.errors.trim()),
                    Err(error) => {
                        tell(&format!("bad {}: {error}", step.text()));
                        error
                    }
                };
                tell(&format!("no {number} {text}"));
                if must && !killed {
                    tell(&format!("bad {} with nobody killed beside: {text}", step.text()));
                }
                if step.kind == Kind::VolumeKeep {
                    self.used.insert(step.name.clone());
                }
                // It may be in any state of the step; a commit that was killed leaves it frozen.
                self.live.remove(&step.name);
                self.live.remove(&step.other);
            }
        }
    }

    /// Everything goes; nothing may stay.
    fn take_away(&mut self) {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let list = |list: &[&str]| -> Vec<String> {
            let done = run(&words(list), false);
            done.map_or(Vec::new(), |done| done.output.lines().map(str::to_string).collect())
        };
        let all = |before: &[&str], list: &[String]| {
            for name in list {
                match run(&[words(before), words(&[name])].concat(), false) {
                    Ok(done) if done.code == 0 => (),
                    Ok(done) => tell(&format!("bad {before:?} {name}: {}", done.errors.trim())),
                    Err(error) => tell(&format!("bad {before:?} {name}: {error}")),
                }
            }
        };
        all(&["coracle", "rm", "-f"], &list(&["coracle", "ps", "-aq", "--no-trunc"]));
        all(&["coracle", "volume", "rm"], &list(&["coracle", "volume", "ls", "-q"]));
        all(&["coracle", "rmi"], &look::image_names().unwrap_or_default());
        let _ = run(&words(&["coracle", "image", "prune", "-f"]), false);
        let _ = run(&words(&["coracle", "imgstore", "gc"]), false);
        look::nothing_is_left().iter().for_each(|text| tell(&format!("bad at the end: {text}")));
    }
}
