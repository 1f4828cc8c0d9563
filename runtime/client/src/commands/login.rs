//! `login` and `logout`: who we are for a registry, kept in docker's `config.json` or by a credential
//! helper.

use super::Failure;
use crate::session::Session;
use crate::wire::Source;
use crate::{reference, terminal};
use base::flags::{Command, Flag, Matches, Operands};
use base::{Error, OnError, Result, json};
use base_http::api::auth::{AuthAnswer, AuthConfig};
use base_http::credentials::{self, Credentials};
use base_http::{Method, Payload};
use std::io::Read;

/// The longest name or password.
const CAP: u64 = 64 << 10;

pub(super) static COMMAND: Command = Command {
    name: "login",
    usage: "[OPTIONS] [SERVER]",
    about: "Authenticate to a registry",
    aliases: &[],
    flags: &[
        Flag::text("password", "string", "Password").short(b'p'),
        Flag::switch("password-stdin", "Take the password from stdin"),
        Flag::text("username", "string", "Username").short(b'u'),
    ],
    common: &[],
    operands: Operands::AtMost(1),
    stops: false,
};

pub(super) static LOGOUT: Command = Command {
    name: "logout",
    usage: "[SERVER]",
    about: "Log out from a registry",
    aliases: &[],
    flags: &[],
    common: &[],
    operands: Operands::AtMost(1),
    stops: false,
};

/// What the server is told of who we are for this image's registry.
pub(super) fn header(image: &str) -> Result<String> {
    let Some(credentials) = Credentials::find()? else {
        return Ok(String::new());
    };
    let auth = credentials.of(reference::registry(image))?;
    Ok(if auth.is_empty() { String::new() } else { auth.header() })
}

fn find() -> Result<Credentials> {
    Credentials::find()?.ok_or_else(|| Error::other("neither HOME nor DOCKER_CONFIG is set"))
}

pub(super) fn run(session: &Session<'_>, matches: &Matches) -> std::result::Result<u8, Failure> {
    let server = matches.operands.first().map_or("", String::as_str);
    let mut known = find()?;
    let (name, password) = secret(session, matches)?;
    let mut auth = AuthConfig {
        username: name,
        password,
        server: credentials::key(server).to_owned(),
        ..AuthConfig::default()
    };
    let body = json::to_string(&auth);
    let target = session.target("/auth", "", "")?;
    let answer: AuthAnswer = session.json(Method::Post, &target, Payload::Json(&body))?;
    if !answer.identity_token.is_empty() {
        auth.password.clear();
        auth.identity_token = answer.identity_token;
    }
    known.store(server, &auth)?;
    if known.helper(server).is_none() {
        session.tell(&format!(
            "WARNING! Your password will be stored unencrypted in {}.\nConfigure a credential helper \
             to remove this warning. See\n\
             https://docs.docker.com/engine/reference/commandline/login/#credentials-store\n",
            known.path().display()
        ));
    }
    session.print_line(&answer.status)?;
    Ok(0)
}

pub(super) fn logout(session: &Session<'_>, matches: &Matches) -> std::result::Result<u8, Failure> {
    let server = matches.operands.first().map_or("", String::as_str);
    let key = credentials::key(server);
    let shown = if key == credentials::DEFAULT { key } else { server };
    let text = match find()?.erase(server)? {
        true => "Removing login credentials for ",
        false => "Not logged in to ",
    };
    session.print_line(&[text, shown].concat())?;
    Ok(0)
}

/// Name and password: of the flags, of standard input, or asked for.
fn secret(session: &Session<'_>, matches: &Matches) -> Result<(String, String)> {
    let (name, password) = (matches.text("username"), matches.text("password"));
    let from_stdin = matches.on("password-stdin");
    match (name, password) {
        (_, Some(_)) if from_stdin => {
            return Err(Error::bad_input("--password and --password-stdin are mutually exclusive"));
        }
        (None | Some(""), _) if from_stdin => {
            return Err(Error::bad_input("Must provide --username with --password-stdin"));
        }
        (Some(name), None) if from_stdin => {
            let mut input = Source { file: rustix::stdio::stdin(), signals: &session.signals };
            let mut text = String::new();
            input.by_ref().take(CAP).read_to_string(&mut text).on("read", "standard input")?;
            let text = text.strip_suffix('\n').unwrap_or(&text);
            let text = text.strip_suffix('\r').unwrap_or(text);
            return Ok((name.to_owned(), text.to_owned()));
        }
        (Some(name), Some(password)) => {
            session
                .tell("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
            return Ok((name.to_owned(), password.to_owned()));
        }
        _ => {}
    }
    if !terminal::stdin_is_terminal() {
        return Err(Error::other("Cannot perform an interactive login from a non TTY device"));
    }
    let name = match name {
        Some(name) => name.to_owned(),
        None => line(session, "Username: ", true)?,
    };
    let password = match password {
        Some(password) => password.to_owned(),
        None => line(session, "Password: ", false)?,
    };
    if name.is_empty() || password.is_empty() {
        return Err(Error::bad_input("username and password are required"));
    }
    Ok((name, password))
}

/// Asks on the terminal.
fn line(session: &Session<'_>, prompt: &str, echo: bool) -> Result<String> {
    session.print(prompt)?;
    let _silent = (!echo).then(terminal::Raw::silent);
    let mut input = Source { file: rustix::stdio::stdin(), signals: &session.signals };
    let mut text = Vec::new();
    let mut byte = [0];
    while input.read(&mut byte).on("read", "standard input")? == 1 && byte != *b"\n" {
        text.push(byte[0]);
        if text.len() as u64 > CAP {
            return Err(Error::bad_input("too long"));
        }
    }
    if !echo {
        session.print("\n")?;
    }
    String::from_utf8(text).map_err(|_| Error::bad_input("not UTF-8"))
}
