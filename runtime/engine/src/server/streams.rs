//! Routes that stream: attach, wait, logs. Their heads are written before there is anything to say.

use super::containers::filters;
use super::{Next, Request};
use crate::jobs::{self, Condition};
use crate::monitor::control;
use base::text::quote::quoted;
use base::{Error, Result};
use base_http::api::container::{WaitError, WaitResponse};
use base_http::frames;
use std::os::fd::AsFd;

pub(super) fn wait(request: &mut Request<'_>) -> Result<Next> {
    let condition = match request.head.query("condition") {
        None | Some("" | "not-running") => Condition::NotRunning,
        Some("next-exit") => Condition::NextExit,
        Some("removed") => Condition::Removed,
        Some(other) => {
            return Err(Error::bad_input(["invalid condition: ", &quoted(other)].concat()));
        }
    };
    let waiting = jobs::Wait { container: request.object(), condition }.begin(request.engine)?;
    // The client starts the container when it has this head.
    let mut answer = request.answer().stream(200, "application/json")?;
    let response = match waiting.end(request.engine, request.connection.as_fd()) {
        Ok(None) => return Ok(Next::Close),
        Ok(Some(code)) => WaitResponse { status_code: i64::from(code), ..WaitResponse::default() },
        Err(error) => WaitResponse {
            status_code: 125,
            error: Some(WaitError { message: error.message().to_string() }),
        },
    };
    // The client may have gone meanwhile.
    let sent = answer.json(&response).and_then(|()| answer.finish());
    Ok(if sent.is_ok() { Next::Request } else { Next::Close })
}

pub(super) fn attach(request: &mut Request<'_>) -> Result<Next> {
    let container = request.engine.containers().find(request.object)?;
    let has = |name: &str| request.head.flag(name);
    let attach = jobs::Attach {
        streams: control::Attach {
            stdin: has("stdin") && container.record.config.open_stdin,
            stdout: has("stdout"),
            stderr: has("stderr"),
        },
    };
    let log = container.record.host_config.log_config.kind != "none";
    let terminal = container.record.config.tty;
    let running = container.state().status == crate::container::Status::Running;
    if !log && !terminal && running && container.is_temporary() {
        return Err(Error::conflict(
            "the container's streams are those of the command that runs it (--log-driver local \
             makes it attachable)",
        ));
    }
    let logs = has("logs").then_some(jobs::Logs {
        stdout: attach.streams.stdout,
        stderr: attach.streams.stderr,
        follow: false,
        tail: None,
        timestamps: false,
        since: None,
        until: None,
    });
    let stream = has("stream");
    let control = request.engine.control(&container)?;
    request.answer().hijack(!terminal)?;
    if let Some(logs) = logs.filter(|_| log) {
        let connection = request.connection;
        let mut write = |channel, bytes: &[u8]| {
            if !terminal {
                let head = frames::head(channel, bytes.len() as u32);
                base_http::input::write_all(connection, &head)?;
            }
            base_http::input::write_all(connection, bytes)
        };
        // The head is sent: an error can only end the stream.
        if logs.run(request.engine, &container, connection.as_fd(), &mut write).is_err() {
            return Ok(Next::Close);
        }
    }
    if stream && let Err(error) = attach.hand_over(&control, request.connection.as_fd()) {
        base::log::warn(error.message());
    }
    Ok(Next::Close)
}

pub(super) fn logs(request: &mut Request<'_>) -> Result<Next> {
    let container = request.engine.containers().find(request.object)?;
    let job = jobs::Logs {
        stdout: request.head.flag("stdout"),
        stderr: request.head.flag("stderr"),
        follow: request.head.flag("follow"),
        tail: match request.head.query("tail") {
            None | Some("" | "all") => None,
            Some(text) => text.parse::<i64>().ok().and_then(|tail| usize::try_from(tail).ok()),
        },
        timestamps: request.head.flag("timestamps"),
        since: time(request.head.query("since")),
        until: time(request.head.query("until")),
    };
    job.check(&container)?;
    let terminal = container.record.config.tty;
    let kind = if terminal {
        base_http::answer::RAW_STREAM
    } else {
        base_http::answer::MULTIPLEXED_STREAM
    };
    let mut answer = request.answer().stream(200, kind)?;
    let mut write = |channel, bytes: &[u8]| {
        if terminal {
            return answer.chunk(bytes);
        }
        let mut frame = frames::head(channel, bytes.len() as u32).to_vec();
        frame.extend_from_slice(bytes);
        answer.chunk(&frame)
    };
    match job.run(request.engine, &container, request.connection.as_fd(), &mut write) {
        Ok(()) if answer.finish().is_ok() => Ok(Next::Request),
        _ => Ok(Next::Close),
    }
}

pub(super) fn events(request: &mut Request<'_>) -> Result<Next> {
    let job = jobs::Events {
        since: time(request.head.query("since")),
        until: time(request.head.query("until")),
        filters: filters(&request.text("filters"))?,
    };
    job.check()?;
    let mut answer = request.answer().stream(200, "application/json")?;
    match job.run(request.engine, request.connection.as_fd(), &mut |event| answer.json(event)) {
        Ok(()) if answer.finish().is_ok() => Ok(Next::Request),
        _ => Ok(Next::Close),
    }
}

/// Docker's pace.
const SECOND: std::time::Duration = std::time::Duration::from_secs(1);

/// A sample each second; with `stream=0` one, for which two are taken unless `one-shot` says that
/// the client counts itself.
pub(super) fn stats(request: &mut Request<'_>) -> Result<Next> {
    let mut stats = jobs::Stats::begin(request.engine, request.object)?;
    if !matches!(request.head.query("stream"), None | Some("" | "1" | "true" | "True")) {
        let mut sample = stats.sample();
        if !request.head.flag("one-shot") {
            std::thread::sleep(SECOND);
            sample = stats.sample();
        }
        let gone = || Error::not_found(format!("No such container: {}", request.object));
        request.answer().json(200, &sample.ok_or_else(gone)?)?;
        return Ok(Next::Request);
    }
    let mut answer = request.answer().stream(200, "application/json")?;
    // Until the client is gone.
    while let Some(sample) = stats.sample() {
        if answer.json(&sample).is_err() {
            return Ok(Next::Close);
        }
        std::thread::sleep(SECOND);
    }
    Ok(if answer.finish().is_ok() { Next::Request } else { Next::Close })
}

/// `SECONDS[.NANOSECONDS]` since 1970; 0 and nonsense are no bound.
fn time(text: Option<&str>) -> Option<(i64, u32)> {
    let text = text?;
    let (seconds, rest) = text.split_once('.').unwrap_or((text, "0"));
    let nanos = format!("{rest:0<9}").get(..9)?.parse().ok()?;
    Some((seconds.parse().ok()?, nanos)).filter(|time| *time != (0, 0))
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn times_are_seconds_with_a_fraction() {
        assert_eq!(time(Some("12")), Some((12, 0)));
        assert_eq!(time(Some("12.5")), Some((12, 500_000_000)));
        assert_eq!(time(Some("12.000000001")), Some((12, 1)));
        for nothing in [None, Some(""), Some("0"), Some("x"), Some("1.x")] {
            assert_eq!(time(nothing), None);
        }
    }
}
