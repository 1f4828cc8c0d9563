//! When a container that has ended is started again: docker's policies and its back-off. Pure.
//!
//! The first restart follows after 100 ms, each further one after twice that, a minute at most. One
//! that has run for ten seconds begins anew with 100 ms.

use base::{Error, Result};
use base_http::api::host_config::RestartPolicy;

/// A policy, as `--restart` names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Never.
    #[default]
    No,
    /// Whatever the exit code, and after a reboot also what the user had stopped.
    Always,
    /// Whatever the exit code, until the user stops it.
    UnlessStopped,
    /// When the exit code is not 0, at most so often; 0 is without end.
    OnFailure(u32),
}

impl Policy {
    /// Reads docker's document.
    pub(crate) fn of(document: &RestartPolicy) -> Result<Policy> {
        let most = document.maximum_retry_count;
        let policy = match document.name.as_str() {
            "" | "no" => Policy::No,
            "always" => Policy::Always,
            "unless-stopped" => Policy::UnlessStopped,
            "on-failure" => {
                return u32::try_from(most)
                    .map(Policy::OnFailure)
                    .map_err(|_| Error::bad_input("maximum retry count cannot be negative"));
            }
            other => return Err(Error::bad_input(format!("invalid restart policy '{other}'"))),
        };
        if most != 0 {
            return Err(Error::bad_input(format!(
                "maximum retry count cannot be used with restart policy '{}'",
                document.name
            )));
        }
        Ok(policy)
    }

    /// For a message.
    pub(super) fn to_numbers(self) -> (u32, u32) {
        match self {
            Policy::No => (0, 0),
            Policy::Always => (1, 0),
            Policy::UnlessStopped => (2, 0),
            Policy::OnFailure(most) => (3, most),
        }
    }

    /// From a message.
    pub(super) fn from_numbers(kind: u32, most: u32) -> Option<Policy> {
        match kind {
            0 => Some(Policy::No),
            1 => Some(Policy::Always),
            2 => Some(Policy::UnlessStopped),
            3 => Some(Policy::OnFailure(most)),
            _ => None,
        }
    }
}

const FIRST_DELAY: u64 = 100;
const LONGEST_DELAY: u64 = 60_000;
/// Milliseconds after which a run counts as a good one.
const GOOD_RUN: u64 = 10_000;

/// What a monitor knows of its container's restarts.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    policy: Policy,
    /// How often it was restarted since the user started it.
    pub(super) count: u32,
    delay: u64,
}

impl Restarts {
    pub(super) fn new(policy: Policy, count: u32) -> Restarts {
        Restarts { policy, count, delay: 0 }
    }

    /// From now on it is another one.
    pub(super) fn change(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// Milliseconds until the next start, if there is to be one. `ran`: for how many it ran.
    pub(super) fn after_end(&mut self, exit_code: i32, ran: u64) -> Option<u64> {
        let again = match self.policy {
            Policy::No => false,
            Policy::Always | Policy::UnlessStopped => true,
            Policy::OnFailure(most) => exit_code != 0 && (most == 0 || self.count < most),
        };
        if !again {
            return None;
        }
        let next = if ran >= GOOD_RUN { FIRST_DELAY } else { (self.delay * 2).max(FIRST_DELAY) };
        self.delay = next.min(LONGEST_DELAY);
        self.count = self.count.saturating_add(1);
        Some(self.delay)
    }

    /// The policy has nothing more to do, after a reboot neither.
    pub(super) fn is_spent(&self) -> bool {
        matches!(self.policy, Policy::OnFailure(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(name: &str, most: i64) -> RestartPolicy {
        RestartPolicy { name: name.into(), maximum_retry_count: most }
    }

    #[test]
    fn policies_are_read_as_docker_does() {
        for (name, most, want) in [
            ("", 0, Some(Policy::No)),
            ("no", 0, Some(Policy::No)),
            ("always", 0, Some(Policy::Always)),
            ("unless-stopped", 0, Some(Policy::UnlessStopped)),
            ("on-failure", 3, Some(Policy::OnFailure(3))),
            ("on-failure", -1, None),
            ("always", 1, None),
            ("sometimes", 0, None),
        ] {
            assert_eq!(Policy::of(&document(name, most)).ok(), want, "{name}:{most}");
        }
    }

    #[test]
    fn the_delay_doubles_up_to_a_minute_and_a_good_run_resets_it() {
        let mut restarts = Restarts::new(Policy::Always, 0);
        let delays: Vec<_> = (0..12).filter_map(|_| restarts.after_end(1, 5)).collect();
        assert_eq!(delays[..4], [100, 200, 400, 800]);
        assert_eq!(delays[10..], [60_000, 60_000]);
        assert_eq!(restarts.after_end(0, GOOD_RUN), Some(100));
        assert_eq!(restarts.count, 13);
    }

    #[test]
    fn on_failure_counts() {
        let mut restarts = Restarts::new(Policy::OnFailure(2), 0);
        assert_eq!(restarts.after_end(0, 5), None);
        assert!(restarts.after_end(1, 5).is_some() && restarts.after_end(137, 5).is_some());
        assert_eq!(restarts.after_end(1, 5), None);
        assert!(Restarts::new(Policy::OnFailure(0), 1000).after_end(1, 5).is_some());
    }
}
