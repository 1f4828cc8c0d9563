//! The server: one connection, one request after another, each from its route to its job.

mod archive;
mod containers;
mod exec;
mod images;
mod streams;
mod system;
mod volumes;

use crate::{API_VERSION, Engine, MIN_API_VERSION, claim};
use base::text::quote::quoted;
use base::{Error, OnError, Result};
use base_http::ApiVersion;
use base_http::answer::{Answer, Chunks};
use base_http::body::Body;
use base_http::head::{Method, RequestHead, read_request};
use base_http::input::Input;
use std::io::{self, BufWriter, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// One request on its way.
struct Request<'a> {
    engine: &'a Arc<Engine>,
    head: &'a RequestHead,
    input: &'a mut Input,
    connection: &'a UnixStream,
    /// The part of the path that the route's `*` stands for.
    object: &'a str,
}

impl<'a> Request<'a> {
    fn answer(&self) -> Answer<'a> {
        Answer::to(self.head, self.connection)
    }

    fn body(&mut self) -> Body<'_> {
        Body::of(self.input, self.head)
    }

    fn object(&self) -> String {
        self.object.to_string()
    }

    fn text(&self, name: &str) -> String {
        self.head.query(name).unwrap_or_default().to_string()
    }

    /// A terminal's columns and rows in the query; 0 for what is not there.
    fn size(&self) -> Result<(u16, u16)> {
        let size = |number: Option<i64>| number.and_then(|n| u16::try_from(n).ok()).unwrap_or(0);
        Ok((size(self.number("w")?), size(self.number("h")?)))
    }

    /// A number in the query; None when it is not there.
    fn number(&self, name: &str) -> Result<Option<i64>> {
        match self.head.query(name) {
            None | Some("") => Ok(None),
            Some(text) => text
                .parse()
                .map(Some)
                .map_err(|_| Error::bad_input([name, ": not a number: ", &quoted(text)].concat())),
        }
    }
}

/// The body of an answer that is an archive: its head is sent with the first bytes, so that what fails
/// before is answered as an error. What fails later cuts the body off, and is said in the log.
struct Archive<'a> {
    answer: Option<Answer<'a>>,
    content_type: &'static str,
    chunks: Option<Chunks<'a>>,
    /// Nobody reads any more.
    deaf: bool,
}

