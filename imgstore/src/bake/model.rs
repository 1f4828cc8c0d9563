//! A layer as its tree would be, without a tree: what each name is, and where in the archive its
//! content lies.
//!
//! The same rules as in [`crate::layer::unpack`] and [`crate::layer::settle`], which do it on a disk:
//! a test compares the two.

use super::names::Names;
use crate::layer::entry::Entry;
use crate::layer::filelist::FileList;
use crate::layer::header::Kind;
use crate::layer::headers::{Headers, Part};
use crate::layer::metadata::keeps;
use crate::layer::parser::Sink;
use crate::layer::path::{clean, is_below, refuse, shown, split};
use crate::layer::whiteout::{Meaning, meaning, place};
use base::Result;
use base::digest::{Digest, Sha256};
use base::map::Map;

/// Where bytes are: in the archive of which layer, from where on, how many.
pub(super) type Place = (usize, u64, u64);

/// A file, a folder or a special file; hard links share one.
#[derive(Clone, Default)]
pub(super) struct Node {
    pub(super) entry: Entry,
    pub(super) place: Place,
    /// A folder that had a header of its own.
    header: bool,
    /// A folder that hides what is below.
    pub(super) opaque: bool,
    /// It takes a name away.
    pub(super) white: bool,
}

impl Node {
    fn is_folder(&self) -> bool {
        self.entry.kind == Kind::Folder
    }
}

/// A layer.
pub(super) struct Model {
    /// Its number, for places.
    number: usize,
    pub(super) nodes: Vec<Node>,
    /// All names but the root's, which is the first node.
    pub(super) names: Names,
    /// Contents that a later entry replaced, by their digest.
    pub(super) replaced: Map<String, Place>,
    digests: Map<u64, Digest>,
    links: Vec<(Vec<u8>, Vec<u8>)>,
    list: Option<FileList>,
    headers: Headers,
    /// How much of the archive has gone by.
    offset: u64,
    current: Option<(Entry, Vec<u8>, Sha256, u64)>,
    /// Bytes of all files.
    pub(super) size: u64,
}

impl Model {
    pub(super) fn new(number: usize, list: FileList, headers: Headers) -> Self {
        let entry = Entry { kind: Kind::Folder, mode: 0o755, ..Entry::default() };
        Self {
            number,
            nodes: vec![Node { entry, header: true, ..Node::default() }],
            names: Names::default(),
            replaced: Map::new(),
            digests: Map::new(),
            links: Vec::new(),
            list: Some(list),
            headers,
            offset: 0,
            current: None,
            size: 0,
        }
    }

    /// The root hides all layers below.
    pub(super) fn opaque(&self) -> bool {
        self.nodes[0].opaque
    }

    fn get(&self, path: &[u8]) -> Option<usize> {
        if path.is_empty() { Some(0) } else { self.names.get(path) }
    }

    fn put(&mut self, path: &[u8], node: Node) -> usize {
        self.nodes.push(node);
        let number = self.nodes.len() - 1;
        self.names.insert(path, number);
        number
    }

    fn list(
        &mut self,
        kind: u8,
        mode: Option<u32>,
        content: Option<(u64, Digest)>,
        path: &[u8],
        target: &[u8],
    ) -> Result<()> {
        match &mut self.list {
            Some(list) => list.add(kind, mode, content, path, target),
            None => Ok(()),
        }
    }

    /// Makes the folders on the way to a name that are not there.
    fn enter(&mut self, folder: &[u8]) -> Result<()> {
        let ends = folder.iter().enumerate().filter(|(_, c)| **c == b'/').map(|(at, _)| at);
        for end in ends.chain([folder.len()]).filter(|&end| end > 0) {
            let path = &folder[..end];
            let opaque = match self.get(path).map(|number| &self.nodes[number]) {
                Some(node) if node.is_folder() => continue,
                Some(node) if !node.white => {
                    let text = "the way to it passes through a link or a file";
                    return Err(refuse(folder, &format!("{text}: {}", shown(path))));
                }
                there => there.is_some(),
            };
            let entry = Entry { kind: Kind::Folder, mode: 0o755, ..Entry::default() };
            self.put(path, Node { entry, opaque, ..Node::default() });
        }
        Ok(())
    }

