//! Runs the sessions in the machine, and looks at what each of them leaves behind.

use super::features::missing;
use super::{IMAGES, say};
use crate::session::{Session, Step};
use rustix::process::{Pid, WaitOptions, WaitStatus, wait, waitpid};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// For one command, on an emulated and busy machine.
const COMMAND_LIMIT: Duration = Duration::from_secs(100);
/// The same for one of the host's tests, which is many commands.
const PROGRAM_LIMIT: Duration = Duration::from_secs(300);
/// How much of a failed command's output is kept on the console.
const SHOWN: usize = 16 << 10;
/// For what is tried again until it is right, and for what must have gone.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Runs every test of the folder, in the order of their names. `programs`: they are the host's test
/// programs, which find and make for themselves what they need. `older`: words before each command.
pub(super) fn run_all(folder: &Path, programs: bool, older: &[String]) -> Result<(), String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("tests: {error}"))?;
    let mut names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    // The image that the tests use; the test of loading itself brings its own folder.
    if !programs {
        load_image()?;
    }
    for name in &names {
        let text = std::fs::read_to_string(folder.join(name).join("session"));
        let text = text.map_err(|error| format!("test {name}: {error}"))?;
        let begin = Instant::now();
        let result = match Session::parse(&text) {
            Ok(session) => run_session(&session, programs, older),
            Err(error) => Outcome::Failed(error),
        };
        let seconds = begin.elapsed().as_secs_f32();
        say(&match result {
            Outcome::Ok => format!("{name} ok {seconds:.1} s"),
            Outcome::Failed(reason) => format!("{name} failed {reason}"),
            Outcome::Skipped(reason) => format!("{name} skipped {reason}"),
        });
    }
    say(&format!("end {}", names.len()));
    Ok(())
}

/// Loads the tests' image.
pub(super) fn load_image() -> Result<(), String> {
    let archive = format!("{IMAGES}/probe.tar");
    let loaded = run(&["coracle".into(), "load".into(), "-i".into(), archive], false)?;
    if loaded.code != 0 {
        say(&format!("note load of the tests' image: {}", loaded.errors.trim()));
    }
    Ok(())
}

enum Outcome {
    Ok,
    Failed(String),
    Skipped(String),
}

fn run_session(session: &Session, programs: bool, older: &[String]) -> Outcome {
    if let Some(reason) = session.needs.iter().find_map(|name| missing(name)) {
        return Outcome::Skipped(reason);
    }
    let before = left();
    for step in &session.steps {
        if let Err(reason) = run_step(step, programs, older) {
            put_away();
            return Outcome::Failed(format!(
                "line {}: {}: {reason}",
                step.line,
                step.words.join(" ")
            ));
        }
    }
    match wait_until(PATIENCE, || {
        let more: Vec<String> =
            left().into_iter().filter(|entry| !before.contains(entry)).collect();
        if more.is_empty() { Ok(()) } else { Err(more.join(", ")) }
    }) {
        Ok(()) => Outcome::Ok,
        Err(more) => {
            put_away();
            Outcome::Failed(format!("left behind: {more}"))
        }
    }
}

fn run_step(step: &Step, programs: bool, older: &[String]) -> Result<(), String> {
    let words = [older, &step.words].concat();
    let mut last = None;
    let mut once = || {
        let done = run(&words, programs)?;
        let result = step.check(done.code, &done.output, &done.errors);
        last = Some(done);
        result
    };
    let result = if step.again { wait_until(PATIENCE, once) } else { once() };
    // For the console's log; the reason is one line.
    if let (Err(_), Some(done)) = (&result, last) {
        for line in done.output.lines().chain(done.errors.lines()).scan(0, |size, line| {
            *size += line.len();
            (*size < SHOWN).then_some(line)
        }) {
            let _ =
                rustix::io::write(rustix::stdio::stdout(), format!("    | {line}\n").as_bytes());
        }
    }
    result
}

