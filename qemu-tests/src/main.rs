//! The runner's command line; `qemu-tests/run` builds what it needs and calls it.

#![forbid(unsafe_code)]

use base::{Error, Result};
use qemu_tests::job::{self, Fetched, Job, Place, Test};
use qemu_tests::kernels::{FULL, KERNELS, Kernel};
use qemu_tests::summary::{self, Sums};
use qemu_tests::{
    controls, cut_down, disk, fuller, hardware, host_tests, least_memory, older_jobs, power_cut,
    reboots,
};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "\
qemu-tests/run [--all] [--arch ARCH]… [--kernel SERIES]… [--cgroup v1|hybrid|v2]… [TEST…]

Without flags: the default set of kernels, every test. --special: only the machines that lack
something and the controls. --fuller: only those that have more than usual. --kernel fitted: one of our own fragment, and without one option or another;
they are built. --fetch: only downloads the kernels that the other flags ask for. --older: each kernel made to look like 4.9, 4.19 and 5.4. --host-tests: the host's whole-program tests inside a machine. --all: all of it; each layout on
x86_64, one on the other CPUs, v1 for the host's tests, unless --cgroup names them.
--tcg: emulation, even where the hardware would run machines. --list names kernels and tests, --arches the CPUs whose binaries are
needed. --limit SECONDS is the hard limit of each boot (240). --power-cut SAMPLES: only the power cuts
(the worked example and the store), with so many sampled sets of unflushed writes; --on ext4|btrfs|pulls|f2fs|ubifs|example: only
those. --reboots BOOTS: only kills
at random instants, 25 before each of so many times that the power goes; --seed NUMBER for other choices. --least-memory: no tests, but
the table of the least memory for each kernel and test.
Exit status: 0 all good, 1 a test failed, 2 wrong usage, 3 only downloads failed.
";

/// Sampled sets of unflushed writes in a whole run.
const SAMPLES: usize = 60;

/// How often the power goes in a whole run, and kills before each.
const REBOOTS: (u64, u32) = (2, 6);
/// Kills before each when they are asked for.
const KILLS: u32 = 25;

/// What the command line asks for.
#[derive(Default)]
struct Asked {
    all: bool,
    special: bool,
    fuller: bool,
    older: bool,
    host_tests: bool,
    tcg: bool,
    power_cut: Option<usize>,
    on: Vec<String>,
    reboots: Option<u64>,
    least_memory: bool,
    fetch: bool,
    list: bool,
    arches: bool,
    arch: Vec<String>,
    kernel: Vec<String>,
    cgroup: Vec<String>,
    limit: Option<u64>,
    seed: u64,
    tests: Vec<String>,
}

fn number(text: &str) -> Result<u64> {
    text.parse().map_err(|_| Error::bad_input(format!("{text} is no number")))
}

fn parse(words: impl Iterator<Item = String>) -> Result<Asked> {
    let mut asked = Asked::default();
    let mut words = words;
    while let Some(word) = words.next() {
        let mut value = || {
            words.next().ok_or_else(|| Error::bad_input(format!("{word} needs a value\n\n{USAGE}")))
        };
        match word.as_str() {
            "--all" => asked.all = true,
            "--special" => asked.special = true,
            "--fuller" => asked.fuller = true,
            "--older" => asked.older = true,
            "--host-tests" => asked.host_tests = true,
            "--tcg" => asked.tcg = true,
            "--power-cut" => asked.power_cut = Some(number(&value()?)? as usize),
            "--on" => asked.on.push(value()?),
            "--reboots" => asked.reboots = Some(number(&value()?)?),
            "--least-memory" => asked.least_memory = true,
            "--fetch" => asked.fetch = true,
            "--list" => asked.list = true,
            "--arches" => asked.arches = true,
            "--arch" => asked.arch.push(value()?),
            "--kernel" => asked.kernel.push(value()?),
            "--cgroup" => asked.cgroup.push(value()?),
            "--seed" => asked.seed = number(&value()?)?,
            "--limit" => asked.limit = Some(number(&value()?)?),
            flag if flag.starts_with('-') => return Err(Error::bad_input(USAGE)),
            test => asked.tests.push(test.to_string()),
        }
    }
    Ok(asked)
}

/// The kernels and CPUs that were asked for.
fn kernels(asked: &Asked) -> Vec<(&'static Kernel, &'static str)> {
    let named = !asked.arch.is_empty() || !asked.kernel.is_empty();
    let fits = |list: &[String], name: &str| list.is_empty() || list.iter().any(|one| one == name);
    let mut found = Vec::new();
    for kernel in KERNELS.iter().filter(|kernel| asked.all || named || kernel.default) {
        let built = asked.all || asked.kernel.iter().any(|name| name == kernel.series);
        if !fits(&asked.kernel, kernel.series) || kernel.is_built() && !built {
            continue;
        }
        // Another CPU's binaries on the same kernel take as long to build as those of one more.
        let also = if asked.all || named { kernel.also } else { &[] };
        for arch in std::iter::once(kernel.arch).chain(also.iter().copied()) {
            if fits(&asked.arch, arch) {
                found.push((kernel, arch));
            }
        }
    }
    found
}

