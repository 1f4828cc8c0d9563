//! `containers`: the rows of `ps`.

use super::usage::has_label;
use crate::Engine;
use crate::container::{Container, State, Status};
use base::json::Raw;
use base::map::Map;
use base::text::part::contains;
use base::text::time::{ago, now, parse};
use base::{Error, Result};
use base_http::api::container::{ContainerSummary, Health, SummaryHostConfig};

/// Lists containers, the newest first.
pub(crate) struct List {
    /// Also those that do not run.
    pub(crate) all: bool,
    /// At most so many, running or not.
    pub(crate) limit: Option<usize>,
    /// With how much they wrote.
    pub(crate) size: bool,
    /// Only those that fit one value of each filter.
    pub(crate) filters: Map<String, Vec<String>>,
}

/// Docker's filters of `ps` that are known here.
const FILTERS: [&str; 15] = [
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];

impl List {
    fn check(&self) -> Result<()> {
        if let Some(name) = self.filters.keys().find(|name| !FILTERS.contains(&name.as_str())) {
            return Err(Error::bad_input(format!("invalid filter '{name}'")));
        }
        let wrong = |name: &str, known: &[&str]| {
            let mut values = self.filters.get(name).into_iter().flatten();
            let wrong = values.find(|value| !known.contains(&value.as_str()));
            wrong.map_or(Ok(()), |value| {
                Err(Error::bad_input(format!("invalid filter '{name}={value}'")))
            })
        };
        wrong("health", &["healthy", "none", "starting", "unhealthy"])?;
        wrong("is-task", &["0", "1", "false", "true"])?;
        let states = ["created", "dead", "exited", "paused", "removing", "restarting", "running"];
        wrong("status", &states)?;
        for value in self.filters.get("exited").into_iter().flatten() {
            if value.parse::<i32>().is_err() {
                return Err(Error::bad_input(format!("invalid filter 'exited={value}'")));
            }
        }
        Ok(())
    }

    /// When the containers were made that `before` and `since` name: the earliest, and the latest.
    fn bounds(&self, engine: &Engine) -> Result<[Option<(i64, u32)>; 2]> {
        let times = |name: &str| -> Result<Vec<(i64, u32)>> {
            let names = self.filters.get(name).into_iter().flatten();
            let found = names.map(|name| engine.containers().find(name));
            found.map(|one| Ok(parse(&one?.record.created).unwrap_or_default())).collect()
        };
        Ok([times("before")?.into_iter().min(), times("since")?.into_iter().max()])
    }

    fn fits(
        &self,
        container: &Container,
        state: &State,
        row: &ContainerSummary,
        [before, since]: [Option<(i64, u32)>; 2],
    ) -> bool {
        let record = &container.record;
        let made = parse(&record.created).unwrap_or_default();
        self.filters.iter().all(|(name, values)| {
            values.iter().any(|value| match name.as_str() {
                "before" => before.is_some_and(|before| made < before),
                "since" => since.is_some_and(|since| made > since),
                "expose" => {
                    let port =
                        value.split_once('/').map_or([value, "/tcp"].concat(), |_| value.clone());
                    record.config.exposed_ports.get(&port).is_some()
                }
                // There are no networks, services or other kinds of isolation here.
                "network" => record.host_config.network_mode == *value,
                "publish" => false,
                "is-task" => ["0", "false"].contains(&value.as_str()),
                "isolation" => true,
                "ancestor" => {
                    record.config.image == *value
                        || record.config.image.strip_suffix(":latest") == Some(value)
                        || record.image.trim_start_matches("sha256:").starts_with(value.as_str())
                }
                "exited" => state.status == Status::Exited && state.exit_code.to_string() == *value,
                "id" => record.id.starts_with(value.as_str()),
                "label" => has_label(&row.labels, value),
                "health" => {
                    let health = crate::health::read(container).map(|health| health.status);
                    health.as_deref().unwrap_or("none") == value
                }
                "name" => named(&record.name, value),
                "volume" => record
                    .mounts
                    .iter()
                    .any(|mount| [&mount.name, &mount.source, &mount.target].contains(&value)),
                _ => row.state == *value,
            })
        })
    }
}

impl List {
    pub(crate) fn run(self, engine: &Engine) -> Result<Vec<ContainerSummary>> {
        self.check()?;
        // Whoever asks for a state means all of that state.
        let all = self.all
            || self.limit.is_some()
            || ["status", "exited"].iter().any(|name| self.filters.get(*name).is_some());
        if all && let Err(error) = engine.sweep_uppers() {
            base::log::debug(error.message());
        }
        let bounds = self.bounds(engine)?;
        let mut rows = Vec::new();
        for container in engine.containers().list()? {
            let state = container.state();
            if state.status != Status::Running
                && !state.restarting
                && (!all || engine.heal(&container))
            {
                continue;
            }
            let row = row(&container, &state);
            if self.fits(&container, &state, &row, bounds) {
                rows.push(row);
            }
        }
        rows.truncate(self.limit.unwrap_or(usize::MAX));
        if self.size {
            sizes(engine, &mut rows)?;
        }
        Ok(rows)
    }
}

/// What each wrote, and that with its image.
fn sizes(engine: &Engine, rows: &mut [ContainerSummary]) -> Result<()> {
    let store = engine.store()?;
    for row in rows {
        let Some(container) = engine.containers().open(&row.id)? else { continue };
        let driver = store.driver_called(&container.record.driver)?;
        // Not started yet: it has nothing.
        row.size_rw = driver.size(&row.id).unwrap_or(0) as i64;
        let image = store.find(&row.image_id).map_or(0, |image| image.size);
        row.size_root_fs = row.size_rw.saturating_add(image as i64);
    }
    Ok(())
}

fn row(container: &Container, state: &State) -> ContainerSummary {
    let record = &container.record;
    let paused = super::inspect::is_paused(state, record);
    let running = state.status == Status::Running;
    let health = running.then(|| crate::health::read(container)).flatten();
    ContainerSummary {
        id: record.id.clone(),
        names: vec![format!("/{}", record.name)],
        image: record.config.image.clone(),
        image_id: record.image.clone(),
        command: command_line(&record.command),
        created: parse(&record.created).map_or(0, |(seconds, _)| seconds),
        labels: record.config.labels.clone().unwrap_or_default(),
        state: word(state, paused).to_string(),
        status: in_words(state) + if paused { " (Paused)" } else { health_in_words(&health) },
        host_config: SummaryHostConfig { network_mode: record.host_config.network_mode.clone() },
        network_settings: Raw::of(&base::json::Empty),
        mounts: record.mounts.iter().map(super::inspect::shown).collect(),
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

/// Docker's filter is a regular expression; of those, people use the anchors.
fn named(name: &str, wanted: &str) -> bool {
    let (begins, wanted) = match wanted.strip_prefix('^') {
        Some(wanted) => (true, wanted),
        None => (false, wanted),
    };
    let (ends, wanted) = match wanted.strip_suffix('$') {
        Some(wanted) => (true, wanted),
        None => (false, wanted),
    };
    let wanted = wanted.strip_prefix('/').unwrap_or(wanted);
    match (begins, ends) {
        (true, true) => name == wanted,
        (true, false) => name.starts_with(wanted),
        (false, true) => name.ends_with(wanted),
        (false, false) => contains(name, wanted),
    }
}

fn health_in_words(health: &Option<Health>) -> &'static str {
    match health.as_ref().map(|health| health.status.as_str()) {
        Some("healthy") => " (healthy)",
        Some("unhealthy") => " (unhealthy)",
        Some(_) => " (health: starting)",
        None => "",
    }
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
