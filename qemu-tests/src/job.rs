//! The boots of a run: which kernel, which binaries, which cgroups, which tests. As many machines
//! at once as there are cores.

use crate::apt::Mirror;
use crate::console::{Ending, Verdict};
use crate::guest::Configuration;
use crate::initramfs::{self, Binaries};
use crate::kernels::{Kernel, Unpacked};
use crate::machine::{Boot, Machine};
use base::{OnError, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A test: its name and its session.
pub type Test = (String, String);

/// One boot.
#[derive(Clone)]
pub struct Job {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// Whose binaries: the kernel's own CPU, or another that it runs.
    pub arch: String,
    /// What PID 1 does.
    pub configuration: Configuration,
    /// More words of the kernel's command line.
    pub boot_parameters: String,
    /// What the machine lacks, for its name; empty otherwise.
    pub variant: String,
    /// The tests.
    pub tests: Vec<Test>,
    /// Megabytes, instead of the kernel's row.
    pub memory: Option<u32>,
}

impl Job {
    /// `6.1 x86_64 v2`
    #[must_use]
    pub fn name(&self) -> String {
        let kernel = self.kernel;
        let mut name = format!("{} {} {}", kernel.series, self.arch, self.configuration.cgroup);
        if !self.variant.is_empty() {
            name.push(' ');
            name.push_str(&self.variant);
        }
        name
    }
}

/// What a run needs besides its jobs.
pub struct Place {
    /// `target/qemu`: packages, kernels, logs.
    pub cache: PathBuf,
    /// `dist`, where the binaries are.
    pub dist: PathBuf,
    /// The hard limit of each boot.
    pub limit: Duration,
    /// Machines at once.
    pub at_once: usize,
}

/// A job's result.
pub struct Report {
    /// The job's name.
    pub name: String,
    /// One verdict for each of its tests.
    pub verdicts: Vec<(String, Verdict)>,
    /// PID 1's remarks.
    pub notes: Vec<String>,
    /// The kernel's own release text.
    pub release: String,
    /// How long the boot took.
    pub took: Duration,
    /// The console's text.
    pub log: PathBuf,
}

impl Report {
    /// Nothing failed.
    #[must_use]
    pub fn is_good(&self) -> bool {
        !self.verdicts.iter().any(|(_, verdict)| matches!(verdict, Verdict::Failed(_)))
    }
}

/// Kernels that could not be had, and those that could.
#[derive(Default)]
pub struct Fetched {
    /// By the kernel's name.
    pub kernels: BTreeMap<String, Unpacked>,
    /// The kernel's name and why.
    pub failed: Vec<(String, String)>,
}

/// Downloads what the jobs need, one after the other.
pub fn fetch(cache: &Path, kernels: &[&'static Kernel]) -> Result<Fetched> {
    std::fs::create_dir_all(cache).on_path("mkdir", cache)?;
    let mirror = Mirror::of_system()?;
    let mut fetched = Fetched::default();
    for kernel in kernels {
        match kernel.fetch(cache, &mirror) {
            Ok(unpacked) => drop(fetched.kernels.insert(kernel.name(), unpacked)),
            Err(error) => fetched.failed.push((kernel.name(), error.message().to_string())),
        }
    }
    Ok(fetched)
}

/// Runs the jobs; `told` sees each report as it comes.
pub fn run(
    place: &Place,
    fetched: &Fetched,
    jobs: &[Job],
    told: &(dyn Fn(&Report) + Sync),
) -> Result<Vec<Report>> {
    let commons = commons(place, fetched, jobs)?;
    let (next, reports) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..place.at_once.max(1) {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let report = run_one(place, fetched, &commons, job)
                        .unwrap_or_else(|error| not_booted(job, error.message()));
                    told(&report);
                    if let Ok(mut reports) = reports.lock() {
                        reports.push(report);
                    }
                }
            });
        }
    });
    Ok(reports.into_inner().unwrap_or_default())
}

type Commons = BTreeMap<(String, String), Vec<u8>>;

/// The shared part of each kernel's initramfs, made once.
fn commons(place: &Place, fetched: &Fetched, jobs: &[Job]) -> Result<Commons> {
    let mut commons = Commons::new();
    for job in jobs {
        let key = (job.kernel.name(), job.arch.clone());
        let Some(unpacked) = fetched.kernels.get(&key.0) else { continue };
        if !commons.contains_key(&key) {
            let binaries = Binaries::read(&place.dist, &job.arch)?;
            commons.insert(key, initramfs::common(&binaries, &unpacked.modules)?);
        }
    }
    Ok(commons)
}

fn run_one(place: &Place, fetched: &Fetched, commons: &Commons, job: &Job) -> Result<Report> {
    let key = (job.kernel.name(), job.arch.clone());
    let (Some(unpacked), Some(common)) = (fetched.kernels.get(&key.0), commons.get(&key)) else {
        return Ok(not_booted(job, "its kernel was not downloaded"));
    };
    let boot = boot(place, unpacked, common, job)?;
    let wanted: Vec<String> = job.tests.iter().map(|(name, _)| name.clone()).collect();
    Ok(Report {
        name: job.name(),
        verdicts: boot.console.verdicts(&wanted, boot.ending),
        notes: boot.console.notes,
        release: boot.console.release.unwrap_or_default(),
        took: boot.took,
        log: log_of(place, job),
    })
}

fn log_of(place: &Place, job: &Job) -> PathBuf {
    place.cache.join("logs").join(format!("{}.log", job.name().replace([' ', '/'], "-")))
}

/// Boots one machine with this shared initramfs.
pub fn boot(place: &Place, unpacked: &Unpacked, common: &[u8], job: &Job) -> Result<Boot> {
    let log = log_of(place, job);
    let folder = place.cache.join("logs");
    std::fs::create_dir_all(&folder).on_path("mkdir", &folder)?;
    let initramfs = log.with_extension("initramfs");
    let bytes = [common, &initramfs::own(&job.configuration, &job.tests)?].concat();
    std::fs::write(&initramfs, bytes).on_path("write", &initramfs)?;
    let result = Machine {
        kernel: job.kernel,
        image: &unpacked.image,
        initramfs: &initramfs,
        boot_parameters: &job.boot_parameters,
        memory: job.memory,
        more: &[],
        limit: place.limit,
        log,
    }
    .run();
    let _ = std::fs::remove_file(&initramfs);
    result
}

fn not_booted(job: &Job, reason: &str) -> Report {
    let verdict = Verdict::Failed(reason.to_string());
    Report {
        name: job.name(),
        verdicts: job.tests.iter().map(|(name, _)| (name.clone(), verdict.clone())).collect(),
        notes: Vec::new(),
        release: String::new(),
        took: Duration::ZERO,
        log: PathBuf::new(),
    }
}

/// Used where an ending is not needed: the boot that tells all ends by itself.
#[must_use]
pub fn ended_well(boot: &Boot) -> bool {
    boot.console.is_complete() && boot.ending == Ending::Itself
}
