//! Instead of tests: the story of the image store on ubifs, again and again, each time until ubifs cuts the power
//! by itself ([`crate::power_cut::ubifs`]); then a look at what is left.

use super::replay::tell;
use super::runner::run as run_command;
use super::{IMAGES, MODULES, mounted};
use crate::power_cut::look::Tool;
use crate::power_cut::replay::Findings;
use crate::power_cut::story::LOCAL;
use crate::power_cut::ubifs::{CHIP, IMAGE, VOLUME};
use crate::random::Random;
use rustix::mount::{MountFlags, UnmountFlags, unmount};
use std::ffi::CString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const FOLDER: &str = "/var/lib/coracle";
const RUN: &str = "/run/coracle";
const DEBUG: &str = "/sys/kernel/debug";
/// Stories that end without a cut, in a row.
const MOST_WITHOUT: usize = 40;

/// What `SEED CUTS sync|nosync` asks for.
pub(super) fn run(order: &str) -> Result<(), String> {
    let mut words = order.split(' ');
    let mut number = || words.next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    let (seed, cuts) = (number(), number() as usize);
    let prefix = if words.next() == Some("sync") { "" } else { "probe nosync " };
    load("nandsim", CHIP)?;
    fill(Path::new("/dev/mtd0"))?;
    load("ubi", "mtd=0")?;
    load("ubifs", "")?;
    mounted("debugfs", DEBUG, "debugfs", MountFlags::empty(), c"")?;
    let archive = PathBuf::from(format!("{IMAGES}/probe.tar"));
    let mut tool = Tool::new(Path::new("/bin/coracle"), PathBuf::from("/run/state"), archive);
    tool.bake(&LOCAL, Path::new("/tmp/baking")).map_err(|error| error.message().to_string())?;
    let (mut random, mut found, mut without) = (Random::new(seed), Findings::default(), 0);
    mount()?;
    // A story without a cut: how long it takes.
    let begin = Instant::now();
    story(prefix, Cut::None)?.map_err(|(_, reason)| reason)?;
    let usual = begin.elapsed().as_millis() as usize;
    while found.states < cuts {
        clear()?;
        // Without syncs what a torn write leaves is what a sync of somebody else's had come to.
        let way = match random.below(2) {
            0 if prefix.is_empty() => Cut::Torn(random.below(LOCAL.steps.len())),
            _ => Cut::After(Duration::from_millis(random.below(usual) as u64)),
        };
        let done = story(prefix, way)?;
        let is_cut = is_cut()?;
        if let Some((_, reason)) = done.as_ref().err().filter(|_| !is_cut) {
            return Err(format!("no cut, and a step failed: {reason}"));
        }
        unmount(FOLDER, UnmountFlags::empty()).map_err(|errno| format!("unmount: {errno}"))?;
        let _ = std::fs::remove_dir_all(RUN);
        let mounted = mount();
        if !is_cut {
            mounted?;
            without += 1;
            if without > MOST_WITHOUT {
                return Err(format!("{without} stories without a cut"));
            }
            continue;
        }
        without = 0;
        let steps = done.as_ref().err().map_or(LOCAL.steps.len(), |(steps, _)| *steps);
        let lost = mounted.is_err();
        let looked = mounted
            .map_err(|error| format!("it cannot be mounted: {error}"))
            .and_then(|()| tool.look(&LOCAL, Path::new(FOLDER), Some(steps as u64)));
        let line = format!("cut {}, {way:?}, in step {steps}: {looked:?}\n", found.states + 1);
        let _ = rustix::io::write(rustix::stdio::stdout(), line.as_bytes());
        found.add(looked.map_err(|reason| format!("{way:?}, in step {steps}: {reason}")));
        if lost {
            break;
        }
    }
    tell(&found);
    Ok(())
}

fn mount() -> Result<(), String> {
    mounted(&format!("ubi0:{VOLUME}"), FOLDER, "ubifs", MountFlags::empty(), c"")
}

/// How the power goes.
#[derive(Clone, Copy, Debug)]
enum Cut {
    None,
    /// In the middle of a write, some time from this step on.
    Torn(usize),
    /// So long after the beginning.
    After(Duration),
}

