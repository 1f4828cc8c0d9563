//! `copy`: images from place to place as they are, without unpacking: registries and OCI layouts.
//!
//! Everything that the name means is copied, all machines' images of an index among them, so digests stay;
//! and what refers to it (signatures, lists of parts): by the referrers API, or by the tags that stand in
//! for it. A blob that is there already is not copied; in one registry it is mounted.

use super::Client;
use super::auth::Credentials;
use super::blob::Blob;
use super::http::Method;
use super::manifest::{OCI_INDEX, OCI_MANIFEST};
use super::remote::Remote;
use super::session::{Ask, Session};
use super::signature;
use super::tags;
use super::upload::{self, Begun, Upload};
use crate::archive::documents::{self, Descriptor, Document, REF_NAME};
use crate::reference::Reference;
use base::digest::{Digest, Tee};
use base::files::{self, Sync};
use base::folders;
use base::json::Raw;
use base::{Error, Kind, OnError, Result, json, json_object};
use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Indexes within indexes, referrers of referrers.
const DEPTH: u32 = 8;
/// Manifests of one copy: a registry that lies could name them without end.
const MOST: u32 = 10_000;
/// Pages of the list of referrers.
const PAGES: usize = 100;
/// Tags in place of referrers: OCI's own first, then cosign's.
const STANDINS: [&str; 4] = ["", ".sig", ".att", ".sbom"];

/// Where images are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `docker://NAME`.
    Registry(String),
    /// `oci:FOLDER[:TAG]`.
    Layout(PathBuf, String),
}

impl Place {
    /// Reads a place; None for a name in the store.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(name) = text.strip_prefix("docker://") {
            return Some(Self::Registry(name.to_owned()));
        }
        let rest = text.strip_prefix("oci:")?;
        let (folder, tag) = match rest.rsplit_once(':') {
            Some((folder, tag)) if !tag.contains('/') => (folder, tag),
            _ => (rest, "latest"),
        };
        Some(Self::Layout(PathBuf::from(folder), tag.to_owned()))
    }
}

/// Copies an image. `who`: the credentials for a registry.
pub fn copy(
    settings: &folders::Settings,
    who: &dyn Fn(&str) -> Result<Credentials>,
    from: &Place,
    to: &Place,
) -> Result<Digest> {
    let client = |place: &Place| -> Result<Option<(Client, Remote, String)>> {
        let Place::Registry(text) = place else { return Ok(None) };
        let name = Reference::parse(text)?;
        let remote = Remote::of(&name);
        let tag = name.digest.map(|digest| digest.to_string()).or(name.tag).unwrap_or_default();
        Ok(Some((Client::new(settings, who(&remote.registry)?)?, remote, tag)))
    };
    let (source, target) = (client(from)?, client(to)?);
    // Leave to mount from the source's repository.
    let same = match (&source, &target) {
        (Some((_, a, _)), Some((_, b, _))) if a.registry == b.registry && a.path != b.path => {
            Some(a.path.clone())
        }
        _ => None,
    };
    let others: Vec<String> = same.iter().cloned().collect();
    let source = match (&source, from) {
        (Some((client, remote, tag)), Place::Registry(name)) => {
            let session = client.session(remote, None)?;
            let name = Reference::parse(name)?;
            let end = End::Registry(session);
            // From here on the digest counts, wherever the tag moves.
            let digest = Digest::of(&end.manifest(tag)?.0);
            if let End::Registry(session) = &end {
                signature::check(&client.policy, session, &name, &[digest])?;
            }
            (end, digest.to_string())
        }
        (_, Place::Layout(folder, tag)) => (End::Layout(folder.clone()), tag.clone()),
        (None, Place::Registry(_)) => return Err(Error::other("no registry")),
    };
    let target = match (&target, to) {
        (Some((client, remote, tag)), _) => {
            (End::Registry(client.pushing(remote, &others)?), tag.clone())
        }
        (None, Place::Layout(folder, tag)) => (End::Layout(folder.clone()), tag.clone()),
        (None, Place::Registry(_)) => return Err(Error::other("no registry")),
    };
    let copier = Copier { from: &source.0, to: &target.0, mount: same, count: Cell::new(0) };
    copier.whole(&source.1, &target.1, DEPTH)
}

json_object! {
    /// A page of the list of referrers; its entries stay as they are, with members that are not known here.
    #[derive(Default)]
    struct Page {
        "schemaVersion" => version: u32,
        "mediaType" ? => media_type: String,
        "manifests" => manifests: Vec<Raw>,
    }
}

/// One end of a copy.
enum End<'a> {
    Registry(Session<'a>),
    Layout(PathBuf),
}

fn blob_path(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join("blobs/sha256").join(digest.hex())
}

fn index(folder: &Path) -> Result<Document> {
    match files::read_capped(&folder.join("index.json"), 4 << 20) {
        Ok(text) => documents::parse(&text, "").map_err(|e| e.context("index.json")),
        Err(e) if e.kind() == Kind::NotFound => {
            Ok(Document { version: 2, manifests: Some(Vec::new()), ..Document::default() })
        }
        Err(e) => Err(e),
    }
}

