//! Routes of containers that are answered at once. Those that stream are in `streams`.

use super::{Next, Request};
use crate::jobs;
use base::Result;
use base::json::Raw;
use base::map::Map;
use base_http::api::container::CreateRequest;
use base_http::body::JSON_CAP;

pub(super) fn create(request: &mut Request<'_>) -> Result<Next> {
    let body = request.body().whole(JSON_CAP)?;
    let job = jobs::Create { name: request.text("name"), request: CreateRequest::parse(&body)? };
    let created = job.run(request.engine)?;
    request.answer().json(201, &created)?;
    Ok(Next::Request)
}

pub(super) fn list(request: &mut Request<'_>) -> Result<Next> {
    let limit = request.number("limit")?.and_then(|limit| usize::try_from(limit).ok());
    let job = jobs::List {
        all: request.head.flag("all"),
        limit: limit.filter(|limit| *limit > 0),
        size: request.head.flag("size"),
        filters: filters(&request.text("filters"))?,
    };
    let rows = job.run(request.engine)?;
    request.answer().json(200, &rows)?;
    Ok(Next::Request)
}

/// `{"name":["a"]}`, or as docker's client sends it, `{"name":{"a":true}}`.
pub(super) fn filters(text: &str) -> Result<Map<String, Vec<String>>> {
    if text.is_empty() {
        return Ok(Map::default());
    }
    let given: Map<String, Raw> = base::json::parse(text.as_bytes())?;
    let mut filters = Map::default();
    for (name, values) in given.iter() {
        let list: Vec<String> = match values.text().starts_with('[') {
            true => values.parse()?,
            false => values.parse::<Map<String, bool>>()?.keys().cloned().collect(),
        };
        filters.insert(name.clone(), list);
    }
    Ok(filters)
}

pub(super) fn inspect(request: &mut Request<'_>) -> Result<Next> {
    let found = jobs::Inspect { container: request.object() }.run(request.engine)?;
    request.answer().json(200, &found)?;
    Ok(Next::Request)
}

pub(super) fn start(request: &mut Request<'_>) -> Result<Next> {
    // Old clients send a host configuration here; it is not looked at since 1.24.
    request.body().whole(JSON_CAP)?;
    jobs::Start { container: request.object() }.run(request.engine)?;
    nothing(request)
}

pub(super) fn stop(request: &mut Request<'_>) -> Result<Next> {
    stop_of(request)?.run(request.engine)?;
    nothing(request)
}

fn stop_of(request: &Request<'_>) -> Result<jobs::Stop> {
    Ok(jobs::Stop {
        container: request.object(),
        seconds: request.number("t")?,
        signal: request.text("signal"),
    })
}

pub(super) fn restart(request: &mut Request<'_>) -> Result<Next> {
    jobs::Restart { stop: stop_of(request)? }.run(request.engine)?;
    nothing(request)
}

pub(super) fn pause(request: &mut Request<'_>) -> Result<Next> {
    jobs::Pause { container: request.object(), wanted: true }.run(request.engine)?;
    nothing(request)
}

pub(super) fn unpause(request: &mut Request<'_>) -> Result<Next> {
    jobs::Pause { container: request.object(), wanted: false }.run(request.engine)?;
    nothing(request)
}

pub(super) fn rename(request: &mut Request<'_>) -> Result<Next> {
    let job = jobs::Rename { container: request.object(), name: request.text("name") };
    job.run(request.engine)?;
    nothing(request)
}

pub(super) fn prune(request: &mut Request<'_>) -> Result<Next> {
    let job = jobs::Prune { filters: filters(&request.text("filters"))? };
    let pruned = job.run(request.engine)?;
    request.answer().json(200, &pruned)?;
    Ok(Next::Request)
}

pub(super) fn update(request: &mut Request<'_>) -> Result<Next> {
    let body = request.body().whole(JSON_CAP)?;
    let job = jobs::Update { container: request.object(), wanted: base::json::parse(&body)? };
    let done = job.run(request.engine)?;
    request.answer().json(200, &done)?;
    Ok(Next::Request)
}

pub(super) fn top(request: &mut Request<'_>) -> Result<Next> {
    let found = jobs::Top { container: request.object() }.run(request.engine)?;
    request.answer().json(200, &found)?;
    Ok(Next::Request)
}

pub(super) fn changes(request: &mut Request<'_>) -> Result<Next> {
    let found = jobs::Changes { container: request.object() }.run(request.engine)?;
    request.answer().json(200, &found)?;
    Ok(Next::Request)
}

pub(super) fn export(request: &mut Request<'_>) -> Result<Next> {
    super::archive(request.answer(), "application/octet-stream", &mut |out| {
        jobs::Export { container: request.object() }.run(request.engine, out)
    })
}

pub(super) fn commit(request: &mut Request<'_>) -> Result<Next> {
    // The configuration that may be sent here is what the container has anyway.
    request.body().whole(JSON_CAP)?;
    let (repository, tag) = (request.text("repo"), request.text("tag"));
    let changes = request.head.query.iter().filter(|(key, _)| key == "changes");
    let job = jobs::Commit {
        container: request.text("container"),
        name: if tag.is_empty() { repository } else { format!("{repository}:{tag}") },
        author: request.text("author"),
        message: request.text("comment"),
        pause: request.head.query("pause").map(|_| request.head.flag("pause")),
        changes: changes.flat_map(|(_, lines)| lines.lines().map(str::to_string)).collect(),
    };
    let made = job.run(request.engine)?;
    request.answer().json(201, &made)?;
    Ok(Next::Request)
}

pub(super) fn kill(request: &mut Request<'_>) -> Result<Next> {
    let job = jobs::Kill { container: request.object(), signal: request.text("signal") };
    job.run(request.engine)?;
    nothing(request)
}

pub(super) fn resize(request: &mut Request<'_>) -> Result<Next> {
    let (columns, rows) = request.size()?;
    jobs::Resize { container: request.object(), columns, rows }.run(request.engine)?;
    request.answer().bytes(200, "text/plain", b"")?;
    Ok(Next::Request)
}

pub(super) fn remove(request: &mut Request<'_>) -> Result<Next> {
    let job = jobs::Remove {
        container: request.object(),
        force: request.head.flag("force"),
        volumes: request.head.flag("v"),
    };
    job.run(request.engine)?;
    nothing(request)
}

fn nothing(request: &Request<'_>) -> Result<Next> {
    request.answer().empty(204)?;
    Ok(Next::Request)
}