fn switch(name: &str) -> Result<(), String> {
    let path = format!("{DEBUG}/ubifs/ubi0_0/{name}");
    std::fs::write(&path, "1").map_err(|error| format!("{path}: {error}"))
}

/// The steps, and a cut. How many were acknowledged before one failed, and why it did.
fn story(prefix: &str, cut: Cut) -> Result<Result<(), (usize, String)>, String> {
    std::thread::scope(|scope| {
        let cutter = scope.spawn(move || match cut {
            Cut::After(delay) => {
                std::thread::sleep(delay);
                switch("ro_error")
            }
            _ => Ok(()),
        });
        let done = steps(prefix, cut);
        cutter.join().map_err(|_| "a thread has ended".to_string())??;
        done
    })
}

fn steps(prefix: &str, cut: Cut) -> Result<Result<(), (usize, String)>, String> {
    for (number, step) in LOCAL.steps.iter().enumerate() {
        if matches!(cut, Cut::Torn(first) if first == number) {
            switch("tst_recovery")?;
        }
        let mut commands = Vec::new();
        match *step {
            "" => commands.push(format!("coracle load -q -i {IMAGES}/probe.tar")),
            // It is not started: nothing must use the file system when the power goes.
            step if step.starts_with("coracle commit") => {
                commands.push("coracle create --net none --name kept probe exit 0".to_string());
                commands.push(step.to_string());
                commands.push("coracle rm kept".to_string());
            }
            step => commands.push(step.to_string()),
        }
        for command in commands {
            let words = format!("{prefix}{command}");
            let words: Vec<String> = words.split(' ').map(String::from).collect();
            let done = run_command(&words, false)?;
            if done.code != 0 {
                return Ok(Err((number, format!("{command}: {}", done.errors.trim()))));
            }
        }
    }
    Ok(Ok(()))
}

/// Whether everything is refused.
fn is_cut() -> Result<bool, String> {
    let probe = Path::new(FOLDER).join("probe");
    let written = std::fs::File::create(&probe).and_then(|mut file| {
        file.write_all(b"x")?;
        file.sync_all()
    });
    match written {
        Ok(()) => std::fs::remove_file(&probe).map(|()| false).or(Ok(true)),
        Err(error) if error.kind() == std::io::ErrorKind::ReadOnlyFilesystem => Ok(true),
        Err(error) => Err(format!("{}: {error}", probe.display())),
    }
}

/// Before a story: nothing is there.
fn clear() -> Result<(), String> {
    let said = |error: std::io::Error| format!("clear {FOLDER}: {error}");
    for entry in std::fs::read_dir(FOLDER).map_err(said)?.flatten() {
        let path = entry.path();
        let removed = match path.is_dir() {
            true => std::fs::remove_dir_all(&path),
            false => std::fs::remove_file(&path),
        };
        removed.map_err(said)?;
    }
    rustix::fs::sync();
    Ok(())
}

/// The chip's first content; the rest of it is erased.
fn fill(device: &Path) -> Result<(), String> {
    let said = |error: std::io::Error| format!("{}: {error}", device.display());
    let bytes = std::fs::read(IMAGE).map_err(said)?;
    // The kernel makes the node a moment later.
    for _ in 0..100 {
        if device.exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut chip = std::fs::File::options().write(true).open(device).map_err(said)?;
    chip.write_all(&bytes).map_err(said)
}

/// Loads a module that was left out before, with settings.
fn load(name: &str, settings: &str) -> Result<(), String> {
    let said = |error: std::io::Error| format!("module {name}: {error}");
    let end = format!("-{name}.ko");
    let entries = std::fs::read_dir(MODULES).map_err(said)?.flatten();
    let path =
        entries.map(|entry| entry.path()).find(|path| path.to_string_lossy().ends_with(&end));
    let path = path.ok_or_else(|| format!("module {name}: this kernel has none"))?;
    let file = std::fs::File::open(path).map_err(said)?;
    let settings = CString::new(settings).map_err(|error| error.to_string())?;
    rustix::system::finit_module(&file, &settings, 0)
        .map_err(|errno| format!("module {name}: {errno}"))
}
