//! Who we are: credentials as docker's clients send them, and tokens for them.
//!
//! A token comes from the server that the registry names, by GET with name and password (or
//! nobody's), or by POST for an identity token (docker's token specification). A redirect there is
//! not followed.

use super::errors;
use super::http::{Agent, Method, Payload, Request};
use super::url::Url;
use base::text::base64;
use base::{Error, Kind, Result, json, json_object};
pub use base_http::api::auth::AuthConfig as Credentials;
use base_http::target::{encode, push_query};

json_object! {
    /// A token server's answer.
    #[derive(Default)]
    struct Token {
        "token" ? => token: String,
        "access_token" ? => access_token: String,
        "refresh_token" ? => refresh_token: String,
    }
}

/// A token for these scopes.
pub(crate) fn bearer(
    agent: &Agent<'_>,
    realm: &Url,
    service: &str,
    scopes: &[String],
    credentials: &Credentials,
) -> Result<String> {
    if !credentials.registry_token.is_empty() {
        return Ok(credentials.registry_token.clone());
    }
    ask(agent, realm, service, scopes, credentials).map(|(token, _)| token)
}

/// A token, and the identity token that came with it.
pub(crate) fn ask(
    agent: &Agent<'_>,
    realm: &Url,
    service: &str,
    scopes: &[String],
    credentials: &Credentials,
) -> Result<(String, String)> {
    let mut url = realm.clone();
    let response = if credentials.identity_token.is_empty() {
        if !service.is_empty() {
            push_query(&mut url.target, "service", service);
        }
        for scope in scopes {
            push_query(&mut url.target, "scope", scope);
        }
        let Credentials { username, password, .. } = credentials;
        let mut headers = Vec::new();
        let basic = ["Basic ", &base64::encode([username, ":", password].concat().as_bytes())];
        let basic = basic.concat();
        if !username.is_empty() {
            push_query(&mut url.target, "account", username);
            headers.push(("Authorization", basic.as_str()));
        }
        let (method, payload) = (Method::Get, Payload::None);
        agent.fetch(Request { method, url: &url, headers: &headers, payload })?
    } else {
        let mut form = String::from("grant_type=refresh_token&client_id=coracle");
        for (name, value) in [
            ("&service=", service),
            ("&scope=", &scopes.join(" ")),
            ("&refresh_token=", &credentials.identity_token),
        ] {
            form.push_str(name);
            encode(&mut form, value, false);
        }
        let payload = Payload::Bytes("application/x-www-form-urlencoded", form.as_bytes());
        agent.fetch(Request { method: Method::Post, url: &url, headers: &[], payload })?
    };
    if response.status != 200 {
        return Err(errors::of(response).with_kind(Kind::Denied));
    }
    let what = |e: Error| e.context("answer of the token server");
    let answer: Token = json::parse(&response.whole(256 << 10).map_err(what)?).map_err(what)?;
    let Token { token, access_token, refresh_token } = answer;
    let token = if token.is_empty() { access_token } else { token };
    // It becomes a header's value.
    if token.is_empty() || !token.bytes().all(|c| c.is_ascii_graphic()) {
        return Err(Error::bad_input("answer of the token server: no token is in it"));
    }
    Ok((token, refresh_token))
}
