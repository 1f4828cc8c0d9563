//! A container's log, by its driver: `local` and `json-file` write files that are read again, `syslog`
//! and `kmsg` send lines away.
//!
//! `local`, which containers get unless they ask for another one, is two files of 512 KiB in the run
//! folder, in RAM: a line is `TIME STREAM F|P TEXT`, the time as RFC 3339, `stdout` or `stderr`, F for a
//! whole line and P for a part of one that was too long or is not finished. `json-file` is docker's, and
//! lies where the container's record is: on flash, where it wears it, so it is asked for.

// Inode numbers have other widths on 32-bit CPUs.
#![allow(clippy::unnecessary_cast)]

mod files;
mod reader;
mod remote;

pub(crate) use reader::{LogLine, LogReader};

use crate::container::Container;
use base::map::Map;
use base::text::quote::quoted;
use base::text::size;
use base::text::time::{now, rfc3339};
use base::{Error, Result};
use base_http::api::host_config::LogConfig;
use base_http::frames::Channel;
use files::Files;
use remote::Remote;
use std::path::PathBuf;

/// Bytes of one of the two files of `local`.
const LARGEST: u64 = 512 << 10;
/// Longer lines are cut into parts.
const LONGEST_LINE: usize = 16 << 10;

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Our own.
    Local,
    /// docker's json-file.
    Json,
    /// RFC 3164, to a socket.
    Syslog,
    /// To the kernel's log.
    Kernel,
}

/// Where a log goes.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) format: Format,
    /// The newest file; or the socket, `udp://` before it for a network's.
    path: PathBuf,
    /// Bytes of one file.
    largest: u64,
    /// How many files there are at most.
    files: usize,
    /// What lines are told by elsewhere.
    tag: String,
    /// Facility and severity, as syslog counts them.
    priority: u32,
}

fn wrong(kind: &str, name: &str, value: &str) -> Error {
    Error::bad_input(format!(
        "invalid value for log opt '{name}' of {kind} log driver: {}",
        quoted(value)
    ))
}

fn only(kind: &str, options: &Map<String, String>, known: &[&str]) -> Result<()> {
    match options.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => {
            Err(Error::bad_input(format!("unknown log opt '{name}' for {kind} log driver")))
        }
        None => Ok(()),
    }
}

impl Settings {
    fn in_files(
        kind: &str,
        path: PathBuf,
        options: &Map<String, String>,
        (largest, files): (u64, usize),
        format: Format,
    ) -> Result<Settings> {
        only(kind, options, &["max-size", "max-file", "mode", "max-buffer-size", "compress"])?;
        let mut settings =
            Settings { format, path, largest, files, tag: String::new(), priority: 0 };
        if let Some(text) = options.get("max-size").filter(|text| *text != "-1") {
            let bytes = size::parse(text).ok().filter(|bytes| *bytes > 0);
            settings.largest = bytes.ok_or_else(|| wrong(kind, "max-size", text))?;
        }
        if let Some(text) = options.get("max-file") {
            let count = text.parse().ok().filter(|count| (1..=1000).contains(count));
            settings.files = count.ok_or_else(|| wrong(kind, "max-file", text))?;
        }
        Ok(settings)
    }

    /// Files in the run folder.
    fn local(path: PathBuf, options: &Map<String, String>) -> Result<Settings> {
        Settings::in_files("local", path, options, (LARGEST, 2), Format::Local)
    }

    /// docker's files. Without a size they grow without end, as docker's do.
    fn json(path: PathBuf, options: &Map<String, String>) -> Result<Settings> {
        Settings::in_files("json-file", path, options, (u64::MAX, 1), Format::Json)
    }

    fn remote(kind: &str, config: &LogConfig, tag: String) -> Result<Settings> {
        let options = &config.config;
        let format = if kind == "kmsg" { Format::Kernel } else { Format::Syslog };
        let known: &[&str] = match format {
            Format::Kernel => &["tag"],
            _ => &["syslog-address", "syslog-facility", "tag"],
        };
        only(kind, options, known)?;
        let address = options.get("syslog-address").map_or("unix:///dev/log", String::as_str);
        let path = match address.split_once("://") {
            _ if format == Format::Kernel => "/dev/kmsg".to_string(),
            Some(("unix" | "unixgram", path)) if path.starts_with('/') => path.to_string(),
            Some(("udp", _)) => address.to_string(),
            _ => return Err(wrong(kind, "syslog-address", address)),
        };
        let facility = options.get("syslog-facility").map_or("daemon", String::as_str);
        let number = remote::facility(facility);
        let number = number.ok_or_else(|| wrong(kind, "syslog-facility", facility))?;
        Ok(Settings {
            format,
            path: PathBuf::from(path),
            largest: 0,
            files: 0,
            tag,
            // 6 is "informational"; errors of the container's are one's own affair.
            priority: number * 8 + 6,
        })
    }

