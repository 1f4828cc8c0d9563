//! What a container changed: listed, packed as a layer, and kept as a new image.

use crate::commit::{NewImage, Staged};
use crate::image::{History, Image, ImageConfig, ImageDocument, chain_id};
use crate::layer::changes::{self, Change, Own};
use crate::layer::content::Content;
use crate::layer::pack::Packer;
use crate::layer::{self, Style};
use crate::reference::Reference;
use crate::store::Store;
use base::digest::Digest;
use base::text::time;
use base::{Error, OnError, Result, files, json};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::thread;

/// A container, as far as the store knows it.
#[derive(Clone, Copy, Debug)]
pub struct Container<'a> {
    /// The driver that made its root.
    pub driver: &'a str,
    /// Its id.
    pub id: &'a str,
    /// Its image.
    pub image: &'a Image,
    /// Empty files and folders that the runtime makes in every root, to mount on them, without a slash
    /// before them: they are no change.
    pub made: &'a [&'a str],
}

/// What `commit` makes of a container.
#[derive(Clone, Debug, Default)]
pub struct CommitOptions {
    /// `NAME[:TAG]`; none: only an id.
    pub name: Option<String>,
    /// What containers of the new image get.
    pub config: ImageConfig,
    /// Who made it.
    pub author: String,
    /// For its history.
    pub message: String,
    /// The command that ran, for its history.
    pub command: String,
}

impl Store {
    /// Where a container made with this driver has its files; none before its first start.
    fn own(&self, driver: &str, container: &str) -> Result<Option<Own>> {
        let own = self.driver_called(driver)?.own(container);
        let (Own::Upper(path) | Own::Whole(path)) = &own;
        Ok(files::exists(path).then_some(own))
    }

    /// What a container changed, but for what the runtime makes itself.
    pub fn changes(&self, container: &Container<'_>) -> Result<Vec<Change>> {
        let Container { driver, id, image, made } = container;
        match self.own(driver, id)? {
            Some(own) => changes::changes(&own, &topmost_first(image), self.marks, made),
            None => Ok(Vec::new()),
        }
    }

    /// The same, as the archive of a layer.
    fn pack_changes(&self, container: &Container<'_>, out: &mut dyn Write) -> Result<()> {
        match self.own(container.driver, container.id)? {
            Some(own) => changes::pack(&own, &self.changes(container)?, out),
            None => Packer::new(out).finish(),
        }
    }

    /// All that a container sees but its volumes, as a plain archive.
    pub fn export(&self, container: &Container<'_>, out: &mut dyn Write) -> Result<()> {
        let own = self.own(container.driver, container.id)?;
        changes::export(own.as_ref(), &topmost_first(container.image), self.marks, out)
    }

    /// Makes an image of a container: that of its own image, and one layer above.
    pub fn commit_container(
        &self,
        container: &Container<'_>,
        options: CommitOptions,
    ) -> Result<Digest> {
        let image = container.image;
        let name = options.name.as_deref().map(Reference::parse).transpose()?;
        let parent: ImageDocument = json::parse(&self.config_text(&image.id)?)?;
        let work = self.work()?;
        let style = Style { strict: true, ..self.style() };
        // One thread packs, this one unpacks: what is committed becomes a layer by the same way as
        // everything else.
        let (from, to) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).on("make", "a pipe")?;
        let folder = work.path.join("layer");
        let mut layer = thread::scope(|scope| {
            let pack = move || {
                let mut out = File::from(to);
                self.pack_changes(container, &mut out)
            };
            let builder = thread::Builder::new().name("pack".into()).stack_size(256 << 10);
            let packing = builder.spawn_scoped(scope, pack).on("start", "a thread")?;
            let mut input = File::from(from);
            let unpacked = Content::new(&mut input)
                .and_then(|content| layer::unpack(content, folder, style, &mut |_| ()));
            // A packer that still writes must hear that nobody reads.
            drop(input);
            match packing.join() {
                Ok(Err(e)) if unpacked.is_ok() || !is_broken_pipe(&e) => Err(e),
                Ok(_) => unpacked,
                Err(_) => Err(Error::other("packing ended in a bug")),
            }
        })?;
        let mut layers = Vec::new();
        let mut below = None;
        for diff in &parent.rootfs.diff_ids {
            let chain = chain_id(below.as_ref(), diff);
            layers
                .push(self.existing_layer(diff, &chain)?.ok_or_else(|| {
                    Error::not_found(format!("layer {diff} is not in the store"))
                })?);
            below = Some(chain);
        }
        let chain = chain_id(below.as_ref(), &layer.diff);
        let trees: Vec<PathBuf> = topmost_first(image);
        let took = layer.complete(&trees, style.marks)?;
        let (seconds, nanos) = time::now();
        let created = time::rfc3339(seconds, nanos);
        let mut document = ImageDocument {
            created: created.clone(),
            author: options.author.clone(),
            config: options.config,
            ..parent
        };
        document.rootfs.diff_ids.push(layer.diff);
        document.history.push(History {
            created,
            created_by: options.command,
            author: options.author,
            comment: options.message,
            ..History::default()
        });
        layers.push(match self.existing_layer(&layer.diff, &chain)? {
            Some(existing) => existing,
            None => Staged::unpacked(&layer, chain, took)?,
        });
        let config = json::to_string(&document).into_bytes();
        let image = NewImage {
            id: Digest::of(&config),
            config,
            document,
            manifest: None,
            layers: (0..layers.len()).collect(),
            names: name.into_iter().collect(),
        };
        let id = image.id;
        self.commit(&work, &layers, &[image])?;
        Ok(id)
    }
}

fn is_broken_pipe(e: &Error) -> bool {
    e.message().ends_with("Broken pipe")
}

fn topmost_first(image: &Image) -> Vec<PathBuf> {
    image.layers.iter().rev().cloned().collect()
}
