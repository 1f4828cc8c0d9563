//! `top`: the processes of a container.

use super::Failure;
use crate::session::Session;
use base::flags::{Command, Matches, Operands};
use base::text::table::Table;
use base_http::api::container::ContainerTop;
use base_http::{Method, Payload};

pub(super) static COMMAND: Command = Command {
    name: "top",
    usage: "CONTAINER",
    about: "Display the running processes of a container",
    aliases: &["container top"],
    flags: &[],
    common: &[],
    operands: Operands::Exactly(1),
    stops: false,
};

pub(super) fn run(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    let name = matches.operands.first().map_or("", String::as_str);
    let target = session.target("/containers/", name, "/top")?;
    let found: ContainerTop = session.json(Method::Get, &target, Payload::None)?;
    let titles: Vec<&str> = found.titles.iter().map(String::as_str).collect();
    let mut table = Table::new(&titles);
    for row in found.processes {
        table.row(row);
    }
    session.print(&table.text())?;
    Ok(0)
}
