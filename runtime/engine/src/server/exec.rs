//! Routes of exec sessions.

use super::{Next, Request};
use crate::jobs::ExecCreate;
use base::{OnError, Result};
use base_http::api::exec::{ExecConfig, ExecCreated, ExecStart};
use base_http::body::JSON_CAP;

/// The stack of a thread that waits for a process.
const WATCHER: usize = 64 << 10;

pub(super) fn create(request: &mut Request<'_>) -> Result<Next> {
    let body = request.body().whole(JSON_CAP)?;
    let config: ExecConfig = base::json::parse(&body)?;
    let id = ExecCreate { container: request.object(), config }.run(request.engine)?;
    request.answer().json(201, &ExecCreated { id })?;
    Ok(Next::Request)
}

pub(super) fn start(request: &mut Request<'_>) -> Result<Next> {
    let body = request.body().whole(JSON_CAP)?;
    let asked = if body.is_empty() { ExecStart::default() } else { base::json::parse(&body)? };
    let exec = request.engine.execs().find(request.object)?;
    let multiplexed = !exec.has_terminal();
    let begun = exec.start(request.engine, !asked.detach, &asked.console_size)?;
    if asked.detach {
        let engine = request.engine.clone();
        let wait = move || {
            if let Err(error) = begun.finish(&engine, None) {
                base::log::debug(error.message());
            }
        };
        std::thread::Builder::new().stack_size(WATCHER).spawn(wait).on("start", "thread")?;
        request.answer().bytes(200, "text/plain", b"")?;
        return Ok(Next::Request);
    }
    request.answer().hijack(multiplexed)?;
    let client = rustix::io::fcntl_dupfd_cloexec(request.connection, 3).on("dup", "connection")?;
    if let Err(error) = begun.finish(request.engine, Some(client)) {
        base::log::warn(error.message());
    }
    Ok(Next::Close)
}

pub(super) fn inspect(request: &mut Request<'_>) -> Result<Next> {
    let found = request.engine.execs().find(request.object)?.inspect();
    request.answer().json(200, &found)?;
    Ok(Next::Request)
}

pub(super) fn resize(request: &mut Request<'_>) -> Result<Next> {
    let (columns, rows) = request.size()?;
    request.engine.execs().find(request.object)?.resize(columns, rows)?;
    request.answer().bytes(200, "text/plain", b"")?;
    Ok(Next::Request)
}
