//! The tags of a repository: lists in pages.

use super::link;
use super::session::Session;
use base::{Error, Result, json, json_object};
use base_http::head::Headers;

/// More than so many of anything is nobody's list.
const CAP: usize = 100_000;
const PAGES: usize = 1000;

json_object! {
    /// A page of `tags/list`.
    #[derive(Default)]
    struct Page {
        "tags" => tags: Vec<String>,
        // Of `_catalog`.
        "repositories" => repositories: Vec<String>,
    }
}

/// All tags, sorted.
pub(crate) fn list(session: &Session<'_>) -> Result<Vec<String>> {
    let target = session.target("tags/list?n=1000");
    let mut tags = all(session, target, &mut |_| true)?;
    tags.sort_unstable();
    Ok(tags)
}

/// All pages, of those texts that `good` likes.
pub(crate) fn all(
    session: &Session<'_>,
    first: String,
    good: &mut dyn FnMut(&str) -> bool,
) -> Result<Vec<String>> {
    let mut target = first;
    let mut found: Vec<String> = Vec::new();
    for _ in 0..PAGES {
        let (headers, text) = session.document(&target, "application/json")?;
        let page: Page = json::parse(&text).map_err(|e| e.context("list of the registry"))?;
        found.extend(page.tags.into_iter().chain(page.repositories).filter(|text| good(text)));
        if found.len() > CAP {
            break;
        }
        match next_page(session, &target, &headers)? {
            Some(next) => target = next,
            None => return Ok(found),
        }
    }
    Err(Error::bad_input("list of the registry: it does not end"))
}

/// Where a list goes on after this page.
pub(super) fn next_page(
    session: &Session<'_>,
    target: &str,
    headers: &Headers,
) -> Result<Option<String>> {
    let Some(next) = headers.get("link").and_then(link::next) else { return Ok(None) };
    let next = session.url(target)?.join(next)?;
    if !next.is_same_server(&session.root) {
        return Err(Error::bad_input("list of the registry: it goes on at another server"));
    }
    Ok(Some(next.target))
}
