//! The files of a log: when the newest is full it becomes number 1, number 1 becomes 2, and so on.

use super::Settings;
use base::{OnError, Result, paths};
use rustix::fs::{Mode, OFlags, fstat};
use std::os::fd::OwnedFd;

pub(super) struct Files {
    file: OwnedFd,
    size: u64,
}

impl Files {
    pub(super) fn open(settings: &Settings) -> Result<Files> {
        let path = settings.path(0);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC;
        let file = paths::open(&path, flags, Mode::from_raw_mode(0o600)).on_path("open", &path)?;
        let size = fstat(&file).on_path("stat", &path)?.st_size as u64;
        Ok(Files { file, size })
    }

    /// Writes whole lines: as many as there is room for, then the others into the next file.
    pub(super) fn write(&mut self, settings: &Settings, text: &[u8]) {
        let mut rest = text;
        while !rest.is_empty() {
            let room = settings.largest.saturating_sub(self.size);
            let room = usize::try_from(room).unwrap_or(usize::MAX).min(rest.len());
            let lines = match rest.len() <= room {
                true => rest.len(),
                false => {
                    rest[..room].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
                }
            };
            if lines == 0 && self.size > 0 {
                self.turn_over(settings);
                if self.size > 0 {
                    return;
                }
                continue;
            }
            // A line that is longer than a file has one for itself.
            let lines = match lines {
                0 => rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1),
                lines => lines,
            };
            match rustix::io::write(&self.file, &rest[..lines]) {
                Ok(count) => self.size += count as u64,
                Err(_) => return,
            }
            rest = &rest[lines..];
        }
    }

    fn turn_over(&mut self, settings: &Settings) {
        if settings.files <= 1 {
            let _ = paths::unlink(&settings.path(0));
        }
        for number in (1..settings.files).rev() {
            let _ = paths::rename(&settings.path(number - 1), &settings.path(number));
        }
        if let Ok(files) = Files::open(settings) {
            *self = files;
        }
    }
}
