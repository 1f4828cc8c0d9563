//! A container's log: lines of text in the run folder, in RAM, twice 512 KiB at most.
//!
//! A line is `TIME STREAM F|P TEXT`: the time as RFC 3339, `stdout` or `stderr`, F for a whole line
//! and P for a part of one that was too long or is not finished. When `log` is full it becomes
//! `log.1`.

// Inode numbers have other widths on 32-bit CPUs.
#![allow(clippy::unnecessary_cast)]

use base::text::time::{now, rfc3339};
use base::{OnError, Result};
use base_http::frames::Channel;
use rustix::fs::{Mode, OFlags, fstat};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

const NAME: &str = "log";
const OLD: &str = "log.1";
/// Bytes of one of the two files.
const LARGEST: u64 = 512 << 10;
/// Longer lines are cut into parts.
const LONGEST_LINE: usize = 16 << 10;

/// The writing side.
pub(super) struct Log {
    run: PathBuf,
    file: OwnedFd,
    size: u64,
    /// The line that each stream has begun and not ended.
    begun: [Vec<u8>; 2],
}

impl Log {
    pub(super) fn open(run: &Path) -> Result<Log> {
        let path = run.join(NAME);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC;
        let file =
            base::paths::open(&path, flags, Mode::from_raw_mode(0o600)).on_path("open", &path)?;
        let size = fstat(&file).on_path("stat", &path)?.st_size as u64;
        Ok(Log { run: run.to_path_buf(), file, size, begun: [Vec::new(), Vec::new()] })
    }

    /// Adds a chunk of output, in one write. A log that cannot be written does not stop the
    /// container.
    pub(super) fn add(&mut self, channel: Channel, bytes: &[u8]) {
        let place = usize::from(channel == Channel::Stderr);
        let time = time();
        let mut text = Vec::with_capacity(bytes.len() + 512);
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let begun = &mut self.begun[place];
            begun.extend_from_slice(part);
            let whole = begun.ends_with(b"\n");
            if whole || begun.len() >= LONGEST_LINE {
                push(&mut text, &time, place, whole, begun);
                begun.clear();
            }
        }
        self.write(&text);
    }

    /// Writes what has begun: the streams have ended.
    pub(super) fn finish(&mut self) {
        let time = time();
        let mut text = Vec::new();
        for place in 0..2 {
            let begun = std::mem::take(&mut self.begun[place]);
            if !begun.is_empty() {
                push(&mut text, &time, place, false, &begun);
            }
        }
        self.write(&text);
    }

    fn write(&mut self, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        if self.size + text.len() as u64 > LARGEST && self.size > 0 {
            let _ = base::paths::rename(&self.run.join(NAME), &self.run.join(OLD));
            if let Ok(Log { file, size, .. }) = Log::open(&self.run) {
                self.file = file;
                self.size = size;
            }
        }
        if let Ok(count) = rustix::io::write(&self.file, text) {
            self.size += count as u64;
        }
    }
}

fn time() -> String {
    let (seconds, nanos) = now();
    rfc3339(seconds, nanos)
}

/// One line of the log.
fn push(text: &mut Vec<u8>, time: &str, place: usize, whole: bool, line: &[u8]) {
    text.extend_from_slice(time.as_bytes());
    text.push(b' ');
    text.extend_from_slice(super::streams::OUTPUTS[place].as_bytes());
    text.extend_from_slice(if whole { b" F " } else { b" P " });
    text.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
    text.push(b'\n');
}

/// One line that was read back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LogLine {
    pub(crate) time: String,
    pub(crate) channel: Channel,
    /// With its line end, if it had one.
    pub(crate) text: Vec<u8>,
}

/// The reading side: the old file, then the new one, then what is added.
pub(crate) struct LogReader {
    run: PathBuf,
    file: Option<BufReader<File>>,
    inode: u64,
    old_is_read: bool,
}

