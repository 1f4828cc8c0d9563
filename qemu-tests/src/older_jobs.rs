//! Older kernels inside machines: the sessions of `tests/older.rs`, with each version's refusals around
//! every command, on each kernel that is booted.

use crate::job::{Job, Test};
use crate::kernels::KERNELS;

/// The sessions that do not end processes by name and want nothing that only some machines have.
pub const SESSIONS: [&str; 10] = [
    "detached",
    "devices",
    "drivers",
    "exit-codes",
    "hello",
    "kept",
    "logs",
    "memory",
    "pids",
    "run",
];
/// The versions that are imitated, and the two ways of refusing: old kernels, and filters that a host has laid
/// around everything.
const VERSIONS: [&str; 3] = ["4.9", "4.19", "5.4"];
const REFUSALS: [&str; 2] = ["ENOSYS", "EPERM"];
/// The CPUs whose calls the supervisor can read.
const CPUS: [&str; 2] = ["x86_64", "aarch64"];

/// A boot for each kernel, version and way, with hybrid cgroups: what is left to Linux 4.9 for devices is
/// version 1's controller.
#[must_use]
pub fn jobs(tests: &[Test]) -> Vec<Job> {
    let mut tests = tests.to_vec();
    tests.retain(|(name, _)| SESSIONS.contains(&name.as_str()));
    let mut jobs = Vec::new();
    for kernel in KERNELS.iter().filter(|kernel| !kernel.is_built() && CPUS.contains(&kernel.arch))
    {
        for version in VERSIONS {
            for refusal in REFUSALS {
                let mut job = Job::new(kernel, kernel.arch, "hybrid", tests.clone());
                job.variant = ["as ", version, " ", refusal].concat();
                job.configuration.older = [version, " ", refusal].concat();
                jobs.push(job);
            }
        }
    }
    jobs
}
