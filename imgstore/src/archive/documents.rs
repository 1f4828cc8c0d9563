//! The documents around images: OCI index and manifest, and docker's `manifest.json`.
//!
//! A document is an index or a manifest, never both, and is what its descriptor says (CVE-2021-41190).

use crate::image::architecture;
use base::digest::Digest;
use base::json_object;
use base::map::Map;
use base::{Error, Result, json};

json_object! {
    /// For which machine.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub(crate) struct Platform {
        "architecture" => pub(crate) architecture: String,
        "os" => pub(crate) os: String,
        "variant" ? => pub(crate) variant: String,
    }
}

json_object! {
    /// Says what a blob is.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub(crate) struct Descriptor {
        "mediaType" ? => pub(crate) media_type: String,
        "digest" => pub(crate) digest: Digest,
        "size" => pub(crate) size: u64,
        "platform" ? => pub(crate) platform: Option<Platform>,
        "annotations" ? => pub(crate) annotations: Map<String, String>,
    }
}

json_object! {
    /// An index or a manifest, as long as it is not known which.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub(crate) struct Document {
        "schemaVersion" => pub(crate) version: u32,
        "mediaType" ? => pub(crate) media_type: String,
        "config" ? => pub(crate) config: Option<Descriptor>,
        "layers" ? => pub(crate) layers: Option<Vec<Descriptor>>,
        "manifests" ? => pub(crate) manifests: Option<Vec<Descriptor>>,
    }
}

json_object! {
    /// One image of docker's `manifest.json`.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub(crate) struct Saved {
        "Config" => pub(crate) config: String,
        "RepoTags" => pub(crate) tags: Vec<String>,
        "Layers" => pub(crate) layers: Vec<String>,
    }
}

impl Descriptor {
    /// The tag that an index gives it, alone or at the end of a name.
    pub(crate) fn tag(&self) -> &str {
        let name = self.annotations.get(REF_NAME).map_or("", String::as_str);
        name.rsplit_once(':').map_or(name, |(_, tag)| tag)
    }
}

/// The annotation that holds a tag or a name.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation that holds docker's full name.
pub(crate) const IMAGE_NAME: &str = "io.containerd.image.name";

/// Reads an index or a manifest; `expected` is the media type its descriptor gave.
pub(crate) fn parse(text: &[u8], expected: &str) -> Result<Document> {
    let document: Document = json::parse(text)?;
    if document.version != 2 {
        return Err(Error::bad_input("manifest of an unknown version"));
    }
    if document.manifests.is_some() && (document.layers.is_some() || document.config.is_some()) {
        return Err(Error::bad_input("manifest that is also an index"));
    }
    let both = !expected.is_empty() && !document.media_type.is_empty();
    if both && document.media_type != expected {
        return Err(Error::bad_input("manifest of another type than its descriptor says"));
    }
    Ok(document)
}

fn fits(platform: &Platform) -> u8 {
    let (name, variant) = architecture();
    if platform.os != "linux" || platform.architecture != name {
        return 0;
    }
    match platform.variant.as_str() {
        v if v == variant => 3,
        "" => 2,
        // An older ARM runs on a newer one.
        v if name == "arm" && v < variant => 1,
        _ if name == "arm" => 0,
        _ => 1,
    }
}

/// The manifest of an index for this machine; a lone one is taken whatever it is for.
pub(crate) fn choose<'a>(list: &[&'a Descriptor]) -> Option<&'a Descriptor> {
    let real = |d: &&&'a Descriptor| {
        let attested = d.annotations.contains_key("vnd.docker.reference.type");
        !attested && d.platform.as_ref().is_none_or(|p| p.os != "unknown")
    };
    let list: Vec<&Descriptor> = list.iter().filter(real).copied().collect();
    if let [only] = list[..] {
        return Some(only);
    }
    let rank = |d: &&&Descriptor| d.platform.as_ref().map_or(1, fits);
    // The first of the best.
    list.iter().rev().max_by_key(rank).filter(|d| rank(d) > 0).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confused_documents_are_refused() {
        let e = |text: &str, kind: &str| parse(text.as_bytes(), kind).unwrap_err().to_string();
        assert!(
            e(r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#, "").contains("also an index")
        );
        assert!(e(r#"{"schemaVersion":2,"mediaType":"a"}"#, "b").contains("another type"));
        assert!(e(r#"{"schemaVersion":1}"#, "").contains("unknown version"));
        assert!(parse(br#"{"schemaVersion":2,"mediaType":"a"}"#, "a").is_ok());
    }

    #[test]
    fn the_platform_of_this_machine_is_chosen() {
        let (name, variant) = architecture();
        let d = |size, os: &str, architecture: &str, variant: &str| {
            let platform = Platform {
                architecture: architecture.into(),
                os: os.into(),
                variant: variant.into(),
            };
            Descriptor { size, platform: Some(platform), ..Descriptor::default() }
        };
        let list = [
            d(1, "linux", "s390x", ""),
            d(2, "unknown", "unknown", ""),
            d(3, "linux", name, variant),
        ];
        assert_eq!(choose(&list.iter().collect::<Vec<_>>()).map(|d| d.size), Some(3));
        assert_eq!(choose(&[&list[0], &list[1]]).map(|d| d.size), Some(1));
        assert_eq!(choose(&[&list[0], &list[0]]), None);
    }
}