impl End<'_> {
    /// A manifest by tag or digest, with its type.
    fn manifest(&self, reference: &str) -> Result<(Vec<u8>, String)> {
        let (text, said) = match self {
            Self::Registry(session) => {
                let target = session.target(&["manifests/", reference].concat());
                let (headers, text) =
                    session.document(&target, &super::manifest::KINDS.join(", "))?;
                let kind = headers.get("content-type").unwrap_or_default();
                (text, kind.split(';').next().unwrap_or_default().trim().to_owned())
            }
            Self::Layout(folder) => {
                let (digest, kind) = match Digest::parse(reference) {
                    Ok(digest) => (digest, String::new()),
                    Err(_) => {
                        let list = index(folder)?.manifests.unwrap_or_default();
                        let found = list.into_iter().find(|one| one.tag() == reference);
                        let found = found.ok_or_else(|| {
                            let text = format!("{}: no image {reference}", folder.display());
                            Error::not_found(text)
                        })?;
                        (found.digest, found.media_type)
                    }
                };
                (files::read_capped(&blob_path(folder, &digest), 4 << 20)?, kind)
            }
        };
        if let Ok(wanted) = Digest::parse(reference)
            && wanted != Digest::of(&text)
        {
            let text = format!("manifest verification failed for digest {wanted}");
            return Err(Error::bad_input(text));
        }
        let document = documents::parse(&text, "").map_err(|e| e.context("manifest"))?;
        let kind = match document.media_type {
            kind if !kind.is_empty() => kind,
            _ if said.starts_with("application/vnd.") => said,
            _ if document.manifests.is_some() => OCI_INDEX.to_owned(),
            _ => OCI_MANIFEST.to_owned(),
        };
        Ok((text, kind))
    }

    fn has(&self, descriptor: &Descriptor) -> Result<bool> {
        match self {
            Self::Registry(session) => {
                Ok(upload::exists(session, &descriptor.digest)? == Some(descriptor.size))
            }
            Self::Layout(folder) => Ok(files::exists(&blob_path(folder, &descriptor.digest))),
        }
    }

    /// Puts a manifest under a tag, or under its digest alone. Says whether the place knows what it
    /// refers to.
    fn put_manifest(&self, tag: &str, kind: &str, text: &[u8]) -> Result<bool> {
        let digest = Digest::of(text);
        let folder = match self {
            Self::Registry(session) => {
                let own = digest.to_string();
                let reference = if tag.is_empty() { &own } else { tag };
                let target = session.target(&["manifests/", reference].concat());
                let body = Some((kind, text));
                let ask = Ask { method: Method::Put, target: &target, headers: &[], body };
                let answer = session.ask(&ask)?;
                return Ok(answer.headers.get("oci-subject").is_some());
            }
            Self::Layout(folder) => folder,
        };
        write(folder, &digest, &mut &*text)?;
        if tag.is_empty() {
            return Ok(false);
        }
        let mut index = index(folder)?;
        let list = index.manifests.get_or_insert_default();
        list.retain(|one| one.tag() != tag);
        let mut entry = Descriptor {
            media_type: kind.to_owned(),
            digest,
            size: text.len() as u64,
            ..Descriptor::default()
        };
        entry.annotations.insert(REF_NAME.to_owned(), tag.to_owned());
        list.push(entry);
        let layout = br#"{"imageLayoutVersion":"1.0.0"}"#;
        files::write_then_rename(folder, "oci-layout", layout, Sync::Yes)?;
        let text = json::to_string(&index);
        files::write_then_rename(folder, "index.json", text.as_bytes(), Sync::Yes)?;
        Ok(false)
    }
}

/// Writes a blob of a layout, whose digest is checked before it gets its name.
fn write(folder: &Path, digest: &Digest, from: &mut dyn Read) -> Result<()> {
    let path = blob_path(folder, digest);
    let blobs = folder.join("blobs/sha256");
    files::create_dir_all(&blobs)?;
    let aside = blobs.join([".", &digest.hex()].concat());
    let done = (|| {
        let mut file = Tee::new(File::create(&aside).on_path("create", &aside)?);
        io::copy(from, &mut file).on_path("write", &aside)?;
        file.inner.sync_data().on_path("sync", &aside)?;
        let got = file.hash.finish();
        match got == *digest {
            true => std::fs::rename(&aside, &path).on_path("write", &path),
            false => Err(Error::bad_input(format!("blob {digest} has digest {got}"))),
        }
    })();
    if done.is_err() {
        let _ = std::fs::remove_file(&aside);
    }
    done
}

struct Copier<'a> {
    from: &'a End<'a>,
    to: &'a End<'a>,
    /// The source's repository, where both ends are in one registry.
    mount: Option<String>,
    /// Manifests so far.
    count: Cell<u32>,
}

