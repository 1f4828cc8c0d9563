//! `create`: makes a container and prints its id; `run` makes its container here too.

use super::container_flags::CONTAINER_FLAGS;
use super::{Failure, pull};
use crate::InPlace;
use crate::create_request::{self, Around};
use crate::session::Session;
use crate::{env_file, reference, terminal};
use base::flags::{Command, Flag, Matches, Operands};
use base::text::part::contains;
use base::{Error, Kind, OnError, Result};
use base_http::api::{CreateRequest, CreateResponse};
use base_http::{Method, Payload};
use std::io::Write;
use std::path::{Path, PathBuf};

pub(super) static COMMAND: Command = Command {
    name: "create",
    usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    about: "Create a new container",
    aliases: &["container create"],
    flags: &[Flag::text(
        "pull",
        "string",
        "Pull image before creating (\"always\", \"missing\", \"never\") (default \"missing\")",
    )],
    common: CONTAINER_FLAGS,
    operands: Operands::AtLeast(1),
    stops: true,
};

pub(super) fn run(session: &Session<'_>, matches: &Matches) -> std::result::Result<u8, Failure> {
    let request = read_flags(matches, false, false)?;
    let created = make(session, matches, &request)?;
    session.print_line(&created.id)?;
    Ok(0)
}

/// The body that the flags ask for. What is wrong with them is said with the place of help.
pub(super) fn read_flags(
    matches: &Matches,
    detach: bool,
    quiet_log: bool,
) -> std::result::Result<CreateRequest, Failure> {
    let folder = std::env::current_dir().unwrap_or_default();
    let around = Around {
        detach,
        quiet_log,
        console: terminal::size(),
        environment: &env_file::ours,
        folder: &folder.to_string_lossy(),
    };
    let policy = matches.text("pull").unwrap_or("missing");
    if !["always", "missing", "never"].contains(&policy) {
        let text = [
            "invalid pull option: '",
            policy,
            "': must be one of \"always\", \"missing\" or \
             \"never\"",
        ];
        return Err(Failure { code: 125, error: Error::bad_input(text.concat()), help: true });
    }
    create_request::from(matches, &around).map_err(|error| Failure { code: 125, error, help: true })
}

/// Makes the container: pulls the image if that is asked for or needed, prints warnings, writes
/// the file with the id.
pub(super) fn make(
    session: &Session<'_>,
    matches: &Matches,
    request: &CreateRequest,
) -> Result<CreateResponse> {
    let id_file = IdFile::asked(matches)?;
    let image = &request.config.image;
    let policy = matches.text("pull").unwrap_or("missing");
    let quiet = matches.on("quiet");
    if policy == "always" {
        pull::pull(session, image, quiet)?;
    }
    let name = matches.text("name").filter(|name| !name.is_empty());
    if let Some(name) = name.filter(|_| matches.on("replace")) {
        let target = session.target("/containers/", name, "")?.with("force", "1").with("v", "1");
        match session.done(Method::Delete, &target) {
            Err(error) if error.kind() != Kind::NotFound => return Err(error),
            _ => (),
        }
    }
    let body = request.to_json();
    let target = session.target("/containers/create", "", "")?;
    let target = target.with_some("name", name);
    let ask = || session.json::<CreateResponse>(Method::Post, &target, Payload::Json(&body));
    let created = match ask() {
        Err(error) if policy == "missing" && is_no_image(&error) => {
            let name = reference::full(image);
            session.tell(&["Unable to find image '", &name, "' locally"].concat());
            pull::pull(session, image, quiet)?;
            ask()?
        }
        other => other?,
    };
    for warning in &created.warnings {
        session.tell(&["WARNING: ", warning].concat());
    }
    if let Some(file) = id_file {
        file.write(&created.id)?;
    }
    Ok(created)
}

/// The same in place; None when the image must be pulled first.
pub(super) fn make_in_place(
    matches: &Matches,
    request: CreateRequest,
    engine: &mut dyn InPlace,
) -> Result<Option<CreateResponse>> {
    let id_file = IdFile::asked(matches)?;
    let created = match engine.create(matches.text("name").unwrap_or_default(), request) {
        Err(error) if matches.text("pull") != Some("never") && is_no_image(&error) => {
            return Ok(None);
        }
        other => other?,
    };
    for warning in &created.warnings {
        let _ = std::io::stderr().write_all(["WARNING: ", warning, "\n"].concat().as_bytes());
    }
    if let Some(file) = id_file {
        file.write(&created.id)?;
    }
    Ok(Some(created))
}

fn is_no_image(error: &Error) -> bool {
    error.kind() == Kind::NotFound && contains(error.message(), "No such image")
}

/// The file that gets the id. It is made first, so that two commands cannot share it, and taken
/// away again when there is no id.
struct IdFile {
    path: PathBuf,
    file: Option<std::fs::File>,
}

impl IdFile {
    fn asked(matches: &Matches) -> Result<Option<IdFile>> {
        matches.text("cidfile").map(IdFile::make).transpose()
    }

    fn make(path: &str) -> Result<IdFile> {
        let path = PathBuf::from(path);
        match std::fs::File::create_new(&path) {
            Ok(file) => Ok(IdFile { path, file: Some(file) }),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(Error::conflict(
                    [
                        "container ID file found, make sure the other container isn't running \
                         or delete ",
                        &path.to_string_lossy(),
                    ]
                    .concat(),
                ))
            }
            Err(error) => Err(Error::os("create", &path.display(), error)),
        }
    }

    fn write(mut self, id: &str) -> Result<()> {
        match self.file.take() {
            Some(mut file) => file.write_all(id.as_bytes()).on_path("write", Path::new(&self.path)),
            None => Ok(()),
        }
    }
}

impl Drop for IdFile {
    fn drop(&mut self) {
        if self.file.is_some() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
