//! `volume create`, `inspect`, `ls`, `prune`, `rm`.

use super::filters::{self, FILTER, PRUNE_FILTER};
use super::{Failure, each};
use crate::create_request::{check_label, pair};
use crate::session::Session;
use crate::{format, pretty};
use base::flags::{Command, Flag, Matches, Operands};
use base::json::Raw;
use base::map::Map;
use base::text::size::human;
use base::text::table::Table;
use base_http::api::volume::{Volume, VolumeCreate, VolumeList, VolumesPruned};
use base_http::{Method, Payload};
use std::io::BufRead;

pub(super) static CREATE: Command = Command {
    name: "volume create",
    usage: "[OPTIONS] [VOLUME]",
    about: "Create a volume",
    aliases: &[],
    flags: &[
        Flag::text("driver", "string", "Specify volume driver name (default \"local\")")
            .short(b'd'),
        Flag::text("label", "list", "Set metadata for a volume").checked(check_label),
        Flag::text("opt", "map", "Set driver specific options").short(b'o'),
    ],
    common: &[],
    operands: Operands::AtMost(1),
    stops: false,
};

pub(super) static INSPECT: Command = Command {
    name: "volume inspect",
    usage: "[OPTIONS] VOLUME [VOLUME...]",
    about: "Display detailed information on one or more volumes",
    aliases: &[],
    flags: &[Flag::text("format", "string", "Format output using a Go template").short(b'f')],
    common: &[],
    operands: Operands::AtLeast(1),
    stops: false,
};

pub(super) static LIST: Command = Command {
    name: "volume ls",
    usage: "[OPTIONS]",
    about: "List volumes",
    aliases: &["volume list"],
    flags: &[
        FILTER,
        Flag::text("format", "string", "Format output using a Go template"),
        Flag::switch("quiet", "Only display volume names").short(b'q'),
    ],
    common: &[],
    operands: Operands::None,
    stops: false,
};

pub(super) static PRUNE: Command = Command {
    name: "volume prune",
    usage: "[OPTIONS]",
    about: "Remove unused local volumes",
    aliases: &[],
    flags: &[
        Flag::switch("all", "Remove all unused volumes, not just anonymous ones").short(b'a'),
        PRUNE_FILTER,
        Flag::switch("force", "Do not prompt for confirmation").short(b'f'),
    ],
    common: &[],
    operands: Operands::None,
    stops: false,
};

pub(super) static REMOVE: Command = Command {
    name: "volume rm",
    usage: "[OPTIONS] VOLUME [VOLUME...]",
    about: "Remove one or more volumes",
    aliases: &["volume remove"],
    flags: &[Flag::switch("force", "Force the removal of one or more volumes").short(b'f')],
    common: &[],
    operands: Operands::AtLeast(1),
    stops: false,
};

pub(super) fn create(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    let wanted = VolumeCreate {
        name: matches.operands.first().cloned().unwrap_or_default(),
        driver: matches.text("driver").unwrap_or("local").to_string(),
        options: matches.list("opt").map(pair).collect(),
        labels: matches.list("label").map(pair).collect(),
    };
    let target = session.target("/volumes/create", "", "")?;
    let body = base::json::to_string(&wanted);
    let made: Volume = session.json(Method::Post, &target, Payload::Json(&body))?;
    session.print_line(&made.name)?;
    Ok(0)
}

pub(super) fn inspect(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    let mut documents: Vec<Raw> = Vec::new();
    let mut code = 0;
    for name in &matches.operands {
        let target = session.target("/volumes/", name, "")?;
        match session.json::<Raw>(Method::Get, &target, Payload::None) {
            Ok(found) => documents.push(found),
            Err(error) => {
                super::complain(session, &error);
                code = 1;
            }
        }
    }
    match matches.text("format") {
        Some(template) => {
            let rows = documents.iter().map(|found| found.text().to_string()).collect();
            session.print(&format::list(rows, template)?)?;
        }
        None => session.print_line(&pretty::pretty(&base::json::to_string(&documents)))?,
    }
    Ok(code)
}

pub(super) fn list(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    let target = session.target("/volumes", "", "")?;
    let target = target.with_some("filters", filters::query(matches).as_deref());
    let found: VolumeList = session.json(Method::Get, &target, Payload::None)?;
    let document = |volume: &Volume| {
        format::document([
            ("Driver", volume.driver.clone()),
            ("Labels", labels(volume)),
            ("Mountpoint", volume.mount_point.clone()),
            ("Name", volume.name.clone()),
            ("Scope", volume.scope.clone()),
        ])
    };
    if let Some(template) = matches.text("format") {
        let rows = found.volumes.iter().map(document).collect();
        session.print(&format::list(rows, template)?)?;
    } else if matches.on("quiet") {
        found.volumes.iter().try_for_each(|volume| session.print_line(&volume.name))?;
    } else {
        let mut table = Table::new(&["DRIVER", "VOLUME NAME"]);
        for volume in found.volumes {
            table.row(vec![volume.driver, volume.name]);
        }
        session.print(&table.text())?;
    }
    Ok(0)
}

fn labels(volume: &Volume) -> String {
    let label = |(name, value): (&String, &String)| [name, "=", value].concat();
    volume.labels.iter().map(label).collect::<Vec<_>>().join(",")
}

pub(super) fn prune(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    let mut filters = filters::of(matches);
    let what = match matches.on("all") {
        true => {
            filters.insert("all".to_string(), vec!["true".to_string()]);
            "all local volumes not used by at least one container."
        }
        false => "anonymous local volumes not used by at least one container.",
    };
    if !matches.on("force") && !confirmed(session, what) {
        return Ok(0);
    }
    let space = remove_unused(session, filters)?;
    session.print_line(&["Total reclaimed space: ", &human(space)].concat())?;
    Ok(0)
}

/// Gives the bytes that are free now.
pub(super) fn remove_unused(
    session: &Session<'_>,
    filters: Map<String, Vec<String>>,
) -> Result<u64, Failure> {
    let filters = base::json::to_string(&filters);
    let target = session.target("/volumes/prune", "", "")?.with("filters", &filters);
    let pruned: VolumesPruned = session.json(Method::Post, &target, Payload::None)?;
    if !pruned.deleted.is_empty() {
        session.print(&["Deleted Volumes:\n", &pruned.deleted.join("\n"), "\n\n"].concat())?;
    }
    Ok(pruned.space)
}

pub(super) fn confirmed(session: &Session<'_>, what: &str) -> bool {
    let text = ["WARNING! This will remove ", what, "\nAre you sure you want to continue? [y/N] "];
    let mut answer = String::new();
    session.print(&text.concat()).is_ok()
        && std::io::stdin().lock().read_line(&mut answer).is_ok()
        && ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str())
}

pub(super) fn remove(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    each(session, matches, &mut |name| {
        let target = session.target("/volumes/", name, "")?;
        session.done(Method::Delete, &target.with_flag("force", matches.on("force")))
    })
}
