//! `container_changes`, `export` and `commit`: what a container has of its own.

use crate::container::Container;
use crate::{Engine, changes};
use base::{Error, Result};
use base_http::api::container::{CommitResponse, ContainerChange, ContainerConfig};
use imgstore::{CommitOptions, Image, ImageConfig};
use libcontainer::cgroup;
use std::io::Write;

/// `container_changes`: what differs from its image.
pub(crate) struct Changes {
    pub(crate) container: String,
}

impl Changes {
    pub(crate) fn run(self, engine: &Engine) -> Result<Vec<ContainerChange>> {
        let (container, image) = found(engine, &self.container)?;
        let changes = engine.store()?.changes(&of(&container, &image))?;
        let shown = |change: imgstore::Change| ContainerChange {
            path: ["/", &String::from_utf8_lossy(&change.path)].concat(),
            kind: change.kind as u32,
        };
        Ok(changes.into_iter().map(shown).collect())
    }
}

/// What libcontainer makes in a root where the image has it not, as docker's layer for that does.
const MADE: [&str; 7] =
    ["dev", "etc", "etc/hostname", "etc/hosts", "etc/resolv.conf", "proc", "sys"];

fn of<'a>(container: &'a Container, image: &'a Image) -> imgstore::Container<'a> {
    imgstore::Container { driver: &container.record.driver, id: container.id(), image, made: &MADE }
}

fn found(engine: &Engine, container: &str) -> Result<(Container, Image)> {
    let container = engine.containers().find(container)?;
    if !container.record.host_config.upper.is_empty() {
        return Err(Error::unsupported("what a container writes to RAM is not kept (--upper ram)"));
    }
    let image = engine.store()?.find(&container.record.image)?;
    Ok((container, image))
}

/// `export`: its files as an archive.
pub(crate) struct Export {
    pub(crate) container: String,
}

impl Export {
    pub(crate) fn run(self, engine: &Engine, out: &mut dyn Write) -> Result<()> {
        let (container, image) = found(engine, &self.container)?;
        engine.store()?.export(&of(&container, &image), out)
    }
}

/// `commit`: an image made of it.
pub(crate) struct Commit {
    pub(crate) container: String,
    /// The name that the image gets; empty for none.
    pub(crate) name: String,
    pub(crate) author: String,
    pub(crate) message: String,
    /// It stands still meanwhile; if nothing is said, where that can be.
    pub(crate) pause: Option<bool>,
    /// Instructions of a Dockerfile.
    pub(crate) changes: Vec<String>,
}

impl Commit {
    /// Gives the image's id.
    pub(crate) fn run(self, engine: &Engine) -> Result<CommitResponse> {
        let (container, image) = found(engine, &self.container)?;
        let mut config = of_container(&container.record.config, &image.config);
        for change in &self.changes {
            changes::apply(&mut config, change)?;
        }
        let (comment, reference) = (self.message.clone(), self.name.clone());
        let options = CommitOptions {
            name: Some(self.name).filter(|name| !name.is_empty()),
            config,
            author: self.author,
            message: self.message,
            command: container.record.command.join(" "),
        };
        // Whoever starts, ends or thaws it meanwhile waits for us.
        let _lock = container.lock()?;
        let wanted = self.pause.unwrap_or(true) && container.state().is_alive();
        let group = container.record.cgroup();
        let mut freeze = wanted && !cgroup::is_frozen(&group);
        if freeze && let Err(error) = cgroup::freeze(&group, true) {
            let error = error.context("commit: pause");
            if self.pause.is_some() {
                return Err(error);
            }
            base::log::warn(error.message());
            freeze = false;
        }
        let store = engine.store()?;
        let done = store.commit_container(&of(&container, &image), options);
        let thawed = if freeze { cgroup::freeze(&group, false) } else { Ok(()) };
        let id = done.map_err(|e: Error| e.context("commit"))?;
        let id = id.to_string();
        engine.tell(
            &container,
            "commit",
            &[("comment", &comment), ("imageID", &id), ("imageRef", &reference)],
        );
        thawed.map(|()| CommitResponse { id })
    }
}

/// A container's configuration as that of an image: without what belongs to the one container.
fn of_container(config: &ContainerConfig, image: &ImageConfig) -> ImageConfig {
    ImageConfig {
        user: config.user.clone(),
        exposed_ports: config.exposed_ports.clone(),
        env: config.env.clone().unwrap_or_default(),
        entrypoint: config.entrypoint.clone(),
        cmd: config.cmd.clone(),
        volumes: config.volumes.clone().unwrap_or_default(),
        working_dir: config.working_dir.clone(),
        labels: config.labels.clone().unwrap_or_default(),
        stop_signal: config.stop_signal.clone(),
        ..image.clone()
    }
}