impl Write for Archive<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(answer) = self.answer.take() {
            let chunks = answer.stream(200, self.content_type).map_err(io::Error::other)?;
            self.chunks = Some(chunks);
        }
        match &mut self.chunks {
            Some(chunks) => {
                let sent = chunks.chunk(bytes);
                self.deaf |= sent.is_err();
                sent.map(|()| bytes.len())
            }
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Answers with an archive.
fn archive(
    answer: Answer<'_>,
    content_type: &'static str,
    fill: &mut dyn FnMut(&mut dyn Write) -> Result<()>,
) -> Result<Next> {
    let mut archive = Archive { answer: Some(answer), content_type, chunks: None, deaf: false };
    let done = fill(&mut BufWriter::with_capacity(64 << 10, &mut archive));
    let done = match (done, archive.chunks) {
        (Err(error), None) => return Err(error),
        (Ok(()), Some(chunks)) => chunks.finish().on("write", "the archive"),
        (done, _) => done,
    };
    if let (Err(error), false) = (&done, archive.deaf) {
        base::log::warn(error.message());
    }
    Ok(if done.is_ok() { Next::Request } else { Next::Close })
}

/// Does a request and answers it. An error is answered by the caller: nothing has been sent then.
type Handler = fn(&mut Request<'_>) -> Result<Next>;

/// What becomes of the connection.
enum Next {
    /// The next request.
    Request,
    /// It was handed over, or its stream has ended it.
    Close,
}

/// Method, path and handler. `*` is a name; only names of images have slashes.
const ROUTES: &[(Method, &str, Handler)] = &[
    (Method::Get, "/_ping", system::ping),
    (Method::Head, "/_ping", system::ping),
    (Method::Get, "/version", system::version),
    (Method::Get, "/info", system::info),
    (Method::Get, "/events", streams::events),
    (Method::Get, "/system/df", system::df),
    (Method::Post, "/auth", system::auth),
    // Our own, for boot scripts.
    (Method::Post, "/coracle/boot", system::boot),
    (Method::Post, "/containers/create", containers::create),
    (Method::Get, "/containers/json", containers::list),
    (Method::Post, "/containers/prune", containers::prune),
    (Method::Get, "/containers/*/json", containers::inspect),
    (Method::Post, "/containers/*/start", containers::start),
    (Method::Post, "/containers/*/stop", containers::stop),
    (Method::Post, "/containers/*/kill", containers::kill),
    (Method::Post, "/containers/*/pause", containers::pause),
    (Method::Post, "/containers/*/unpause", containers::unpause),
    (Method::Post, "/containers/*/restart", containers::restart),
    (Method::Post, "/containers/*/rename", containers::rename),
    (Method::Post, "/containers/*/update", containers::update),
    (Method::Get, "/containers/*/stats", streams::stats),
    (Method::Get, "/containers/*/top", containers::top),
    (Method::Get, "/containers/*/changes", containers::changes),
    (Method::Get, "/containers/*/export", containers::export),
    (Method::Post, "/commit", containers::commit),
    (Method::Post, "/containers/*/resize", containers::resize),
    (Method::Get, "/containers/*/archive", archive::get),
    (Method::Head, "/containers/*/archive", archive::stat),
    (Method::Put, "/containers/*/archive", archive::put),
    (Method::Post, "/containers/*/wait", streams::wait),
    (Method::Post, "/containers/*/attach", streams::attach),
    (Method::Get, "/containers/*/logs", streams::logs),
    (Method::Post, "/containers/*/exec", exec::create),
    (Method::Post, "/exec/*/start", exec::start),
    (Method::Get, "/exec/*/json", exec::inspect),
    (Method::Post, "/exec/*/resize", exec::resize),
    (Method::Delete, "/containers/*", containers::remove),
    (Method::Get, "/images/json", images::list),
    (Method::Post, "/images/create", images::create),
    (Method::Post, "/images/load", images::load),
    (Method::Post, "/images/prune", images::prune),
    (Method::Get, "/images/search", images::search),
    // Our own, as the API has no word for it.
    (Method::Get, "/images/*/tags", images::tags),
    (Method::Post, "/images/*/push", images::push),
    (Method::Get, "/images/get", images::save),
    (Method::Get, "/images/*/get", images::save),
    (Method::Get, "/images/*/json", images::inspect),
    (Method::Delete, "/images/*", images::remove),
    (Method::Post, "/images/*/tag", images::tag),
    (Method::Get, "/volumes", volumes::list),
    (Method::Post, "/volumes/create", volumes::create),
    (Method::Post, "/volumes/prune", volumes::prune),
    (Method::Get, "/volumes/*", volumes::inspect),
    (Method::Delete, "/volumes/*", volumes::remove),
];

/// The handler of a request, and what its `*` stands for.
fn route(method: Method, path: &str) -> Option<(Handler, &str)> {
    ROUTES.iter().filter(|(known, ..)| *known == method).find_map(|(_, pattern, handler)| {
        let Some((before, after)) = pattern.split_once('*') else {
            return (path == *pattern).then_some((*handler, ""));
        };
        let object = path.strip_prefix(before)?.strip_suffix(after)?;
        let slashes = before == "/images/" || !object.contains('/');
        (slashes && !object.is_empty()).then_some((*handler, object))
    })
}

/// Whether we speak the version that the client names.
fn speaks(version: Option<ApiVersion>) -> Result<()> {
    let known = |text: &str| ApiVersion::parse(text);
    let shown = |version: ApiVersion| format!("{}.{}", version.major, version.minor);
    match version {
        Some(version) if known(API_VERSION).is_some_and(|newest| version > newest) => {
            Err(Error::bad_input(format!(
                "client version {} is too new. Maximum supported API version is {API_VERSION}",
                shown(version)
            )))
        }
        Some(version) if known(MIN_API_VERSION).is_some_and(|oldest| version < oldest) => {
            Err(Error::bad_input(format!(
                "client version {} is too old. Minimum supported API version is {MIN_API_VERSION}, \
                 please upgrade your client to a newer version",
                shown(version)
            )))
        }
        _ => Ok(()),
    }
}

/// Containers are asked about with their own run folder alone.
fn allowed(request: &Request<'_>) -> Result<()> {
    speaks(request.head.version)?;
    match ["/containers/", "/volumes", "/events", "/coracle/"]
        .iter()
        .any(|path| request.head.path.starts_with(path))
    {
        true => claim::check(request.engine.folders()),
        false => Ok(()),
    }
}

/// The most that is read of a body that nobody wanted.
const WASTE: u64 = 1 << 20;

/// The stack of a thread that serves a connection: enough for JSON 64 levels deep and the blocks of an
/// archive; most of it is never touched.
pub const STACK: usize = 512 << 10;

/// Serves one connection to its end.
pub fn serve(engine: &Arc<Engine>, connection: UnixStream) {
    let connection = Arc::new(connection);
    let mut input = Input::exact(connection.clone());
    loop {
        let head = match read_request(&mut input) {
            Ok(Some(head)) => head,
            Ok(None) => return,
            Err(error) => {
                // The peer may have gone; then there is nobody to tell.
                let _ = Answer::to_nothing(&*connection).error(&error);
                return;
            }
        };
        let Some((handler, object)) = route(head.method, &head.path) else {
            let error = Error::not_found("page not found");
            if Answer::to(&head, &*connection).error(&error).is_err() || !head.keep_alive {
                return;
            }
            if !Body::of(&mut input, &head).drain(WASTE) {
                return;
            }
            continue;
        };
        let mut request =
            Request { engine, head: &head, input: &mut input, connection: &connection, object };
        let next = match allowed(&request).and_then(|()| handler(&mut request)) {
            Ok(next) => next,
            Err(error) => {
                // A body that was not read to its end would be taken for the next head.
                let answer = Answer::to(&head, &*connection).close();
                let _ = answer.error(&error);
                return;
            }
        };
        if matches!(next, Next::Close) || !head.keep_alive {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_find_their_routes() {
        let found = |method, path| route(method, path).map(|(_, object)| object);
        assert_eq!(found(Method::Get, "/containers/web/json"), Some("web"));
        assert_eq!(found(Method::Get, "/containers/json"), Some(""));
        assert_eq!(found(Method::Get, "/images/a.b:5000/c/d:1/json"), Some("a.b:5000/c/d:1"));
        assert_eq!(found(Method::Get, "/containers/a/b/json"), None);
        assert_eq!(found(Method::Get, "/containers//json"), None);
        assert_eq!(found(Method::Put, "/containers/web/json"), None);
        assert_eq!(found(Method::Delete, "/containers/web"), Some("web"));
    }

    #[test]
    fn versions_between_the_oldest_and_the_newest_are_spoken() {
        let asked = |text| speaks(ApiVersion::parse(text)).map_err(|e| e.message().to_string());
        assert_eq!(asked("1.24"), Ok(()));
        assert_eq!(asked(API_VERSION), Ok(()));
        assert!(asked("1.23").is_err_and(|text| text.contains("1.23 is too old. Minimum")));
        assert!(asked("9.9").is_err_and(|text| text.contains("9.9 is too new. Maximum")));
    }
}
