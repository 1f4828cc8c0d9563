//! Docker's `config.json`: who the user is for which registry.
//!
//! It lies in DOCKER_CONFIG, else in `~/.docker`. An entry of `credHelpers`, else `credsStore`, names a
//! program `docker-credential-NAME` that keeps the secret; else it stands in `auths`. What the file
//! has for others is kept when it is written.

use crate::api::auth::AuthConfig;
use base::files::{self, Sync};
use base::json::{self, Rest};
use base::map::Map;
use base::program::{Ended, Program};
use base::text::part::contains;
use base::{Error, Kind, Result, json_object};
use std::env;
use std::path::{Path, PathBuf};

/// What the default registry is called in the file.
pub const DEFAULT: &str = "https://index.docker.io/v1/";
const CAP: usize = 1 << 20;

json_object! {
    /// The file.
    #[derive(Clone, Debug, Default)]
    struct ConfigFile {
        "auths" ? => auths: Map<String, AuthConfig>,
        "credsStore" ? => store: String,
        "credHelpers" ? => helpers: Map<String, String>,
        ..rest: Rest,
    }
}

json_object! {
    /// What helpers read and write.
    #[derive(Default)]
    struct Secret {
        "ServerURL" => server: String,
        "Username" => username: String,
        "Secret" => secret: String,
    }
}

/// The key of a registry: its host, or docker's address of the default one.
#[must_use]
pub fn key(server: &str) -> &str {
    match host(server) {
        "" | "docker.io" | "index.docker.io" | "registry-1.docker.io" => DEFAULT,
        host => host,
    }
}

fn host(text: &str) -> &str {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.unwrap_or(text).split('/').next().unwrap_or_default()
}

/// The user's file, whether it is there or not.
pub struct Credentials {
    path: PathBuf,
    file: ConfigFile,
}

impl Credentials {
    /// Reads it; None without a home.
    pub fn find() -> Result<Option<Credentials>> {
        let folder = |name: &str| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let home = || folder("HOME").map(|home| home.join(".docker"));
        let Some(folder) = folder("DOCKER_CONFIG").or_else(home) else {
            return Ok(None);
        };
        Credentials::read(&folder.join("config.json")).map(Some)
    }

    fn read(path: &Path) -> Result<Credentials> {
        let file = match files::read_capped(path, CAP) {
            Ok(text) => json::parse(&text).map_err(|e| e.context(path.display()))?,
            Err(e) if e.kind() == Kind::NotFound => ConfigFile::default(),
            Err(e) => return Err(e),
        };
        Ok(Credentials { path: path.to_owned(), file })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The program that keeps the secret of a registry.
    #[must_use]
    pub fn helper(&self, server: &str) -> Option<&str> {
        let named = self.file.helpers.get(host(server)).or(self.file.helpers.get(key(server)));
        let name = named.unwrap_or(&self.file.store);
        (!name.is_empty()).then_some(name)
    }

    /// Who the user is for a registry; nobody where nothing is said.
    pub fn of(&self, server: &str) -> Result<AuthConfig> {
        let key = key(server);
        let mut found = match self.helper(server) {
            Some(helper) => ask(helper, key)?,
            None => {
                let same = |name: &str| name == key || host(name) == host(key);
                let entry = self.file.auths.iter().find(|(name, _)| same(name));
                entry.map(|(_, entry)| entry.clone().spread()).unwrap_or_default()
            }
        };
        if !found.is_empty() {
            key.clone_into(&mut found.server);
        }
        Ok(found)
    }

    /// Keeps a secret.
    pub fn store(&mut self, server: &str, auth: &AuthConfig) -> Result<()> {
        let key = key(server);
        if let Some(helper) = self.helper(server) {
            let token = !auth.identity_token.is_empty();
            let secret = Secret {
                server: key.to_owned(),
                username: if token { "<token>" } else { &auth.username }.to_owned(),
                secret: if token { &auth.identity_token } else { &auth.password }.clone(),
            };
            run(helper, "store", &json::to_string(&secret))?;
            self.file.auths.insert(key.to_owned(), AuthConfig::default());
        } else {
            self.file.auths.insert(key.to_owned(), auth.folded());
        }
        self.write()
    }

    /// Forgets a registry; says whether it was known.
    pub fn erase(&mut self, server: &str) -> Result<bool> {
        let key = key(server);
        let helper = self.helper(server).map(str::to_owned);
        if let Some(helper) = &helper {
            run(helper, "erase", key)?;
        }
        let known = self.file.auths.remove(key).is_some();
        if known {
            self.write()?;
        }
        Ok(known || helper.is_some())
    }

    fn write(&self) -> Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        files::create_dir_all(folder)?;
        // Through a link to the file itself; its mode is 0600.
        let path = std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let folder = path.parent().unwrap_or(folder);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let text = json::to_string(&self.file) + "\n";
        files::write_then_rename(folder, &name, text.as_bytes(), Sync::Yes)
    }
}

