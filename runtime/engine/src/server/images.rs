//! Routes of images.

use super::containers::filters;
use super::{Next, Request, WASTE};
use crate::jobs;
use base::{Error, Result};
use base_http::api::progress::{ErrorDetail, ProgressDetail, ProgressMessage};
use imgstore::registry::{Credentials, Events};

pub(super) fn list(request: &mut Request<'_>) -> Result<Next> {
    let rows = jobs::Images.run(request.engine)?;
    request.answer().json(200, &rows)?;
    Ok(Next::Request)
}

pub(super) fn inspect(request: &mut Request<'_>) -> Result<Next> {
    let found = jobs::InspectImage { image: request.object() }.run(request.engine)?;
    request.answer().json(200, &found)?;
    Ok(Next::Request)
}

pub(super) fn remove(request: &mut Request<'_>) -> Result<Next> {
    let job = jobs::RemoveImage { image: request.object(), force: request.head.flag("force") };
    let removed = job.run(request.engine)?;
    request.answer().json(200, &removed)?;
    Ok(Next::Request)
}

pub(super) fn tag(request: &mut Request<'_>) -> Result<Next> {
    let (repository, tag) = (request.text("repo"), request.text("tag"));
    let name = if tag.is_empty() { repository } else { format!("{repository}:{tag}") };
    request.engine.store()?.tag(request.object, &name)?;
    let more = [("name", name.as_str())];
    crate::events::of(request.engine.folders(), "image", "tag", request.object, &more);
    request.answer().empty(201)?;
    Ok(Next::Request)
}

pub(super) fn prune(request: &mut Request<'_>) -> Result<Next> {
    let job = jobs::ImagePrune { filters: filters(&request.text("filters"))? };
    let pruned = job.run(request.engine)?;
    request.answer().json(200, &pruned)?;
    Ok(Next::Request)
}

pub(super) fn save(request: &mut Request<'_>) -> Result<Next> {
    let names = request.head.query.iter().filter(|(key, _)| key == "names");
    let mut images: Vec<String> =
        names.flat_map(|(_, value)| value.split(',').map(str::to_string)).collect();
    if !request.object.is_empty() {
        images.push(request.object());
    }
    super::archive(request.answer(), "application/x-tar", &mut |out| {
        jobs::Save { images: images.clone() }.run(request.engine, out)
    })
}

pub(super) fn load(request: &mut Request<'_>) -> Result<Next> {
    let engine = request.engine;
    let mut body = request.body();
    let lines = jobs::Load.run(engine, &mut body)?;
    let whole = body.drain(WASTE);
    let message = |stream| ProgressMessage { stream, ..ProgressMessage::default() };
    stream(request, lines.into_iter().map(message).collect(), whole)
}

/// `pull` and `import` share a path: `fromSrc=-` is a tar in the body.
pub(super) fn create(request: &mut Request<'_>) -> Result<Next> {
    let engine = request.engine;
    let (status, whole) = match request.head.query("fromSrc") {
        Some("-") => {
            let (repository, tag) = (request.text("repo"), request.text("tag"));
            let name = if tag.is_empty() { repository } else { format!("{repository}:{tag}") };
            let changes = request.head.query.iter().filter(|(key, _)| key == "changes");
            let job = jobs::Import {
                name,
                message: request.text("message"),
                changes: changes.map(|(_, value)| value.clone()).collect(),
            };
            let mut body = request.body();
            (job.run(engine, &mut body)?, body.drain(WASTE))
        }
        Some(other) => {
            return Err(Error::bad_input(format!("import {other}: only \"-\" is supported")));
        }
        None => return pull(request),
    };
    stream(request, vec![ProgressMessage { status, ..ProgressMessage::default() }], whole)
}

fn pull(request: &mut Request<'_>) -> Result<Next> {
    let engine = request.engine;
    let pull = jobs::Pull {
        image: request.text("fromImage"),
        tag: request.text("tag"),
        platform: request.text("platform"),
        credentials: credentials(request),
    };
    let whole = request.body().drain(WASTE);
    live(request, whole, &mut |events| pull.clone().run(engine, events))
}

