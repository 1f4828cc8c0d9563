//! `version`: of this client and of the server.

use super::Failure;
use crate::API_VERSION;
use crate::session::Session;
use base::flags::{Command, Matches, Operands};
use base_http::api::Version;
use base_http::{Method, Payload};

pub(super) static COMMAND: Command = Command {
    name: "version",
    usage: "[OPTIONS]",
    about: "Show the version information",
    aliases: &[],
    flags: &[],
    common: &[],
    operands: Operands::None,
    stops: false,
};

pub(super) fn run(session: &Session<'_>, _: &Matches) -> Result<u8, Failure> {
    // As Go names them.
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    };
    let client = format!(
        "Client:\n Version:           {}\n API version:       {API_VERSION}\n OS/Arch:           \
         linux/{arch}\n",
        env!("CARGO_PKG_VERSION")
    );
    session.print(&client)?;
    let target = session.target("/version", "", "")?;
    let found: Version = session.json(Method::Get, &target, Payload::None)?;
    let place = if session.connect.in_process() { " (in this process)" } else { "" };
    let name = found.platform.as_ref().map_or("Engine", |platform| platform.name.as_str());
    let mut out = format!("\nServer: {name}{place}\n");
    line(&mut out, "Version", &found.version);
    let least = match found.min_api_version.as_str() {
        "" => String::new(),
        least => [" (minimum version ", least, ")"].concat(),
    };
    line(&mut out, "API version", &[found.api_version, least].concat());
    line(&mut out, "Git commit", &found.git_commit);
    line(&mut out, "Built", &found.build_time);
    line(&mut out, "OS/Arch", &[&found.os, "/", found.arch.as_str()].concat());
    line(&mut out, "Kernel", &found.kernel_version);
    for part in &found.components {
        line(&mut out, &part.name, &part.version);
    }
    session.print(&out)?;
    Ok(0)
}

/// One line, unless there is nothing to say.
fn line(out: &mut String, name: &str, value: &str) {
    if !value.is_empty() {
        let pad = " ".repeat(17_usize.saturating_sub(name.len()).max(1));
        for part in ["  ", name, ":", &pad, value, "\n"] {
            out.push_str(part);
        }
    }
}
