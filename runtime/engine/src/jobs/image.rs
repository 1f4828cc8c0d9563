//! The jobs of images: `images`, `image_inspect`, `image_delete`, `load`, `import`, `pull`.

use crate::{Engine, builtin, changes};
use base::{Error, Kind, Result};
use base_http::api::container::ContainerConfig;
use base_http::api::image::{DeleteResponse, GraphDriverData, ImageInspect, ImageSummary, RootFs};
use imgstore::{ImageConfig, ImportOptions, LoadEvent, Removed};
use std::io::Read;

/// `images`.
pub(crate) struct Images;

impl Images {
    pub(crate) fn run(self, engine: &Engine) -> Result<Vec<ImageSummary>> {
        let rows = engine.store()?.list()?;
        Ok(rows
            .into_iter()
            .map(|image| ImageSummary {
                id: image.id.to_string(),
                repo_tags: image.names,
                created: image.created,
                size: image.size as i64,
                shared_size: -1,
                labels: image.labels,
                containers: -1,
                ..ImageSummary::default()
            })
            .collect())
    }
}

/// `image_inspect`.
pub(crate) struct InspectImage {
    pub(crate) image: String,
}

impl InspectImage {
    pub(crate) fn run(self, engine: &Engine) -> Result<ImageInspect> {
        let store = engine.store()?;
        let image = store.find(&self.image)?;
        let config = &image.config;
        Ok(ImageInspect {
            id: image.id.to_string(),
            repo_tags: image.names.clone(),
            created: image.created.clone(),
            config: Some(ContainerConfig {
                user: config.user.clone(),
                env: Some(config.env.clone()),
                cmd: config.cmd.clone(),
                entrypoint: config.entrypoint.clone(),
                working_dir: config.working_dir.clone(),
                labels: Some(config.labels.clone()),
                stop_signal: config.stop_signal.clone(),
                ..ContainerConfig::default()
            }),
            architecture: image.architecture.clone(),
            os: image.os.clone(),
            size: image.size as i64,
            graph_driver: Some(GraphDriverData {
                name: store.driver()?.name().to_string(),
                ..GraphDriverData::default()
            }),
            root_fs: RootFs {
                kind: "layers".to_string(),
                layers: image.layers.iter().filter_map(|layer| digest_of(layer)).collect(),
            },
            ..ImageInspect::default()
        })
    }
}

/// The digest in the name of a layer's folder.
fn digest_of(layer: &std::path::Path) -> Option<String> {
    let names = layer.iter().filter_map(|name| name.to_str());
    names.rev().find(|name| base::text::id::is_full(name)).map(|name| format!("sha256:{name}"))
}

/// `image_delete`.
pub(crate) struct RemoveImage {
    pub(crate) image: String,
    pub(crate) force: bool,
}

impl RemoveImage {
    pub(crate) fn run(self, engine: &Engine) -> Result<Vec<DeleteResponse>> {
        let removed = engine.store()?.remove(&self.image, self.force)?;
        Ok(removed
            .into_iter()
            .map(|one| match one {
                Removed::Untagged(name) => {
                    DeleteResponse { untagged: name, ..DeleteResponse::default() }
                }
                Removed::Deleted(id) => {
                    DeleteResponse { deleted: id.to_string(), ..DeleteResponse::default() }
                }
            })
            .collect())
    }
}

/// `load`: images from an archive.
pub(crate) struct Load;

impl Load {
    /// Gives what docker says of each image.
    pub(crate) fn run(self, engine: &Engine, archive: &mut dyn Read) -> Result<Vec<String>> {
        let loaded = engine.store()?.load(archive, &mut |_: LoadEvent<'_>| ())?;
        let mut lines = Vec::new();
        for image in loaded {
            if image.names.is_empty() {
                lines.push(format!("Loaded image ID: {}\n", image.id));
            }
            lines.extend(image.names.iter().map(|name| format!("Loaded image: {name}\n")));
        }
        Ok(lines)
    }
}

/// `import`: an image from a root file system's tar.
pub(crate) struct Import {
    /// The name that it gets; empty for none.
    pub(crate) name: String,
    pub(crate) message: String,
    /// Instructions of a Dockerfile.
    pub(crate) changes: Vec<String>,
}

impl Import {
    /// Gives the image's id.
    pub(crate) fn run(self, engine: &Engine, tar: &mut dyn Read) -> Result<String> {
        let mut config = ImageConfig::default();
        for change in &self.changes {
            changes::apply(&mut config, change)?;
        }
        let options = ImportOptions {
            name: Some(self.name).filter(|name| !name.is_empty()),
            config,
            message: self.message,
        };
        engine.store()?.import(tar, options).map(|id| id.to_string())
    }
}

/// `pull`: registries are not there yet, so only the built-in image can be had.
pub(crate) struct Pull {
    pub(crate) image: String,
    pub(crate) tag: String,
}

impl Pull {
    pub(crate) fn run(self, engine: &Engine) -> Result<String> {
        let name = self.image.trim_start_matches("docker.io/").trim_start_matches("library/");
        if name != builtin::NAME || !["", "latest"].contains(&self.tag.as_str()) {
            return Err(Error::new(
                Kind::NotFound,
                format!(
                    "pull {}: registries are not supported yet: `load` an archive or `import` a \
                     root file system",
                    self.image
                ),
            ));
        }
        builtin::make(engine.store()?)?;
        Ok(format!("Made {name}:latest from this binary"))
    }
}
