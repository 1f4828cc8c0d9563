//! `inspect`: everything about containers and images, as a JSON array.

use super::Failure;
use crate::format::Template;
use crate::pretty::pretty;
use crate::session::Session;
use base::flags::{Command, Flag, Matches, Operands};
use base::{Error, Kind, Result};
use base_http::{Method, Payload};

pub(super) static COMMAND: Command = Command {
    name: "inspect",
    usage: "[OPTIONS] NAME|ID [NAME|ID...]",
    about: "Return low-level information on Docker objects",
    aliases: &["container inspect", "image inspect"],
    flags: &[
        Flag::text("format", "string", "Format output with a Go template: '{{.State.Status}}'")
            .short(b'f'),
        Flag::switch("size", "Display total file sizes if the type is container").short(b's'),
        Flag::text("type", "string", "Only inspect objects of the given type"),
    ],
    common: &[],
    operands: Operands::AtLeast(1),
    stops: false,
};

pub(super) fn run(session: &Session<'_>, matches: &Matches) -> std::result::Result<u8, Failure> {
    let kind = matches.text("type").unwrap_or_default();
    if !["", "container", "image"].contains(&kind) {
        let text = ["unknown type: \"", kind, "\": must be one of \"container\", \"image\""];
        return Err(Error::bad_input(text.concat()).into());
    }
    let template = matches.text("format").filter(|text| *text != "json");
    let template = template.map(Template::parse).transpose()?;
    let mut documents = Vec::new();
    let mut errors = Vec::new();
    let size = matches.on("size");
    for name in &matches.operands {
        match one(session, name, kind, size) {
            Ok(document) => documents.push(document),
            Err(error) => errors.push(error),
        }
    }
    if let Some(template) = template {
        for document in &documents {
            session.print_line(&template.apply(document)?)?;
        }
    } else {
        let array = ["[", &documents.join(","), "]"].concat();
        let compact = matches.text("format").is_some();
        session.print_line(&if compact { array } else { pretty(&array) })?;
    }
    for error in &errors {
        session.tell(error.message());
    }
    Ok(u8::from(!errors.is_empty()))
}

/// The document of the container of that name, else of the image.
fn one(session: &Session<'_>, name: &str, kind: &str, size: bool) -> Result<String> {
    let ask = |before: &str, size: bool| -> Result<String> {
        let target = session.target(before, name, "/json")?.with_flag("size", size);
        let body = session.ask(Method::Get, &target, Payload::None)?;
        String::from_utf8(body).map_err(|_| Error::other("read answer: it is not UTF-8"))
    };
    let no_such = || Error::not_found(["Error: No such object: ", name].concat());
    match kind {
        "container" => ask("/containers/", size),
        "image" => ask("/images/", false),
        _ => match ask("/containers/", size) {
            Err(error) if error.kind() == Kind::NotFound => match ask("/images/", false) {
                Err(error) if error.kind() == Kind::NotFound => Err(no_such()),
                other => other,
            },
            other => other,
        },
    }
}
