//! Whether the policy lets an archive's image in: as if it were pulled from where its name says, with the
//! signatures that lie in the archive beside it.
//!
//! A layout has them under the tag that cosign gives them in a registry (`sha256-DIGEST.sig`), which is how
//! `imgstore copy` brings them along, or marked by an annotation, as `cosign save` writes them.

use super::blob_path;
use super::documents::Document;
use super::source::Source;
use crate::reference::Reference;
use crate::registry::{Policy, Wanted, check_signatures};
use base::Result;
use base::digest::Digest;

/// cosign's annotation: which kind of thing this is.
const KIND: &str = "kind";
const SIGNATURES: &str = "dev.cosignproject.cosign/sigs";
/// Tags of what is about an image, and no image.
const ENDS: [&str; 3] = [".sig", ".att", ".sbom"];

/// What an archive has of signatures, and who judges them.
pub(super) struct Gate {
    policy: Policy,
    /// Manifests with signatures: the tag, or nothing, and the digest.
    found: Vec<(String, Digest)>,
}

impl Gate {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { policy: Policy::find()?, found: Vec::new() })
    }

    /// Takes from an index what is no image.
    pub(super) fn look(&mut self, index: &mut Document) {
        let Some(list) = &mut index.manifests else { return };
        let found = &mut self.found;
        list.retain(|descriptor| {
            let tag = descriptor.tag();
            let is = |end: &&str| tag.starts_with("sha256-") && tag.ends_with(end);
            let end = ENDS.into_iter().find(is);
            let marked = descriptor.annotations.get(KIND).is_some_and(|kind| kind == SIGNATURES);
            if marked || end == Some(ENDS[0]) {
                let tag = if end.is_some() { tag.to_string() } else { String::new() };
                found.push((tag, descriptor.digest));
            }
            !marked && end.is_none()
        });
    }

    /// Lets an image in or not. `digests`: of what the name stands for, and of the manifest.
    pub(super) fn admit(
        &self,
        source: &mut Source,
        names: &[Reference],
        digests: &[Digest],
    ) -> Result<()> {
        let mut get = |wanted: Wanted<'_>| match wanted {
            Wanted::Payload(digest) => source.document(&blob_path(digest)),
            Wanted::Signatures(tag) => {
                let fits = |(own, _): &&(String, Digest)| own == tag || own.is_empty();
                match self.found.iter().find(fits) {
                    Some((_, digest)) => source.document(&blob_path(digest)),
                    None => Ok(None),
                }
            }
        };
        if names.is_empty() {
            return check_signatures(&self.policy, None, digests, &mut get);
        }
        names
            .iter()
            .try_for_each(|name| check_signatures(&self.policy, Some(name), digests, &mut get))
    }
}
