//! What an archive's manifests say: which images are in it, and where their parts are.

use super::documents::{self, Descriptor, Document, IMAGE_NAME, REF_NAME, Saved, choose};
use super::{Loader, Wanted, blob_path, differs};
use crate::reference::Reference;
use crate::registry::platform;
use base::digest::Digest;
use base::{Error, Result, json};

/// Whether a manifest is about the image of an entry of `manifest.json`, blob for blob.
fn same_image(document: &Document, id: &Digest, saved: &Saved) -> bool {
    let blob = |name: &String| name.strip_prefix("blobs/sha256/").map(Digest::from_hex);
    let layers = document.layers.as_deref().unwrap_or_default();
    document.config.as_ref().is_some_and(|config| config.digest == *id)
        && layers.len() == saved.layers.len()
        && layers.iter().zip(&saved.layers).all(|(d, name)| blob(name) == Some(Ok(d.digest)))
}

impl Loader<'_> {
    /// The manifest for the machine that is asked for, or for this one.
    fn choose<'d>(&self, list: &[&'d Descriptor]) -> Result<&'d Descriptor> {
        let Some(wanted) = self.platform else {
            return choose(list).ok_or_else(no_platform);
        };
        let rank = |d: &&&Descriptor| match &d.platform {
            Some(offered) => platform::fits(wanted, offered),
            None => u8::from(list.len() == 1),
        };
        // The first of the best.
        let best = list.iter().rev().max_by_key(rank).filter(|d| rank(d) > 0).copied();
        best.ok_or_else(|| {
            let wanted = platform::shown(wanted);
            Error::bad_input(format!("archive: no image for {wanted} is in it"))
        })
    }

    pub(super) fn docker(&mut self, text: &[u8]) -> Result<()> {
        let list: Vec<Saved> = json::parse(text).map_err(|e| e.context("manifest.json"))?;
        let manifests = self.manifests()?;
        for saved in list {
            let config = self.source.needed(saved.config.as_bytes())?;
            let id = Digest::of(&config);
            // Its name is its digest, in all forms of these archives.
            let base = saved.config.rsplit('/').next().unwrap_or_default();
            if let Ok(named) = Digest::from_hex(base.strip_suffix(".json").unwrap_or(base))
                && named != id
            {
                return Err(differs("configuration", &named, &id));
            }
            let names =
                saved.tags.iter().map(|tag| Reference::parse(tag)).collect::<Result<Vec<_>>>()?;
            let wanted = |name: &String| {
                let hex = name.strip_prefix("blobs/sha256/").map(Digest::from_hex);
                let blob = hex.and_then(Result::ok).map(|digest| (digest, u64::MAX));
                Wanted { name: name.as_bytes().to_vec(), blob }
            };
            let layers = saved.layers.iter().map(wanted).collect();
            let manifest =
                manifests.iter().find(|(_, _, document)| same_image(document, &id, &saved));
            let manifest = manifest.map(|(digest, text, _)| (*digest, text.clone()));
            let digests: Vec<Digest> = manifest.iter().map(|(digest, _)| *digest).collect();
            self.gate.admit(&mut self.source, &names, &digests)?;
            self.image(config, manifest, layers, names)?;
        }
        Ok(())
    }

    /// The manifests beside docker's `manifest.json`, in the newer form of its archives.
    fn manifests(&mut self) -> Result<Vec<(Digest, Vec<u8>, Document)>> {
        let mut found = Vec::new();
        let Some(text) = self.source.document(b"index.json")? else {
            return Ok(found);
        };
        let mut index = documents::parse(&text, "").map_err(|e| e.context("index.json"))?;
        self.gate.look(&mut index);
        for descriptor in index.manifests.unwrap_or_default() {
            if self.source.document(&blob_path(&descriptor.digest))?.is_none() {
                continue;
            }
            let text = self.checked(&descriptor, "manifest")?;
            let document = documents::parse(&text, &descriptor.media_type)
                .map_err(|e| e.context(format!("manifest {}", descriptor.digest)))?;
            found.push((descriptor.digest, text, document));
        }
        Ok(found)
    }

    pub(super) fn oci(&mut self, text: &[u8]) -> Result<()> {
        let mut index = documents::parse(text, "").map_err(|e| e.context("index.json"))?;
        self.gate.look(&mut index);
        let list = index.manifests.unwrap_or_default();
        // Several manifests of one name are one image for several machines.
        let name = |d: &Descriptor| {
            let full = d.annotations.get(IMAGE_NAME).or_else(|| d.annotations.get(REF_NAME));
            full.cloned().unwrap_or_default()
        };
        let mut done: Vec<String> = Vec::new();
        for descriptor in &list {
            let full = name(descriptor);
            if done.contains(&full) {
                continue;
            }
            let group: Vec<&Descriptor> = list.iter().filter(|d| name(d) == full).collect();
            let chosen = self.choose(&group)?;
            let names = self.name(&full)?;
            self.oci_image(chosen, names, &mut Vec::new())?;
            done.push(full);
        }
        Ok(())
    }

    /// A full name, or a tag of the repository that the archive is named after.
    fn name(&self, text: &str) -> Result<Vec<Reference>> {
        if text.contains(['/', ':']) {
            return Ok(vec![Reference::parse(text)?]);
        }
        let Some(repository) = &self.repository else {
            return Ok(Vec::new());
        };
        let full =
            if text.is_empty() { repository.clone() } else { [repository, ":", text].concat() };
        Ok(vec![Reference::parse(&full)?])
    }

    fn oci_image(
        &mut self,
        descriptor: &Descriptor,
        names: Vec<Reference>,
        above: &mut Vec<Digest>,
    ) -> Result<()> {
        let text = self.checked(descriptor, "manifest")?;
        above.push(descriptor.digest);
        let document = documents::parse(&text, &descriptor.media_type)
            .map_err(|e| e.context(format!("manifest {}", descriptor.digest)))?;
        if let Some(list) = &document.manifests {
            if above.len() > 3 {
                return Err(Error::bad_input("archive: indexes nested too deep"));
            }
            let list: Vec<&Descriptor> = list.iter().collect();
            let chosen = self.choose(&list)?;
            return self.oci_image(chosen, names, above);
        }
        let (Some(config), Some(layers)) = (&document.config, &document.layers) else {
            return Err(Error::bad_input(format!(
                "archive: manifest {} has no layers",
                descriptor.digest
            )));
        };
        self.gate.admit(&mut self.source, &names, above)?;
        let config = self.checked(config, "configuration")?;
        let wanted =
            |d: &Descriptor| Wanted { name: blob_path(&d.digest), blob: Some((d.digest, d.size)) };
        let layers = layers.iter().map(wanted).collect();
        self.image(config, Some((descriptor.digest, text)), layers, names)
    }

    /// A document whose digest and size are what its descriptor says.
    fn checked(&mut self, descriptor: &Descriptor, what: &str) -> Result<Vec<u8>> {
        let text = self.source.needed(&blob_path(&descriptor.digest))?;
        let got = Digest::of(&text);
        if got != descriptor.digest {
            return Err(differs(what, &descriptor.digest, &got));
        }
        if text.len() as u64 != descriptor.size {
            let text = format!("archive: {what} {got} is not as long as it should be");
            return Err(Error::bad_input(text));
        }
        Ok(text)
    }
}

fn no_platform() -> Error {
    let (name, variant) = crate::image::architecture();
    let slash = if variant.is_empty() { "" } else { "/" };
    Error::bad_input(format!("archive: no image for linux/{name}{slash}{variant} is in it"))
}