/// The boots. Each kernel sees every layout on x86_64; on other CPUs, where a boot takes longer,
/// each has one of them, unless more are asked for.
fn jobs(asked: &Asked, tests: &[Test]) -> Vec<Job> {
    let mut jobs = Vec::new();
    for (kernel, arch) in kernels(asked) {
        let layouts: Vec<String> = if !asked.cgroup.is_empty() {
            asked.cgroup.clone()
        } else if kernel.arch == "x86_64" {
            ["v1", "hybrid", "v2"].map(String::from).to_vec()
        } else {
            vec![one_layout(arch).to_string()]
        };
        for cgroup in layouts {
            jobs.push(Job::new(kernel, arch, &cgroup, tests.to_vec()));
        }
    }
    // The slow ones first, so that no core waits for the last.
    jobs.sort_by_key(|job| job.kernel.arch == "x86_64");
    jobs
}

/// The machines that lack something, and the controls: on the first kernel of the list. They
/// belong to every run that does not name kernels, layouts or tests.
fn special_jobs(asked: &Asked, home: &Path, tests: &[Test]) -> Result<Vec<Job>> {
    let folder = home.join("cut-down");
    let mut jobs = Vec::new();
    if asked.tests.is_empty()
        && (asked.all || asked.special || asked.kernel.iter().any(|name| name == "fitted"))
    {
        jobs.extend(cut_down::built_jobs(&folder)?);
    }
    let named = [&asked.arch, &asked.kernel, &asked.cgroup, &asked.tests];
    if !asked.special && named.iter().any(|list| !list.is_empty()) {
        return Ok(jobs);
    }
    // The store on ext4 instead of in RAM.
    let kernel = &KERNELS[0];
    let mut on_disk = Job::new(kernel, kernel.arch, "v2", tests.to_vec());
    on_disk.variant = "disk".to_string();
    on_disk.configuration.disk = disk::DEVICE.to_string();
    jobs.push(on_disk);
    jobs.extend(controls::jobs());
    jobs.extend(cut_down::jobs(&folder)?);
    Ok(jobs)
}

/// The host's tests, in each layout that is asked for.
fn host_jobs(asked: &Asked, place: &Place) -> Result<Vec<Job>> {
    let layouts: Vec<&str> = match &asked.cgroup[..] {
        // They take longest. The host itself has one of the two others.
        [] if !asked.host_tests => vec!["v1"],
        [] => vec!["v1", "hybrid", "v2"],
        some => some.iter().map(String::as_str).collect(),
    };
    let mut jobs = host_tests::jobs(&place.cache, &place.dist, &layouts)?;
    for job in &mut jobs {
        job.tests.retain(|(name, _)| {
            asked.tests.is_empty() || asked.tests.iter().any(|part| name.contains(part.as_str()))
        });
    }
    Ok(jobs)
}

/// What is usual on such devices.
fn one_layout(arch: &str) -> &'static str {
    match arch {
        "mipsel" | "arm" => "v1",
        "armv7" => "hybrid",
        _ => "v2",
    }
}

fn kernels_of(jobs: &[Job]) -> Vec<&'static Kernel> {
    let mut wanted: Vec<&'static Kernel> = Vec::new();
    for job in jobs {
        if !wanted.iter().any(|kernel| kernel.name() == job.kernel.name()) {
            wanted.push(job.kernel);
        }
    }
    wanted
}

/// Those whose kernel is there, or is known to be missing for a reason that counts.
fn possible(jobs: Vec<Job>, fetched: &Fetched) -> Vec<Job> {
    let is_possible = |job: &Job| {
        let name = job.kernel.name();
        fetched.kernels.contains_key(&name) || fetched.not_built.contains_key(&name)
    };
    jobs.into_iter().filter(is_possible).collect()
}

