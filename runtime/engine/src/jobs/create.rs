//! `create`: a record and a name for a new container.

use crate::container::{Container, Record};
use crate::volume::mounts;
use crate::{Engine, execdriver, namespaces, resources, runconfig, selinux, sweep};
use base::files::Lock;
use base::text::time::{now, rfc3339};
use base::text::{id, name};
use base::{Error, Kind, Result};
use base_http::api::container::{CreateRequest, CreateResponse};
use imgstore::{Image, Keep};
use std::sync::Arc;

/// The job.
pub(crate) struct Create {
    /// The name that was asked for; empty for a random one.
    pub(crate) name: String,
    /// What is to run.
    pub(crate) request: CreateRequest,
}

/// A container that was just made, and what it was made from.
pub(crate) struct Made {
    pub(crate) container: Container,
    pub(crate) image: Image,
    /// The container's lock, if it is temporary.
    pub(crate) lock: Option<Lock>,
    /// What the user should know.
    pub(crate) warnings: Vec<String>,
}

impl Create {
    pub(crate) fn run(self, engine: &Engine) -> Result<CreateResponse> {
        let made = self.make(engine)?;
        Ok(CreateResponse { id: made.container.id().to_string(), warnings: made.warnings })
    }

    /// Makes it. Who starts it next has it at hand.
    pub(crate) fn make(self, engine: &Engine) -> Result<Made> {
        let CreateRequest { mut config, options } = self.request;
        let mut host_config = options.host_config;
        if config.image.is_empty() {
            return Err(Error::bad_input("no image specified"));
        }
        let store = engine.store()?;
        sweep::claim(engine)?;
        let image = store.find(&config.image)?;
        let command = runconfig::merge(&mut config, &image.config)?;
        let labelled = engine.folders().settings.selinux_enabled;
        let others = || {
            let list = engine.containers().list()?;
            Ok(list.iter().map(|other| other.id().to_string()).collect())
        };
        let id = selinux::new_id(&host_config, labelled, others)?;
        namespaces::check(engine, &mut host_config, !config.hostname.is_empty())?;
        if config.hostname.is_empty() {
            let modes = [host_config.network_mode.as_str(), host_config.uts_mode.as_str()];
            config.hostname = match modes {
                ["host", _] | [_, "host"] => {
                    rustix::system::uname().nodename().to_string_lossy().into_owned()
                }
                _ => id::short(&id).to_string(),
            };
        }
        if host_config.log_config.kind.is_empty() {
            host_config.log_config.kind = "local".to_string();
        }
        if let Some(text) = Some(&config.stop_signal).filter(|text| !text.is_empty()) {
            super::kill::signal(text)?;
        }
        let mut dropped = resources::check(&mut host_config)?;
        let (seconds, nanos) = now();
        let mut record = Record {
            id: id.clone(),
            name: self.name.trim_start_matches('/').to_string(),
            created: rfc3339(seconds, nanos),
            image: image.id.to_string(),
            command,
            driver: store.driver()?.name().to_string(),
            config,
            host_config,
            ..Record::default()
        };
        let mut warnings = execdriver::check(engine, &record)?;
        warnings.append(&mut dropped);
        let mode = &mut record.host_config.network_mode;
        if mode.is_empty() || mode == "default" {
            *mode = "none".to_string();
        }
        let temporary = record.host_config.auto_remove;
        let volumes = record.config.volumes.clone().unwrap_or_default();
        let mounts =
            mounts::make(&engine.containers(), &engine.volumes(), &record.host_config, &volumes)?;
        record.mounts = mounts.mounts;
        let anonymous = record.anonymous_volumes();
        store.hold(&image.id, &id, if temporary { Keep::Run } else { Keep::Root })?;
        let containers = engine.containers();
        let record = Arc::new(record);
        let created = if record.name.is_empty() {
            create_under_random_name(&containers, record, temporary)
        } else {
            match containers.create(record.clone(), temporary) {
                Err(error)
                    if error.kind() == Kind::Conflict && heal_holder(engine, &record.name) =>
                {
                    containers.create(record, temporary)
                }
                result => result,
            }
        };
        match created {
            Ok((container, lock)) => {
                engine.tell(&container, "create", &[]);
                Ok(Made { container, image, lock, warnings })
            }
            Err(error) => {
                let _ = store.release(&image.id, &id);
                drop(mounts.locks);
                let _ = engine.remove_volumes(&anonymous);
                Err(error)
            }
        }
    }
}

fn create_under_random_name(
    containers: &crate::container::Containers<'_>,
    mut record: Arc<Record>,
    temporary: bool,
) -> Result<(Container, Option<Lock>)> {
    for attempt in 0..10 {
        // Nobody else holds it between two tries.
        let Some(own) = Arc::get_mut(&mut record) else { break };
        own.name = name::random(attempt)?;
        match containers.create(record.clone(), temporary) {
            Err(error) if error.kind() == Kind::Conflict => (),
            result => return result,
        }
    }
    Err(Error::conflict("no free name found"))
}

/// A name that a killed `run --rm` has left is free once its container is put away.
fn heal_holder(engine: &Engine, name: &str) -> bool {
    engine.containers().find(name).is_ok_and(|container| engine.heal(&container))
}