pub(super) fn wait_until(
    limit: Duration,
    mut condition: impl FnMut() -> Result<(), String>,
) -> Result<(), String> {
    let begin = Instant::now();
    loop {
        let result = condition();
        if result.is_ok() || begin.elapsed() > limit {
            return result;
        }
        reap();
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// PID 1 inherits the monitors, whose ends nobody else waits for.
fn reap() {
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}

/// What a command gave.
pub(super) struct Done {
    pub(super) code: i32,
    pub(super) output: String,
    pub(super) errors: String,
}

/// Runs a command.
pub(super) fn run(words: &[String], programs: bool) -> Result<Done, String> {
    let mut running = start(words, programs)?;
    let limit = if programs { PROGRAM_LIMIT } else { COMMAND_LIMIT };
    let begin = Instant::now();
    loop {
        if let Some(done) = running.ended()? {
            return Ok(done);
        }
        if begin.elapsed() > limit {
            running.end();
            return Err(format!("no end after {} s", limit.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// A command that runs. Its streams are files: what it leaves running must not keep us waiting.
pub(super) struct Running {
    pid: Pid,
}

const OUTPUT: &str = "/run/test-output";
const ERRORS: &str = "/run/test-errors";

fn start(words: &[String], programs: bool) -> Result<Running, String> {
    let (program, arguments) = words.split_first().ok_or("no command")?;
    let open = |name: &str| std::fs::File::create(name).map_err(|error| format!("{name}: {error}"));
    let mut command = Command::new(format!("/bin/{program}"));
    command
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/root")
        .stdin(Stdio::null())
        .stdout(open(OUTPUT)?)
        .stderr(open(ERRORS)?)
        .process_group(0);
    if programs {
        command.env("CORACLE_BIN", "/usr/bin/coracle").env("CORACLE_TEST_PATIENCE", "6");
    } else {
        // Named, for it lies in RAM where the machine has no disk.
        command.env("CORACLE_ROOT", "/var/lib/coracle");
    }
    let child = command.spawn().map_err(|error| format!("start {program}: {error}"))?;
    Ok(Running { pid: Pid::from_raw(child.id() as i32).ok_or("no process id")? })
}

impl Running {
    /// Starts one of ours.
    pub(super) fn start(words: &[String]) -> Result<Running, String> {
        start(words, false)
    }

    /// Its process.
    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// What it gave, if it has ended.
    pub(super) fn ended(&mut self) -> Result<Option<Done>, String> {
        let code = |status: WaitStatus| {
            status
                .exit_status()
                .or(status.terminating_signal().map(|signal| 128 + signal))
                .unwrap_or(-1)
        };
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((other, status))) if other == self.pid => {
                    let read = |name: &str| {
                        let bytes = std::fs::read(name).unwrap_or_default();
                        String::from_utf8_lossy(&bytes).into_owned()
                    };
                    return Ok(Some(Done {
                        code: code(status),
                        output: read(OUTPUT),
                        errors: read(ERRORS),
                    }));
                }
                Ok(Some(_)) => continue,
                Ok(None) => return Ok(None),
                Err(errno) => return Err(format!("wait: {errno}")),
            }
        }
    }

    /// Ends it and what it has started.
    pub(super) fn end(&self) {
        let _ = rustix::process::kill_process_group(self.pid, rustix::process::Signal::KILL);
        let _ = waitpid(Some(self.pid), WaitOptions::empty());
    }
}

/// What a test must not leave: containers, their cgroups, processes and mounts.
fn left() -> Vec<String> {
    let mut found = Vec::new();
    let names = |folder: &str| -> Vec<String> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path().display().to_string()).collect()
    };
    for folder in
        ["/var/lib/coracle/containers", "/run/coracle/containers", "/var/lib/coracle/uppers"]
    {
        found.extend(names(folder));
    }
    for hierarchy in names("/sys/fs/cgroup").into_iter().chain(["/sys/fs/cgroup".to_string()]) {
        let below = names(&format!("{hierarchy}/coracle"));
        found.extend(below.into_iter().filter(|path| Path::new(path).is_dir()));
    }
    for process in names("/proc") {
        let words = std::fs::read(format!("{process}/cmdline")).unwrap_or_default();
        let word = words.split(|byte| *byte == 0).next().unwrap_or_default();
        if word.starts_with(b"coracle") || word.ends_with(b"/coracle") {
            found.push(format!("process {}", String::from_utf8_lossy(&words).replace('\0', " ")));
        }
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    found.extend(
        places
            .filter(|place| place.contains("coracle") && !place.starts_with("/run/coracle/exe/"))
            .filter(|place| *place != "/var/lib/coracle")
            .map(|place| format!("mount {place}")),
    );
    found
}

/// After a failure, so that the next test has a fresh beginning.
fn put_away() {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_string()).collect::<Vec<_>>();
    if let Ok(done) = run(&words(&["coracle", "ps", "-aq"]), false) {
        for id in done.output.lines() {
            let _ = run(&words(&["coracle", "rm", "-f", id]), false);
        }
    }
}
