//! `search` and `tags`: what a registry has.

use super::{Failure, login};
use crate::session::Session;
use base::flags::{Command, Flag, Matches, Operands};
use base::json::FromJson;
use base::text::table::Table;
use base::{Error, Result, json_object};
use base_http::Method;
use base_http::Payload;
use base_http::body::JSON_CAP;

pub(super) static COMMAND: Command = Command {
    name: "search",
    usage: "[OPTIONS] TERM",
    about: "Search a registry for images",
    aliases: &[],
    flags: &[
        Flag::text("limit", "int", "Max number of search results"),
        Flag::switch("no-trunc", "Don't truncate output"),
    ],
    common: &[],
    operands: Operands::Exactly(1),
    stops: false,
};

pub(super) static TAGS: Command = Command {
    name: "tags",
    usage: "NAME",
    about: "List the tags of a repository in a registry",
    aliases: &[],
    flags: &[],
    common: &[],
    operands: Operands::Exactly(1),
    stops: false,
};

json_object! {
    /// A repository.
    #[derive(Default)]
    struct Found {
        "name" => name: String,
        "description" => description: String,
        "star_count" => stars: i64,
        "is_official" => official: bool,
    }
}

/// Asks with who we are for the registry of this name.
fn ask<T: FromJson + Default>(
    session: &Session<'_>,
    target: &crate::session::Target,
    name: &str,
) -> Result<T> {
    let auth = login::header(name)?;
    let (_, mut connection, head) = session.begin_as(Method::Get, target, Payload::None, &auth)?;
    let text = connection.answer(head).body.whole(JSON_CAP)?;
    base::json::parse(&text)
}

pub(super) fn run(session: &Session<'_>, matches: &Matches) -> std::result::Result<u8, Failure> {
    let term = matches.operands.first().map_or("", String::as_str);
    let target = session.target("/images/search", "", "")?.with("term", term);
    let target = target.with_some("limit", matches.text("limit"));
    let found: Vec<Found> = ask(session, &target, term)?;
    let mut table = Table::new(&["NAME", "DESCRIPTION", "STARS", "OFFICIAL"]);
    for one in found {
        let clean = |text: &str| -> String { text.chars().filter(|c| !c.is_control()).collect() };
        let mut description = clean(&one.description);
        if !matches.on("no-trunc") && description.chars().count() > 45 {
            description = description.chars().take(44).chain(['\u{2026}']).collect();
        }
        let official = if one.official { "[OK]" } else { "" };
        table.row(vec![clean(&one.name), description, one.stars.to_string(), official.into()]);
    }
    session.print(&table.text())?;
    Ok(0)
}

pub(super) fn tags(session: &Session<'_>, matches: &Matches) -> std::result::Result<u8, Failure> {
    let name = matches.operands.first().map_or("", String::as_str);
    if name.contains('@') {
        return Err(Error::bad_input("a repository has tags, a digest has none").into());
    }
    let target = session.target("/images/", name, "/tags")?;
    let found: Vec<String> = ask(session, &target, name)?;
    for tag in found {
        session.print_line(&tag.chars().filter(|c| !c.is_control()).collect::<String>())?;
    }
    Ok(0)
}
