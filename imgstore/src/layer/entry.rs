//! An entry: a header together with the extended headers before it.
//!
//! At most one of each kind of extended header may come before an entry, and a GNU long name and a
//! PAX path exclude each other: programs differ in which one they believe.

use super::header::{self, BLOCK, Header, Kind};
use super::pax::{self, Pax};
use base::text::quote::escaped;
use base::{Error, Result};

/// The largest extended header that is read.
const META_CAP: u64 = 1 << 20;

/// Names and values of attributes.
pub(crate) type Attributes = Vec<(Vec<u8>, Vec<u8>)>;

/// What a layer or an archive holds under one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) path: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) size: u64,
    pub(crate) mtime: (i64, u32),
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) xattrs: Attributes,
}

/// What a block turned out to be.
pub(crate) enum Step {
    /// An extended header: its content, of this length, must be given to [`Assembler::meta`].
    Meta(usize),
    /// An entry, whose content follows.
    Entry(Box<Entry>),
    /// A block of zeros.
    Zero,
}

/// Puts entries together from their headers.
#[derive(Default)]
pub(crate) struct Assembler {
    awaited: Option<Kind>,
    pax: Option<Pax>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

fn wrong(what: &str) -> Error {
    Error::bad_input(format!("archive: {what}"))
}

impl Assembler {
    /// Takes the next header.
    pub(crate) fn header(&mut self, block: &[u8; BLOCK]) -> Result<Step> {
        if header::is_zero(block) {
            if self.pax.is_some() || self.name.is_some() || self.link.is_some() {
                return Err(wrong("extended header without an entry"));
            }
            return Ok(Step::Zero);
        }
        let header = header::parse(block)?;
        let twice = match header.kind {
            Kind::Pax => self.pax.is_some(),
            Kind::LongName => self.name.is_some(),
            Kind::LongLink => self.link.is_some(),
            Kind::PaxGlobal => false,
            _ => return Ok(Step::Entry(Box::new(self.entry(header)?))),
        };
        if twice {
            return Err(wrong("two extended headers for one entry"));
        }
        if header.size > META_CAP {
            return Err(wrong("extended header larger than 1 MiB"));
        }
        self.awaited = Some(header.kind);
        Ok(Step::Meta(header.size as usize))
    }

    /// Takes the content of an extended header.
    pub(crate) fn meta(&mut self, content: &[u8]) -> Result<()> {
        let text = || {
            let text = content.strip_suffix(b"\0").unwrap_or(content);
            if text.is_empty() || text.contains(&0) {
                Err(wrong("wrong long name"))
            } else {
                Ok(text.to_vec())
            }
        };
        match self.awaited.take() {
            Some(Kind::Pax) => self.pax = Some(pax::parse(content, false)?),
            Some(Kind::PaxGlobal) => drop(pax::parse(content, true)?),
            Some(Kind::LongName) => self.name = Some(text()?),
            Some(Kind::LongLink) => self.link = Some(text()?),
            _ => {}
        }
        Ok(())
    }

    fn entry(&mut self, header: Header) -> Result<Entry> {
        let pax = self.pax.take().unwrap_or_default();
        let (name, link) = (self.name.take(), self.link.take());
        if name.is_some() && pax.path.is_some() || link.is_some() && pax.link.is_some() {
            return Err(wrong("entry with two long names"));
        }
        let path = pax.path.or(name).unwrap_or(header.name);
        let shown = || escaped(&String::from_utf8_lossy(&path));
        let id = |id: u64| match u32::try_from(id) {
            Ok(id) if id != u32::MAX => Ok(id),
            _ => Err(wrong(&format!("{}: owner {id} out of range", shown()))),
        };
        let size = pax.size.unwrap_or(header.size);
        if i64::try_from(size).is_err() {
            return Err(wrong("entry of an impossible size"));
        }
        // V7 had no folders, but names that end in a slash: the whole name, not the part of it that
        // a header holds beside an extended one.
        let kind = match header.kind {
            Kind::File if path.ends_with(b"/") => Kind::Folder,
            kind => kind,
        };
        // Some readers would take this for content, others for the next header.
        if size > 0 && kind != Kind::File {
            return Err(wrong(&format!("{}: content where there can be none", shown())));
        }
        Ok(Entry {
            kind,
            link: pax.link.or(link).unwrap_or(header.link),
            mode: header.mode,
            uid: id(pax.uid.unwrap_or(header.uid))?,
            gid: id(pax.gid.unwrap_or(header.gid))?,
            size,
            mtime: pax.mtime.unwrap_or((header.mtime, 0)),
            major: header.major,
            minor: header.minor,
            xattrs: pax.xattrs,
            path,
        })
    }
}