    /// The file of this number, 0 for the newest.
    fn path(&self, number: usize) -> PathBuf {
        match number {
            0 => self.path.clone(),
            number => {
                let mut name = self.path.clone().into_os_string();
                name.push(format!(".{number}"));
                PathBuf::from(name)
            }
        }
    }

    /// A container's; None when it has no log.
    pub(crate) fn of(container: &Container) -> Result<Option<Settings>> {
        let config = &container.record.host_config.log_config;
        let settings = match config.kind.as_str() {
            "none" => return Ok(None),
            "json-file" => {
                let name = format!("{}-json.log", container.id());
                Settings::json(container.folder.join(name), &config.config)
            }
            kind @ ("syslog" | "kmsg") => Settings::remote(kind, config, tag(container)),
            _ => Settings::local(container.run.join("log"), &config.config),
        };
        settings.map(Some)
    }

    /// The newest file, for `inspect`; None when there are no files.
    pub(crate) fn file(&self) -> Option<&PathBuf> {
        matches!(self.format, Format::Local | Format::Json).then_some(&self.path)
    }
}

/// What lines are told by: `tag`, with docker's names in it; else the short id.
fn tag(container: &Container) -> String {
    let record = &container.record;
    let tag = record.host_config.log_config.config.get("tag");
    let tag = tag.map_or("{{.ID}}", String::as_str);
    tag.replace("{{.ID}}", base::text::id::short(&record.id))
        .replace("{{.FullID}}", &record.id)
        .replace("{{.Name}}", &record.name)
        .replace("{{.ImageName}}", &record.config.image)
}

/// Refuses a driver or an option that is not known.
pub(crate) fn check(config: &LogConfig) -> Result<()> {
    let path = PathBuf::new;
    match config.kind.as_str() {
        "none" => Ok(()),
        "" | "local" => Settings::local(path(), &config.config).map(drop),
        "json-file" => Settings::json(path(), &config.config).map(drop),
        kind @ ("syslog" | "kmsg") => Settings::remote(kind, config, String::new()).map(drop),
        other => {
            Err(Error::bad_input(format!("logger: no log driver named '{other}' is registered")))
        }
    }
}

enum Target {
    Files(Files),
    Remote(Remote),
}

/// The writing side.
pub(super) struct Log {
    settings: Settings,
    target: Target,
    /// The line that each stream has begun and not ended.
    begun: [Vec<u8>; 2],
}

impl Log {
    pub(super) fn open(settings: &Settings) -> Result<Log> {
        let target = match settings.format {
            Format::Local | Format::Json => Target::Files(Files::open(settings)?),
            _ => Target::Remote(Remote::open(settings)?),
        };
        Ok(Log { settings: settings.clone(), target, begun: [Vec::new(), Vec::new()] })
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
            if begun.ends_with(b"\n") || begun.len() >= LONGEST_LINE {
                let line = std::mem::take(begun);
                self.line(&mut text, &time, place, &line);
                // Its memory is for the next line.
                self.begun[place] = line;
                self.begun[place].clear();
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
                self.line(&mut text, &time, place, &begun);
            }
        }
        self.write(&text);
    }

    /// One line: to be written with others, or sent at once.
    fn line(&mut self, text: &mut Vec<u8>, time: &str, place: usize, line: &[u8]) {
        match &mut self.target {
            Target::Remote(remote) => remote.send(text_of(line)),
            Target::Files(_) if self.settings.format == Format::Json => {
                push_json(text, time, place, line);
            }
            Target::Files(_) => push(text, time, place, line),
        }
    }

    fn write(&mut self, text: &[u8]) {
        if let Target::Files(files) = &mut self.target {
            files.write(&self.settings, text);
        }
    }
}

fn time() -> String {
    let (seconds, nanos) = now();
    rfc3339(seconds, nanos)
}