/// Who the client is for the registry.
fn credentials(request: &Request<'_>) -> Credentials {
    Credentials::of_header(request.head.headers.get("x-registry-auth").unwrap_or_default())
}

pub(super) fn push(request: &mut Request<'_>) -> Result<Next> {
    let engine = request.engine;
    let tag = request.text("tag");
    let colon = if tag.is_empty() { "" } else { ":" };
    let push = jobs::Push {
        name: [request.object, colon, &tag].concat(),
        all_tags: tag.is_empty(),
        credentials: credentials(request),
    };
    let whole = request.body().drain(WASTE);
    live(request, whole, &mut |events| push.clone().run(engine, events))
}

pub(super) fn search(request: &mut Request<'_>) -> Result<Next> {
    let limit = request.number("limit")?.unwrap_or(0);
    if !(0..=100).contains(&limit) {
        return Err(Error::bad_input(format!("limit {limit} is outside the range of [1, 100]")));
    }
    let limit = if limit == 0 { 25 } else { limit as usize };
    let credentials = credentials(request);
    let found = jobs::Search { term: request.text("term"), limit, credentials };
    let found = found.run(request.engine)?;
    request.answer().json(200, &found)?;
    Ok(Next::Request)
}

pub(super) fn tags(request: &mut Request<'_>) -> Result<Next> {
    let tags = jobs::Tags { name: request.object(), credentials: credentials(request) };
    let tags = tags.run(request.engine)?;
    request.answer().json(200, &tags)?;
    Ok(Next::Request)
}

/// A job whose progress is streamed as it comes. An error before its first word is an answer of its
/// own; after it, the last line of the stream.
fn live(
    request: &Request<'_>,
    whole: bool,
    job: &mut dyn FnMut(Events<'_>) -> Result<()>,
) -> Result<Next> {
    let mut chunks = None;
    let begin = || {
        let answer = request.answer();
        let answer = if whole { answer } else { answer.close() };
        answer.stream(200, "application/json")
    };
    let done = job(&mut |progress| {
        let chunks = match &mut chunks {
            Some(chunks) => chunks,
            None => chunks.insert(begin()?),
        };
        let detail =
            ProgressDetail { current: progress.current as i64, total: progress.total as i64 };
        let message = ProgressMessage {
            id: progress.id.to_owned(),
            status: progress.status.to_owned(),
            progress_detail: Some(detail),
            ..ProgressMessage::default()
        };
        chunks.json(&message).map_err(|e| Error::os("write", &"answer", e))
    });
    let mut chunks = match (chunks, &done) {
        (Some(chunks), _) => chunks,
        (None, Ok(())) => begin()?,
        (None, Err(error)) => return Err(error.clone()),
    };
    let sent = match done {
        Ok(()) => Ok(()),
        Err(error) => {
            let message = error.message().to_owned();
            chunks.json(&ProgressMessage {
                error: message.clone(),
                error_detail: Some(ErrorDetail { message, ..ErrorDetail::default() }),
                ..ProgressMessage::default()
            })
        }
    };
    let sent = sent.and_then(|()| chunks.finish());
    Ok(if sent.is_ok() && whole { Next::Request } else { Next::Close })
}

/// The outcome as docker streams it. `whole`: the request's body was read to its end.
fn stream(request: &Request<'_>, messages: Vec<ProgressMessage>, whole: bool) -> Result<Next> {
    let answer = request.answer();
    let answer = if whole { answer } else { answer.close() };
    let mut chunks = answer.stream(200, "application/json")?;
    let sent = messages.iter().try_for_each(|message| chunks.json(message));
    let sent = sent.and_then(|()| chunks.finish());
    Ok(if sent.is_ok() && whole { Next::Request } else { Next::Close })
}
