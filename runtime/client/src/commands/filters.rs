//! `--filter NAME=VALUE`, which many commands take: read in one place, as docker's client does.

use base::flags::{Flag, Matches};
use base::map::Map;

/// The flag of commands that only list.
pub(super) const FILTER: Flag =
    Flag::text("filter", "filter", "Filter output based on conditions provided")
        .short(b'f')
        .checked(check);

/// The flag of those that remove.
pub(super) const PRUNE_FILTER: Flag =
    Flag::text("filter", "filter", "Provide filter values (e.g. \"label=<key>=<value>\")")
        .checked(check);

fn check(text: &str) -> Result<(), String> {
    match text.is_empty() || text.contains('=') {
        true => Ok(()),
        false => Err("bad format of filter (expected name=value)".to_string()),
    }
}

/// Names and their values: names in small letters, nothing around either.
pub(super) fn of(matches: &Matches) -> Map<String, Vec<String>> {
    let mut filters: Map<String, Vec<String>> = Map::default();
    for (name, value) in matches.list("filter").filter_map(|text| text.split_once('=')) {
        let name = name.trim().to_ascii_lowercase();
        filters.get_or_default(name).push(value.trim().to_string());
    }
    filters
}

/// The same in the API's form, if there are any.
pub(super) fn query(matches: &Matches) -> Option<String> {
    Some(of(matches)).filter(|filters| !filters.is_empty()).map(|all| base::json::to_string(&all))
}
