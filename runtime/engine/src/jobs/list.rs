//! `containers`: the rows of `ps`.

use crate::Engine;
use crate::container::{Container, State, Status};
use base::Result;
use base::json::Raw;
use base::text::time::{ago, now, parse};
use base_http::api::container::{ContainerSummary, SummaryHostConfig};

/// Lists containers, the newest first.
pub(crate) struct List {
    /// Also those that do not run.
    pub(crate) all: bool,
    /// At most so many, running or not.
    pub(crate) limit: Option<usize>,
}

impl List {
    pub(crate) fn run(self, engine: &Engine) -> Result<Vec<ContainerSummary>> {
        let all = self.all || self.limit.is_some();
        if all && let Err(error) = engine.sweep_uppers() {
            base::log::debug(error.message());
        }
        let mut rows = Vec::new();
        for container in engine.containers().list()? {
            let state = container.state();
            if state.status != Status::Running
                && !state.restarting
                && (!all || engine.heal(&container))
            {
                continue;
            }
            rows.push(row(&container, &state));
        }
        rows.truncate(self.limit.unwrap_or(usize::MAX));
        Ok(rows)
    }
}

fn row(container: &Container, state: &State) -> ContainerSummary {
    let record = &container.record;
    let paused = super::inspect::is_paused(state, &record.id);
    ContainerSummary {
        id: record.id.clone(),
        names: vec![format!("/{}", record.name)],
        image: record.config.image.clone(),
        image_id: record.image.clone(),
        command: command_line(&record.command),
        created: parse(&record.created).map_or(0, |(seconds, _)| seconds),
        labels: record.config.labels.clone().unwrap_or_default(),
        state: word(state, paused).to_string(),
        status: in_words(state) + if paused { " (Paused)" } else { "" },
        host_config: SummaryHostConfig { network_mode: record.host_config.network_mode.clone() },
        network_settings: Raw::of(&base::json::Empty),
        ..ContainerSummary::default()
    }
}

/// Program and arguments in one line; those with spaces in quotes, as Docker shows them.
fn command_line(words: &[String]) -> String {
    let quoted = |word: &String| {
        if word.contains(char::is_whitespace) { format!("'{word}'") } else { word.clone() }
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// Docker's word for a state.
pub(super) fn word(state: &State, paused: bool) -> &'static str {
    match (paused, state.restarting) {
        (true, _) => "paused",
        (_, true) => "restarting",
        _ => state.status.name(),
    }
}

/// `Up 2 hours`, `Exited (0) 3 minutes ago`, `Created`.
fn in_words(state: &State) -> String {
    let since = |time: Option<(i64, u32)>| time.map(|(seconds, _)| ago(now().0 - seconds));
    match state.status {
        Status::Created => "Created".to_string(),
        Status::Running => format!("Up {}", since(state.started).unwrap_or_default()),
        Status::Exited if state.restarting => {
            let time = since(state.finished).unwrap_or_default();
            format!("Restarting ({}) {time} ago", state.exit_code)
        }
        Status::Exited => match since(state.finished) {
            Some(time) => format!("Exited ({}) {time} ago", state.exit_code),
            None => format!("Exited ({})", state.exit_code),
        },
    }
}
