//! What must be there after the power has gone: for each name the set of states that it may be in. A
//! command that said it had succeeded leaves one; one that was killed, failed or was under way leaves
//! those before it and after it. Both sides know it: the host makes it from the console's lines, which
//! survive, and hands it to the next boot, whose PID 1 compares.

use super::step::{Kind, Step};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// What is wished of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wish {
    /// Never started.
    Created,
    /// Started.
    Running,
    /// Stopped by the user.
    Stopped,
}

const WISHES: [(Wish, &str); 3] =
    [(Wish::Created, "created"), (Wish::Running, "running"), (Wish::Stopped, "stopped")];

/// A container's state: None when it is not there; else its wish and its policy.
pub type State = Option<(Wish, String)>;

/// No file is there.
pub const NOTHING: &str = "-";

/// Something with a file in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place<T: Ord> {
    /// The states that it may have.
    pub states: BTreeSet<T>,
    /// What the file may hold.
    pub kept: BTreeSet<String>,
}

impl<T: Ord> Place<T> {
    fn new(state: T) -> Place<T> {
        Place { states: BTreeSet::from([state]), kept: nothing() }
    }
}

fn nothing() -> BTreeSet<String> {
    BTreeSet::from([NOTHING.to_string()])
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    /// By name.
    pub containers: BTreeMap<String, Place<State>>,
    /// By name; whether they are there.
    pub volumes: BTreeMap<String, Place<bool>>,
    /// By name; whether they are there.
    pub images: BTreeMap<String, BTreeSet<bool>>,
    /// Of two names of one container, one must be there.
    pub either: BTreeSet<(String, String)>,
}

/// How far a step has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It may have been done, or not.
    Begun,
    /// It was acknowledged.
    Done,
}

impl Model {
    /// A container's possible states.
    #[must_use]
    pub fn container(&self, name: &str) -> BTreeSet<State> {
        self.containers.get(name).map_or(BTreeSet::from([None]), |place| place.states.clone())
    }

    /// Whether a volume may be there.
    #[must_use]
    pub fn volume(&self, name: &str) -> BTreeSet<bool> {
        self.volumes.get(name).map_or(BTreeSet::from([false]), |place| place.states.clone())
    }

    /// Whether an image's name may be there.
    #[must_use]
    pub fn image(&self, name: &str) -> BTreeSet<bool> {
        self.images.get(name).cloned().unwrap_or(BTreeSet::from([false]))
    }

    /// Takes a step into account.
    pub fn step(&mut self, step: &Step, outcome: Outcome) {
        let (name, other) = (step.name.as_str(), step.other.as_str());
        match step.kind {
            Kind::Create | Kind::Run => {
                let state = |wish| Some((wish, other.to_string()));
                let mut states = BTreeSet::new();
                if outcome == Outcome::Begun {
                    states.extend([None, state(Wish::Created)]);
                }
                let wish = if step.kind == Kind::Run { Wish::Running } else { Wish::Created };
                if outcome == Outcome::Done || step.kind == Kind::Run {
                    states.insert(state(wish));
                }
                self.change(name, outcome, |_| states.clone(), Some(nothing()));
            }
            Kind::Start => self.wish(name, outcome, |_| Wish::Running),
            Kind::Stop => self.wish(name, outcome, |wish| match wish {
                Wish::Running => Wish::Stopped,
                other => other,
            }),
            Kind::Remove => {
                let after = |state: &State| {
                    let mut states = BTreeSet::from([None]);
                    // Before it goes, it is stopped.
                    if let (Outcome::Begun, Some((Wish::Running, policy))) = (outcome, state) {
                        states.insert(Some((Wish::Stopped, policy.clone())));
                    }
                    states
                };
                self.change(name, outcome, after, Some(nothing()));
            }
            Kind::Rename => self.rename(name, other, outcome),
            Kind::Keep => self.change(
                name,
                outcome,
                |state| BTreeSet::from([state.clone()]),
                Some(BTreeSet::from([other.to_string()])),
            ),
            Kind::VolumeCreate => self.volume_is(name, true, outcome, None),
            Kind::VolumeRemove => self.volume_is(name, false, outcome, Some(NOTHING)),
            Kind::VolumeKeep => self.volume_is(name, true, outcome, Some(other)),
            Kind::Tag => self.image_is(name, true, outcome),
            Kind::Untag => self.image_is(name, false, outcome),
            Kind::Commit => self.image_is(other, true, outcome),
            // They leave nothing.
            Kind::Once | Kind::OnceDetached => (),
        }
    }

    fn change(
        &mut self,
        name: &str,
        outcome: Outcome,
        after: impl Fn(&State) -> BTreeSet<State>,
        kept: Option<BTreeSet<String>>,
    ) {
        let place = self.containers.entry(name.to_string()).or_insert_with(|| Place::new(None));
        let mut states: BTreeSet<State> = place.states.iter().flat_map(after).collect();
        if outcome == Outcome::Done || states.contains(&None) {
            // It has this name, or may be gone under either.
            self.either.retain(|(one, two)| one != name && two != name);
        }
        let mut kept = kept.unwrap_or_else(|| place.kept.clone());
        if outcome == Outcome::Begun {
            states.extend(place.states.iter().cloned());
            kept.extend(place.kept.iter().cloned());
        }
        *place = Place { states, kept };
    }

    fn wish(&mut self, name: &str, outcome: Outcome, after: impl Fn(Wish) -> Wish) {
        let after = |state: &State| match state {
            Some((wish, policy)) => BTreeSet::from([Some((after(*wish), policy.clone()))]),
            None => BTreeSet::new(),
        };
        self.change(name, outcome, after, None);
    }

