//! Routes of a container's files.

use super::{Next, Request};
use crate::jobs;
use base::Result;
use base::text::base64;

const STAT: &str = "X-Docker-Container-Path-Stat";

pub(super) fn stat(request: &mut Request<'_>) -> Result<Next> {
    let container = request.engine.containers().find(request.object)?;
    let found = jobs::Archive::find(request.engine, &container, &request.text("path"))?;
    let stat = base64::encode(base::json::to_string(&found.stat()?).as_bytes());
    request.answer().header(STAT, &stat).bytes(200, "application/json", b"")?;
    Ok(Next::Request)
}

pub(super) fn get(request: &mut Request<'_>) -> Result<Next> {
    let container = request.engine.containers().find(request.object)?;
    let found = jobs::Archive::find(request.engine, &container, &request.text("path"))?;
    let stat = base64::encode(base::json::to_string(&found.stat()?).as_bytes());
    let mut answer = request.answer().header(STAT, &stat).stream(200, "application/x-tar")?;
    // The head is sent: an error can only end the stream before its end.
    if let Err(error) = found.pack(&mut answer) {
        base::log::warn(error.message());
        return Ok(Next::Close);
    }
    Ok(if answer.finish().is_ok() { Next::Request } else { Next::Close })
}

pub(super) fn put(request: &mut Request<'_>) -> Result<Next> {
    let engine = request.engine;
    let container = engine.containers().find(request.object)?;
    let found = jobs::Archive::find(engine, &container, &request.text("path"))?;
    let keep_kinds = request.head.flag("noOverwriteDirNonDir");
    let owner = match request.head.flag("copyUIDGID") {
        true => found.owner(&container)?,
        false => None,
    };
    found.extract(&mut request.body(), keep_kinds, owner)?;
    request.answer().bytes(200, "text/plain", b"")?;
    Ok(Next::Request)
}
