//! Routes of volumes.

use super::containers::filters;
use super::{Next, Request};
use crate::jobs;
use base::Result;
use base_http::body::JSON_CAP;

pub(super) fn create(request: &mut Request<'_>) -> Result<Next> {
    let body = request.body().whole(JSON_CAP)?;
    let job = jobs::VolumeCreate { request: base::json::parse(&body)? };
    let made = job.run(request.engine)?;
    request.answer().json(201, &made)?;
    Ok(Next::Request)
}

pub(super) fn list(request: &mut Request<'_>) -> Result<Next> {
    let job = jobs::VolumeList { filters: filters(&request.text("filters"))? };
    let found = job.run(request.engine)?;
    request.answer().json(200, &found)?;
    Ok(Next::Request)
}

pub(super) fn inspect(request: &mut Request<'_>) -> Result<Next> {
    let found = jobs::VolumeInspect { name: request.object() }.run(request.engine)?;
    request.answer().json(200, &found)?;
    Ok(Next::Request)
}

pub(super) fn prune(request: &mut Request<'_>) -> Result<Next> {
    let job = jobs::VolumePrune { filters: filters(&request.text("filters"))? };
    let pruned = job.run(request.engine)?;
    request.answer().json(200, &pruned)?;
    Ok(Next::Request)
}

pub(super) fn remove(request: &mut Request<'_>) -> Result<Next> {
    let job = jobs::VolumeRemove { name: request.object(), force: request.head.flag("force") };
    job.run(request.engine)?;
    request.answer().empty(204)?;
    Ok(Next::Request)
}
