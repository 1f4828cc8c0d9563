//! The one program inside the tests' containers: small verbs, each for something that a test looks
//! at. No shell and no C library is needed inside.

use super::registry::with_registry;
use crate::power_cut;
use rustix::process::{Signal, getgid, getpid, getuid, kill_process};
use std::io::{Read, Write};
use std::process::ExitCode;
use std::time::Duration;

/// `probe VERB ARGUMENT…`
pub fn main(words: &[String]) -> ExitCode {
    let word = |number: usize| words.get(number).map_or("", String::as_str);
    let number = |place: usize| word(place).parse::<u64>().unwrap_or(0);
    let rest = words.get(1..).unwrap_or_default();
    let result = match word(0) {
        "say" => print(&rest.join(" ")),
        "warn" => writeln!(std::io::stderr(), "{}", rest.join(" ")),
        "exit" => return ExitCode::from(number(1) as u8),
        "sleep" => {
            std::thread::sleep(Duration::from_secs(number(1)));
            Ok(())
        }
        "signal" => signal_self(number(1)),
        "trap" => return trap(number(1) as u8),
        "eat" => eat(number(1)),
        "burn" => burn(number(1)),
        "grep" => grep(word(1), word(2)),
        "fork" => fork(number(1)),
        "id" => print(&format!("{}:{} pid {}", getuid().as_raw(), getgid().as_raw(), getpid())),
        "cat" => cat(word(1)),
        "write" => {
            let above = std::path::Path::new(word(1)).parent();
            above
                .map_or(Ok(()), std::fs::create_dir_all)
                .and_then(|()| std::fs::write(word(1), word(2)))
        }
        "keep" => keep(word(1), word(2)),
        "count" => (1..=number(1)).try_for_each(|line| print(&format!("line {line}"))),
        "list" => list(word(1)),
        "fds" => list("/proc/self/fd"),
        "device" => device(number(1) as u32, number(2) as u32),
        "kill-9" => kill_9(word(1)),
        "cgroup" => cgroup(word(1)),
        "label" => label(word(1)),
        // With one write: the kernel takes a policy whole.
        "copy" => std::fs::read(word(1)).and_then(|bytes| std::fs::write(word(2), bytes)),
        "fill" => fill(word(1), number(2)),
        "mark" => power_cut::mark(crate::disk::DEVICE, number(1)).map_err(other),
        "versions" => power_cut::example::versions(word(1) == "sync").map_err(other),
        "nosync" => return without_syncs(rest),
        "with-registry" => match with_registry(word(1), rest.get(1..).unwrap_or_default()) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        "as" => return run_as(number(1) as u32, rest.get(1..).unwrap_or_default()),
        _ => {
            let _ = writeln!(std::io::stderr(), "probe: unknown verb {:?}", word(0));
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "probe {}: {error}", words.join(" "));
            ExitCode::FAILURE
        }
    }
}

/// Runs a command whose syncs do nothing and say that all is well.
fn without_syncs(words: &[String]) -> ExitCode {
    use base::sys::seccomp::bpf;
    use std::os::unix::process::CommandExt;
    let Some((program, arguments)) = words.split_first() else { return ExitCode::from(2) };
    let calls = [libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_syncfs, libc::SYS_sync];
    let mut filter = vec![bpf::load(bpf::CALL)];
    for call in calls {
        filter.extend([bpf::equal(call as u32, 1), bpf::fail(0)]);
    }
    filter.push(bpf::ALLOW);
    if let Err(error) = base::sys::seccomp::install(&filter) {
        let _ = writeln!(std::io::stderr(), "probe nosync: {error}");
        return ExitCode::FAILURE;
    }
    let error = std::process::Command::new(format!("/bin/{program}")).args(arguments).exec();
    let _ = writeln!(std::io::stderr(), "probe: {program}: {error}");
    ExitCode::FAILURE
}

fn other(error: base::Error) -> std::io::Error {
    std::io::Error::other(error.message().to_string())
}

/// Writes a file so that no power cut takes it once this has ended.
fn keep(path: &str, text: &str) -> std::io::Result<()> {
    use base::files::{Sync, write_then_rename};
    let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
    write_then_rename(std::path::Path::new(folder), name, text.as_bytes(), Sync::Yes).map_err(other)
}

fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{text}")?;
    out.flush()
}

fn signal_self(number: u64) -> std::io::Result<()> {
    let signal = Signal::from_named_raw(number as i32).ok_or(rustix::io::Errno::INVAL)?;
    kill_process(getpid(), signal)?;
    Ok(())
}

