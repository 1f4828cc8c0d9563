//! `container_prune`: takes away all containers that do not run.

use super::Remove;
use super::usage::has_label;
use crate::Engine;
use crate::container::Status;
use base::map::Map;
use base::text::{moment, time};
use base::{Error, Kind, Result};
use base_http::api::container::ContainersPruned;

/// Removes what does not run and fits the filters.
pub(crate) struct Prune {
    pub(crate) filters: Map<String, Vec<String>>,
}

impl Prune {
    pub(crate) fn run(self, engine: &Engine) -> Result<ContainersPruned> {
        let known = |name: &String| ["label", "label!", "until"].contains(&name.as_str());
        if let Some(name) = self.filters.keys().find(|name| !known(name)) {
            return Err(Error::bad_input(format!("invalid filter '{name}'")));
        }
        let values = |name: &str| self.filters.get(name).cloned().unwrap_or_default();
        let until = match values("until").as_slice() {
            [] => None,
            [text] => Some(moment::parse(text, time::now())?.0),
            _ => return Err(Error::bad_input("more than one until filter specified")),
        };
        let mut pruned = ContainersPruned::default();
        for container in engine.containers().list()? {
            let state = container.state();
            let labels = container.record.config.labels.clone().unwrap_or_default();
            let made = time::parse(&container.record.created).map_or(0, |(seconds, _)| seconds);
            if state.status == Status::Running
                || state.restarting
                || until.is_some_and(|until| made >= until)
                || !values("label").iter().all(|label| has_label(&labels, label))
                || values("label!").iter().any(|label| has_label(&labels, label))
            {
                continue;
            }
            let id = container.id().to_string();
            let own = engine.store()?.driver_called(&container.record.driver)?.size(&id);
            let remove = Remove { container: id.clone(), force: false, volumes: false };
            match remove.run(engine) {
                Ok(()) => {
                    pruned.space += own.unwrap_or(0);
                    pruned.deleted.push(id);
                }
                // Somebody has started or removed it meanwhile.
                Err(error) if [Kind::Conflict, Kind::NotFound].contains(&error.kind()) => (),
                Err(error) => return Err(error),
            }
        }
        Ok(pruned)
    }
}
