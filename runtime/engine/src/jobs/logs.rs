//! `logs`: a container's output so far, and on.

use super::wait::is_gone;
use crate::Engine;
use crate::container::{Container, Status};
use crate::monitor::{LogLine, LogReader, LogSettings};
use base::text::time::parse;
use base::{Error, OnError, Result};
use base_http::frames::Channel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::path::Path;

/// Reads a log.
pub(crate) struct Logs {
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
    /// Go on until the container ends.
    pub(crate) follow: bool,
    /// Only the last lines; None for all.
    pub(crate) tail: Option<usize>,
    /// With the time before each line.
    pub(crate) timestamps: bool,
    /// Nothing before this time.
    pub(crate) since: Option<(i64, u32)>,
    /// Nothing after it.
    pub(crate) until: Option<(i64, u32)>,
}

impl Logs {
    /// Whether this container has a log at all, and whether this kernel can follow it: once the answer
    /// has begun, there is no place for an error.
    pub(crate) fn check(&self, container: &Container) -> Result<()> {
        let kind = container.record.host_config.log_config.kind.as_str();
        if ["syslog", "kmsg"].contains(&kind) {
            return Err(Error::unsupported("configured logging driver does not support reading"));
        }
        if kind == "none" {
            return Err(Error::unsupported(
                "configured logging driver does not support reading: the container has none \
                 (--log-driver local keeps a log)",
            ));
        }
        if !self.stdout && !self.stderr {
            return Err(Error::bad_input("Bad parameters: you must choose at least one stream"));
        }
        if self.follow { watcher("log").map(drop) } else { Ok(()) }
    }

    /// Gives each line to `out` until the end; an error of `out` ends it too, and a client that
    /// has gone.
    pub(crate) fn run(
        self,
        engine: &Engine,
        container: &Container,
        client: BorrowedFd<'_>,
        out: &mut dyn FnMut(Channel, &[u8]) -> std::io::Result<()>,
    ) -> Result<()> {
        let Some(settings) = LogSettings::of(container)? else { return Ok(()) };
        let folder = settings.file().and_then(|path| path.parent()).unwrap_or(&container.run);
        let folder = folder.to_path_buf();
        let mut reader = LogReader::new(settings);
        let mut lines = VecDeque::new();
        while let Some(line) = reader.next() {
            if !self.wants(&line) {
                continue;
            }
            let Some(most) = self.tail else {
                self.give(&line, out).on("write", "logs")?;
                continue;
            };
            lines.push_back(line);
            if lines.len() > most {
                lines.pop_front();
            }
        }
        for line in &lines {
            self.give(line, out).on("write", "logs")?;
        }
        if !self.follow {
            return Ok(());
        }
        let changes = watch(&[&folder, &container.run])?;
        loop {
            // Asked before the last look, so that nothing written before the end is missed.
            let running = engine
                .containers()
                .open(container.id())?
                .map(|container| container.state())
                .is_some_and(|state| state.status == Status::Running || state.restarting);
            while let Some(line) = reader.next() {
                if self.wants(&line) {
                    self.give(&line, out).on("write", "logs")?;
                }
            }
            if !running || is_gone(client) {
                return Ok(());
            }
            wait_for(&changes)?;
        }
    }

    fn wants(&self, line: &LogLine) -> bool {
        let stream = match line.channel {
            Channel::Stderr => self.stderr,
            _ => self.stdout,
        };
        if !stream || (self.since.is_none() && self.until.is_none()) {
            return stream;
        }
        let Ok(time) = parse(&line.time) else { return true };
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time <= until)
    }

    fn give(
        &self,
        line: &LogLine,
        out: &mut dyn FnMut(Channel, &[u8]) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        if !self.timestamps {
            return out(line.channel, &line.text);
        }
        let mut text = line.time.clone().into_bytes();
        text.push(b' ');
        text.extend_from_slice(&line.text);
        out(line.channel, &text)
    }
}

fn watch(folders: &[&Path]) -> Result<std::os::fd::OwnedFd> {
    let changes = watcher("log")?;
    let events = inotify::WatchFlags::MODIFY
        | inotify::WatchFlags::CREATE
        | inotify::WatchFlags::MOVED_TO
        | inotify::WatchFlags::DELETE
        | inotify::WatchFlags::DELETE_SELF;
    // The container may be gone already: then the first look ends it.
    for folder in folders {
        let _ = inotify::add_watch(&changes, *folder, events);
    }
    Ok(changes)
}

/// What will tell of changes.
pub(super) fn watcher(what: &str) -> Result<std::os::fd::OwnedFd> {
    inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK).map_err(|errno| {
        match errno {
            rustix::io::Errno::NOSYS => {
                Error::unsupported(format!("follow {what}: the kernel lacks CONFIG_INOTIFY_USER"))
            }
            errno => Error::os("inotify", &what, errno),
        }
    })
}

/// Until something changes in the run folder; a second at most, because a killed monitor changes
/// nothing.
pub(super) fn wait_for(changes: &std::os::fd::OwnedFd) -> Result<()> {
    let mut waiting = [PollFd::new(changes, PollFlags::IN)];
    match poll(&mut waiting, Some(&Timespec { tv_sec: 1, tv_nsec: 0 })) {
        Ok(_) | Err(rustix::io::Errno::INTR) => (),
        Err(errno) => return Err(errno).on("poll", "log"),
    }
    let mut events = [0; 4096];
    while rustix::io::read(changes, &mut events).is_ok_and(|count| count > 0) {}
    Ok(())
}