    fn rename(&mut self, name: &str, other: &str, outcome: Outcome) {
        let from = self.containers.get(name).cloned().unwrap_or_else(|| Place::new(None));
        self.change(name, outcome, |_| BTreeSet::from([None]), Some(nothing()));
        let states = from.states.clone();
        self.change(other, outcome, |_| states.clone(), Some(from.kept));
        if outcome == Outcome::Begun {
            self.either.insert((name.to_string(), other.to_string()));
        }
    }

    fn volume_is(&mut self, name: &str, there: bool, outcome: Outcome, kept: Option<&str>) {
        let place = self.volumes.entry(name.to_string()).or_insert_with(|| Place::new(false));
        let mut states = BTreeSet::from([there]);
        let mut now = match kept {
            Some(text) => BTreeSet::from([text.to_string()]),
            None => place.kept.clone(),
        };
        if outcome == Outcome::Begun {
            states.extend(place.states.iter().copied());
            now.extend(place.kept.iter().cloned());
        }
        *place = Place { states, kept: now };
    }

    fn image_is(&mut self, name: &str, there: bool, outcome: Outcome) {
        let mut states = BTreeSet::from([there]);
        if outcome == Outcome::Begun {
            states.extend(self.image(name));
        }
        self.images.insert(name.to_string(), states);
    }

    /// A text for [`Model::parse`].
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let join = |words: Vec<String>| words.join(",");
        let bools = |states: &BTreeSet<bool>| join(states.iter().map(bool::to_string).collect());
        let kept = |kept: &BTreeSet<String>| join(kept.iter().cloned().collect());
        for (name, place) in &self.containers {
            let states = place.states.iter().map(|state| match state {
                Some((wish, policy)) => {
                    let word = WISHES.iter().find(|(one, _)| one == wish);
                    format!("{}/{policy}", word.map_or("", |(_, word)| word))
                }
                None => NOTHING.to_string(),
            });
            let states = join(states.collect());
            let _ = writeln!(text, "container {name} {states} {}", kept(&place.kept));
        }
        for (name, place) in &self.volumes {
            let _ = writeln!(text, "volume {name} {} {}", bools(&place.states), kept(&place.kept));
        }
        for (name, states) in &self.images {
            let _ = writeln!(text, "image {name} {}", bools(states));
        }
        for (one, two) in &self.either {
            let _ = writeln!(text, "either {one} {two}");
        }
        text
    }

    /// Reads it.
    #[must_use]
    pub fn parse(text: &str) -> Model {
        let mut model = Model::default();
        for line in text.lines() {
            let mut words = line.split(' ');
            let mut word = || words.next().unwrap_or("");
            let (kind, name, third, fourth) = (word(), word().to_string(), word(), word());
            let kept = || fourth.split(',').map(str::to_string).collect();
            let bools = || third.split(',').map(|word| word == "true").collect();
            let state = |word: &str| -> State {
                let (wish, policy) = word.split_once('/')?;
                let wish = WISHES.iter().find(|(_, word)| *word == wish)?.0;
                Some((wish, policy.to_string()))
            };
            match kind {
                "container" => {
                    let states = third.split(',').map(state).collect();
                    model.containers.insert(name, Place { states, kept: kept() });
                }
                "volume" => {
                    model.volumes.insert(name, Place { states: bools(), kept: kept() });
                }
                "image" => drop(model.images.insert(name, bools())),
                "either" => drop(model.either.insert((name, third.to_string()))),
                _ => (),
            }
        }
        model
    }
}

/// What `ps` must show of a container after a reboot; None: nothing.
#[must_use]
pub fn shown(state: &State) -> Option<&'static str> {
    let (wish, policy) = state.as_ref()?;
    Some(match (wish, policy.as_str()) {
        (Wish::Created, _) => "created",
        (_, "no") => "exited",
        (Wish::Stopped, "always") | (Wish::Running, _) => "running",
        (Wish::Stopped, _) => "exited",
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]
    use super::*;

    fn after(lines: &[(&str, Outcome)]) -> Model {
        let mut model = Model::default();
        for (line, outcome) in lines {
            model.step(&Step::parse(line).expect("a step"), *outcome);
        }
        model
    }

    #[test]
    fn what_was_acknowledged_has_one_state() {
        use Outcome::{Begun, Done};
        let model = after(&[
            ("run a always", Begun),
            ("run a always", Done),
            ("keep a t1", Begun),
            ("keep a t1", Done),
            ("stop a", Begun),
            ("create b no", Begun),
            ("volume-create v", Done),
            ("volume-keep v t2", Begun),
            ("tag one", Done),
            ("rmi one", Done),
            ("rename a c", Begun),
        ]);
        let text = "container a -,running/always,stopped/always -,t1\n\
                    container b -,created/no -\n\
                    container c -,running/always,stopped/always -,t1\n\
                    volume v true -,t2\nimage one false\neither a c\n";
        assert_eq!(model.text(), text);
        assert_eq!(Model::parse(text), model);
        let model = after(&[("create a no", Done), ("start a", Done), ("rename a c", Done)]);
        assert_eq!(model.text(), "container a - -\ncontainer c running/no -\n");
    }

    #[test]
    fn policies_decide_what_runs() {
        for (wish, policy, want) in [
            (Wish::Created, "always", "created"),
            (Wish::Running, "no", "exited"),
            (Wish::Running, "unless-stopped", "running"),
            (Wish::Stopped, "always", "running"),
            (Wish::Stopped, "unless-stopped", "exited"),
            (Wish::Stopped, "on-failure", "exited"),
        ] {
            assert_eq!(shown(&Some((wish, policy.to_string()))), Some(want), "{wish:?} {policy}");
        }
        assert_eq!(shown(&None), None);
    }
}
