//! A conversation with one registry about one repository: what lies above a single request.
//!
//! Who we are is told to the registry, and to the token server that it names, and to nobody else:
//! not to where a redirect leads, and not over plain http unless the registry itself is reached so.
//! A request that failed on the way is made again, with longer and longer pauses; what the server
//! answered is final, but for "later" (429, 503) and its own faults (500 to 504).

use super::auth::{Credentials, bearer};
use super::challenge::{self, Challenge};
use super::errors;
use super::http::{Agent, Method, Payload, Request, Response};
use super::settings::Settings;
use super::url::Url;
use base::text::base64;
use base::{Error, Kind, Result};
use base_http::head::Headers;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How often a request is made.
pub(crate) const ATTEMPTS: u32 = 6;
const REDIRECTS: u32 = 5;
/// A server that wants us to wait longer is not waited for.
const LONGEST_WAIT: u64 = 120;

/// A registry and a repository in it.
pub(crate) struct Session<'a> {
    pub(crate) agent: Agent<'a>,
    /// Scheme, host and port.
    pub(crate) root: Url,
    /// The repository, as the registry calls it.
    pub(crate) path: String,
    /// What a token is asked for.
    scopes: Vec<String>,
    credentials: &'a Credentials,
    authorization: Mutex<Option<String>>,
    /// It answered once: from now on a failure is one of the line.
    reached: AtomicBool,
    /// Nobody waits for it any more.
    stopped: AtomicBool,
}

/// A request to the registry.
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    /// The address, or path and query of the registry.
    pub(crate) target: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    /// Type and bytes.
    pub(crate) body: Option<(&'a str, &'a [u8])>,
}

impl<'a> Session<'a> {
    /// With the registry at this host.
    pub(crate) fn new(
        settings: &'a Settings,
        authority: &str,
        path: &str,
        scopes: Vec<String>,
        credentials: &'a Credentials,
    ) -> Result<Self> {
        let root = Url::parse(&["https://", authority].concat())?;
        let root = Agent::new(settings).choose_scheme(root);
        Ok(Self::at(settings, &root, path, scopes, credentials))
    }

    /// With a registry whose address is known.
    pub(crate) fn at(
        settings: &'a Settings,
        root: &Url,
        path: &str,
        scopes: Vec<String>,
        credentials: &'a Credentials,
    ) -> Self {
        Self {
            agent: Agent::new(settings),
            root: root.clone(),
            path: path.to_owned(),
            scopes,
            credentials,
            authorization: Mutex::new(None),
            reached: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        }
    }

    /// `/v2/REPOSITORY/REST`.
    pub(crate) fn target(&self, rest: &str) -> String {
        ["/v2/", &self.path, "/", rest].concat()
    }

    /// Ends what others do with it.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// An error once nobody waits any more.
    pub(crate) fn check(&self) -> Result<()> {
        match self.stopped.load(Ordering::Relaxed) {
            true => Err(Error::other("stopped")),
            false => Ok(()),
        }
    }

    /// Waits before the next attempt: half a second at first, each time twice as long.
    pub(crate) fn pause(&self, attempt: u32) -> Result<()> {
        let first = self.agent.settings.patience / 60;
        self.sleep(first * (1 << attempt.min(6)))
    }

    fn sleep(&self, time: Duration) -> Result<()> {
        const STEP: Duration = Duration::from_millis(100);
        let mut left = time;
        while !left.is_zero() {
            self.check()?;
            std::thread::sleep(left.min(STEP));
            left = left.saturating_sub(STEP);
        }
        Ok(())
    }

    /// Asks; the answer is one that says yes, or an error.
    pub(crate) fn ask(&self, ask: &Ask<'_>) -> Result<Response> {
        let response = self.answer(ask)?;
        match response.status {
            200..=299 => Ok(response),
            _ => Err(errors::of(response)),
        }
    }

    /// GET, and the whole of a document, with the headers that came before it.
    pub(crate) fn document(&self, target: &str, accept: &str) -> Result<(Headers, Vec<u8>)> {
        let headers = [("Accept", accept)];
        let headers = if accept.is_empty() { &[][..] } else { &headers };
        let ask = Ask { method: Method::Get, target, headers, body: None };
        let mut attempt = 0;
        loop {
            let response = self.ask(&ask)?;
            let headers = response.headers.clone();
            match response.whole(super::http::DOCUMENT_CAP) {
                Ok(bytes) => return Ok((headers, bytes)),
                // It broke off; one that is too large stays so.
                Err(e) if e.kind() == Kind::BadInput || attempt + 1 >= ATTEMPTS => return Err(e),
                Err(_) => self.pause(attempt)?,
            }
            attempt += 1;
        }
    }

