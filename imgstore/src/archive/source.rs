//! Where documents and layers of an archive are found: in a folder, in a tar file, or among what
//! came from a stream.
//!
//! From a stream everything comes before it is known what it is for. A blob that looks like a layer
//! (gzip, zstd, tar) is unpacked as it comes; what begins like JSON is kept, up to 4 MiB each and
//! 8 MiB in all. The digests are compared when the manifest says what they must be; what it does not
//! name falls away.

use super::outer::{Input, Outer};
use crate::layer::content::Content;
use crate::layer::header::{self, Kind};
use crate::layer::path::{clean, shown, split};
use crate::layer::{self, Style, Unpacked};
use base::files::read_capped;
use base::map::Map;
use base::{Error, Kind as ErrorKind, OnError, Result};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The largest document.
pub(crate) const DOCUMENT_CAP: usize = 4 << 20;
const DOCUMENTS_CAP: usize = 8 << 20;
/// Names in an archive; an image has at most a few hundred.
const NAMES_CAP: usize = 20_000;

/// What a tar file holds where.
#[derive(Clone)]
pub(crate) enum Place {
    At(u64, u64),
    SameAs(Vec<u8>),
}

/// An archive of images.
pub(crate) enum Source {
    Folder(PathBuf),
    Tar {
        file: File,
        index: Map<Vec<u8>, Place>,
    },
    Stream {
        documents: Map<Vec<u8>, Vec<u8>>,
        layers: Map<Vec<u8>, Unpacked>,
        links: Map<Vec<u8>, Vec<u8>>,
    },
}

fn missing(name: &[u8]) -> Error {
    Error::bad_input(format!("archive: {} is not in it", shown(name)))
}

/// Where a symbolic link of docker's old archives leads: `../ID/layer.tar`, from a folder.
fn link_target(path: &[u8], link: &[u8]) -> Option<Vec<u8>> {
    let (folder, _) = split(path);
    match link.strip_prefix(b"../") {
        Some(rest) if !folder.contains(&b'/') => clean(rest).ok(),
        Some(_) => None,
        None => clean([folder, b"/", link].concat().strip_prefix(b"/").unwrap_or(link)).ok(),
    }
}

impl Source {
    /// An archive in a file, if it is a plain tar.
    pub(crate) fn tar(file: File) -> Result<Self> {
        let mut index = Map::new();
        let mut outer = Outer::new(Input::File(&file));
        while let Some(entry) = outer.next()? {
            let path = clean(&entry.path)?;
            let place = match entry.kind {
                Kind::File => Place::At(outer.position()?, entry.size),
                Kind::HardLink => Place::SameAs(clean(&entry.link)?),
                Kind::Symlink => match link_target(&path, &entry.link) {
                    Some(target) => Place::SameAs(target),
                    None => continue,
                },
                _ => continue,
            };
            if index.len() > NAMES_CAP {
                return Err(Error::bad_input("archive: too many entries"));
            }
            if index.insert(path, place).is_some() {
                let text = format!("archive: {} occurs twice", shown(&entry.path));
                return Err(Error::bad_input(text));
            }
        }
        Ok(Self::Tar { file, index })
    }

    /// Reads a whole stream; layers go to folders below `work`.
    pub(crate) fn stream(
        input: &mut dyn Read,
        work: &Path,
        style: Style,
        progress: &mut dyn FnMut(&str, u64),
    ) -> Result<Self> {
        let (mut documents, mut layers, mut links) = (Map::new(), Map::new(), Map::new());
        let mut room = DOCUMENTS_CAP;
        let mut outer = Outer::new(Input::Stream(input));
        while let Some(entry) = outer.next()? {
            let path = clean(&entry.path)?;
            match entry.kind {
                Kind::File => {}
                Kind::HardLink => {
                    links.insert(path, clean(&entry.link)?);
                    continue;
                }
                Kind::Symlink => {
                    links.extend(link_target(&path, &entry.link).map(|target| (path, target)));
                    continue;
                }
                _ => continue,
            }
            if documents.len() + layers.len() + links.len() > NAMES_CAP {
                return Err(Error::bad_input("archive: too many entries"));
            }
            let content = Content::new(&mut outer)?;
            if documents.contains_key(&path) || layers.contains_key(&path) {
                return Err(Error::bad_input(format!("archive: {} occurs twice", shown(&path))));
            }
            if looks_like_layer(&content) {
                let folder = work.join(format!("layer-{}", layers.len()));
                let name = String::from_utf8_lossy(&path).into_owned();
                let unpacked = layer::unpack(content, folder, style, &mut |n| progress(&name, n))
                    .map_err(|e| e.context(shown(&path)))?;
                layers.insert(path, unpacked);
                continue;
            }
            let start = content.start().trim_ascii_start().first().copied();
            let size = usize::try_from(entry.size).unwrap_or(usize::MAX);
            if matches!(start, Some(b'{' | b'[')) && size <= DOCUMENT_CAP.min(room) {
                room -= size;
                let mut content = content;
                let mut text = Vec::with_capacity(size);
                content.read_to_end(&mut text).on("read", "the archive")?;
                documents.insert(path, text);
            }
        }
        Ok(Self::Stream { documents, layers, links })
    }