    /// Removes what stands in the way of an entry. Gives whether it was a whiteout.
    fn replace(&mut self, path: &[u8]) -> bool {
        let Some(number) = self.names.remove(path) else {
            return false;
        };
        let white = self.nodes[number].white;
        let mut gone = vec![number];
        if self.nodes[number].is_folder() {
            gone.append(&mut self.names.remove_below(path));
        }
        for number in gone {
            let place = self.nodes[number].place;
            // The archive has it still.
            if let Some(digest) = self.digests.get(&place.1).filter(|_| place.2 > 0) {
                self.replaced.insert(digest.hex(), place);
            }
        }
        self.links.retain(|(link, _)| !is_below(link, path));
        white
    }

    fn folder(&mut self, entry: Entry, path: &[u8]) -> Result<()> {
        self.list(b'd', Some(entry.mode), None, path, b"")?;
        match self.get(path) {
            Some(number) if self.nodes[number].is_folder() => {
                let node = &mut self.nodes[number];
                // Attributes add up.
                let mut xattrs = std::mem::take(&mut node.entry.xattrs);
                xattrs.retain(|(name, _)| entry.xattrs.iter().all(|(other, _)| other != name));
                xattrs.extend(entry.xattrs.iter().cloned());
                node.entry = Entry { xattrs, ..entry };
                node.header = true;
            }
            _ => {
                let opaque = self.replace(path);
                self.put(path, Node { entry, header: true, opaque, ..Node::default() });
            }
        }
        Ok(())
    }

    fn hard_link(&mut self, entry: &Entry, path: &[u8]) -> Result<()> {
        let target = clean(&entry.link)?;
        if target.is_empty() || target == path {
            return Err(refuse(path, "hard link to itself or to the root"));
        }
        if !matches!(meaning(split(&target).1), Meaning::Plain) {
            return Err(refuse(path, "hard link to a whiteout"));
        }
        if self.get(path).is_some() {
            if is_below(&target, path) {
                return Err(refuse(path, "hard link to what it replaces"));
            }
            self.replace(path);
        }
        self.list(b'h', None, None, path, &target)?;
        if !self.link_inside(path, &target)? {
            self.links.push((path.to_vec(), target));
        }
        Ok(())
    }

    fn link_inside(&mut self, path: &[u8], target: &[u8]) -> Result<bool> {
        let above = split(target).0;
        for end in (0..above.len()).filter(|&at| above[at] == b'/').chain([above.len()]) {
            let node = self.get(&above[..end]).map(|number| &self.nodes[number]);
            if node.is_some_and(|node| !node.is_folder()) {
                return Err(refuse(path, "hard link through a link or a file"));
            }
        }
        let Some(number) = self.get(target) else {
            return Ok(false);
        };
        let node = &self.nodes[number];
        if node.white || node.is_folder() {
            return Err(refuse(path, "hard link to a folder or to what was removed"));
        }
        self.names.insert(path, number);
        Ok(true)
    }

    fn special(&mut self, entry: Entry, path: &[u8]) -> Result<()> {
        let letter = match entry.kind {
            Kind::Char if (entry.major, entry.minor) == (0, 0) => {
                return Err(refuse(path, "character device 0:0, which would remove a file"));
            }
            Kind::Char => b'c',
            Kind::Block => b'b',
            Kind::Symlink => b'l',
            _ => b'p',
        };
        if letter == b'l' && (entry.link.is_empty() || entry.link.len() > 4095) {
            return Err(refuse(path, "symbolic link with an impossible target"));
        }
        self.replace(path);
        let target = if letter == b'l' { entry.link.clone() } else { Vec::new() };
        self.list(letter, Some(entry.mode), None, path, &target)?;
        self.put(path, Node { entry, ..Node::default() });
        Ok(())
    }

    fn white_out(&mut self, path: &[u8]) -> Result<()> {
        match self.get(path) {
            None => {
                let entry = Entry { kind: Kind::Char, ..Entry::default() };
                self.put(path, Node { entry, white: true, ..Node::default() });
            }
            Some(number) if self.nodes[number].is_folder() => self.nodes[number].opaque = true,
            Some(_) => {}
        }
        self.list(b'w', None, None, path, b"")
    }

