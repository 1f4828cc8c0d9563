//! An image of one layer from the tar of a root file system.

use crate::commit::{NewImage, Staged};
use crate::image::{History, ImageConfig, ImageDocument, RootFs, architecture};
use crate::layer::content::Content;
use crate::layer::{self, Style};
use crate::reference::Reference;
use crate::store::Store;
use base::digest::Digest;
use base::text::time;
use base::{Result, json};
use std::io::Read;

/// What an imported image is called and says.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// `NAME[:TAG]`; none: only an id.
    pub name: Option<String>,
    /// What containers get.
    pub config: ImageConfig,
    /// For its history.
    pub message: String,
}

impl Store {
    /// Imports a root file system from a tar, plain or compressed with gzip or zstd.
    pub fn import(&self, input: &mut dyn Read, options: ImportOptions) -> Result<Digest> {
        let name = options.name.as_deref().map(Reference::parse).transpose()?;
        let work = self.work()?;
        // No digest says that it is whole, so its end must be marked.
        let style = Style { strict: true, ..self.style() };
        let content = Content::new(input)?;
        let layer = layer::unpack(content, work.path.join("layer"), style, &mut |_| ())?;
        let mut layer = layer;
        let took = layer.complete(&[], style.marks)?;
        let (seconds, nanos) = time::now();
        let created = time::rfc3339(seconds, nanos);
        let (name_of_cpu, variant) = architecture();
        let document = ImageDocument {
            created: created.clone(),
            architecture: name_of_cpu.to_owned(),
            variant: variant.to_owned(),
            os: "linux".to_owned(),
            config: options.config,
            rootfs: RootFs { kind: "layers".to_owned(), diff_ids: vec![layer.diff] },
            history: vec![History { created, comment: options.message, ..History::default() }],
            ..ImageDocument::default()
        };
        let config = json::to_string(&document).into_bytes();
        let id = Digest::of(&config);
        let staged = match self.existing_layer(&layer.diff, &layer.diff)? {
            Some(existing) => existing,
            None => Staged::unpacked(&layer, layer.diff, took)?,
        };
        let names = name.into_iter().collect();
        let image = NewImage { id, config, document, manifest: None, layers: vec![0], names };
        self.commit(&work, &[staged], &[image])?;
        Ok(id)
    }
}
