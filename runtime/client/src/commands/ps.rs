//! `ps`: the table of containers.

use super::Failure;
use super::filters::{self, FILTER};
use crate::format;
use crate::session::Session;
use base::flags::{Command, Flag, Matches, Operands};
use base::text::quote::quoted;
use base::text::size::human;
use base::text::{table::Table, time};
use base_http::api::ContainerSummary;
use base_http::api::container::Port;
use base_http::{Method, Payload};

pub(super) static COMMAND: Command = Command {
    name: "ps",
    usage: "[OPTIONS]",
    about: "List containers",
    aliases: &["container ls", "container list", "container ps"],
    flags: &[
        Flag::switch("all", "Show all containers (default shows just running)").short(b'a'),
        FILTER,
        Flag::text("format", "string", "Format output with a Go template: '{{.Names}}'"),
        Flag::number("last", "Show n last created containers (includes all states) (default -1)")
            .short(b'n'),
        Flag::switch("latest", "Show the latest created container (includes all states)")
            .short(b'l'),
        Flag::switch("no-trunc", "Don't truncate output"),
        Flag::switch("quiet", "Only display container IDs").short(b'q'),
        Flag::switch("size", "Display total file sizes").short(b's'),
    ],
    common: &[],
    operands: Operands::None,
    stops: false,
};

/// Columns of a command before it is cut.
const COMMAND_WIDTH: usize = 20;

pub(super) fn run(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    let target = session.target("/containers/json", "", "")?;
    let target = target.with_flag("all", matches.on("all"));
    let last = matches.number("last").filter(|last| *last > 0).map(|last| last.to_string());
    let last = if matches.on("latest") { Some("1".to_string()) } else { last };
    let target = target.with_some("limit", last.as_deref());
    let size = matches.on("size");
    let target = target.with_flag("size", size);
    let target = target.with_some("filters", filters::query(matches).as_deref());
    let found: Vec<ContainerSummary> = session.json(Method::Get, &target, Payload::None)?;
    let whole = matches.on("no-trunc");
    if let Some(format) = matches.text("format").filter(|_| !matches.on("quiet")) {
        let now = time::now().0;
        let rows = found.iter().map(|container| fields(container, whole, now)).collect();
        session.print(&format::list(rows, format)?)?;
        return Ok(0);
    }
    let text = match matches.on("quiet") {
        true => found.iter().map(|c| [&short(&c.id, whole), "\n"].concat()).collect(),
        false => table(&found, whole, size, time::now().0),
    };
    session.print(&text)?;
    Ok(0)
}

fn table(found: &[ContainerSummary], whole: bool, size: bool, now: i64) -> String {
    let titles =
        ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES", "SIZE"];
    let mut table = Table::new(&titles[..titles.len() - usize::from(!size)]);
    for container in found {
        let command = match whole {
            true => quoted(&container.command),
            false => quoted(&ellipsis(&container.command, COMMAND_WIDTH)),
        };
        let image = match container.image.is_empty() {
            true => String::from("<no image>"),
            false => container.image.clone(),
        };
        let mut row = vec![
            short(&container.id, whole),
            image,
            command,
            [&time::ago(now - container.created), " ago"].concat(),
            container.status.clone(),
            ports(&container.ports),
            names(&container.names, whole),
        ];
        row.extend(size.then(|| size_in_words(container)));
        table.row(row);
    }
    table.text()
}

/// What a template may name, as docker calls it.
fn fields(container: &ContainerSummary, whole: bool, now: i64) -> String {
    let label = |(name, value): (&String, &String)| [name, "=", value].concat();
    let command = match whole {
        true => quoted(&container.command),
        false => quoted(&ellipsis(&container.command, COMMAND_WIDTH)),
    };
    let ago = [&time::ago(now - container.created), " ago"].concat();
    let fields = [
        ("Command", command),
        ("CreatedAt", time::rfc3339(container.created, 0)),
        ("ID", short(&container.id, whole)),
        ("Image", container.image.clone()),
        ("Labels", container.labels.iter().map(label).collect::<Vec<_>>().join(",")),
        ("Names", names(&container.names, whole)),
        ("Ports", ports(&container.ports)),
        ("RunningFor", ago),
        ("Size", size_in_words(container)),
        ("State", container.state.clone()),
        ("Status", container.status.clone()),
    ];
    format::document(fields)
}

/// What it wrote, and that with its image.
fn size_in_words(container: &ContainerSummary) -> String {
    let [own, whole] =
        [container.size_rw, container.size_root_fs].map(|size| human(size.max(0) as u64));
    match container.size_root_fs {
        0 => own,
        _ => [&own, " (virtual ", &whole, ")"].concat(),
    }
}

/// Twelve digits of an id.
pub(super) fn short(id: &str, whole: bool) -> String {
    let bare = id.strip_prefix("sha256:").unwrap_or(id);
    match whole {
        true => id.to_string(),
        false => bare.chars().take(12).collect(),
    }
}

/// Text of so many columns at most, with a sign that more was there.
fn ellipsis(text: &str, width: usize) -> String {
    match text.chars().count() > width {
        true => text.chars().take(width - 1).chain(['…']).collect(),
        false => text.to_string(),
    }
}

fn names(names: &[String], whole: bool) -> String {
    let bare = names.iter().map(|name| name.strip_prefix('/').unwrap_or(name));
    // A name with another slash is one that a linked container uses.
    let own = bare.filter(|name| whole || !name.contains('/'));
    own.collect::<Vec<_>>().join(",")
}

fn ports(ports: &[Port]) -> String {
    let one = |port: &Port| {
        let inside = [&port.private_port.to_string(), "/", &port.kind].concat();
        match port.public_port {
            0 => inside,
            public => [&port.ip, ":", &public.to_string(), "->", &inside].concat(),
        }
    };
    ports.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_dockers() {
        let container = ContainerSummary {
            id: "0123456789abcdef0123".into(),
            names: vec!["/web".into(), "/other/alias".into()],
            image: "busybox:1".into(),
            command: "sh -c 'echo hello\n sleep 9'".into(),
            created: 1000,
            status: "Up 2 hours".into(),
            ports: vec![
                Port { private_port: 80, kind: "tcp".into(), ..Port::default() },
                Port {
                    ip: "0.0.0.0".into(),
                    private_port: 53,
                    public_port: 5353,
                    kind: "udp".into(),
                },
            ],
            ..ContainerSummary::default()
        };
        let want = "\
CONTAINER ID   IMAGE       COMMAND                CREATED       STATUS       PORTS                            NAMES
0123456789ab   busybox:1   \"sh -c 'echo hello\\n …\"   2 hours ago   Up 2 hours   80/tcp, 0.0.0.0:5353->53/udp     web
";
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let got = table(std::slice::from_ref(&container), false, false, 1000 + 7200);
        assert_eq!(squeezed(&got), squeezed(want));
        let sized = ContainerSummary { size_rw: 12, size_root_fs: 5_000_000, ..container.clone() };
        assert!(table(&[sized], true, true, 9000).trim_end().ends_with("12B (virtual 5MB)"));
        let whole = table(&[container], true, false, 1000 + 7200);
        assert!(whole.contains("0123456789abcdef0123"));
        assert!(whole.contains("sleep 9'\"") && whole.contains("web,other/alias"));
    }
}
