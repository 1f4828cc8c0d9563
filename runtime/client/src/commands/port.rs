//! `port`: the published ports of a container.

use super::Failure;
use crate::session::Session;
use base::flags::{Command, Matches, Operands};
use base::json::Raw;
use base::map::Map;
use base::{Error, json_object};
use base_http::api::ContainerInspect;
use base_http::{Method, Payload};

pub(super) static COMMAND: Command = Command {
    name: "port",
    usage: "CONTAINER [PRIVATE_PORT[/PROTO]]",
    about: "List port mappings or a specific mapping for the container",
    aliases: &["container port"],
    flags: &[],
    common: &[],
    operands: Operands::Between(1, 2),
    stops: false,
};

json_object! {
    /// Where a port is on the host.
    #[derive(Clone, Debug, Default, PartialEq)]
    struct Binding {
        "HostIp" => ip: String,
        "HostPort" => port: String,
    }
}

json_object! {
    #[derive(Clone, Debug, Default, PartialEq)]
    struct Settings {
        /// By port/protocol; null for one that is not published.
        "Ports" => ports: Map<String, Raw>,
    }
}

pub(super) fn run(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    let name = matches.operands.first().map_or("", String::as_str);
    let target = session.target("/containers/", name, "/json")?;
    let found: ContainerInspect = session.json(Method::Get, &target, Payload::None)?;
    let settings: Settings = found.network_settings.parse().unwrap_or_default();
    let wanted = matches.operands.get(1).map(|port| match port.contains('/') {
        true => port.clone(),
        false => [port, "/tcp"].concat(),
    });
    let mut lines = Vec::new();
    for (port, bindings) in settings.ports.iter() {
        let bindings: Vec<Binding> = bindings.parse().unwrap_or_default();
        for binding in bindings {
            let ip = match binding.ip.contains(':') {
                true => ["[", &binding.ip, "]"].concat(),
                false => binding.ip,
            };
            let place = [&ip, ":", &binding.port].concat();
            match &wanted {
                None => lines.push([port, " -> ", &place].concat()),
                Some(wanted) if wanted == port => lines.push(place),
                Some(_) => (),
            }
        }
    }
    match wanted {
        Some(wanted) if lines.is_empty() => {
            let why = ["no public port '", &wanted, "' published for ", name];
            Err(Error::bad_input(why.concat()).into())
        }
        _ => {
            lines.iter().try_for_each(|line| session.print_line(line))?;
            Ok(0)
        }
    }
}
