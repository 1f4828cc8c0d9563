//! Instead of tests: one state of a recorded disk after the other ([`crate::power_cut::inside`]).

use super::{IMAGES, say};
use crate::power_cut::inside::{TEST, look_inside};
use crate::power_cut::replay::Findings;
use std::path::Path;

/// How many states between two lines.
const OFTEN: usize = 10;

pub(super) fn run(order: &str) -> Result<(), String> {
    let archive = format!("{IMAGES}/probe.tar");
    // For who reads the console's log.
    let progress = |count: usize| {
        if count.is_multiple_of(OFTEN) {
            let line = format!("state {count}\n");
            let _ = rustix::io::write(rustix::stdio::stdout(), line.as_bytes());
        }
    };
    let found = look_inside(order, Path::new(&archive), &progress)
        .map_err(|error| error.message().to_string())?;
    tell(&found);
    Ok(())
}

/// As [`crate::power_cut::inside`] reads it.
pub(super) fn tell(found: &Findings) {
    found.reasons.iter().for_each(|reason| say(&format!("note bad {reason}")));
    say(&format!("{TEST} ok {} {}", found.states, found.wrong));
    say("end 1");
}
