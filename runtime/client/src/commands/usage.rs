//! `system df`, `image prune` and `container prune`: how much there is of everything, and what of it nobody needs.

use super::Failure;
use super::filters::{self, PRUNE_FILTER};
use super::volume::confirmed;
use crate::session::Session;
use base::flags::{Command, Flag, Matches, Operands};
use base::text::size::human;
use base::text::table::Table;
use base_http::api::container::ContainersPruned;
use base_http::api::image::ImagesPruned;
use base_http::api::system::DiskUsage;
use base_http::{Method, Payload};

pub(super) static DF: Command = Command {
    name: "system df",
    usage: "",
    about: "Show docker disk usage",
    aliases: &[],
    flags: &[],
    common: &[],
    operands: Operands::None,
    stops: false,
};

pub(super) static PRUNE: Command = Command {
    name: "image prune",
    usage: "[OPTIONS]",
    about: "Remove unused images",
    aliases: &[],
    flags: &[
        Flag::switch("all", "Remove all unused images, not just dangling ones").short(b'a'),
        PRUNE_FILTER,
        Flag::switch("force", "Do not prompt for confirmation").short(b'f'),
    ],
    common: &[],
    operands: Operands::None,
    stops: false,
};

pub(super) static PRUNE_SYSTEM: Command = Command {
    name: "system prune",
    usage: "[OPTIONS]",
    about: "Remove unused data",
    aliases: &[],
    flags: &[
        Flag::switch("all", "Remove all unused images not just dangling ones").short(b'a'),
        PRUNE_FILTER,
        Flag::switch("force", "Do not prompt for confirmation").short(b'f'),
        Flag::switch("volumes", "Prune anonymous volumes"),
    ],
    common: &[],
    operands: Operands::None,
    stops: false,
};

pub(super) static PRUNE_CONTAINERS: Command = Command {
    name: "container prune",
    usage: "[OPTIONS]",
    about: "Remove all stopped containers",
    aliases: &[],
    flags: &[PRUNE_FILTER, Flag::switch("force", "Do not prompt for confirmation").short(b'f')],
    common: &[],
    operands: Operands::None,
    stops: false,
};

pub(super) fn prune_containers(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    if !matches.on("force") && !confirmed(session, "all stopped containers.") {
        return Ok(0);
    }
    let space = remove_containers(session, matches)?;
    session.print_line(&["Total reclaimed space: ", &human(space)].concat())?;
    Ok(0)
}

/// Gives the bytes that are free now.
fn remove_containers(session: &Session<'_>, matches: &Matches) -> Result<u64, Failure> {
    let target = session.target("/containers/prune", "", "")?;
    let target = target.with_some("filters", filters::query(matches).as_deref());
    let pruned: ContainersPruned = session.json(Method::Post, &target, Payload::None)?;
    if !pruned.deleted.is_empty() {
        let text = ["Deleted Containers:\n", &pruned.deleted.join("\n"), "\n\n"].concat();
        session.print(&text)?;
    }
    Ok(pruned.space)
}

pub(super) fn df(session: &Session<'_>, _: &Matches) -> Result<u8, Failure> {
    let target = session.target("/system/df", "", "")?;
    let found: DiskUsage = session.json(Method::Get, &target, Payload::None)?;
    let mut table = Table::new(&["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]);
    let mut row = |kind: &str, total: usize, active: usize, size: i64, free: i64| {
        let (size, free) = (size.max(0) as u64, free.max(0) as u64);
        let share = (free * 100).checked_div(size).map_or(String::new(), |n| format!(" ({n}%)"));
        table.row(vec![
            kind.to_string(),
            total.to_string(),
            active.to_string(),
            human(size),
            [human(free), share].concat(),
        ]);
    };
    let used = found.images.iter().filter(|image| image.containers > 0);
    let own: i64 = used.clone().map(|image| image.size - image.shared_size).sum();
    let size = found.layers_size;
    row("Images", found.images.len(), used.count(), size, size - own);
    let active = found.containers.iter().filter(|one| one.state == "running");
    let size: i64 = found.containers.iter().map(|one| one.size_rw).sum();
    let busy: i64 = active.clone().map(|one| one.size_rw).sum();
    row("Containers", found.containers.len(), active.count(), size, size - busy);
    let usage = found.volumes.iter().filter_map(|volume| volume.usage.as_ref());
    let size: i64 = usage.clone().map(|usage| usage.size).sum();
    let busy = usage.filter(|usage| usage.users > 0);
    let kept: i64 = busy.clone().map(|usage| usage.size).sum();
    row("Local Volumes", found.volumes.len(), busy.count(), size, size - kept);
    row("Build Cache", 0, 0, 0, 0);
    session.print(&table.text())?;
    Ok(0)
}

pub(super) fn prune(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    let what = match matches.on("all") {
        true => "all images without at least one container associated to them.",
        false => "all dangling images.",
    };
    if !matches.on("force") && !confirmed(session, what) {
        return Ok(0);
    }
    let space = remove_images(session, matches)?;
    session.print_line(&["Total reclaimed space: ", &human(space)].concat())?;
    Ok(0)
}

/// Gives the bytes that are free now.
fn remove_images(session: &Session<'_>, matches: &Matches) -> Result<u64, Failure> {
    let mut filters = filters::of(matches);
    let dangling = if matches.on("all") { "false" } else { "true" };
    filters.insert("dangling".to_string(), vec![dangling.to_string()]);
    let filters = base::json::to_string(&filters);
    let target = session.target("/images/prune", "", "")?.with("filters", &filters);
    let pruned: ImagesPruned = session.json(Method::Post, &target, Payload::None)?;
    let mut text = String::new();
    for step in &pruned.deleted {
        for (word, what) in [("untagged: ", &step.untagged), ("deleted: ", &step.deleted)] {
            if !what.is_empty() {
                text.push_str(&[word, what, "\n"].concat());
            }
        }
    }
    if !text.is_empty() {
        session.print(&["Deleted Images:\n", &text, "\n"].concat())?;
    }
    Ok(pruned.space)
}

/// What `system prune` removes: everything of the others, and volumes if asked for.
pub(super) fn prune_system(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    if !matches.on("force") {
        let volumes = match matches.on("volumes") {
            true => "  - all anonymous volumes not used by at least one container\n",
            false => "",
        };
        let images = match matches.on("all") {
            true => "  - all images without at least one container associated to them\n",
            false => "  - all dangling images\n",
        };
        let list = ["the following:\n  - all stopped containers\n", volumes, images].concat();
        if !confirmed(session, &list) {
            return Ok(0);
        }
    }
    let mut space = remove_containers(session, matches)?;
    if matches.on("volumes") {
        space += super::volume::remove_unused(session, filters::of(matches))?;
    }
    space += remove_images(session, matches)?;
    session.print_line(&["Total reclaimed space: ", &human(space)].concat())?;
    Ok(0)
}
