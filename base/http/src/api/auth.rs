//! Who a client is for a registry: `X-Registry-Auth`, POST /auth, and entries of docker's `config.json`.

use base::json::{self, Rest};
use base::json_object;
use base::text::base64;

json_object! {
    /// Name and password, or a token in place of them.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct AuthConfig {
        /// The name.
        "username" ? => pub username: String,
        /// The password.
        "password" ? => pub password: String,
        /// Both, in Base64, in place of them.
        "auth" ? => pub auth: String,
        /// The registry that they are for.
        "serveraddress" ? => pub server: String,
        /// In place of a password: for token servers.
        "identitytoken" ? => pub identity_token: String,
        /// In place of all: for the registry itself.
        "registrytoken" ? => pub registry_token: String,
        /// Members for others.
        ..pub rest: Rest,
    }
}

json_object! {
    /// The answer of POST /auth.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct AuthAnswer {
        /// In place of the password from now on.
        "IdentityToken" => pub identity_token: String,
        /// What the user is told.
        "Status" => pub status: String,
    }
}

impl AuthConfig {
    /// From the header `X-Registry-Auth`: Base64 of the document. What cannot be read is nobody's,
    /// as with docker.
    #[must_use]
    pub fn of_header(text: &str) -> AuthConfig {
        let bytes = base64::decode(text).unwrap_or_default();
        let found: AuthConfig = json::parse(&bytes).unwrap_or_default();
        found.spread()
    }

    /// The header's value; docker's servers want the alphabet for URLs.
    #[must_use]
    pub fn header(&self) -> String {
        let text = json::to_string(self);
        base64::encode(text.as_bytes()).replace('+', "-").replace('/', "_")
    }

    /// With name and password taken out of `auth`.
    #[must_use]
    pub fn spread(mut self) -> AuthConfig {
        let pair = base64::decode(&self.auth).and_then(|bytes| String::from_utf8(bytes).ok());
        if let Some((name, password)) = pair.as_deref().and_then(|pair| pair.split_once(':')) {
            self.username = name.to_owned();
            self.password = password.trim_end_matches('\0').to_owned();
        }
        self.auth.clear();
        self
    }

    /// As it stands in a file: name and password in `auth`.
    #[must_use]
    pub fn folded(&self) -> AuthConfig {
        let pair = [&self.username, ":", &self.password].concat();
        AuthConfig {
            auth: base64::encode(pair.as_bytes()),
            identity_token: self.identity_token.clone(),
            ..AuthConfig::default()
        }
    }

    /// Nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        [&self.username, &self.identity_token, &self.registry_token].iter().all(|t| t.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_files() {
        let header = |text: &str| AuthConfig::of_header(&base64::encode(text.as_bytes()));
        let found = header(r#"{"username":"me","password":"a:b?>","email":"x"}"#);
        assert_eq!((found.username.as_str(), found.password.as_str()), ("me", "a:b?>"));
        assert_eq!(AuthConfig::of_header(&found.header()), found);
        let file = json::to_string(&found.folded());
        let again: AuthConfig = json::parse(file.as_bytes()).unwrap();
        let again = again.spread();
        assert_eq!((again.username.as_str(), again.password.as_str()), ("me", "a:b?>"));
        assert!(!file.contains("a:b"), "{file}");
        assert!(header("{").is_empty() && AuthConfig::of_header("!").is_empty());
    }
}
