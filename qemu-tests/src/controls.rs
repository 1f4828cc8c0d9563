//! The controls: what must be seen as a failure, with a reason that a person understands, in
//! bounded time. A runner that calls these good would call anything good.

use crate::job::{Job, Test};
use crate::kernels::KERNELS;
use std::time::Duration;

/// What goes wrong, and what the reason must say.
const CONTROLS: [(&str, &str); 4] = [
    ("hang", " within "),
    ("panic", "kernel panic: "),
    ("reboot", "the machine reset or powered off too early"),
    ("broken", "exit code "),
];

/// The one that hangs needs all of its time; longer than a boot takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(45);

/// One boot for each.
#[must_use]
pub fn jobs() -> Vec<Job> {
    let Some(kernel) = KERNELS.first() else { return Vec::new() };
    let job = |(name, reason): (&str, &'static str)| {
        let test: Test = (format!("control-{name}"), "$ coracle version\n...\n".to_string());
        let mut job = Job::new(kernel, kernel.arch, "v2", vec![test]);
        job.configuration.instead = name.to_string();
        job.variant = format!("control: {name}");
        job.must_fail = Some(reason);
        job.limit = (name == "hang").then_some(LIMIT);
        job
    };
    CONTROLS.into_iter().map(job).collect()
}
