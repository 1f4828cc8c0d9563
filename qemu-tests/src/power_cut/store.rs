//! Power cuts and the image store: load, tag, bake, import, rmi, commit, gc, on ext4 and on btrfs, and
//! pulls from a registry inside the machine. At every
//! instant the disk is mounted and the store looked at by `imgstore fsck --deep`: nothing broken, and
//! the names that were acknowledged are there, or those of the step that was under way. A file that was
//! baked is that of the last step or the one before, whole: never half. Then a load
//! must succeed, and after `gc` nothing may be left that nobody needs.
//!
//! The same session with syncs that do nothing (a seccomp filter answers them) must lose something.

use super::record::{Recording, record_on};
use super::replay::{Amount, Findings, replay_on};
use crate::console::Verdict;
use crate::hosted;
use crate::image;
use crate::initramfs::{self, Binaries};
use crate::job::{Fetched, Job, Place, Report, Test, commons};
use crate::kernels::{KERNELS, Kernel};
use base::{Error, OnError, Result};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// What is done; the number of a step is what is promised after it. And the names after each step; before
/// the first promise there may be none.
struct Story {
    steps: &'static [&'static str],
    names: &'static [&'static [&'static str]],
}

const LOCAL: Story = Story { steps: &STEPS, names: &NAMES };
const PULLS: Story = Story { steps: &PULL_STEPS, names: &PULL_NAMES };

const PULL_STEPS: [&str; 7] = [
    "",
    "probe with-registry /dev/vdb coracle pull -q 127.0.0.1:5000/three:1",
    "coracle imgstore rmi 127.0.0.1:5000/three:1",
    "probe with-registry /dev/vdb coracle pull -q 127.0.0.1:5000/three:2",
    "coracle imgstore rmi -f probe",
    "coracle imgstore gc",
    "probe with-registry /dev/vdb coracle pull -q -a 127.0.0.1:5000/three",
];

const PULL_NAMES: [&[&str]; 8] = [
    &[],
    &["probe:latest"],
    &["127.0.0.1:5000/three:1", "probe:latest"],
    &["probe:latest"],
    &["127.0.0.1:5000/three:2", "probe:latest"],
    &["127.0.0.1:5000/three:2"],
    &["127.0.0.1:5000/three:2"],
    &["127.0.0.1:5000/three:1", "127.0.0.1:5000/three:2"],
];

const STEPS: [&str; 12] = [
    // The tests' image was loaded before.
    "",
    "coracle imgstore tag probe one:1",
    "coracle imgstore bake probe -o /var/lib/coracle/base.tar",
    // Over it, and other bytes.
    "coracle imgstore bake one:1 -o /var/lib/coracle/base.tar",
    "coracle imgstore import /images/probe.tar second",
    "coracle imgstore rmi one:1",
    "coracle imgstore rmi second",
    "coracle commit kept third:1",
    "coracle imgstore rmi -f probe",
    "coracle imgstore gc",
    "coracle imgstore import /images/probe-oci.tar fourth",
    "coracle imgstore rmi third:1",
];

const NAMES: [&[&str]; 13] = [
    &[],
    &["probe:latest"],
    &["one:1", "probe:latest"],
    &["one:1", "probe:latest"],
    &["one:1", "probe:latest"],
    &["one:1", "probe:latest", "second:latest"],
    &["probe:latest", "second:latest"],
    &["probe:latest"],
    &["probe:latest", "third:1"],
    &["third:1"],
    &["third:1"],
    &["fourth:latest", "third:1"],
    &["fourth:latest"],
];

fn session(story: &Story, with_sync: bool) -> String {
    let prefix = if with_sync { "" } else { "probe nosync " };
    let mut text = String::new();
    for (number, step) in story.steps.iter().enumerate() {
        if step.starts_with("coracle commit") {
            let _ = writeln!(
                text,
                "$ {prefix}coracle create --net none --name kept probe write /srv/f x\n*"
            );
            let _ = writeln!(text, "$ {prefix}coracle start -a kept");
        }
        if !step.is_empty() {
            let _ = writeln!(text, "$ {prefix}{step}\n...");
        }
        if step.starts_with("coracle commit") {
            let _ = writeln!(text, "$ {prefix}coracle rm kept\n*");
        }
        let _ = writeln!(text, "$ probe mark {}", number + 1);
    }
    text
}

/// A recording: a file system, with syncs or without.
struct Row {
    kind: &'static str,
    with_sync: bool,
    story: &'static Story,
}