impl Copier<'_> {
    /// What a tag means, and what refers to it.
    fn whole(&self, from: &str, to: &str, depth: u32) -> Result<Digest> {
        let tag = if Digest::parse(to).is_ok() { "" } else { to };
        let (digest, _) = self.manifest(from, tag, depth)?;
        self.referrers(&digest, depth)?;
        Ok(digest)
    }

    /// A manifest with all that it names; children before parents.
    fn manifest(&self, from: &str, tag: &str, depth: u32) -> Result<(Digest, bool)> {
        if depth == 0 {
            return Err(Error::bad_input("indexes nested too deep"));
        }
        self.count.set(self.count.get() + 1);
        if self.count.get() > MOST {
            return Err(Error::bad_input("too many manifests refer to each other"));
        }
        let (text, kind) = self.from.manifest(from)?;
        let document = documents::parse(&text, "")?;
        for child in document.manifests.iter().flatten() {
            let (digest, _) = self.manifest(&child.digest.to_string(), "", depth - 1)?;
            self.referrers(&digest, depth - 1)?;
        }
        for blob in document.config.iter().chain(document.layers.iter().flatten()) {
            self.blob(blob)?;
        }
        let subject = self.to.put_manifest(tag, &kind, &text)?;
        Ok((Digest::of(&text), subject))
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<()> {
        if self.to.has(descriptor)? {
            return Ok(());
        }
        let digest = &descriptor.digest;
        let named = |e: Error| e.context(format!("blob {digest}"));
        let nothing = |_| ();
        let mut reader: Box<dyn Read + '_> = match self.from {
            End::Registry(session) => {
                Box::new(Blob::new(session, digest, descriptor.size, &nothing))
            }
            End::Layout(folder) => {
                let path = blob_path(folder, digest);
                Box::new(File::open(&path).on_path("open", &path)?.take(descriptor.size))
            }
        };
        let session = match self.to {
            End::Layout(folder) => return write(folder, digest, &mut reader).map_err(named),
            End::Registry(session) => session,
        };
        let mount = self.mount.as_deref().map(|from| (digest, from));
        let Begun::Upload(mut upload) = Upload::begin(session, mount)? else {
            return Ok(());
        };
        io::copy(&mut reader, &mut upload)
            .map_err(|e| Error::other(base::error::reason(&e)))
            .map_err(named)?;
        upload.finish_as(digest).map_err(named)
    }

    /// What refers to a manifest.
    fn referrers(&self, digest: &Digest, depth: u32) -> Result<()> {
        if depth == 0 {
            return Ok(());
        }
        let base = ["sha256-", &digest.hex()].concat();
        let listed = self.listed(digest)?;
        for end in STANDINS {
            let tag = [&base, end].concat();
            if end.is_empty() && listed.is_some() {
                continue;
            }
            match self.manifest(&tag, &tag, depth - 1) {
                Ok(_) => {}
                Err(e) if e.kind() == Kind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        let Some((text, list)) = listed else { return Ok(()) };
        let mut known = true;
        for one in &list {
            let (digest, subject) = self.manifest(&one.digest.to_string(), "", depth - 1)?;
            known &= subject;
            self.referrers(&digest, depth - 1)?;
        }
        // A place without the API finds them by the tag.
        if !known {
            self.to.put_manifest(&base, OCI_INDEX, &text)?;
        }
        Ok(())
    }

    /// The list of the referrers API, where there is one and something is in it.
    fn listed(&self, digest: &Digest) -> Result<Option<(Vec<u8>, Vec<Descriptor>)>> {
        let End::Registry(session) = self.from else { return Ok(None) };
        let mut target = session.target(&["referrers/", &digest.to_string()].concat());
        let mut raws: Vec<Raw> = Vec::new();
        for _ in 0..PAGES {
            let (headers, text) = match session.document(&target, OCI_INDEX) {
                Ok(found) => found,
                Err(e) if e.kind() == Kind::NotFound => return Ok(None),
                Err(e) => return Err(e),
            };
            // Something else may be at this address.
            let Ok(page) = json::parse::<Page>(&text) else { return Ok(None) };
            raws.extend(page.manifests);
            if let Some(next) = tags::next_page(session, &target, &headers)? {
                target = next;
                continue;
            }
            let list = raws.iter().map(Raw::parse).collect::<Result<Vec<Descriptor>>>()?;
            let page = Page { version: 2, media_type: OCI_INDEX.to_owned(), manifests: raws };
            let text = json::to_string(&page).into_bytes();
            return Ok((!list.is_empty()).then_some((text, list)));
        }
        Err(Error::bad_input("list of referrers: it does not end"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let layout = |folder: &str, tag: &str| Some(Place::Layout(folder.into(), tag.into()));
        assert_eq!(Place::parse("oci:a/b:1"), layout("a/b", "1"));
        assert_eq!(Place::parse("oci:/a:5/b"), layout("/a:5/b", "latest"));
        assert_eq!(Place::parse("docker://h:1/x"), Some(Place::Registry("h:1/x".into())));
        assert_eq!(Place::parse("busybox:1"), None);
    }
}
