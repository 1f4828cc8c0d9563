//! Health checks: what a probe does, and what is known of a container's health.
//!
//! The monitor keeps the time. Each probe is a worker of its own: it runs the command in the container,
//! counts, and writes `RUN/containers/ID/health`, the document that `inspect` shows.

use crate::container::{Container, Record, write_file};
use crate::execdriver;
use crate::jobs::{Restart, Stop};
use crate::monitor::{exit_code, open_null, since_boot};
use crate::{Engine, jobs};
use base::files::{Sync, read_capped, write_then_rename};
use base::text::time::{now, rfc3339};
use base::{Error, OnError, Result, json};
use base_http::api::container::{Health, HealthConfig, HealthResult};
use base_http::api::exec::ExecConfig;
use libcontainer::Stdio;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Signal;
use std::os::fd::{AsFd, OwnedFd};

/// The document's name in the run folder.
const FILE: &str = "health";
const LARGEST: usize = 256 << 10;
/// Docker keeps so many results,
const RESULTS: usize = 5;
/// and so much of each one's output.
const OUTPUT: usize = 4096;

const SECOND: i64 = 1_000_000_000;
const INTERVAL: i64 = 30 * SECOND;
const TIMEOUT: i64 = 30 * SECOND;
const START_INTERVAL: i64 = 5 * SECOND;
const RETRIES: i64 = 3;

/// The image's checks where the request says nothing of them. Docker's rule: a command of the
/// request's takes nothing from the image, times alone keep the image's command.
pub(crate) fn merge(
    mine: Option<HealthConfig>,
    image: Option<HealthConfig>,
) -> Option<HealthConfig> {
    let Some(mut mine) = mine else { return image };
    let theirs = image.unwrap_or_default();
    if mine.test.as_ref().is_none_or(Vec::is_empty) {
        mine.test = theirs.test;
    }
    for (mine, theirs) in [
        (&mut mine.interval, theirs.interval),
        (&mut mine.timeout, theirs.timeout),
        (&mut mine.start_period, theirs.start_period),
        (&mut mine.start_interval, theirs.start_interval),
        (&mut mine.retries, theirs.retries),
    ] {
        if *mine == 0 {
            *mine = theirs;
        }
    }
    Some(mine)
}

/// Refuses what cannot be meant.
pub(crate) fn check(config: Option<&HealthConfig>) -> Result<()> {
    let Some(config) = config else { return Ok(()) };
    for (nanos, name) in [
        (config.interval, "Interval"),
        (config.timeout, "Timeout"),
        (config.start_period, "StartPeriod"),
        (config.start_interval, "StartInterval"),
    ] {
        if nanos != 0 && nanos < 1_000_000 {
            return Err(Error::bad_input(format!("{name} in Healthcheck cannot be less than 1ms")));
        }
    }
    if config.retries < 0 {
        return Err(Error::bad_input("Retries in Healthcheck cannot be negative"));
    }
    match config.test.as_deref() {
        None | Some([]) => Ok(()),
        Some([kind, ..]) if ["NONE", "CMD", "CMD-SHELL"].contains(&kind.as_str()) => Ok(()),
        Some([kind, ..]) => Err(Error::bad_input(format!("Unknown healthcheck type: {kind}"))),
    }
}

/// The command of a container's probes; None when it has none.
fn command(record: &Record) -> Option<Vec<String>> {
    let test = record.config.healthcheck.as_ref()?.test.as_ref()?;
    let (kind, words) = test.split_first()?;
    match kind.as_str() {
        "CMD" if !words.is_empty() => Some(words.to_vec()),
        "CMD-SHELL" => {
            let shell = ["/bin/sh".to_string(), "-c".to_string()];
            Some(shell.into_iter().chain(words.iter().cloned()).collect())
        }
        _ => None,
    }
}

/// When a monitor has probes to start, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) interval: u64,
    /// The same until the first success, for so long.
    pub(crate) start_interval: u64,
    pub(crate) start_period: u64,
}

