//! The documents of an image: its configuration as it came, and our record of it.

use base::digest::{Digest, Sha256};
use base::json::{Empty, FromJson, Raw, Rest, ToJson};
use base::map::Map;
use base::text::time;
use base::{Result, files, json, json_object};
use std::path::{Path, PathBuf};

json_object! {
    /// What an image says of the containers made from it.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct ImageConfig {
        /// `USER` or `UID[:GID]`.
        "User" ? => pub user: String,
        /// Ports as `80/tcp`.
        "ExposedPorts" ? => pub exposed_ports: Map<String, Empty>,
        /// `NAME=VALUE`.
        "Env" ? => pub env: Vec<String>,
        /// Before the command.
        "Entrypoint" ? => pub entrypoint: Option<Vec<String>>,
        /// The command.
        "Cmd" ? => pub cmd: Option<Vec<String>>,
        /// Folders that get a volume.
        "Volumes" ? => pub volumes: Map<String, Empty>,
        /// Where the command starts.
        "WorkingDir" ? => pub working_dir: String,
        /// Free text by name.
        "Labels" ? => pub labels: Map<String, String>,
        /// The signal of `stop`.
        "StopSignal" ? => pub stop_signal: String,
        /// How long `stop` waits.
        "StopTimeout" ? => pub stop_timeout: Option<i32>,
        /// How health is probed.
        "Healthcheck" ? => pub healthcheck: Raw,
        /// Everything else.
        ..pub rest: Rest,
    }
}

json_object! {
    /// The layers of an image, lowest first.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub(crate) struct RootFs {
        "type" => pub(crate) kind: String,
        "diff_ids" => pub(crate) diff_ids: Vec<Digest>,
    }
}

json_object! {
    /// One step of an image's making.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub(crate) struct History {
        "created" ? => pub(crate) created: String,
        "created_by" ? => pub(crate) created_by: String,
        "comment" ? => pub(crate) comment: String,
        "author" ? => pub(crate) author: String,
        "empty_layer" ? => pub(crate) empty_layer: bool,
        ..pub(crate) rest: Rest,
    }
}

json_object! {
    /// The configuration document, whose SHA-256 is the image's id.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub(crate) struct ImageDocument {
        "created" ? => pub(crate) created: String,
        "author" ? => pub(crate) author: String,
        "architecture" => pub(crate) architecture: String,
        "variant" ? => pub(crate) variant: String,
        "os" => pub(crate) os: String,
        "config" => pub(crate) config: ImageConfig,
        "rootfs" => pub(crate) rootfs: RootFs,
        "history" ? => pub(crate) history: Vec<History>,
    }
}

json_object! {
    /// `images/ID/record`: all that a container needs, in one small file.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub(crate) struct ImageRecord {
        "Id" => pub(crate) id: Digest,
        "Manifest" ? => pub(crate) manifest: Digest,
        "Architecture" => pub(crate) architecture: String,
        "Variant" ? => pub(crate) variant: String,
        "Os" => pub(crate) os: String,
        "Created" ? => pub(crate) created: String,
        "Size" => pub(crate) size: u64,
        "Layers" => pub(crate) layers: Vec<String>,
        /// All layers of the configuration, where some of them are not seen.
        "Stack" ? => pub(crate) stack: Vec<String>,
        "Config" => pub(crate) config: ImageConfig,
        ..pub(crate) rest: Rest,
    }
}

impl ImageRecord {
    /// All layers that it needs, lowest first.
    pub(crate) fn stack(&self) -> &[String] {
        if self.stack.is_empty() { &self.layers } else { &self.stack }
    }
}

json_object! {
    /// `layers/NAME/record`.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub(crate) struct LayerRecord {
        "Diff" => pub(crate) diff: Digest,
        /// Named by this one, since it takes something from the layers below.
        "Chain" ? => pub(crate) chain: Digest,
        "Blob" ? => pub(crate) blob: Digest,
        "Size" => pub(crate) size: u64,
        /// Bytes of the archive, uncompressed.
        "Archive" ? => pub(crate) archive: u64,
        /// The digest of the list `files`.
        "Files" ? => pub(crate) files: Digest,
        /// Its root hides all layers below.
        "Opaque" ? => pub(crate) opaque: bool,
        ..pub(crate) rest: Rest,
    }
}

