//! `stats`: what containers use, once or again and again.
//!
//! One connection asks for one sample after another: a hundred containers cost no more memory than
//! the table.

use super::Failure;
use crate::format;
use crate::session::Session;
use crate::terminal;
use base::flags::{Command, Flag, Matches, Operands};
use base::text::size::{self, human};
use base::text::table::Table;
use base::{Kind, Result};
use base_http::api::ContainerSummary;
use base_http::api::stats::ContainerStats;
use base_http::{Method, Payload};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub(super) static COMMAND: Command = Command {
    name: "stats",
    usage: "[OPTIONS] [CONTAINER...]",
    about: "Display a live stream of container(s) resource usage statistics",
    aliases: &["container stats"],
    flags: &[
        Flag::switch("all", "Show all containers (default shows just running)").short(b'a'),
        Flag::text("format", "string", "Format output using a Go template"),
        Flag::switch("no-stream", "Disable streaming stats and only pull the first result"),
        Flag::switch("no-trunc", "Do not truncate output"),
    ],
    common: &[],
    operands: Operands::AtLeast(0),
    stops: false,
};

const HEADINGS: [&str; 8] =
    ["CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS"];

pub(super) fn run(session: &Session<'_>, matches: &Matches) -> std::result::Result<u8, Failure> {
    let once = matches.on("no-stream");
    let mut last: Vec<ContainerStats> = Vec::new();
    loop {
        let samples = sample(session, matches)?;
        // Only two samples tell how busy the processors are between them.
        if !last.is_empty() || samples.is_empty() {
            let rows = samples.iter().map(|sample| {
                let before = last.iter().find(|before| before.id == sample.id);
                cells(sample, before.unwrap_or(sample), matches.on("no-trunc"))
            });
            show(session, matches, rows.collect(), !once)?;
            if once {
                return Ok(0);
            }
        }
        last = samples;
        if rest(session) {
            return Ok(session.signals.exit_code().unwrap_or(0));
        }
    }
}

/// One sample of each container.
fn sample(session: &Session<'_>, matches: &Matches) -> Result<Vec<ContainerStats>> {
    let mut names = matches.operands.clone();
    let named = !names.is_empty();
    if !named {
        let target = session.target("/containers/json", "", "")?;
        let target = target.with_flag("all", matches.on("all"));
        let rows: Vec<ContainerSummary> = session.json(Method::Get, &target, Payload::None)?;
        names = rows.into_iter().map(|row| row.id).collect();
    }
    let mut samples = Vec::new();
    for name in names {
        let target = session.target("/containers/", &name, "/stats")?;
        let target = target.with("stream", "0").with("one-shot", "1");
        match session.json(Method::Get, &target, Payload::None) {
            Ok(sample) => samples.push(sample),
            // It went between the list and the question.
            Err(error) if error.kind() == Kind::NotFound && !named => (),
            Err(error) => return Err(error),
        }
    }
    Ok(samples)
}

/// A second's rest. Whether a signal has ended it.
fn rest(session: &Session<'_>) -> bool {
    let Some(pipe) = session.signals.fd() else { return true };
    let mut waiting = [PollFd::from_borrowed_fd(pipe, PollFlags::IN)];
    let second = Timespec { tv_sec: 1, tv_nsec: 0 };
    match poll(&mut waiting, Some(&second)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => false,
        _ => session.signals.end_by_next(),
    }
}

fn show(
    session: &Session<'_>,
    matches: &Matches,
    rows: Vec<Vec<String>>,
    again: bool,
) -> Result<()> {
    let mut text = String::new();
    if again && terminal::stdout_is_terminal() {
        // Home, and away with what was there.
        text.push_str("\x1b[H\x1b[J");
    }
    match matches.text("format") {
        Some(template) => {
            let rows = rows.into_iter().map(document).collect();
            text.push_str(&format::list(rows, template)?);
        }
        None => {
            let mut table = Table::new(&HEADINGS);
            rows.into_iter().for_each(|row| table.row(row));
            text.push_str(&table.text());
        }
    }
    session.print(&text)
}

/// docker's names for the columns.
fn document(row: Vec<String>) -> String {
    let mut cells = row.into_iter();
    let fields = ["ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"];
    format::document(fields.map(|name| (name, cells.next().unwrap_or_default())))
}

fn cells(now: &ContainerStats, before: &ContainerStats, whole: bool) -> Vec<String> {
    let id = if whole { now.id.as_str() } else { base::text::id::short(&now.id) };
    let memory = used_memory(now);
    let (received, sent) = now.networks.values().fold((0, 0), |sum: (u64, u64), row| {
        (sum.0.saturating_add(row.rx_bytes), sum.1.saturating_add(row.tx_bytes))
    });
    let bytes = |kind: &str| {
        let rows = now.blkio.bytes.iter();
        rows.filter(|row| row.operation.eq_ignore_ascii_case(kind)).map(|row| row.value).sum()
    };
    vec![
        id.to_string(),
        now.name.trim_start_matches('/').to_string(),
        percent(processors(now, before)),
        [size::binary(memory), size::binary(now.memory.limit)].join(" / "),
        percent(hundredths(memory, now.memory.limit)),
        [human(received), human(sent)].join(" / "),
        [human(bytes("read")), human(bytes("write"))].join(" / "),
        now.pids.current.to_string(),
    ]
}

/// Without the page cache that can go at once, as docker counts.
fn used_memory(now: &ContainerStats) -> u64 {
    let stats = &now.memory.stats;
    let cache = stats.get("total_inactive_file").or_else(|| stats.get("inactive_file"));
    now.memory.usage.saturating_sub(cache.copied().unwrap_or(0))
}

/// Hundredths of a percent of one processor.
fn processors(now: &ContainerStats, before: &ContainerStats) -> u64 {
    let mine = now.cpu.usage.total.saturating_sub(before.cpu.usage.total);
    let all = now.cpu.system.saturating_sub(before.cpu.system);
    hundredths(mine, all).saturating_mul(now.cpu.online)
}

fn hundredths(part: u64, whole: u64) -> u64 {
    let share = u128::from(part) * 10_000;
    share.checked_div(u128::from(whole)).and_then(|share| share.try_into().ok()).unwrap_or(0)
}

fn percent(hundredths: u64) -> String {
    format!("{}.{:02}%", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base_http::api::stats::{CpuStats, CpuUsage, MemoryStats};

    #[test]
    fn a_row_as_docker_shows_it() {
        let at = |total, system| ContainerStats {
            id: "0123456789abcdef".repeat(4),
            name: "/web".into(),
            cpu: CpuStats {
                usage: CpuUsage { total, ..CpuUsage::default() },
                system,
                online: 2,
                ..CpuStats::default()
            },
            memory: MemoryStats {
                usage: 3 << 20,
                stats: [("inactive_file".to_string(), 1 << 20)].into_iter().collect(),
                limit: 64 << 20,
            },
            ..ContainerStats::default()
        };
        let row = cells(&at(150, 2000), &at(100, 1000), false);
        let want =
            ["0123456789ab", "web", "10.00%", "2MiB / 64MiB", "3.12%", "0B / 0B", "0B / 0B", "0"];
        assert_eq!(row, want);
        let text = format::list(vec![document(row)], "{{.Name}} {{.CPUPerc}}").unwrap();
        assert_eq!(text, "web 10.00%\n");
    }
}