impl LogReader {
    pub(crate) fn new(run: &Path) -> LogReader {
        LogReader { run: run.to_path_buf(), file: None, inode: 0, old_is_read: false }
    }

    fn open(&mut self, name: &str) -> bool {
        let Ok(file) = File::open(self.run.join(name)) else { return false };
        self.inode = fstat(&file).map_or(0, |stat| stat.st_ino as u64);
        self.file = Some(BufReader::with_capacity(8 << 10, file));
        true
    }

    /// The next whole line; None when there is none now.
    pub(crate) fn next(&mut self) -> Option<LogLine> {
        loop {
            if self.file.is_none() {
                let found = if self.old_is_read {
                    self.open(NAME)
                } else {
                    self.old_is_read = true;
                    self.open(OLD) || self.open(NAME)
                };
                if !found {
                    return None;
                }
            }
            let mut line = Vec::new();
            let read = self.file.as_mut()?.read_until(b'\n', &mut line).unwrap_or(0);
            if read > 0 && line.ends_with(b"\n") {
                match parse(&line) {
                    Some(line) => return Some(line),
                    None => continue,
                }
            }
            if read > 0 {
                // The writer is in the middle of this line: it is read again later.
                let back = -(i64::try_from(read).unwrap_or(0));
                let _ = self.file.as_mut()?.seek_relative(back);
                return None;
            }
            // At the end: of the file that is being written, or of one that was put aside.
            let path = self.run.join(NAME);
            let present = rustix::fs::stat(&path).map_or(0, |stat| stat.st_ino as u64);
            if present == self.inode || present == 0 {
                return None;
            }
            self.file = None;
        }
    }
}

fn parse(line: &[u8]) -> Option<LogLine> {
    let mut words = line.splitn(4, |byte| *byte == b' ');
    let time = String::from_utf8(words.next()?.to_vec()).ok()?;
    let channel = if words.next()? == b"stderr" { Channel::Stderr } else { Channel::Stdout };
    let whole = words.next()? == b"F";
    let text = words.next()?;
    let text = if whole { text } else { text.strip_suffix(b"\n").unwrap_or(text) };
    Some(LogLine { time, channel, text: text.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("coracle-log-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("mkdir");
        folder
    }

    #[test]
    fn lines_are_read_as_they_were_written() {
        let folder = folder("lines");
        let mut log = Log::open(&folder).expect("open");
        log.add(Channel::Stdout, b"one\ntw");
        log.add(Channel::Stderr, b"err\n");
        log.add(Channel::Stdout, b"o\n\nlast");
        log.finish();
        let mut reader = LogReader::new(&folder);
        let mut lines = Vec::new();
        while let Some(line) = reader.next() {
            lines.push((line.channel, String::from_utf8(line.text).expect("text")));
        }
        let out = |text: &str| (Channel::Stdout, text.to_string());
        let err = (Channel::Stderr, "err\n".to_string());
        assert_eq!(lines, [out("one\n"), err, out("two\n"), out("\n"), out("last")]);
        std::fs::remove_dir_all(folder).expect("remove");
    }

    #[test]
    fn a_log_does_not_grow_without_end_and_a_follower_goes_on() {
        let folder = folder("cap");
        let mut log = Log::open(&folder).expect("open");
        let mut reader = LogReader::new(&folder);
        let mut last = 0;
        for number in 0..40_000 {
            log.add(Channel::Stdout, format!("line number {number}\n").as_bytes());
            if number % 1000 == 0 {
                while let Some(line) = reader.next() {
                    let text = String::from_utf8(line.text).expect("text");
                    last = text.trim_start_matches("line number ").trim().parse().expect("number");
                }
                assert_eq!(last, number);
            }
        }
        let size = |name: &str| std::fs::metadata(folder.join(name)).expect("stat").len();
        assert!(size("log") <= LARGEST && size("log.1") <= LARGEST);
        std::fs::remove_dir_all(folder).expect("remove");
    }
}
