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

    pub(super) fn write(&mut self, settings: &Settings, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        if self.size > 0 && self.size.saturating_add(text.len() as u64) > settings.largest {
            self.turn_over(settings);
        }
        if let Ok(count) = rustix::io::write(&self.file, text) {
            self.size += count as u64;
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
