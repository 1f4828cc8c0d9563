//! `login`: whether a registry knows who we say that we are.

use super::Client;
use super::http::Method;
use super::remote::Remote;
use super::session::{Ask, Session};
use base::{Error, Kind, Result};

impl Client {
    /// Asks the registry for its root, as the one whose credentials this client has. The host is as
    /// people write it: with a scheme and a path, or without.
    pub fn login(&self, server: &str) -> Result<()> {
        let key = base_http::credentials::key(server);
        let host = match key {
            base_http::credentials::DEFAULT => Remote::default_host(),
            host => host,
        };
        let session = Session::new(&self.settings, host, "", Vec::new(), &self.credentials)?;
        let ask = Ask { method: Method::Get, target: "/v2/", headers: &[], body: None };
        let response = session.answer(&ask)?;
        match response.status {
            200 => Ok(()),
            401 => {
                let text = ["login attempt to ", &session.url("/v2/")?.to_string()];
                let text = [&text.concat(), " failed with status: 401 Unauthorized"].concat();
                Err(Error::new(Kind::Denied, text))
            }
            404 => Err(Error::not_found([host, " is no registry: it has no /v2/"].concat())),
            _ => Err(super::errors::of(response)),
        }
    }
}