/// A record's text: a line of JSON, and a line with the digest of the first, by which `fsck` knows that
/// it is what was written.
pub(crate) fn record_text(record: &dyn ToJson) -> String {
    let mut text = json::to_string(record);
    text.push('\n');
    let digest = Digest::of(text.as_bytes()).to_string();
    [&text, &digest, "\n"].concat()
}

/// Reads a record, without looking at its digest: every `run` does.
pub(crate) fn read_record<T: FromJson>(path: &Path) -> Result<T> {
    let text = files::read_capped(path, RECORD_CAP)?;
    let line = text.split(|&c| c == b'\n').next().unwrap_or_default();
    json::parse(line).map_err(|e| e.context(path.display()))
}

/// Whether a record is what was written.
pub(crate) fn record_is_whole(path: &Path) -> Result<bool> {
    let text = files::read_capped(path, RECORD_CAP)?;
    let end = text.iter().position(|&c| c == b'\n').map_or(text.len(), |at| at + 1);
    let digest = Digest::of(&text[..end]).to_string();
    // One of the first version has no second line.
    let bare = end == text.len() && !text.ends_with(b"\n");
    Ok(bare || text[end..] == *[digest.as_bytes(), b"\n"].concat())
}

const RECORD_CAP: usize = 4 << 20;

/// An image that is in the store.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// The digest of its configuration.
    pub id: Digest,
    /// The digest of its manifest, where it came with one.
    pub manifest: Option<Digest>,
    /// The name it was found by; all its names where it was listed.
    pub names: Vec<String>,
    /// As Go calls it: `amd64`, `arm`.
    pub architecture: String,
    /// `v7` and the like.
    pub variant: String,
    /// `linux`.
    pub os: String,
    /// RFC 3339.
    pub created: String,
    /// What containers get from it.
    pub config: ImageConfig,
    /// Folders to be laid over each other, lowest first, none twice.
    pub layers: Vec<PathBuf>,
    /// Bytes of all files of all layers.
    pub size: u64,
}

json_object! {
    /// A line of `images`.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct ImageSummary {
        /// The digest of its configuration.
        "Id" => pub id: Digest,
        /// The digest of its manifest, where it came with one.
        "Manifest" ? => pub manifest: Option<Digest>,
        /// All its names.
        "Names" ? => pub names: Vec<String>,
        /// Seconds since 1970.
        "Created" ? => pub created: i64,
        /// Bytes of all files of all layers.
        "Size" ? => pub size: u64,
        /// Free text by name.
        "Labels" ? => pub labels: Map<String, String>,
    }
}

impl ImageSummary {
    pub(crate) fn of(record: ImageRecord, names: Vec<String>) -> Self {
        Self {
            id: record.id,
            manifest: (record.manifest != Digest::default()).then_some(record.manifest),
            names,
            created: time::parse(&record.created).map_or(0, |(seconds, _)| seconds),
            size: record.size,
            labels: record.config.labels,
        }
    }
}

/// The chain id of a layer: the digest of everything up to it.
pub(crate) fn chain_id(below: Option<&Digest>, diff: &Digest) -> Digest {
    let Some(below) = below else {
        return *diff;
    };
    let mut hash = Sha256::new();
    hash.update(below.to_string().as_bytes());
    hash.update(b" ");
    hash.update(diff.to_string().as_bytes());
    hash.finish()
}

/// What Go calls this processor: the name, and ARM's version.
#[must_use]
pub fn architecture() -> (&'static str, &'static str) {
    match std::env::consts::ARCH {
        "x86_64" => ("amd64", ""),
        "aarch64" => ("arm64", "v8"),
        "x86" => ("386", ""),
        "arm" if cfg!(target_feature = "v7") => ("arm", "v7"),
        "arm" if cfg!(target_feature = "v6") => ("arm", "v6"),
        "arm" => ("arm", "v5"),
        "mips" if cfg!(target_endian = "little") => ("mipsle", ""),
        other => (other, ""),
    }
}
