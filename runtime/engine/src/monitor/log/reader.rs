//! The reading side of a log: the files from the oldest on, then what is added.

use super::{Format, Settings, text_of};
use base::json_object;
use base_http::frames::Channel;
use rustix::fs::fstat;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

/// One line that was read back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LogLine {
    pub(crate) time: String,
    pub(crate) channel: Channel,
    /// With its line end, if it had one.
    pub(crate) text: Vec<u8>,
}

json_object! {
    /// A line of docker's json-file.
    #[derive(Clone, Debug, Default, PartialEq)]
    struct JsonLine {
        "log" => log: String,
        "stream" => stream: String,
        "time" => time: String,
    }
}

/// See the module's text.
pub(crate) struct LogReader {
    settings: Settings,
    file: Option<BufReader<File>>,
    /// Of the file that is or was read last.
    inode: u64,
}

fn inode_at(path: PathBuf) -> Option<u64> {
    base::paths::stat(&path).ok().map(|stat| stat.st_ino as u64)
}

impl LogReader {
    pub(crate) fn new(settings: Settings) -> LogReader {
        LogReader { settings, file: None, inode: 0 }
    }

    /// Opens the file after the one that was read last; at the beginning the oldest. Files move one
    /// place on while they are read, so they are known by their inode.
    fn open_next(&mut self) -> Option<()> {
        let path = |number| self.settings.path(number);
        let count = self.settings.files;
        let last = (0..count).find(|number| inode_at(path(*number)) == Some(self.inode));
        let next = match last {
            Some(0) => return None,
            Some(number) => number - 1,
            None => (0..count).rev().find(|number| inode_at(path(*number)).is_some())?,
        };
        let file = File::open(path(next)).ok()?;
        self.inode = fstat(&file).map_or(0, |stat| stat.st_ino as u64);
        self.file = Some(BufReader::with_capacity(8 << 10, file));
        Some(())
    }

    /// The next whole line; None when there is none now.
    pub(crate) fn next(&mut self) -> Option<LogLine> {
        loop {
            if self.file.is_none() {
                self.open_next()?;
            }
            let file = self.file.as_mut()?;
            let mut line = Vec::new();
            let read = file.read_until(b'\n', &mut line).unwrap_or(0);
            if read > 0 && line.ends_with(b"\n") {
                let parsed = match self.settings.format {
                    Format::Json => parse_json(&line),
                    _ => parse(&line),
                };
                match parsed {
                    Some(line) => return Some(line),
                    None => continue,
                }
            }
            if read > 0 {
                // The writer is in the middle of this line: it is read again later.
                let back = -(i64::try_from(read).unwrap_or(0));
                let _ = file.seek_relative(back);
                return None;
            }
            // At the end: of the file that is being written, or of one that was put aside.
            if [Some(self.inode), None].contains(&inode_at(self.settings.path(0))) {
                return None;
            }
            self.open_next()?;
        }
    }
}

fn parse(line: &[u8]) -> Option<LogLine> {
    let mut words = line.splitn(4, |byte| *byte == b' ');
    let time = String::from_utf8(words.next()?.to_vec()).ok()?;
    let channel = if words.next()? == b"stderr" { Channel::Stderr } else { Channel::Stdout };
    let whole = words.next()? == b"F";
    let text = words.next()?;
    let text = if whole { text } else { text_of(text) };
    Some(LogLine { time, channel, text: text.to_vec() })
}

fn parse_json(line: &[u8]) -> Option<LogLine> {
    let line: JsonLine = base::json::parse(line).ok()?;
    let channel = if line.stream == "stderr" { Channel::Stderr } else { Channel::Stdout };
    Some(LogLine { time: line.time, channel, text: line.log.into_bytes() })
}