const ROWS: [Row; 5] = [
    Row { kind: "ext4", with_sync: true, story: &LOCAL },
    Row { kind: "btrfs", with_sync: true, story: &LOCAL },
    Row { kind: "ext4", with_sync: false, story: &LOCAL },
    Row { kind: "ext4", with_sync: true, story: &PULLS },
    Row { kind: "ext4", with_sync: false, story: &PULLS },
];

impl Row {
    fn pulls(&self) -> bool {
        self.story.steps.len() == PULL_STEPS.len()
    }

    fn name(&self) -> String {
        let what = if self.pulls() { " pulls" } else { "" };
        format!("{}{what}, {} syncs", self.kind, if self.with_sync { "with" } else { "without" })
    }
}

fn job(kernel: &'static Kernel, row: &Row) -> Job {
    let word = if row.with_sync { "sync" } else { "nosync" };
    let what = if row.pulls() { "pulls" } else { "store" };
    let test: Test = (format!("{what}-{}-{word}", row.kind), session(row.story, row.with_sync));
    let mut job = Job::new(kernel, kernel.arch, "v2", vec![test]);
    job.hosted = row.pulls().then_some(hosted::three);
    job.variant = format!("power cut {what} {} {word}", row.kind);
    job
}

/// The tool on the host.
struct Tool<'a> {
    binary: &'a Path,
    run: PathBuf,
    archive: PathBuf,
    /// What each baking step of a story gives, by its number.
    baked: Vec<(usize, Vec<u8>)>,
}

impl Tool<'_> {
    fn say(&self, root: &Path, words: &[&str]) -> std::result::Result<String, String> {
        let mut command = Command::new(self.binary);
        command.arg("imgstore").arg("--root").arg(root).arg("--run").arg(&self.run).args(words);
        let out = command.output().map_err(|error| format!("imgstore: {error}"))?;
        let text = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).trim().to_string();
        if out.status.success() { Ok(text) } else { Err(format!("{}: {text}", words.join(" "))) }
    }

    /// Bakes on this host what the story bakes: the same images give the same bytes.
    fn bake(&mut self, story: &Story, folder: &Path) -> Result<()> {
        let (root, file) = (folder.join("root"), folder.join("baked"));
        let archive = self.archive.display().to_string();
        let out = file.display().to_string();
        let say = |words: &[&str]| self.say(&root, words).map_err(Error::other);
        say(&["load", "-q", &archive])?;
        say(&["tag", "probe", "one:1"])?;
        let mut baked = Vec::new();
        for (number, step) in story.steps.iter().enumerate() {
            let words = step.strip_prefix("coracle imgstore bake ");
            if let Some(image) = words.and_then(|words| words.split(' ').next()) {
                say(&["bake", image, "-o", &out])?;
                baked.push((number, std::fs::read(&file).on_path("read", &file)?));
            }
        }
        self.baked = baked;
        std::fs::remove_dir_all(folder).on_path("remove", folder)
    }

    /// Whether the baked file is what the last step acknowledged made, or the next one.
    fn look_at_baked(&self, root: &Path, step: usize) -> std::result::Result<(), String> {
        let file = root.join("base.tar");
        let found = match std::fs::read(&file) {
            Ok(found) => Some(found),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(format!("{}: {error}", file.display())),
        };
        // Promise N is made when all steps below N are done; then comes step N.
        let before = self.baked.iter().rfind(|(number, _)| *number < step);
        let under_way = self.baked.iter().find(|(number, _)| *number == step);
        let is = |wanted: Option<&(usize, Vec<u8>)>| found.as_ref() == wanted.map(|(_, tar)| tar);
        if is(before) || under_way.is_some() && is(under_way) {
            return Ok(());
        }
        let size = found.map(|tar| tar.len());
        Err(format!("after step {step} the baked file is another one: {size:?} bytes"))
    }

    /// Looks at one state.
    fn look(
        &self,
        story: &Story,
        root: &Path,
        promised: Option<u64>,
    ) -> std::result::Result<(), String> {
        let step = promised.unwrap_or(0) as usize;
        if root.join("format").exists() {
            self.say(root, &["fsck", "--deep"])?;
            let text = self.say(root, &["images"])?;
            let mut names: Vec<String> = Vec::new();
            for line in text.lines().skip(1) {
                let mut words = line.split_whitespace();
                let (name, tag) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
                if name != "<none>" {
                    names.push(format!("{name}:{tag}"));
                }
            }
            names.sort();
            let fits = |step: usize| story.names.get(step).is_some_and(|wanted| names == *wanted);
            if !fits(step) && !fits(step + 1) {
                return Err(format!("after step {step} there are {names:?}"));
            }
        } else if step > 0 {
            return Err(format!("after step {step} there is no store"));
        }
        if story.steps.len() == STEPS.len() {
            self.look_at_baked(root, step)?;
        }
        let archive = self.archive.display().to_string();
        self.say(root, &["load", "-q", &archive])?;
        self.say(root, &["gc"])?;
        self.say(root, &["fsck", "--deep"])?;
        let usage = self.say(root, &["df"])?;
        let layers = usage.lines().find(|line| line.starts_with("Layers")).unwrap_or("");
        if !layers.ends_with(" 0B") {
            return Err(format!("space is lost: {layers}"));
        }
        for name in ["layers", "work"] {
            for entry in std::fs::read_dir(root.join(name)).into_iter().flatten().flatten() {
                if name == "work" || !entry.path().join("record").exists() {
                    return Err(format!("left behind: {}", entry.path().display()));
                }
            }
        }
        Ok(())
    }
}