/// Waits for SIGTERM, says so, and ends with this code.
fn trap(code: u8) -> ExitCode {
    let wait = || -> std::io::Result<()> {
        let signals = base::sys::signal::descriptor(&[Signal::TERM.as_raw()])?;
        print("ready")?;
        let mut waiting = [rustix::event::PollFd::new(&signals, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut waiting, None)?;
        print("bye")
    };
    if wait().is_ok() { ExitCode::from(code) } else { ExitCode::FAILURE }
}

/// Takes megabytes of memory, page by page.
fn eat(megabytes: u64) -> std::io::Result<()> {
    let mut taken = Vec::new();
    for _ in 0..megabytes {
        let mut block = vec![0_u8; 1 << 20];
        block.iter_mut().step_by(1024).for_each(|byte| *byte = 1);
        taken.push(block);
    }
    print(&format!("{} MB", taken.len()))
}

/// Is busy for so many milliseconds, and says whether it had the processor for most of them.
fn burn(millis: u64) -> std::io::Result<()> {
    let begin = std::time::Instant::now();
    let mut number = 0_u64;
    while begin.elapsed() < Duration::from_millis(millis) {
        number = std::hint::black_box(number.wrapping_add(1));
    }
    let wall = begin.elapsed();
    let used = base::sys::clock::processor_time();
    print(if used * 2 < wall { "held back" } else { "not held back" })
}

/// The lines of a file with this text.
fn grep(text: &str, path: &str) -> std::io::Result<()> {
    let file = std::fs::read_to_string(path)?;
    file.lines().filter(|line| line.contains(text)).try_for_each(print)
}

/// How many processes of so many could be started.
fn fork(count: u64) -> std::io::Result<()> {
    let mut children = Vec::new();
    for _ in 0..count {
        let child = std::process::Command::new("/bin/probe").args(["sleep", "60"]).spawn();
        match child {
            Ok(child) => children.push(child),
            Err(error) => {
                print(&format!("refused: {error}"))?;
                break;
            }
        }
    }
    let started = children.len() as u64;
    for child in &mut children {
        child.kill()?;
        child.wait()?;
    }
    print(if started == count { "all" } else { "some" })
}

fn cat(path: &str) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    match path {
        "" | "-" => std::io::stdin().read_to_end(&mut bytes)?,
        path => std::fs::File::open(path)?.read_to_end(&mut bytes)?,
    };
    std::io::stdout().write_all(&bytes)
}

fn list(folder: &str) -> std::io::Result<()> {
    let entries = std::fs::read_dir(folder)?;
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    print(&names.join(" "))
}

/// Makes a character device and opens it: the first is allowed to containers, the second only for
/// what the rules name.
fn device(major: u32, minor: u32) -> std::io::Result<()> {
    use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
    let mode = Mode::from_raw_mode(0o600);
    mknodat(CWD, "/tmp/device", FileType::CharacterDevice, mode, makedev(major, minor))?;
    match std::fs::File::open("/tmp/device") {
        Ok(_) => print("opened"),
        Err(error) => print(&format!("refused: {error}")),
    }
}

/// What a file of the containers' cgroups says, where /sys/fs/cgroup is the host's.
fn cgroup(file: &str) -> std::io::Result<()> {
    let mut folders = vec![std::path::PathBuf::from("/sys/fs/cgroup")];
    let hierarchies = std::fs::read_dir("/sys/fs/cgroup")?.flatten();
    // Not those that are links to others.
    folders.extend(hierarchies.filter_map(|entry| {
        entry.file_type().is_ok_and(|kind| kind.is_dir()).then(|| entry.path())
    }));
    for folder in folders {
        let Ok(groups) = std::fs::read_dir(folder.join("coracle")) else { continue };
        for group in groups.flatten() {
            if let Ok(text) = std::fs::read_to_string(group.path().join(file)) {
                print(text.trim_end())?;
            }
        }
    }
    Ok(())
}

/// What SELinux calls a file.
fn label(path: &str) -> std::io::Result<()> {
    let mut bytes = [0; 256];
    let count = rustix::fs::getxattr(path, "security.selinux", &mut bytes[..])?;
    let text = String::from_utf8_lossy(bytes.get(..count).unwrap_or_default()).into_owned();
    print(text.trim_end_matches('\0'))
}

/// Writes so many megabytes to a file.
fn fill(path: &str, megabytes: u64) -> std::io::Result<()> {
    let mut file = std::fs::File::create(path)?;
    for _ in 0..megabytes {
        file.write_all(&[1; 1 << 20])?;
    }
    file.sync_all()?;
    print(&format!("{megabytes} MB"))
}

/// SIGKILL for every process with this argv[0].
fn kill_9(name: &str) -> std::io::Result<()> {
    let mut killed = 0;
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let is_it = words.split(|byte| *byte == 0).next() == Some(name.as_bytes());
        let pid = entry.file_name().to_str().and_then(|text| text.parse().ok());
        if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw).filter(|_| is_it) {
            kill_process(pid, Signal::KILL)?;
            killed += 1;
        }
    }
    print(&format!("{killed} killed"))
}

/// Another user runs `/bin/WORD…`.
fn run_as(id: u32, words: &[String]) -> ExitCode {
    use std::os::unix::process::CommandExt;
    let Some((program, arguments)) = words.split_first() else { return ExitCode::from(2) };
    let home = format!("/tmp/home-{id}");
    let _ = std::fs::create_dir_all(&home);
    let _ = std::os::unix::fs::chown(&home, Some(id), Some(id));
    let error = std::process::Command::new(format!("/bin/{program}"))
        .args(arguments)
        .env("HOME", &home)
        .env("XDG_RUNTIME_DIR", format!("{home}/run"))
        .env("CORACLE_ROOT", format!("{home}/store"))
        .uid(id)
        .gid(id)
        .exec();
    let _ = writeln!(std::io::stderr(), "probe: {program}: {error}");
    ExitCode::FAILURE
}