/// A line without its end.
fn text_of(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

/// One line of our own.
fn push(text: &mut Vec<u8>, time: &str, place: usize, line: &[u8]) {
    text.extend_from_slice(time.as_bytes());
    text.push(b' ');
    text.extend_from_slice(super::streams::OUTPUTS[place].as_bytes());
    text.extend_from_slice(if line.ends_with(b"\n") { b" F " } else { b" P " });
    text.extend_from_slice(text_of(line));
    text.push(b'\n');
}

/// One line of docker's.
fn push_json(text: &mut Vec<u8>, time: &str, place: usize, line: &[u8]) {
    let stream = super::streams::OUTPUTS[place];
    let log = base::json::to_string(&String::from_utf8_lossy(line).into_owned());
    for part in ["{\"log\":", &log, ",\"stream\":\"", stream, "\",\"time\":\"", time, "\"}\n"] {
        text.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn folder(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("coracle-log-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("mkdir");
        folder
    }

    fn local(folder: &Path) -> Settings {
        Settings::local(folder.join("log"), &Map::default()).expect("settings")
    }

    #[test]
    fn json_lines_are_dockers() {
        let folder = folder("json");
        let opts = [("max-size".to_string(), "2k".to_string()), ("max-file".into(), "3".into())];
        let opts = opts.into_iter().collect();
        let settings = Settings::json(folder.join("x-json.log"), &opts).expect("settings");
        let mut log = Log::open(&settings).expect("open");
        log.add(Channel::Stderr, b"a \"quote\"\x01\xff\nrest");
        log.finish();
        let text = std::fs::read_to_string(folder.join("x-json.log")).expect("read");
        let first = text.lines().next().expect("line");
        let want =
            "{\"log\":\"a \\\"quote\\\"\\u0001\u{fffd}\\n\",\"stream\":\"stderr\",\"time\":\"";
        assert!(first.starts_with(want), "{first}");
        let mut reader = LogReader::new(settings.clone());
        assert_eq!(reader.next().expect("line").text, "a \"quote\"\u{1}\u{fffd}\n".as_bytes());
        assert_eq!(reader.next().expect("line").text, b"rest");
        assert_eq!(reader.next(), None);
        for number in 0..200 {
            log.add(Channel::Stdout, format!("line {number}\n").as_bytes());
            let line = reader.next().expect("line").text;
            assert_eq!(String::from_utf8(line).expect("text"), format!("line {number}\n"));
        }
        // Three files and no more; who comes later begins with the oldest.
        let names = std::fs::read_dir(&folder).expect("read").count();
        assert_eq!(names, 3);
        let mut reader = LogReader::new(settings);
        let all = std::iter::from_fn(|| reader.next()).count();
        assert!((40..200).contains(&all), "{all}");
        std::fs::remove_dir_all(folder).expect("remove");
    }

    #[test]
    fn options_are_checked() {
        let check = |kind: &str, name: &str, value: &str| {
            let opts = [(name.to_string(), value.to_string())].into_iter().collect();
            check(&LogConfig { kind: kind.to_string(), config: opts })
        };
        for (kind, name, value) in [
            ("local", "max-size", "10m"),
            ("json-file", "max-file", "2"),
            ("syslog", "syslog-address", "udp://127.0.0.1:514"),
            ("syslog", "tag", "x"),
            ("kmsg", "tag", "x"),
        ] {
            assert!(check(kind, name, value).is_ok(), "{kind} {name}");
        }
        for (kind, name, value) in [
            ("local", "max-size", "x"),
            ("local", "tag", "x"),
            ("json-file", "max-file", "0"),
            ("syslog", "syslog-address", "tls://x"),
            ("syslog", "syslog-facility", "x"),
            ("gelf", "tag", "x"),
        ] {
            assert!(check(kind, name, value).is_err(), "{kind} {name}");
        }
    }

    #[test]
    fn lines_are_read_as_they_were_written() {
        let folder = folder("lines");
        let settings = local(&folder);
        let mut log = Log::open(&settings).expect("open");
        log.add(Channel::Stdout, b"one\ntw");
        log.add(Channel::Stderr, b"err\n");
        log.add(Channel::Stdout, b"o\n\nlast");
        log.finish();
        let mut reader = LogReader::new(settings.clone());
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
        let settings = local(&folder);
        let mut log = Log::open(&settings).expect("open");
        let mut reader = LogReader::new(settings.clone());
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
        let largest = settings.largest;
        assert!(size("log") <= largest && size("log.1") <= largest);
        std::fs::remove_dir_all(folder).expect("remove");
    }
}
