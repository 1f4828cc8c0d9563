//! The boots of a run: which kernel, which binaries, which cgroups, which tests. As many machines
//! at once as there are cores.

use crate::apt::Mirror;
use crate::console::Verdict;
use crate::disk;
use crate::guest::Configuration;
use crate::initramfs::{self, Binaries};
use crate::kernels::{Kernel, Trouble, Unpacked};
use crate::machine::{Boot, Machine};
use crate::session::Session;
use base::{Error, OnError, Result};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Bytes of a machine's disk.
const DISK: u64 = 128 << 20;

/// A test: its name and its session.
pub type Test = (String, String);

/// Makes a disk at a path, for a machine of this CPU (the image specification's word).
pub type Hosted = fn(&Path, &str) -> Result<()>;

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
    /// More arguments of QEMU.
    pub devices: Vec<String>,
    /// What a registry inside serves: makes its disk, which comes behind the others.
    pub hosted: Option<Hosted>,
    /// More modules, loaded after the usual ones.
    pub modules: &'static [&'static str],
    /// More files: paths inside and what is in them.
    pub files: Vec<(String, Vec<u8>)>,
    /// The power goes: so long after a line that ends with this text.
    pub cut: Option<(String, Duration)>,
    /// A hard limit of its own.
    pub limit: Option<Duration>,
    /// A control: every test must fail, with this text in the reason.
    pub must_fail: Option<&'static str>,
}

impl Job {
    /// A boot with nothing special about it.
    #[must_use]
    pub fn new(kernel: &'static Kernel, arch: &str, cgroup: &str, tests: Vec<Test>) -> Job {
        Job {
            kernel,
            arch: arch.to_string(),
            configuration: Configuration { cgroup: cgroup.to_string(), ..Configuration::default() },
            boot_parameters: String::new(),
            variant: String::new(),
            tests,
            memory: None,
            devices: Vec::new(),
            hosted: None,
            modules: &[],
            files: Vec::new(),
            cut: None,
            limit: None,
            must_fail: None,
        }
    }
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
    /// The CPU whose machines the hardware runs; the others are emulated.
    pub hardware: Option<String>,
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
    /// Of several boots and what the host made of them, begun so long ago.
    #[must_use]
    pub fn of_several(
        name: &str,
        verdicts: Vec<(String, Verdict)>,
        took: Duration,
        place: &Place,
    ) -> Report {
        Report {
            name: name.to_string(),
            verdicts,
            notes: Vec::new(),
            release: String::new(),
            took,
            log: place.cache.join("logs"),
        }
    }

    /// Nothing failed.
    #[must_use]
    pub fn is_good(&self) -> bool {
        !self.verdicts.iter().any(|(_, verdict)| matches!(verdict, Verdict::Failed(_)))
    }
}

/// The tests of a folder, in the order of their names; with `only`, no others.
pub fn tests_of(folder: &Path, only: &[String]) -> Result<Vec<Test>> {
    let mut tests = Vec::new();
    for entry in std::fs::read_dir(folder).on_path("read", folder)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !entry.path().is_dir() {
            continue;
        }
        let path = entry.path().join("session");
        let text = std::fs::read_to_string(&path).on_path("read", &path)?;
        Session::parse(&text)
            .map_err(|error| Error::bad_input(format!("{}: {error}", path.display())))?;
        if only.is_empty() || only.contains(&name) {
            tests.push((name, text));
        }
    }
    if let Some(name) = only.iter().find(|name| !tests.iter().any(|(other, _)| other == *name)) {
        return Err(Error::bad_input(format!("there is no test {name}")));
    }
    tests.sort();
    Ok(tests)
}

/// Kernels that could not be had, and those that could.
#[derive(Default)]
pub struct Fetched {
    /// By the kernel's name.
    pub kernels: BTreeMap<String, Unpacked>,
    /// The kernel's name and why.
    pub failed: Vec<(String, String)>,
    /// What could not be built, by the kernel's name: its tests have failed.
    pub not_built: BTreeMap<String, String>,
}

impl Fetched {
    /// Adds what was fetched later.
    pub fn add(&mut self, other: Fetched) {
        self.kernels.extend(other.kernels);
        self.failed.extend(other.failed);
        self.not_built.extend(other.not_built);
    }
}