fn or(nanos: i64, default: i64) -> i64 {
    if nanos == 0 { default } else { nanos }
}

/// The times of a container's probes; None when it has none.
pub(crate) fn times(record: &Record) -> Option<Times> {
    command(record)?;
    let config = record.config.healthcheck.as_ref()?;
    let millis = |nanos: i64| u64::try_from(nanos / 1_000_000).unwrap_or(0);
    Some(Times {
        interval: millis(or(config.interval, INTERVAL)),
        start_interval: millis(or(config.start_interval, START_INTERVAL)),
        start_period: millis(config.start_period),
    })
}

/// What is known of a container's health; None when it has no probes.
pub(crate) fn read(container: &Container) -> Option<Health> {
    command(&container.record)?;
    let text = read_capped(&container.run.join(FILE), LARGEST).ok()?;
    json::parse(&text).ok()
}

/// At each start: nothing is known yet.
pub(crate) fn begin(container: &Container) -> Result<()> {
    if command(&container.record).is_none() {
        return Ok(());
    }
    let health = Health { status: "starting".to_string(), ..Health::default() };
    write_file(&container.run, FILE, json::to_string(&health).as_bytes())
}

/// One probe: what a worker does. Gives whether the container is healthy now.
pub(crate) fn probe(engine: &Engine, id: &str) -> Result<bool> {
    let container = engine.containers().find(id)?;
    let Some(command) = command(&container.record) else { return Ok(true) };
    if libcontainer::cgroup::is_frozen(&container.record.cgroup()) {
        return Ok(false);
    }
    let config = container.record.config.healthcheck.clone().unwrap_or_default();
    let begun = now();
    let (code, output) = run(engine, &container, command, or(config.timeout, TIMEOUT))?;
    let ended = now();
    if !container.state().is_alive() {
        return Ok(false);
    }
    let mut health = read(&container).unwrap_or_default();
    let in_start_period = health.status == "starting" && is_starting(&container, &config);
    let before = health.status.clone();
    let was_unhealthy = before == "unhealthy";
    count(&mut health, code, in_start_period, or(config.retries, RETRIES));
    health.log.push(HealthResult {
        start: rfc3339(begun.0, begun.1),
        end: rfc3339(ended.0, ended.1),
        exit_code: i64::from(code),
        output,
    });
    let surplus = health.log.len().saturating_sub(RESULTS);
    health.log.drain(..surplus);
    write_then_rename(&container.run, FILE, json::to_string(&health).as_bytes(), Sync::No)?;
    let unhealthy = health.status == "unhealthy";
    if health.status != before {
        engine.tell(&container, &format!("health_status: {}", health.status), &[]);
    }
    if unhealthy && !was_unhealthy && container.record.host_config.restart_unhealthy {
        let stop = Stop { container: id.to_string(), seconds: None, signal: String::new() };
        Restart { stop }.run(engine)?;
    }
    Ok(health.status == "healthy")
}

fn is_starting(container: &Container, config: &HealthConfig) -> bool {
    let started = container.state().started.map_or(0, |(seconds, _)| seconds);
    now().0 - started < config.start_period / SECOND
}

/// What one result changes.
fn count(health: &mut Health, code: i32, in_start_period: bool, retries: i64) {
    if code == 0 {
        health.failing_streak = 0;
        health.status = "healthy".to_string();
    } else if !in_start_period {
        health.failing_streak += 1;
        if health.failing_streak >= retries {
            health.status = "unhealthy".to_string();
        }
    }
}

