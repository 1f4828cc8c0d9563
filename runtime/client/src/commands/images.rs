//! `images`: the table of images.

use super::Failure;
use super::ps::short;
use crate::session::Session;
use base::flags::{Command, Flag, Matches, Operands};
use base::map::Map;
use base::text::{size, table::Table, time};
use base_http::api::ImageSummary;
use base_http::{Method, Payload};

pub(super) static COMMAND: Command = Command {
    name: "images",
    usage: "[OPTIONS] [REPOSITORY[:TAG]]",
    about: "List images",
    aliases: &["image ls", "image list"],
    flags: &[
        Flag::switch("all", "Show all images (default hides intermediate images)").short(b'a'),
        Flag::switch("digests", "Show digests"),
        Flag::switch("no-trunc", "Don't truncate output"),
        Flag::switch("quiet", "Only show image IDs").short(b'q'),
    ],
    common: &[],
    operands: Operands::AtMost(1),
    stops: false,
};

pub(super) fn run(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    let target = session.target("/images/json", "", "")?.with_flag("all", matches.on("all"));
    let filter = matches.operands.first().map(|name| {
        let names = Map::from([(name.clone(), true)]);
        base::json::to_string(&Map::from([(String::from("reference"), names)]))
    });
    let target = target.with_some("filters", filter.as_deref());
    let found: Vec<ImageSummary> = session.json(Method::Get, &target, Payload::None)?;
    let whole = matches.on("no-trunc");
    let rows = rows(&found);
    let text = match matches.on("quiet") {
        true => {
            let mut ids: Vec<&str> = rows.iter().map(|row| row.image.id.as_str()).collect();
            ids.dedup();
            ids.iter().map(|id| [&short(id, whole), "\n"].concat()).collect()
        }
        false => table(&rows, whole, matches.on("digests"), time::now().0),
    };
    session.print(&text)?;
    Ok(0)
}

/// One line of the table.
struct Row<'a> {
    image: &'a ImageSummary,
    name: &'a str,
    tag: &'a str,
    digest: &'a str,
}

/// An image has a line for each of its names.
fn rows(found: &[ImageSummary]) -> Vec<Row<'_>> {
    const NONE: &str = "<none>";
    let mut rows = Vec::new();
    for image in found {
        let known = |name: &&String| !name.starts_with(NONE);
        let digest = |name: &str| {
            let mut split = image.repo_digests.iter().filter_map(|text| text.split_once('@'));
            split.find(|(n, _)| *n == name).map_or(NONE, |(_, digest)| digest)
        };
        let before = rows.len();
        for text in image.repo_tags.iter().filter(known) {
            let (name, tag) = crate::reference::split(text);
            rows.push(Row { image, name, tag, digest: digest(name) });
        }
        if rows.len() == before {
            let first = image.repo_digests.iter().find(known);
            let (name, digest) =
                first.and_then(|text| text.split_once('@')).unwrap_or((NONE, NONE));
            rows.push(Row { image, name, tag: NONE, digest });
        }
    }
    rows
}

fn table(rows: &[Row<'_>], whole: bool, digests: bool, now: i64) -> String {
    let mut headings = vec!["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"];
    if digests {
        headings.insert(2, "DIGEST");
    }
    let mut table = Table::new(&headings);
    for row in rows {
        let created = match row.image.created {
            ..=0 => String::from("N/A"),
            created => [&time::ago(now - created), " ago"].concat(),
        };
        let mut cells = vec![
            row.name.to_string(),
            row.tag.to_string(),
            short(&row.image.id, whole),
            created,
            size::human(row.image.size.max(0) as u64),
        ];
        if digests {
            cells.insert(2, row.digest.to_string());
        }
        table.row(cells);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_name() {
        let image = ImageSummary {
            id: "sha256:0123456789abcdef".into(),
            repo_tags: vec!["busybox:1".into(), "host:5000/b:2".into()],
            repo_digests: vec!["busybox@sha256:aa".into()],
            created: 100,
            size: 2_140_160,
            ..ImageSummary::default()
        };
        let bare = ImageSummary { id: "sha256:ff".into(), ..ImageSummary::default() };
        let found = [image, bare];
        let text = table(&rows(&found), false, false, 100 + 3 * 86400);
        let lines: Vec<String> =
            text.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            lines,
            [
                "REPOSITORY TAG IMAGE ID CREATED SIZE",
                "busybox 1 0123456789ab 3 days ago 2.14MB",
                "host:5000/b 2 0123456789ab 3 days ago 2.14MB",
                "<none> <none> ff N/A 0B",
            ]
        );
        assert!(table(&rows(&found), true, true, 0).contains("sha256:aa"));
    }
}
