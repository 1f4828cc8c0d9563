//! `search`: by the registry's own search (docker's API v1) where it has one, else by its catalog.

use super::session::{Ask, Session};
use super::{Client, tags};
use crate::reference::Reference;
use crate::registry::http::Method;
use base::text::part::contains;
use base::{Error, Kind, Result, json, json_object};
use base_http::push_query;

/// Where docker.io is searched.
const DEFAULT_SEARCH: &str = "index.docker.io";

json_object! {
    /// A repository that was found, as docker's API tells it.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Found {
        /// Its name.
        "name" => pub name: String,
        /// What its maker says.
        "description" => pub description: String,
        /// How many like it.
        "star_count" => pub stars: i64,
        /// It is the registry's own.
        "is_official" => pub official: bool,
        /// It is built by the registry.
        "is_automated" => pub automated: bool,
    }
}

json_object! {
    #[derive(Default)]
    struct Page {
        "results" => results: Vec<Found>,
    }
}

impl Client {
    /// Looks for `[REGISTRY/]WORDS`.
    pub fn search(&self, term: &str, limit: usize) -> Result<Vec<Found>> {
        // The words are no name, but the registry before them is found as in one.
        let (registry, words) = match term.split_once('/') {
            Some((first, words))
                if Reference::parse(&[first, "/x"].concat())
                    .is_ok_and(|name| name.server().is_some()) =>
            {
                (Some(first), words)
            }
            _ => (None, term),
        };
        if words.is_empty() && registry.is_none() {
            return Err(Error::bad_input("search: no word to look for"));
        }
        let session = |host: &str| {
            Session::new(
                &self.settings,
                host,
                "",
                vec!["registry:catalog:*".into()],
                &self.credentials,
            )
        };
        let session = session(registry.unwrap_or(DEFAULT_SEARCH))?;
        let mut target = "/v1/search".to_owned();
        push_query(&mut target, "q", words);
        push_query(&mut target, "n", &limit.to_string());
        let ask = Ask { method: Method::Get, target: &target, headers: &[], body: None };
        let mut found = match session.ask(&ask) {
            Ok(answer) => {
                let what = |e: Error| e.context("search");
                let page: Page =
                    json::parse(&answer.whole(4 << 20).map_err(what)?).map_err(what)?;
                page.results
            }
            Err(e) if e.kind() == Kind::NotFound && registry.is_some() => {
                let mut left = limit;
                let mut good = |name: &str| {
                    let fits = left > 0 && contains(name, words);
                    left -= usize::from(fits);
                    fits
                };
                let names = tags::all(&session, "/v2/_catalog?n=1000".to_owned(), &mut good)?;
                names.into_iter().map(|name| Found { name, ..Found::default() }).collect()
            }
            Err(e) => return Err(e),
        };
        found.truncate(limit);
        if let Some(registry) = registry {
            for one in &mut found {
                one.name = [registry, "/", &one.name].concat();
            }
        }
        Ok(found)
    }
}
