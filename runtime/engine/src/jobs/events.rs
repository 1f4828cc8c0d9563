//! `events`: what happened, and what happens.

use super::logs::wait_for;
use super::wait::is_gone;
use crate::Engine;
use crate::events::Reader;
use base::map::Map;
use base::{Error, OnError, Result};
use base_http::api::events::Event;
use rustix::fs::inotify;
use std::os::fd::BorrowedFd;

/// Follows events.
pub(crate) struct Events {
    /// From this time on; None: from now on.
    pub(crate) since: Option<(i64, u32)>,
    /// Until this time; None: for ever.
    pub(crate) until: Option<(i64, u32)>,
    pub(crate) filters: Map<String, Vec<String>>,
}

const FILTERS: [&str; 8] =
    ["action", "container", "event", "image", "label", "scope", "type", "volume"];

impl Events {
    pub(crate) fn check(&self) -> Result<()> {
        match self.filters.keys().find(|name| !FILTERS.contains(&name.as_str())) {
            Some(name) => Err(Error::bad_input(format!("invalid filter '{name}'"))),
            None => super::logs::watcher("events").map(drop),
        }
    }

    /// Gives each event to `out`; an error of it ends it, and a client that has gone.
    pub(crate) fn run(
        self,
        engine: &Engine,
        client: BorrowedFd<'_>,
        out: &mut dyn FnMut(&Event) -> std::io::Result<()>,
    ) -> Result<()> {
        let nanos = |(seconds, nanos): (i64, u32)| {
            seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(nanos))
        };
        let first = nanos(self.since.unwrap_or_else(base::text::time::now));
        let last = self.until.map(nanos);
        let mut reader = Reader::new(engine.folders());
        let changes = super::logs::watcher("events")?;
        let watched = inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE;
        inotify::add_watch(&changes, reader.folder()?, watched).on("watch", "events")?;
        loop {
            // Asked before the last look, so that nothing that happened until then is missed.
            let over = last.is_some_and(|last| nanos(base::text::time::now()) >= last);
            while let Some(event) = reader.next() {
                let in_time =
                    event.time_nano >= first && last.is_none_or(|last| event.time_nano <= last);
                if in_time && self.fits(&event) {
                    out(&event).on("write", "events")?;
                }
            }
            if over || is_gone(client) {
                return Ok(());
            }
            // A second at most: the end may come without an event.
            wait_for(&changes)?;
        }
    }

    fn fits(&self, event: &Event) -> bool {
        let attributes = &event.actor.attributes;
        let is = |kind: &str, value: &String| {
            let name = attributes.get("name");
            event.kind == kind
                && (event.actor.id.starts_with(value.as_str()) || name == Some(value))
        };
        self.filters.iter().all(|(name, values)| {
            values.iter().any(|value| match name.as_str() {
                "type" => event.kind == *value,
                "event" | "action" => {
                    event.action == *value || event.action.starts_with(&format!("{value}:"))
                }
                "scope" => event.scope == *value,
                "label" => match value.split_once('=') {
                    Some((label, text)) => attributes.get(label).is_some_and(|own| own == text),
                    None => attributes.get(value).is_some(),
                },
                "image" => is("image", value) || attributes.get("image") == Some(value),
                kind => is(kind, value),
            })
        })
    }
}