    /// What the layer takes from those below it, topmost first. Gives the digest of its list, and
    /// whether it took anything.
    pub(super) fn complete(&mut self, lowers: &[&Self]) -> Result<(Digest, bool)> {
        let bare = |(_, node): (Vec<u8>, usize)| {
            let node = &self.nodes[node];
            node.is_folder() && !node.header
        };
        let took = !self.links.is_empty() || self.names.iter().any(bare);
        for (path, target) in std::mem::take(&mut self.links) {
            self.enter(split(&path).0)?;
            if self.link_inside(&path, &target)? {
                continue;
            }
            let missing =
                || refuse(&path, &format!("hard link to {}, which is not there", shown(&target)));
            let found = find(lowers, &target).ok_or_else(missing)?;
            if found.is_folder() {
                return Err(refuse(&path, "hard link to a folder"));
            }
            self.enter(split(&target).0)?;
            let number = self.put(&target, found.clone());
            self.names.insert(&path, number);
        }
        for (path, number) in self.names.iter() {
            let node = &mut self.nodes[number];
            if node.is_folder()
                && !node.header
                && let Some(found) = find(lowers, &path).filter(|found| found.is_folder())
            {
                node.entry = found.entry.clone();
            }
        }
        self.headers.finish()?;
        let list = self.list.take().map_or_else(|| Ok(Digest::default()), FileList::finish)?;
        Ok((list, took))
    }
}

/// Looks a name up in the layers below, topmost first, as one tree.
fn find<'a>(lowers: &[&'a Model], path: &[u8]) -> Option<&'a Node> {
    'layers: for model in lowers {
        let mut opaque = model.opaque();
        let above = split(path).0;
        for end in (1..=above.len()).filter(|&at| at == above.len() || above[at] == b'/') {
            match model.get(&above[..end]).map(|number| &model.nodes[number]) {
                None if opaque => return None,
                None => continue 'layers,
                Some(node) if !node.is_folder() => return None,
                Some(node) => opaque |= node.opaque,
            }
        }
        match model.get(path).map(|number| &model.nodes[number]) {
            Some(node) if node.white => return None,
            Some(node) => return Some(node),
            None if opaque => return None,
            None => {}
        }
    }
    None
}

impl Sink for Model {
    fn frame(&mut self, part: Part, bytes: &[u8]) -> Result<()> {
        self.offset += bytes.len() as u64;
        self.headers.add(part, bytes)
    }

    fn entry(&mut self, mut entry: Entry) -> Result<()> {
        let path = clean(&entry.path)?;
        let Some((folder, name)) = place(&path, entry.kind)? else { return Ok(()) };
        self.enter(folder)?;
        match meaning(name) {
            Meaning::Plain => {}
            Meaning::Ignored => return Ok(()),
            Meaning::Wrong => return Err(refuse(&path, "whiteout of nothing")),
            Meaning::Opaque => {
                let number = self.get(folder).unwrap_or(0);
                self.nodes[number].opaque = true;
                return self.list(b'o', None, None, folder, b"");
            }
            Meaning::Gone(gone) => {
                let slash = if folder.is_empty() { &b""[..] } else { b"/" };
                return self.white_out(&[folder, slash, gone].concat());
            }
        }
        let mut kept = Vec::new();
        for (name, value) in std::mem::take(&mut entry.xattrs) {
            if keeps(&path, &name)? {
                kept.push((name, value));
            }
        }
        // A link or a device has none: the same as on a disk.
        if matches!(entry.kind, Kind::File | Kind::Folder) {
            entry.xattrs = kept;
        }
        match entry.kind {
            Kind::File => {
                self.size = self.size.saturating_add(entry.size);
                self.replace(&path);
                self.current = Some((entry, path, Sha256::new(), self.offset));
                Ok(())
            }
            Kind::Folder => self.folder(entry, &path),
            Kind::HardLink => self.hard_link(&entry, &path),
            _ => self.special(entry, &path),
        }
    }

    fn data(&mut self, bytes: &[u8]) -> Result<()> {
        let Some((_, _, hash, _)) = &mut self.current else {
            return self.frame(Part::Filling, bytes);
        };
        hash.update(bytes);
        self.offset += bytes.len() as u64;
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        let Some((entry, path, hash, start)) = self.current.take() else {
            return Ok(());
        };
        let (size, digest) = (entry.size, hash.finish());
        self.digests.insert(start, digest);
        self.list(b'f', Some(entry.mode), Some((size, digest)), &path, b"")?;
        let place = (self.number, start, size);
        self.put(&path, Node { entry, place, ..Node::default() });
        Ok(())
    }
}
