//! Jobs of volumes.

use super::usage::has_label;
use crate::volume::{ANONYMOUS_LABEL, Volume, Wanted};
use crate::{Engine, events};
use base::map::Map;
use base::text::part::contains;
use base::{Error, Kind, Result};
use base_http::api::volume::{
    Volume as Shown, VolumeCreate as Request, VolumeList as Answer, VolumesPruned,
};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

fn shown(volume: &Volume) -> Shown {
    Shown {
        created: volume.record.created.clone(),
        driver: "local".to_string(),
        labels: volume.record.labels.clone(),
        mount_point: volume.data().display().to_string(),
        name: volume.name.clone(),
        options: volume.record.options.clone(),
        scope: "local".to_string(),
        usage: None,
    }
}

/// Makes a volume, unless it is there.
pub(crate) struct VolumeCreate {
    pub(crate) request: Request,
}

impl VolumeCreate {
    pub(crate) fn run(self, engine: &Engine) -> Result<Shown> {
        let Request { name, driver, options, labels } = self.request;
        if !["", "local"].contains(&driver.as_str()) {
            return Err(Error::not_found(format!(
                "error looking up volume plugin {driver}: plugin \"{driver}\" not found"
            )));
        }
        let anonymous = name.is_empty();
        let wanted = Wanted { name, labels, options, anonymous, temporary: false };
        crate::sweep::claim(engine)?;
        let (volume, _lock) = engine.volumes().ensure(&wanted)?;
        events::of(engine.folders(), "volume", "create", &volume.name, &[("driver", "local")]);
        Ok(shown(&volume))
    }
}

/// Shows one.
pub(crate) struct VolumeInspect {
    pub(crate) name: String,
}

impl VolumeInspect {
    pub(crate) fn run(self, engine: &Engine) -> Result<Shown> {
        engine.volumes().find(&self.name).map(|volume| shown(&volume))
    }
}

/// Lists those that fit the filters.
pub(crate) struct VolumeList {
    pub(crate) filters: Map<String, Vec<String>>,
}

impl VolumeList {
    pub(crate) fn run(self, engine: &Engine) -> Result<Answer> {
        const KNOWN: [&str; 4] = ["dangling", "driver", "label", "name"];
        check_filters(&self.filters, &KNOWN)?;
        let mut volumes = Vec::new();
        for volume in engine.volumes().list()? {
            if fits(engine, &volume, &self.filters)? {
                volumes.push(shown(&volume));
            }
        }
        Ok(Answer { volumes, ..Answer::default() })
    }
}

fn check_filters(filters: &Map<String, Vec<String>>, known: &[&str]) -> Result<()> {
    match filters.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(Error::bad_input(format!("invalid filter '{name}'"))),
        None => Ok(()),
    }
}

fn fits(engine: &Engine, volume: &Volume, filters: &Map<String, Vec<String>>) -> Result<bool> {
    for (name, values) in filters.iter() {
        let mut any = false;
        for value in values {
            any |= match name.as_str() {
                "dangling" => {
                    let wanted = ["true", "1"].contains(&value.as_str());
                    engine.users_of(&volume.name)?.is_empty() == wanted
                }
                "driver" => value == "local",
                "name" => contains(&volume.name, value),
                "label" => has_label(&volume.record.labels, value),
                _ => true,
            };
        }
        if !any {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A killed `run --rm` uses nothing any more. Before the volume's lock: a container's comes first.
fn heal_users(engine: &Engine) -> Result<()> {
    for container in engine.containers().list()? {
        engine.heal(&container);
    }
    Ok(())
}

/// Removes one.
pub(crate) struct VolumeRemove {
    pub(crate) name: String,
    /// One that is not there is no error.
    pub(crate) force: bool,
}

impl VolumeRemove {
    pub(crate) fn run(self, engine: &Engine) -> Result<()> {
        heal_users(engine)?;
        let removed =
            engine.volumes().find(&self.name).and_then(|volume| engine.remove_volume(&volume));
        match removed {
            Err(error) if self.force && error.kind() == Kind::NotFound => Ok(()),
            removed => removed,
        }
    }
}

/// Removes all that no container uses: those without a name, with the filter `all` the others too.
pub(crate) struct VolumePrune {
    pub(crate) filters: Map<String, Vec<String>>,
}

impl VolumePrune {
    pub(crate) fn run(self, engine: &Engine) -> Result<VolumesPruned> {
        check_filters(&self.filters, &["all", "label", "label!"])?;
        let all = self.filters.get("all");
        let all = all.is_some_and(|list| list.iter().any(|word| word == "true" || word == "1"));
        heal_users(engine)?;
        let mut pruned = VolumesPruned::default();
        for volume in engine.volumes().list()? {
            let named = volume.record.labels.get(ANONYMOUS_LABEL).is_none();
            let labels = |name| self.filters.get(name).into_iter().flatten();
            if (named && !all)
                || !labels("label").all(|wanted| has_label(&volume.record.labels, wanted))
                || labels("label!").any(|unwanted| has_label(&volume.record.labels, unwanted))
            {
                continue;
            }
            let space = size(&volume.data());
            match engine.remove_volume(&volume) {
                Ok(()) => {
                    pruned.space += space;
                    pruned.deleted.push(volume.name);
                }
                Err(error) if [Kind::Conflict, Kind::NotFound].contains(&error.kind()) => (),
                Err(error) => return Err(error),
            }
        }
        Ok(pruned)
    }
}

/// Bytes that a tree takes on disk.
pub(super) fn size(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}