fn run() -> Result<ExitCode> {
    let asked = parse(std::env::args().skip(1))?;
    let home = PathBuf::from("qemu-tests");
    let only: &[String] = if asked.host_tests { &[] } else { &asked.tests };
    let tests = job::tests_of(&home.join("tests"), only)?;
    let mut jobs = jobs(&asked, &tests);
    // They belong to the whole, but each can be had alone.
    let part = asked.host_tests || asked.fuller || asked.older;
    if asked.special || part {
        jobs.clear();
    }
    let named = [&asked.arch, &asked.kernel, &asked.cgroup, &asked.tests];
    let any = named.iter().all(|list| list.is_empty());
    if !asked.least_memory && !part {
        jobs.extend(special_jobs(&asked, &home, &tests)?);
    }
    let whole = any && !asked.least_memory && !asked.special && !part;
    if asked.fuller || whole {
        jobs.extend(fuller::jobs(&home.join("fuller"))?);
    }
    if asked.older || whole && asked.all {
        jobs.extend(older_jobs::jobs(&tests));
    }
    let host_tests = asked.host_tests || asked.all && !asked.least_memory;
    if asked.arches || asked.list {
        let mut arches: Vec<&str> = jobs.iter().map(|job| job.arch.as_str()).collect();
        arches.extend(host_tests.then_some(KERNELS[0].arch));
        arches.sort_unstable();
        arches.dedup();
        if asked.arches {
            println!("{}", arches.join(" "));
            return Ok(ExitCode::SUCCESS);
        }
        jobs.iter().for_each(|job| println!("boot {}", job.name()));
        tests.iter().for_each(|(name, _)| println!("test {name}"));
        return Ok(ExitCode::SUCCESS);
    }
    let mut place = Place {
        cache: PathBuf::from("target/qemu"),
        dist: PathBuf::from("dist"),
        limit: Duration::from_secs(asked.limit.unwrap_or(240)),
        hardware: None,
        at_once: std::thread::available_parallelism().map_or(1, usize::from),
    };
    if host_tests {
        // The longest: first.
        jobs.splice(0..0, host_jobs(&asked, &place)?);
    }
    if jobs.is_empty() {
        return Err(Error::bad_input("no kernel fits; --all --list names them"));
    }
    let only = asked.power_cut.is_some() || asked.reboots.is_some();
    let samples = asked.power_cut.or((whole && !only).then_some(SAMPLES));
    let reboots = match asked.reboots {
        Some(boots) => Some((boots, KILLS)),
        None => (whole && !only).then_some(REBOOTS),
    };
    let words = power_cut::words(&asked.on, asked.power_cut.is_some() || asked.all)?;
    // Before anything is mounted for it.
    if samples.is_some()
        && let Some(code) = power_cut::replay::alone()?
    {
        return Ok(ExitCode::from(code as u8));
    }
    let (built, jobs): (Vec<Job>, Vec<Job>) =
        jobs.into_iter().partition(|job| job.kernel.is_built());
    let mut wanted = kernels_of(&jobs);
    if samples.is_some() && power_cut::needs_full_kernel(&words) {
        wanted.push(&FULL);
    }
    let mut fetched = job::fetch(&place.cache, &wanted)?;
    print!("{}", summary::of_kernels(&fetched));
    if asked.fetch {
        return Ok(ExitCode::SUCCESS);
    }
    let possible = possible(jobs, &fetched);
    if asked.tcg {
        println!("machines: emulation (TCG): as asked");
    } else {
        let (hardware, why) = hardware::probe(&place, &fetched, &possible)?;
        println!("machines: {why}");
        place.hardware = hardware;
    }
    if asked.least_memory {
        fetched.add(job::fetch(&place.cache, &kernels_of(&built))?);
        let mut possible = [possible, built].concat();
        if let Some(kernel) = possible.first().map(|job| job.kernel) {
            possible.push(cut_down::little_memory(kernel, &home.join("cut-down"))?);
        }
        least_memory::run(&place, &fetched, &possible)?;
        return Ok(ExitCode::SUCCESS);
    }
    let there = fetched.kernels.contains_key(&KERNELS[0].name());
    let (samples, reboots) = (samples.filter(|_| there), reboots.filter(|_| there));
    let told = |report: &job::Report| print!("{}", summary::of_report(report));
    let (reports, besides, more) = std::thread::scope(|scope| {
        // Beside the others: most of it is replay on the host.
        let example = samples.map(|samples| {
            let (place, fetched, words) = (&place, &fetched, &words);
            scope.spawn(move || power_cut::run(place, fetched, samples, words))
        });
        let story = reboots.map(|(boots, kills)| {
            let (place, fetched) = (&place, &fetched);
            let amount = reboots::Amount { boots, kills, seed: asked.seed };
            scope.spawn(move || Ok(vec![reboots::run(place, fetched, amount)?]))
        });
        // A build takes minutes, too.
        let builder = scope.spawn(|| job::fetch(&place.cache, &kernels_of(&built)));
        let reports = match only {
            true => Ok(Vec::new()),
            false => job::run(&place, &fetched, &possible, &told),
        };
        let besides = [example, story].map(|one| one.map(std::thread::ScopedJoinHandle::join));
        (reports, besides, builder.join())
    });
    let more = more.map_err(|_| Error::other("the builder's thread has ended"))??;
    print!("{}", summary::of_kernels(&more));
    let mut reports = reports?;
    if !only {
        reports.extend(job::run(&place, &more, &self::possible(built, &more), &told)?);
    }
    fetched.add(more);
    for done in besides.into_iter().flatten() {
        for (report, table) in
            done.map_err(|_| Error::other("a power cut's thread has ended"))??
        {
            print!("{table}{}", summary::of_report(&report));
            reports.push(report);
        }
    }
    let sums = Sums::of(&reports);
    println!("{}", summary::last_line(sums, &fetched));
    Ok(match (sums.failed, fetched.failed.is_empty()) {
        (0, true) => ExitCode::SUCCESS,
        (0, false) => ExitCode::from(3),
        _ => ExitCode::FAILURE,
    })
}

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("qemu-tests: {}", error.message());
        ExitCode::from(2)
    })
}
