//! `restore`: after a reboot, puts away what the last boot left, and starts what the restart policies
//! say. Once a boot: a second time, nothing happens.

use super::Start;
use crate::Engine;
use crate::container::{Container, Record, Wish, boot_id};
use crate::local::policy_of;
use crate::monitor::Policy;
use base::files::{Lock, Sync, create_dir_all, read_capped, write_then_rename};
use base::{Kind, Result};
use base_http::api::system::Restored;

/// The boot for which it was done.
const STAMP: &str = "restored";

/// Restores.
pub(crate) struct Restore;

impl Restore {
    pub(crate) fn run(self, engine: &Engine) -> Result<Restored> {
        let run = &engine.folders().run;
        create_dir_all(run)?;
        let _lock = Lock::exclusive(run)?;
        let boot = boot_id();
        match read_capped(&run.join(STAMP), 256) {
            Ok(text) if text == boot.as_bytes() => return Ok(Restored::default()),
            Err(error) if error.kind() != Kind::NotFound => return Err(error),
            _ => (),
        }
        if base::files::exists(&engine.folders().root) {
            crate::sweep::claim(engine)?;
        }
        engine.sweep_uppers()?;
        engine.sweep_volumes()?;
        let mut restored = Restored::default();
        // The oldest first: later ones were made by somebody who knew of the earlier.
        let mut wanted: Vec<Container> = engine.containers().list()?;
        wanted.retain(is_wanted);
        wanted.reverse();
        let steps: Vec<Step<'_>> = wanted.iter().map(|one| Step::of(&one.record)).collect();
        for container in order(&steps).into_iter().filter_map(|number| wanted.get(number)) {
            let name = container.record.name.clone();
            match (Start { container: container.id().to_string() }).run(engine) {
                Ok(()) => restored.started.push(name),
                // Somebody was faster.
                Err(error) if error.kind() == Kind::NotModified => (),
                Err(error) => restored.failed.push(format!("{name}: {}", error.message())),
            }
        }
        write_then_rename(run, STAMP, boot.as_bytes(), Sync::No)?;
        Ok(restored)
    }
}

/// What decides about a container's turn.
struct Step<'a> {
    names: [&'a str; 2],
    /// Its label [`ORDER`]; 0 without one.
    order: i64,
    /// The containers that it needs, by name or id.
    needs: Vec<&'a str>,
}

/// The label: lower numbers are started first.
const ORDER: &str = "coracle.boot-order";

impl Step<'_> {
    fn of(record: &Record) -> Step<'_> {
        let host = &record.host_config;
        let shared = [&host.network_mode, &host.pid_mode, &host.ipc_mode];
        let shared = shared.into_iter().filter_map(|mode| mode.strip_prefix("container:"));
        let volumes = host.volumes_from.iter().flatten();
        let volumes = volumes.map(|text| text.split(':').next().unwrap_or_default());
        let label = record.config.labels.as_ref().and_then(|labels| labels.get(ORDER));
        Step {
            names: [&record.id, &record.name],
            order: label.and_then(|text| text.trim().parse().ok()).unwrap_or(0),
            needs: shared.chain(volumes).collect(),
        }
    }

    /// It is called that; an id may be cut short.
    fn is(&self, name: &str) -> bool {
        self.names[1] == name || (name.len() >= 12 && self.names[0].starts_with(name))
    }
}

/// Who is started when: what a container needs before it, then by the label, then as they came. In a
/// circle somebody must begin.
fn order(steps: &[Step<'_>]) -> Vec<usize> {
    let mut left: Vec<usize> = (0..steps.len()).collect();
    left.sort_unstable_by_key(|number| (steps.get(*number).map(|step| step.order), *number));
    let mut done = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let waits = |number: &usize| {
            let step = steps.get(*number);
            step.into_iter().flat_map(|step| &step.needs).any(|name| {
                left.iter().any(|other| {
                    other != number && steps.get(*other).is_some_and(|step| step.is(name))
                })
            })
        };
        let next = left.iter().position(|number| !waits(number)).unwrap_or(0);
        done.push(left.remove(next));
    }
    done
}

fn is_wanted(container: &Container) -> bool {
    match (policy_of(container), container.wish()) {
        (Policy::No, _) | (_, Wish::Created) => false,
        // docker's difference between the two.
        (Policy::Always, _) => true,
        (_, wish) => wish == Wish::Running,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names in the order in which they are started; each is `name order needs…`.
    fn started(lines: &[&'static str]) -> String {
        let step = |line: &&'static str| {
            let mut words = line.split(' ');
            let mut word = || words.next().unwrap_or_default();
            let (name, order) = (word(), word().parse().unwrap_or(0));
            Step { names: ["0123456789abcdef", name], order, needs: words.collect() }
        };
        let steps: Vec<Step<'_>> = lines.iter().map(step).collect();
        let names: Vec<&str> = order(&steps).into_iter().map(|n| steps[n].names[1]).collect();
        names.join(" ")
    }

    #[test]
    fn what_is_needed_first_then_the_label_then_the_age() {
        for (lines, want) in [
            (&["a", "b", "c"][..], "a b c"),
            (&["a 0 c", "b", "c"], "b c a"),
            (&["a 2", "b 1", "c -1"], "c b a"),
            // The label does not undo what is needed.
            (&["a -5 c", "b", "c 9"], "b c a"),
            (&["a 0 b", "b 0 c", "c"], "c b a"),
            // What is not started here is not waited for; nobody waits for himself.
            (&["a 0 other", "b 0 b"], "a b"),
            (&["a 0 b", "b 0 a", "c"], "c a b"),
        ] {
            assert_eq!(started(lines), want, "{lines:?}");
        }
    }
}
