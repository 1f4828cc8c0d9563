//! `system_df` and `image_prune`: what there is of everything, and what of it nobody needs.

use super::{Images, List};
use crate::Engine;
use base::map::Map;
use base::text::{moment, time};
use base::{Error, Kind, Result};
use base_http::api::image::{DeleteResponse, ImagesPruned};
use base_http::api::system::DiskUsage;
use base_http::api::volume::VolumeUsage;
use imgstore::Removed;

/// How much there is.
pub(crate) struct SystemDf;

impl SystemDf {
    pub(crate) fn run(self, engine: &Engine) -> Result<DiskUsage> {
        let store = engine.store()?;
        let mut images = Images.run(engine)?;
        let all = List { all: true, limit: None, size: true, filters: Map::default() };
        let containers = all.run(engine)?;
        let shared = store.shared_sizes()?;
        for image in &mut images {
            let made = containers.iter().filter(|container| container.image_id == image.id);
            image.containers = made.count() as i64;
            image.shared_size = shared.get(&image.id).copied().unwrap_or(0) as i64;
        }
        let mut volumes = super::VolumeList { filters: Map::default() }.run(engine)?.volumes;
        for volume in &mut volumes {
            let size = super::volume::size(std::path::Path::new(&volume.mount_point)) as i64;
            let users = engine.users_of(&volume.name)?.len() as i64;
            volume.usage = Some(VolumeUsage { size, users });
        }
        let layers_size = store.usage()?.bytes as i64;
        Ok(DiskUsage { layers_size, images, containers, volumes, ..DiskUsage::default() })
    }
}

/// Removes images that no container needs: those without a name, or all.
pub(crate) struct ImagePrune {
    pub(crate) filters: Map<String, Vec<String>>,
}

pub(super) fn has_label(labels: &Map<String, String>, wanted: &str) -> bool {
    match wanted.split_once('=') {
        Some((name, text)) => labels.get(name).is_some_and(|found| found == text),
        None => labels.contains_key(wanted),
    }
}

impl ImagePrune {
    pub(crate) fn run(self, engine: &Engine) -> Result<ImagesPruned> {
        const KNOWN: [&str; 4] = ["dangling", "label", "label!", "until"];
        if let Some(name) = self.filters.keys().find(|name| !KNOWN.contains(&name.as_str())) {
            return Err(Error::bad_input(format!("invalid filter '{name}'")));
        }
        let values = |name| self.filters.get(name).into_iter().flatten();
        let all = values("dangling").any(|value| value == "false" || value == "0");
        let mut until = i64::MAX;
        for value in values("until") {
            until = until.min(moment::parse(value, time::now())?.0);
        }
        let store = engine.store()?;
        let before = store.usage()?.bytes;
        let mut pruned = ImagesPruned::default();
        for image in store.list()? {
            let kept = !all && !image.names.is_empty()
                || image.created >= until
                || !values("label").all(|label| has_label(&image.labels, label))
                || values("label!").any(|label| has_label(&image.labels, label))
                || !store.holders(&image.id)?.is_empty();
            if kept {
                continue;
            }
            // By each name, without force: a container that comes meanwhile keeps it.
            let id = image.id.to_string();
            let names = if image.names.is_empty() { vec![id] } else { image.names };
            for name in names {
                let steps = match store.remove(&name, false) {
                    Err(e) if matches!(e.kind(), Kind::Conflict | Kind::NotFound) => continue,
                    other => other?,
                };
                pruned.deleted.extend(steps.into_iter().map(|step| match step {
                    Removed::Untagged(untagged) => {
                        DeleteResponse { untagged, ..DeleteResponse::default() }
                    }
                    Removed::Deleted(id) => {
                        DeleteResponse { deleted: id.to_string(), ..DeleteResponse::default() }
                    }
                }));
            }
        }
        // And what no image needs any more.
        store.gc()?;
        pruned.space = before.saturating_sub(store.usage()?.bytes);
        Ok(pruned)
    }
}