    /// Asks; the answer is whatever the registry says in the end.
    pub(crate) fn answer(&self, ask: &Ask<'_>) -> Result<Response> {
        let mut attempt = 0;
        let mut told = false;
        loop {
            self.check()?;
            let last = attempt + 1 >= ATTEMPTS;
            let response = match self.follow(ask) {
                Ok(response) => response,
                Err(e) => {
                    let reached = self.reached.load(Ordering::Relaxed);
                    // What was begun may have been done, unless it can be done twice.
                    let twice = matches!(ask.method, Method::Get | Method::Head);
                    let hopeless = last || !reached && attempt > 0;
                    if hopeless || !twice || e.kind() != Kind::Other {
                        return Err(e);
                    }
                    self.pause(attempt)?;
                    attempt += 1;
                    continue;
                }
            };
            self.reached.store(true, Ordering::Relaxed);
            match response.status {
                401 if !told => {
                    told = true;
                    self.authorize(&response)?;
                }
                429 | 503 if !last => {
                    let after = response.headers.get("retry-after");
                    match after.and_then(|text| text.trim().parse::<u64>().ok()) {
                        Some(seconds) if seconds > LONGEST_WAIT => return Ok(response),
                        Some(seconds) => self.sleep(Duration::from_secs(seconds))?,
                        None => self.pause(attempt)?,
                    }
                    attempt += 1;
                }
                500 | 502 | 504 if !last && matches!(ask.method, Method::Get | Method::Head) => {
                    self.pause(attempt)?;
                    attempt += 1;
                }
                _ => return Ok(response),
            }
        }
    }

    /// The address that a target means.
    pub(crate) fn url(&self, target: &str) -> Result<Url> {
        self.root.join(target)
    }

    /// What to tell this server of who we are.
    pub(crate) fn authorization(&self, url: &Url) -> Option<String> {
        let known = self.authorization.lock().unwrap_or_else(PoisonError::into_inner);
        known.clone().filter(|_| url.is_same_server(&self.root))
    }

    /// One request, wherever it leads.
    fn follow(&self, ask: &Ask<'_>) -> Result<Response> {
        let mut url = self.url(ask.target)?;
        for _ in 0..=REDIRECTS {
            let authorization = self.authorization(&url);
            let mut headers = ask.headers.to_vec();
            headers.extend(authorization.as_deref().map(|text| ("Authorization", text)));
            let payload = match ask.body {
                Some((kind, bytes)) => Payload::Bytes(kind, bytes),
                None => Payload::None,
            };
            let request = Request { method: ask.method, url: &url, headers: &headers, payload };
            let response = self.agent.fetch(request).map_err(|e| said(ask.method, &url, &e))?;
            let moved = matches!(response.status, 301 | 302 | 303 | 307 | 308);
            if !moved || !matches!(ask.method, Method::Get | Method::Head) {
                if response.status == 401 && !url.is_same_server(&self.root) {
                    // Not the registry's question: it gets no answer.
                    let text = ["unauthorized: ", &url.authority, ", where the registry sent us"];
                    return Err(Error::new(Kind::Denied, text.concat()));
                }
                return Ok(response);
            }
            let location = response.headers.get("location").unwrap_or_default();
            let next = url.join(location)?;
            if url.https && !next.https {
                let text = ["redirect from https to ", &next.to_string(), ": refused"];
                return Err(Error::bad_input(text.concat()));
            }
            url = next;
        }
        Err(Error::bad_input(["too many redirects, the last to ", &url.to_string()].concat()))
    }

    /// Finds out how to tell the registry who we are.
    fn authorize(&self, response: &Response) -> Result<()> {
        let all = response.headers.iter();
        let all = all.filter(|(name, _)| name.eq_ignore_ascii_case("www-authenticate"));
        let mut found = None;
        for (_, value) in all {
            match challenge::parse(value) {
                Some(bearer @ Challenge::Bearer { .. }) => found = Some(bearer),
                other => found = found.or(other),
            }
        }
        let text = match found {
            Some(Challenge::Bearer { realm, service }) => {
                let realm = self.realm(&realm)?;
                let credentials = self.credentials;
                ["Bearer ", &bearer(&self.agent, &realm, &service, &self.scopes, credentials)?]
                    .concat()
            }
            Some(Challenge::Basic) => {
                let Credentials { username, password, .. } = self.credentials;
                if username.is_empty() {
                    return Err(Error::new(Kind::Denied, "no basic auth credentials"));
                }
                ["Basic ", &base64::encode([username, ":", password].concat().as_bytes())].concat()
            }
            None => {
                let text = "unauthorized, and the registry does not say how to authenticate";
                return Err(Error::new(Kind::Denied, text));
            }
        };
        *self.authorization.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
        Ok(())
    }

    /// The token server: reached by https, or by http where it is the registry's own machine and the
    /// registry is reached so.
    fn realm(&self, text: &str) -> Result<Url> {
        let realm = self.root.join(text)?;
        if realm.https || !self.root.https && realm.host() == self.root.host() {
            return Ok(realm);
        }
        let text = ["token server ", &realm.to_string(), ": refused: it is not reached by https"];
        Err(Error::new(Kind::Denied, text.concat()))
    }
}

/// As docker says it: `Get "http://…": reason`.
fn said(method: Method, url: &Url, error: &Error) -> Error {
    let name = method.name();
    let (first, rest) = name.split_at(name.len().min(1));
    let verb = [first, &rest.to_ascii_lowercase()].concat();
    error.clone().context([&verb, " \"", &url.to_string(), "\""].concat())
}
