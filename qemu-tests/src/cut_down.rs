//! Machines that lack something: by a boot parameter, a module left out, or a setting. Each has
//! tests of its own in `cut-down/NAME/`: either the fall-back works, or the message names the
//! kernel's option.

use crate::disk;
use crate::hosted;
use crate::job::{Job, tests_of};
use crate::kernels::{FITTED_WITHOUT, KERNELS, Kernel};
use base::Result;
use std::path::Path;

/// One such machine.
struct CutDown {
    /// Its folder.
    name: &'static str,
    /// The cgroup layouts on which it is looked at.
    layouts: &'static [&'static str],
    /// Words of the kernel's command line.
    boot_parameters: &'static str,
    /// Modules that are not loaded.
    without: &'static [&'static str],
    /// A setting of /proc/sys.
    sysctl: &'static str,
}

const NOTHING: CutDown =
    CutDown { name: "", layouts: &["v2"], boot_parameters: "", without: &[], sysctl: "" };

const MACHINES: [CutDown; 8] = [
    CutDown { name: "no-overlay", without: &["overlay"], ..NOTHING },
    CutDown {
        name: "no-memory-cgroup",
        layouts: &["v1", "v2"],
        boot_parameters: "cgroup_disable=memory",
        ..NOTHING
    },
    CutDown {
        name: "no-pids-cgroup",
        layouts: &["v1", "v2"],
        boot_parameters: "cgroup_disable=pids",
        ..NOTHING
    },
    CutDown { name: "no-cgroups", layouts: &["none"], ..NOTHING },
    CutDown { name: "no-user-namespaces", sysctl: "user/max_user_namespaces=0", ..NOTHING },
    CutDown { name: "no-ipv6", boot_parameters: "ipv6.disable=1", ..NOTHING },
    CutDown { name: "no-veth", without: &["veth"], ..NOTHING },
    CutDown { name: "no-nf-tables", without: &["nf_tables", "nft_chain_nat"], ..NOTHING },
];

/// Kernels of our own, built without an option, which no boot parameter takes away.
const BUILT: [(&str, &[&str]); 1] = [("bare", &["v1", "hybrid", "v2"])];

/// One boot for each kernel and layout.
pub fn built_jobs(folder: &Path) -> Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for (name, layouts) in BUILT {
        let tests = tests_of(&folder.join(name), &[])?;
        // A test that has a layout's name is about that one.
        let fits =
            |test: &str, layout: &str| test == layout || !["v1", "hybrid", "v2"].contains(&test);
        let is_it = |kernel: &&Kernel| kernel.series.strip_prefix("fitted-") == Some(name);
        let Some(kernel) = FITTED_WITHOUT.iter().find(is_it) else { continue };
        for layout in layouts {
            let mut tests = tests.clone();
            tests.retain(|(test, _)| fits(test, layout));
            jobs.push(Job::new(kernel, kernel.arch, layout, tests));
        }
    }
    Ok(jobs)
}

/// One boot for each machine and layout, on the first kernel.
pub fn jobs(folder: &Path) -> Result<Vec<Job>> {
    let Some(kernel) = KERNELS.first() else { return Ok(Vec::new()) };
    let mut jobs = Vec::new();
    for machine in MACHINES {
        let tests = tests_of(&folder.join(machine.name), &[])?;
        for layout in machine.layouts {
            let mut job = Job::new(kernel, kernel.arch, layout, tests.clone());
            job.variant = machine.name.to_string();
            job.boot_parameters = machine.boot_parameters.to_string();
            job.configuration.without = machine.without.iter().map(ToString::to_string).collect();
            if !machine.sysctl.is_empty() {
                job.configuration.sysctl.push(machine.sysctl.to_string());
            }
            jobs.push(job);
        }
    }
    jobs.push(little_memory(kernel, folder)?);
    Ok(jobs)
}

/// Megabytes with which the first kernel boots ([`crate::least_memory`]), and 16 more: an image of 50 MB is
/// pulled, onto a disk.
const LITTLE: u32 = 80 + 16;

/// The boot of that test.
pub fn little_memory(kernel: &'static Kernel, folder: &Path) -> Result<Job> {
    let tests = tests_of(&folder.join("little-memory"), &[])?;
    let mut job = Job::new(kernel, kernel.arch, "v2", tests);
    job.variant = "little-memory".to_string();
    job.configuration.disk = disk::DEVICE.to_string();
    job.hosted = Some(hosted::large);
    job.memory = Some(LITTLE);
    Ok(job)
}