/// The secret of a helper; nobody where it has none.
fn ask(helper: &str, key: &str) -> Result<AuthConfig> {
    let text = match run(helper, "get", key) {
        Ok(text) => text,
        Err(e) if contains(e.message(), "credentials not found") => {
            return Ok(AuthConfig::default());
        }
        Err(e) => return Err(e),
    };
    let what = ["docker-credential-", helper].concat();
    let found: Secret = json::parse(&text).map_err(|e| e.context(&what))?;
    let mut auth = AuthConfig::default();
    if found.username == "<token>" {
        auth.identity_token = found.secret;
    } else {
        (auth.username, auth.password) = (found.username, found.secret);
    }
    Ok(auth)
}

/// Runs a helper; what it prints.
fn run(helper: &str, verb: &str, input: &str) -> Result<Vec<u8>> {
    let program = ["docker-credential-", helper].concat();
    let wrong =
        |why: &str| Error::other(["docker-credential-", helper, " ", verb, ": ", why].concat());
    if helper.contains(['/', '\0']) {
        return Err(wrong("no name of a program"));
    }
    let Some(program) = Program::find(&program) else {
        return Err(wrong("executable file not found in $PATH"));
    };
    let Ended { success, said } = program.run(&[verb], input.as_bytes(), CAP as u64)?;
    if success {
        return Ok(said);
    }
    let said = String::from_utf8_lossy(&said);
    Err(wrong(&said.trim().chars().filter(|c| !c.is_control()).take(200).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Credentials {
        let file = json::parse(text.as_bytes()).unwrap();
        Credentials { path: PathBuf::from("/nonexistent/config.json"), file }
    }

    #[test]
    fn entries_are_found_by_host() {
        let pair = base::text::base64::encode(b"me:secret");
        let auths = format!(
            r#"{{"auths":{{"https://index.docker.io/v1/":{{"auth":"{pair}"}},"reg:5000":{{"auth":"{pair}"}},
            "https://old.example/v1/":{{"auth":"{pair}"}},"t":{{"identitytoken":"x"}}}},"HttpHeaders":{{}}}}"#
        );
        let found = file(&auths);
        for (server, name) in [
            ("docker.io", "me"),
            ("", "me"),
            ("reg:5000", "me"),
            ("http://reg:5000/", "me"),
            ("old.example", "me"),
            ("reg", ""),
            ("evilreg:5000", ""),
            ("t", ""),
        ] {
            assert_eq!(found.of(server).unwrap().username, name, "{server}");
        }
        assert_eq!(found.of("t").unwrap().identity_token, "x");
        assert_eq!(found.of("docker.io").unwrap().server, DEFAULT);
    }

    #[test]
    fn helpers_are_named() {
        let found = file(r#"{"credsStore":"a","credHelpers":{"reg:5000":"b"}}"#);
        assert_eq!((found.helper("reg:5000"), found.helper("x")), (Some("b"), Some("a")));
        assert_eq!(file("{}").helper("x"), None);
        assert!(found.of("x").unwrap_err().message().contains("docker-credential-a"));
        assert!(file(r#"{"credsStore":"../a"}"#).of("x").is_err());
    }
}