    /// A document, if there is one of this name.
    pub(crate) fn document(&mut self, name: &[u8]) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Folder(folder) => {
                let name = clean(name)?;
                match read_capped(
                    &folder.join(String::from_utf8_lossy(&name).as_ref()),
                    DOCUMENT_CAP,
                ) {
                    Ok(text) => Ok(Some(text)),
                    Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
                    Err(e) => Err(e),
                }
            }
            Self::Tar { file, index } => {
                let Some((at, size)) = place(index, name)? else {
                    return Ok(None);
                };
                if size > DOCUMENT_CAP as u64 {
                    let text = format!("archive: {} is larger than 4 MiB", shown(name));
                    return Err(Error::bad_input(text));
                }
                file.seek(SeekFrom::Start(at)).on("read", "the archive")?;
                let mut text = vec![0; size as usize];
                file.read_exact(&mut text).on("read", "the archive")?;
                Ok(Some(text))
            }
            Self::Stream { documents, .. } => Ok(documents.get(&clean(name)?).cloned()),
        }
    }

    /// How long a layer is, if that is known before it is read.
    pub(crate) fn size(&self, name: &[u8]) -> Option<u64> {
        match self {
            Self::Folder(root) => {
                let path = root.join(String::from_utf8_lossy(&clean(name).ok()?).as_ref());
                std::fs::metadata(path).ok().map(|file| file.len())
            }
            Self::Tar { index, .. } => place(index, name).ok()?.map(|(_, size)| size),
            Self::Stream { .. } => None,
        }
    }

    /// A document that must be there.
    pub(crate) fn needed(&mut self, name: &[u8]) -> Result<Vec<u8>> {
        self.document(name)?.ok_or_else(|| missing(name))
    }

    /// Unpacks a layer into `folder`, or gives the one that was unpacked as it came.
    pub(crate) fn layer(
        &mut self,
        name: &[u8],
        folder: PathBuf,
        style: Style,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Unpacked> {
        if !matches!(self, Self::Stream { .. }) {
            let mut unpacked = None;
            self.blob(name, &mut |input| {
                let content = Content::new(input)?;
                unpacked = Some(layer::unpack(content, folder.clone(), style, progress)?);
                Ok(())
            })?;
            return unpacked.ok_or_else(|| missing(name));
        }
        match self {
            Self::Stream { layers, links, .. } => {
                let mut name = clean(name)?;
                if let Some(target) = links.get(&name) {
                    name.clone_from(target);
                }
                layers.remove(&name).ok_or_else(|| missing(&name))
            }
            _ => Err(missing(name)),
        }
    }

    /// Gives a blob to somebody who reads it.
    pub(crate) fn blob(
        &mut self,
        name: &[u8],
        read: &mut dyn FnMut(&mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        match self {
            Self::Folder(root) => {
                let path = root.join(String::from_utf8_lossy(&clean(name)?).as_ref());
                let mut file = match File::open(&path) {
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                        return Err(missing(name));
                    }
                    other => other.on_path("open", &path)?,
                };
                read(&mut file)
            }
            Self::Tar { file, index } => {
                let (at, size) = place(index, name)?.ok_or_else(|| missing(name))?;
                file.seek(SeekFrom::Start(at)).on("read", "the archive")?;
                read(&mut file.take(size))
            }
            Self::Stream { .. } => Err(missing(name)),
        }
    }
}

fn place(index: &Map<Vec<u8>, Place>, name: &[u8]) -> Result<Option<(u64, u64)>> {
    let mut name = clean(name)?;
    // A link leads to a file; a link to a link is nobody's archive.
    for _ in 0..2 {
        match index.get(&name) {
            None => return Ok(None),
            Some(Place::At(at, size)) => return Ok(Some((*at, *size))),
            Some(Place::SameAs(target)) => name.clone_from(target),
        }
    }
    Ok(None)
}

fn looks_like_layer(content: &Content<'_>) -> bool {
    let block = content.start().first_chunk();
    content.is_packed() || block.is_some_and(|b| header::is_zero(b) || header::is_header(b))
}