/// Runs the command; -1 when it takes too long or cannot be run.
fn run(
    engine: &Engine,
    container: &Container,
    command: Vec<String>,
    timeout: i64,
) -> Result<(i32, String)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).on("pipe", "probe")?;
    let second = write.try_clone().on("dup", "probe")?;
    let config = ExecConfig { cmd: Some(command), ..ExecConfig::default() };
    let stdio = Stdio::Descriptors([open_null()?, write, second]);
    let started = match execdriver::exec(engine, container, &config, &stdio) {
        Ok(started) => started,
        Err(error) => return Ok((-1, error.message().to_string())),
    };
    drop(stdio);
    let end = since_boot() + (timeout / 1_000_000).max(1) as u64;
    let mut output = Vec::new();
    let in_time = collect(&read, &started.process, &mut output, end)?;
    if !in_time {
        let _ = started.process.signal(Signal::KILL);
    }
    jobs::wait::is_readable_within(&started.process.end().on("watch", "probe")?, -1)?;
    let status = started.process.wait().on("wait for", "probe")?;
    if !in_time {
        let seconds = timeout / SECOND;
        return Ok((-1, format!("Health check exceeded timeout ({seconds}s)")));
    }
    let code = status.as_ref().map_or(255, exit_code);
    Ok((code, String::from_utf8_lossy(&output).into_owned()))
}

/// Reads the output until the command ends. Whether it did so in time.
fn collect(
    output: &OwnedFd,
    process: &base::sys::process::Process,
    bytes: &mut Vec<u8>,
    end: u64,
) -> Result<bool> {
    let mut open = true;
    loop {
        let left = end.saturating_sub(since_boot());
        if left == 0 {
            return Ok(false);
        }
        let time =
            Timespec { tv_sec: (left / 1000) as i64, tv_nsec: (left % 1000 * 1_000_000) as _ };
        let ended = process.end().on("watch", "probe")?;
        let mut waiting = vec![PollFd::from_borrowed_fd(ended, PollFlags::IN)];
        if open {
            waiting.push(PollFd::from_borrowed_fd(output.as_fd(), PollFlags::IN));
        }
        match poll(&mut waiting, Some(&time)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => (),
            Err(errno) => return Err(errno).on("poll", "probe"),
        }
        let ready: Vec<bool> = waiting.iter().map(|one| !one.revents().is_empty()).collect();
        if ready.get(1) == Some(&true) {
            let mut piece = [0; 4096];
            match rustix::io::read(output, &mut piece) {
                Ok(0) => open = false,
                // What is too much is read and dropped: the command must not wait for us.
                Ok(count) => {
                    bytes.extend(piece[..count].iter().take(OUTPUT.saturating_sub(bytes.len())))
                }
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => (),
                Err(_) => open = false,
            }
        } else if ready.first() == Some(&true) {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(test: &[&str], interval: i64) -> HealthConfig {
        let test = (!test.is_empty()).then(|| test.iter().map(|word| word.to_string()).collect());
        HealthConfig { test, interval, ..HealthConfig::default() }
    }

    #[test]
    fn images_and_requests_are_merged() {
        let image = config(&["CMD", "a"], 5);
        assert_eq!(merge(None, Some(image.clone())), Some(image.clone()));
        assert_eq!(
            merge(Some(config(&[], 7)), Some(image.clone())),
            Some(config(&["CMD", "a"], 7))
        );
        let none = merge(Some(config(&["NONE"], 0)), Some(image)).expect("merged");
        assert_eq!(none.test.as_deref(), Some(&["NONE".to_string()][..]));
        assert!(check(Some(&config(&["CMD", "a"], 5))).is_err(), "5 ns");
        assert!(check(Some(&config(&["SHELL"], 0))).is_err());
        assert!(check(Some(&config(&["CMD-SHELL", "a"], SECOND))).is_ok());
    }

    #[test]
    fn failures_count_in_a_row_and_not_while_it_starts() {
        let mut health = Health { status: "starting".into(), ..Health::default() };
        let mut after = |code, starting| {
            count(&mut health, code, starting, 2);
            (health.status.clone(), health.failing_streak)
        };
        assert_eq!(after(1, true), ("starting".to_string(), 0));
        assert_eq!(after(1, false), ("starting".to_string(), 1));
        assert_eq!(after(0, false), ("healthy".to_string(), 0));
        assert_eq!(after(1, false), ("healthy".to_string(), 1));
        assert_eq!(after(-1, false), ("unhealthy".to_string(), 2));
        assert_eq!(after(0, false), ("healthy".to_string(), 0));
    }
}
