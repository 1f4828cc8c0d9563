//! The jobs of images: `images`, `image_inspect`, `image_delete`, `load`, `import`.

use crate::{Engine, changes, events};
use base::Result;
use base::digest::Digest;
use base_http::api::container::ContainerConfig;
use base_http::api::image::{DeleteResponse, GraphDriverData, ImageInspect, ImageSummary, RootFs};
use imgstore::{Form, ImageConfig, ImportOptions, LoadEvent, Removed};
use std::io::{Read, Write};

/// `images`.
pub(crate) struct Images;

impl Images {
    pub(crate) fn run(self, engine: &Engine) -> Result<Vec<ImageSummary>> {
        let rows = engine.store()?.list()?;
        Ok(rows
            .into_iter()
            .map(|image| ImageSummary {
                id: image.id.to_string(),
                repo_digests: digests(&image.names, image.manifest),
                repo_tags: tags(image.names),
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
        let names = store.names_of(&image.id)?;
        Ok(ImageInspect {
            id: image.id.to_string(),
            repo_digests: digests(&names, image.manifest),
            repo_tags: tags(names),
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

/// Those names that have a tag.
fn tags(names: Vec<String>) -> Vec<String> {
    names.into_iter().filter(|name| !name.contains('@')).collect()
}

/// The names by digest: each repository's with the manifest's digest, and those that were pulled so.
fn digests(names: &[String], manifest: Option<Digest>) -> Vec<String> {
    let mut found: Vec<String> = names.iter().filter(|name| name.contains('@')).cloned().collect();
    if let Some(manifest) = manifest {
        for name in names.iter().filter(|name| !name.contains('@')) {
            let repository =
                name.rsplit_once(':').map_or(name.as_str(), |(repository, _)| repository);
            found.push(format!("{repository}@{manifest}"));
        }
    }
    found.sort_unstable();
    found.dedup();
    found
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
        let tell = |action, id: &str| events::of(engine.folders(), "image", action, id, &[]);
        for one in &removed {
            match one {
                Removed::Untagged(name) => tell("untag", name),
                Removed::Deleted(id) => tell("delete", &id.to_string()),
            }
        }
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
            let name = image.names.first().map_or("", String::as_str);
            let id = image.id.to_string();
            events::of(engine.folders(), "image", "load", &id, &[("name", name)]);
            if image.names.is_empty() {
                lines.push(format!("Loaded image ID: {}\n", image.id));
            }
            lines.extend(image.names.iter().map(|name| format!("Loaded image: {name}\n")));
        }
        Ok(lines)
    }
}

/// `save`: images as an archive.
pub(crate) struct Save {
    pub(crate) images: Vec<String>,
}

impl Save {
    pub(crate) fn run(self, engine: &Engine, out: &mut dyn Write) -> Result<()> {
        engine.store()?.save(&self.images, Form::Docker, out)
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
        let id = engine.store()?.import(tar, options)?.to_string();
        events::of(engine.folders(), "image", "import", &id, &[]);
        Ok(id)
    }
}
