//! Manifests and indexes: fetched by tag or digest, checked, and followed to the image for one
//! machine.

use super::platform;
use super::session::Session;
use crate::archive::documents::{self, Descriptor, Document, Platform};
use base::digest::Digest;
use base::text::part::contains;
use base::{Error, Result};

const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const KINDS: [&str; 4] = [DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX];
pub(crate) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Both kinds of configuration that are an image's.
const CONFIGS: [&str; 2] = [CONFIG, "application/vnd.docker.container.image.v1+json"];
/// An overlay takes fewer.
const LAYERS: usize = 500;

/// What a registry says of an image for one machine.
pub(crate) struct Manifest {
    /// Of what the tag names: the index, or the manifest itself.
    pub(crate) top: Digest,
    pub(crate) digest: Digest,
    pub(crate) text: Vec<u8>,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

/// Fetches what `reference` (a tag or a digest) means for this platform.
pub(crate) fn fetch(session: &Session<'_>, reference: &str, wanted: &Platform) -> Result<Manifest> {
    let (mut digest, mut text, mut document) = one(session, reference, "")?;
    let top = digest;
    let mut depth = 0;
    while let Some(list) = &document.manifests {
        let Some(chosen) = platform::choose(list, wanted).filter(|_| depth < 3) else {
            return Err(Error::not_found(format!(
                "no matching manifest for {} in the manifest list entries",
                platform::shown(wanted)
            )));
        };
        let chosen = chosen.clone();
        (digest, text, document) = one(session, &chosen.digest.to_string(), &chosen.media_type)?;
        if text.len() as u64 != chosen.size {
            let text = format!("manifest {digest} is not as long as the index says");
            return Err(Error::bad_input(text));
        }
        depth += 1;
    }
    let (Some(config), Some(layers)) = (document.config, document.layers) else {
        return Err(Error::bad_input(format!("manifest {digest} is not that of an image")));
    };
    if !CONFIGS.contains(&config.media_type.as_str()) {
        return Err(Error::unsupported(format!(
            "manifest {digest}: what it describes is no image: unsupported media type {}",
            printable(&config.media_type)
        )));
    }
    if layers.len() > LAYERS {
        return Err(Error::bad_input(format!("manifest {digest}: more than {LAYERS} layers")));
    }
    for layer in &layers {
        check_layer(layer)?;
    }
    Ok(Manifest { top, digest, text, config, layers })
}

/// Nothing is unpacked that does not say that it is a layer; how it is packed its first bytes say.
pub(crate) fn check_layer(layer: &Descriptor) -> Result<()> {
    let kind = layer.media_type.as_str();
    let is = ["application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs."]
        .iter()
        .any(|start| kind.starts_with(start));
    if is && contains(kind, "tar") && !contains(kind, "encrypted") {
        return Ok(());
    }
    Err(Error::unsupported(format!(
        "layer {}: unsupported media type {}",
        layer.digest,
        printable(kind)
    )))
}

fn printable(text: &str) -> String {
    text.chars().take(100).filter(|c| !c.is_control()).collect()
}

/// One document, whose digest is right.
fn one(
    session: &Session<'_>,
    reference: &str,
    expected: &str,
) -> Result<(Digest, Vec<u8>, Document)> {
    let accept = KINDS.join(", ");
    let target = session.target(&["manifests/", reference].concat());
    let (headers, text) = session.document(&target, &accept)?;
    let digest = Digest::of(&text);
    let asked = Digest::parse(reference).ok();
    let said = headers.get("docker-content-digest").and_then(|text| Digest::parse(text).ok());
    if let Some(wanted) = asked.or(said).filter(|wanted| *wanted != digest) {
        let text = format!("manifest verification failed for digest {wanted}: it has {digest}");
        return Err(Error::bad_input(text));
    }
    let kind = headers.get("content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.starts_with("application/vnd.docker.distribution.manifest.v1+") {
        return Err(Error::unsupported(
            "manifest of schema 1, which nobody verifies any more: push the image anew with a newer \
             program",
        ));
    }
    // Some say only that it is JSON.
    let kind = if KINDS.contains(&kind) { kind } else { "" };
    if !expected.is_empty() && !kind.is_empty() && kind != expected {
        let text = format!("manifest {digest}: another type than the index says");
        return Err(Error::bad_input(text));
    }
    let expected = if kind.is_empty() { expected } else { kind };
    let document =
        documents::parse(&text, expected).map_err(|e| e.context(format!("manifest {digest}")))?;
    let is_list = document.manifests.is_some();
    if !expected.is_empty() && is_list != [DOCKER_LIST, OCI_INDEX].contains(&expected) {
        return Err(Error::bad_input(format!(
            "manifest {digest} is not of the type it is said to be"
        )));
    }
    Ok((digest, text, document))
}
