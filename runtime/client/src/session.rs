//! Requests of one command: version, paths, answers, and what is printed.
//!
//! One connection is kept and used again for what is asked and answered at once; streams and waits
//! get connections of their own.

use crate::signals::Signals;
use crate::wire::{self, Wire};
use crate::{API_VERSION, Connect};
use base::json::FromJson;
use base::{Error, Kind, OnError, Result};
use base_http::head::ResponseHead;
use base_http::target::encode;
use base_http::{ApiVersion, Connection, Method, Payload, Request, push_query};
use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// What a command needs.
pub(crate) struct Session<'a> {
    pub(crate) connect: &'a dyn Connect,
    pub(crate) signals: Arc<Signals>,
    /// `/v1.41`, or nothing for the server in this process.
    prefix: Cell<Option<String>>,
    kept: Cell<Option<Connection>>,
    /// Nobody reads our output any more.
    pub(crate) deaf: Cell<bool>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(connect: &'a dyn Connect, signals: OwnedFd) -> Session<'a> {
        Session {
            connect,
            signals: Arc::new(Signals::new(signals)),
            prefix: Cell::new(None),
            kept: Cell::new(None),
            deaf: Cell::new(false),
        }
    }

    /// A fresh connection, for what takes long.
    pub(crate) fn open(&self) -> Result<(Arc<Wire>, Connection)> {
        let socket = self.connect.connect().map_err(|error| self.unreachable(error))?;
        let wire = Arc::new(Wire::new(socket, self.signals.clone()));
        Ok((wire.clone(), Connection::new(wire)))
    }

    /// docker's words for a daemon that is not there.
    fn unreachable(&self, error: Error) -> Error {
        match self.connect.in_process() || error.kind() == Kind::Denied {
            true => error,
            false => Error::other(format!(
                "Cannot connect to the Docker daemon at {}. Is the docker daemon running?",
                self.connect.address()
            )),
        }
    }

    fn kept(&self) -> Result<Connection> {
        match self.kept.take() {
            Some(connection) => Ok(connection),
            None => Ok(self.open()?.1),
        }
    }

    /// Asks the daemon which version it speaks, once.
    fn prefix(&self) -> Result<String> {
        if self.connect.in_process() {
            return Ok(String::new());
        }
        let prefix = match self.prefix.take() {
            Some(prefix) => prefix,
            None => {
                let request =
                    Request { method: Method::Head, target: "/_ping", payload: Payload::None };
                let mut connection = self.kept()?;
                let head = connection.begin(request)?;
                let theirs = head.headers.get("api-version").and_then(ApiVersion::parse);
                if head.keep_alive {
                    self.kept.set(Some(connection));
                }
                let theirs = theirs.unwrap_or(ApiVersion { major: 1, minor: 24 });
                match ApiVersion::parse(API_VERSION) {
                    Some(ours) if ours <= theirs => ["/v", API_VERSION].concat(),
                    _ => {
                        let (major, minor) = (theirs.major.to_string(), theirs.minor.to_string());
                        ["/v", &major, ".", &minor].concat()
                    }
                }
            }
        };
        self.prefix.set(Some(prefix.clone()));
        Ok(prefix)
    }

    /// `/containers/ID/start`, with the version before it; the middle part is encoded.
    pub(crate) fn target(&self, before: &str, name: &str, after: &str) -> Result<Target> {
        let mut target = self.prefix()?;
        target.push_str(before);
        encode(&mut target, name, true);
        target.push_str(after);
        Ok(Target(target))
    }

    /// Asks and reads the document of the answer.
    pub(crate) fn json<T: FromJson + Default>(
        &self,
        method: Method,
        target: &Target,
        payload: Payload<'_>,
    ) -> Result<T> {
        let body = self.ask(method, target, payload)?;
        if body.is_empty() { Ok(T::default()) } else { base::json::parse(&body) }
    }

    /// Asks; the answer's body does not matter.
    pub(crate) fn done(&self, method: Method, target: &Target) -> Result<()> {
        self.ask(method, target, Payload::None).map(|_| ())
    }

    /// Asks for something that may be so already.
    pub(crate) fn make_so(&self, method: Method, target: &Target) -> Result<()> {
        match self.done(method, target) {
            Err(error) if error.kind() == Kind::NotModified => Ok(()),
            other => other,
        }
    }

    /// Asks and reads the whole answer.
    pub(crate) fn ask(
        &self,
        method: Method,
        target: &Target,
        payload: Payload<'_>,
    ) -> Result<Vec<u8>> {
        let mut connection = self.kept()?;
        let head = connection.begin(Request { method, target: &target.0, payload })?;
        let keep_alive = head.keep_alive;
        let mut response = connection.answer(head);
        response.check().map_err(|error| self.said(error))?;
        let body = response.body.whole(base_http::body::JSON_CAP)?;
        if keep_alive {
            self.kept.set(Some(connection));
        }
        Ok(body)
    }

    /// Asks on a connection of its own and leaves the body to the caller.
    pub(crate) fn begin(
        &self,
        method: Method,
        target: &Target,
        payload: Payload<'_>,
    ) -> Result<(Arc<Wire>, Connection, ResponseHead)> {
        self.begin_as(method, target, payload, "")
    }

    /// The same, and the server hears who we are for the image's registry.
    pub(crate) fn begin_as(
        &self,
        method: Method,
        target: &Target,
        payload: Payload<'_>,
        auth: &str,
    ) -> Result<(Arc<Wire>, Connection, ResponseHead)> {
        let (wire, mut connection) = self.open()?;
        if !auth.is_empty() {
            connection.header("X-Registry-Auth", auth);
        }
        let head = connection.begin(Request { method, target: &target.0, payload })?;
        if head.status >= 300 {
            let refused = connection.answer(head).check();
            return Err(match refused {
                Err(error) => self.said(error),
                Ok(()) => Error::other("read answer: it makes no sense"),
            });
        }
        Ok((wire, connection, head))
    }

    /// Marks an error as the daemon's words.
    pub(crate) fn said(&self, error: Error) -> Error {
        match self.connect.in_process() || error.kind() == Kind::NotModified {
            true => error,
            false => error.context("Error response from daemon"),
        }
    }

    /// Prints on standard output.
    pub(crate) fn print(&self, text: &str) -> Result<()> {
        let written = wire::write_all(&self.signals, rustix::stdio::stdout(), text.as_bytes());
        if let Err(error) = &written {
            self.deaf.set(error.kind() == std::io::ErrorKind::BrokenPipe);
        }
        written.on("write", "standard output")
    }

    /// Prints a line on standard output.
    pub(crate) fn print_line(&self, line: &str) -> Result<()> {
        self.print(&[line, "\n"].concat())
    }

    /// Prints a line on standard error; nobody to tell when that fails.
    pub(crate) fn tell(&self, line: &str) {
        let line = [line, "\n"].concat();
        let _ = wire::write_all(&self.signals, rustix::stdio::stderr(), line.as_bytes());
    }
}

/// Path and query of a request.
pub(crate) struct Target(pub(crate) String);

impl Target {
    /// With a query.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Target {
        push_query(&mut self.0, name, value);
        self
    }

    /// With a query if there is a value.
    pub(crate) fn with_some(self, name: &str, value: Option<&str>) -> Target {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// With a query of 1 if it is so.
    pub(crate) fn with_flag(self, name: &str, on: bool) -> Target {
        if on { self.with(name, "1") } else { self }
    }
}
