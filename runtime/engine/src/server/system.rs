//! `/_ping`, `/version`, `/info`.

use super::{Next, Request};
use crate::{API_VERSION, jobs};
use base::Result;

pub(super) fn ping(request: &mut Request<'_>) -> Result<Next> {
    let answer = request.answer();
    let answer = answer
        .header("Api-Version", API_VERSION)
        .header("Docker-Experimental", "false")
        .header("Ostype", "linux")
        .header("Server", concat!("coracle/", env!("CARGO_PKG_VERSION"), " (linux)"))
        .header("Cache-Control", "no-cache, no-store, must-revalidate");
    answer.bytes(200, "text/plain; charset=utf-8", b"OK")?;
    Ok(Next::Request)
}

pub(super) fn version(request: &mut Request<'_>) -> Result<Next> {
    request.answer().json(200, &jobs::version())?;
    Ok(Next::Request)
}

/// `login` of docker's clients, which keep the secret themselves.
pub(super) fn auth(request: &mut Request<'_>) -> Result<Next> {
    let credentials = request.body().json()?;
    let answer = jobs::Auth { credentials }.run(request.engine)?;
    request.answer().json(200, &answer)?;
    Ok(Next::Request)
}

pub(super) fn info(request: &mut Request<'_>) -> Result<Next> {
    request.answer().json(200, &jobs::info(request.engine)?)?;
    Ok(Next::Request)
}

pub(super) fn df(request: &mut Request<'_>) -> Result<Next> {
    request.answer().json(200, &jobs::SystemDf.run(request.engine)?)?;
    Ok(Next::Request)
}

pub(super) fn boot(request: &mut Request<'_>) -> Result<Next> {
    let restored = jobs::Restore.run(request.engine)?;
    request.answer().json(200, &restored)?;
    Ok(Next::Request)
}