/// Downloads what the jobs need, one after the other.
pub fn fetch(cache: &Path, kernels: &[&'static Kernel]) -> Result<Fetched> {
    std::fs::create_dir_all(cache).on_path("mkdir", cache)?;
    let mirror = Mirror::of_system();
    let mut fetched = Fetched::default();
    for kernel in kernels {
        let mirror = mirror.as_ref().map_err(|error| Trouble::Download(error.clone()));
        match mirror.and_then(|mirror| kernel.fetch(cache, mirror)) {
            Ok(unpacked) => drop(fetched.kernels.insert(kernel.name(), unpacked)),
            Err(Trouble::Download(error)) => {
                fetched.failed.push((kernel.name(), error.message().to_string()));
            }
            Err(Trouble::Build(error)) => {
                fetched.not_built.insert(kernel.name(), error.message().to_string());
            }
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

/// By kernel and CPU: the initramfs that their boots share.
pub type Commons = BTreeMap<(String, String), Vec<u8>>;

/// The shared part of each kernel's initramfs, made once.
pub fn commons(place: &Place, fetched: &Fetched, jobs: &[Job]) -> Result<Commons> {
    let mut commons = Commons::new();
    for job in jobs {
        let key = (job.kernel.name(), job.arch.clone());
        let Some(unpacked) = fetched.kernels.get(&key.0) else { continue };
        if let Entry::Vacant(entry) = commons.entry(key) {
            let binaries = Binaries::read(&place.dist, &job.arch)?;
            entry.insert(initramfs::common(&binaries, &unpacked.modules)?);
        }
    }
    Ok(commons)
}

fn run_one(place: &Place, fetched: &Fetched, commons: &Commons, job: &Job) -> Result<Report> {
    let key = (job.kernel.name(), job.arch.clone());
    if let Some(reason) = fetched.not_built.get(&key.0) {
        return Ok(not_booted(job, reason));
    }
    let (Some(unpacked), Some(common)) = (fetched.kernels.get(&key.0), commons.get(&key)) else {
        return Ok(not_booted(job, "its kernel was not downloaded"));
    };
    let boot = boot(place, unpacked, common, job)?;
    let wanted: Vec<String> = job.tests.iter().map(|(name, _)| name.clone()).collect();
    let mut verdicts = boot.console.verdicts(&wanted, boot.ending);
    if let Some(reason) = job.must_fail {
        verdicts =
            verdicts.into_iter().map(|(name, told)| (name, control(&told, reason))).collect();
    }
    Ok(Report {
        name: job.name(),
        verdicts,
        notes: boot.console.notes,
        release: boot.console.release.unwrap_or_default(),
        took: boot.took,
        log: log_of(place, job),
    })
}

/// A control passes when its test has failed for the right reason.
fn control(told: &Verdict, reason: &str) -> Verdict {
    match told {
        Verdict::Failed(text) if text.contains(reason) => Verdict::Passed(text.clone()),
        other => Verdict::Failed(format!("the control wants {reason:?}, not {other:?}")),
    }
}

/// Where a boot's console is kept.
pub(crate) fn log_of(place: &Place, job: &Job) -> PathBuf {
    place.cache.join("logs").join(format!("{}.log", job.name().replace([' ', '/'], "-")))
}

/// Boots one machine with this shared initramfs.
pub fn boot(place: &Place, unpacked: &Unpacked, common: &[u8], job: &Job) -> Result<Boot> {
    let log = log_of(place, job);
    let folder = place.cache.join("logs");
    std::fs::create_dir_all(&folder).on_path("mkdir", &folder)?;
    let initramfs = log.with_extension("initramfs");
    let image = log.with_extension("disk");
    let mut devices = job.devices.clone();
    if devices.is_empty() && !job.configuration.disk.is_empty() {
        let quota = job.configuration.disk.contains("quota");
        disk::make(&image, if quota { disk::WITH_QUOTA } else { "ext4" }, DISK, 0)?;
        devices.extend(disk::drive(&image));
    }
    let hosted = log.with_extension("hosted-disk");
    if let Some(make) = job.hosted {
        make(&hosted, initramfs::image_word(&job.arch))?;
        devices.extend(disk::drive(&hosted));
    }
    let more = initramfs::more(&unpacked.modules, job.modules, &job.files)?;
    let bytes = [common, &initramfs::own(&job.configuration, &job.tests)?, &more].concat();
    std::fs::write(&initramfs, bytes).on_path("write", &initramfs)?;
    let result = Machine {
        kernel: job.kernel,
        image: &unpacked.image,
        initramfs: &initramfs,
        boot_parameters: &job.boot_parameters,
        memory: job.memory,
        more: &devices,
        hardware: place.hardware.as_deref() == Some(job.kernel.arch),
        limit: job.limit.unwrap_or(place.limit),
        cut: job.cut.as_ref(),
        log,
    }
    .run();
    for path in [&initramfs, &image, &hosted] {
        let _ = std::fs::remove_file(path);
    }
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