fn replay(tool: &Tool<'_>, row: &Row, recording: &Recording, samples: usize) -> Result<Findings> {
    let amount = Amount { samples, seed: 1 };
    let look = &mut |folder: &Path, promised| tool.look(row.story, folder, promised);
    replay_on(row.kind, recording, amount, look)
}

/// All rows: with syncs nothing may be lost, without them something must be.
pub fn run(place: &Place, fetched: &Fetched, samples: usize) -> Result<(Report, String)> {
    let begin = Instant::now();
    let kernel = KERNELS.first().ok_or_else(|| Error::other("no kernel"))?;
    let jobs: Vec<Job> = ROWS.iter().map(|row| job(kernel, row)).collect();
    let commons = commons(place, fetched, &jobs)?;
    let key = (kernel.name(), kernel.arch.to_string());
    let (Some(unpacked), Some(common)) = (fetched.kernels.get(&key.0), commons.get(&key)) else {
        return Err(Error::not_found("its kernel was not downloaded"));
    };
    let dist = place.dist.join(kernel.arch).join("small");
    let binary = dist.join("coracle");
    let guest = dist.join("qemu-guest");
    let guest = std::fs::read(&guest).on_path("read", &guest)?;
    let (run, archive) = (place.cache.join("power-cut-run"), place.cache.join("power-cut.tar"));
    std::fs::write(&archive, image::archives(&guest, "amd64")?.docker)
        .on_path("write", &archive)?;
    let mut tool = Tool { binary: &binary, run, archive, baked: Vec::new() };
    tool.bake(&LOCAL, &place.cache.join("power-cut-bake"))?;
    let mut table = format!(
        "{:20} {:>8} {:>8} {:>8} {:>8}\n",
        "power cut, store", "requests", "flushes", "states", "losses"
    );
    let mut verdicts = Vec::new();
    for (job, row) in jobs.iter().zip(&ROWS) {
        let folder = place.cache.join(job.name().replace(' ', "-"));
        let with_module;
        let common = if row.kind == "ext4" {
            common
        } else {
            let binaries = Binaries::read(&place.dist, kernel.arch)?;
            with_module = initramfs::common_with(&binaries, &unpacked.modules, &[row.kind])?;
            &with_module
        };
        let recording = record_on(row.kind, place, unpacked, common, job, &folder)?;
        let entries = &recording.log.entries;
        let found = replay(&tool, row, &recording, samples)?;
        let name = row.name();
        let _ = writeln!(
            table,
            "    {name:20} {:4} {:8} {:8} {:8}",
            entries.len(),
            entries.iter().filter(|entry| entry.flush).count(),
            found.states,
            found.wrong
        );
        for reason in found.reasons.iter().take(3) {
            let _ = writeln!(table, "        {reason}");
        }
        let verdict = match (row.with_sync, found.wrong) {
            (true, 0) | (false, 1..) => Verdict::Passed(String::new()),
            (true, _) => Verdict::Failed("something was lost in spite of the syncs".to_string()),
            (false, _) => Verdict::Failed("that nothing is synced was not found".to_string()),
        };
        verdicts.push((name.replace([' ', ','], "-"), verdict));
        let _ = std::fs::remove_dir_all(&folder);
    }
    let _ = std::fs::remove_file(&tool.archive);
    let _ = std::fs::remove_dir_all(&tool.run);
    let report = Report::of_several("power cut, store", verdicts, begin.elapsed(), place);
    Ok((report, table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_has_its_names() {
        for story in [LOCAL, PULLS] {
            assert_eq!(story.names.len(), story.steps.len() + 1);
            let text = session(&story, false);
            assert_eq!(text.matches("probe mark").count(), story.steps.len());
            assert!(crate::session::Session::parse(&text).is_ok(), "{text}");
        }
    }
}
