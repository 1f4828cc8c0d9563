//! The archive of a layer again, byte for byte: its headers, and the contents from its tree.
//!
//! What comes out is hashed; it is the archive only if the digest is the layer's diff id. A tree
//! that was damaged is found so, and named.

use super::entry::{Assembler, Entry, Step};
use super::filelist::Lines;
use super::header::Kind;
use super::headers::HeaderReader;
use super::parser::padding_of;
use super::path::{clean, shown, split};
use super::replaced;
use super::walker::Walker;
use super::whiteout::{Meaning, meaning};
use base::copy::open_for_reading;
use base::digest::{Digest, Sha256};
use base::files::open_folder;
use base::{Error, Kind as ErrorKind, OnError, Result};
use rustix::fs::{OFlags, fstat};
use rustix::io::{Errno, read};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;

const BLOCK: usize = 64 << 10;

/// Whether an entry's content became a file: else it is kept among the headers.
fn became_file(entry: &Entry, path: &[u8]) -> bool {
    entry.kind == Kind::File
        && path.split(|&c| c == b'/').all(|part| matches!(meaning(part), Meaning::Plain))
}

struct Output<'a> {
    out: &'a mut dyn Write,
    hash: Sha256,
    block: Vec<u8>,
    /// The hash of the file that is being read, if somebody wants it.
    content: Option<Sha256>,
}

impl Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hash.update(bytes);
        self.out.write_all(bytes).on("write", "the archive")
    }

    /// The content of a file, which must be as long as the archive says.
    fn content(&mut self, file: &OwnedFd, size: u64, what: &dyn Fn() -> String) -> Result<()> {
        let mut left = size;
        while left > 0 {
            let want = self.block.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let n = match read(file, &mut self.block[..want]) {
                Ok(0) => return Err(Error::other(format!("{}: too short", what()))),
                Ok(n) => n,
                Err(Errno::INTR) => continue,
                Err(e) => return Err(e).on("read", what()),
            };
            self.hash.update(&self.block[..n]);
            if let Some(content) = &mut self.content {
                content.update(&self.block[..n]);
            }
            self.out.write_all(&self.block[..n]).on("write", "the archive")?;
            left -= n as u64;
        }
        Ok(())
    }

    fn filling(&mut self, headers: &mut HeaderReader, mut length: u64) -> Result<()> {
        while length > 0 {
            let n = self.block.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            headers.filling(&mut self.block[..n])?;
            self.hash.update(&self.block[..n]);
            self.out.write_all(&self.block[..n]).on("write", "the archive")?;
            length -= n as u64;
        }
        Ok(())
    }
}

/// Looks at what goes by.
pub(crate) trait Checks {
    /// A header was read.
    fn entry(&mut self, entry: &Entry, path: &[u8]) -> Result<()>;
    /// A file's content was read.
    fn content(&mut self, path: &[u8], size: u64, digest: &Digest) -> Result<()>;
}

/// Writes the archive of the layer in this folder; gives its digest.
pub(crate) fn rebuild(layer: &Path, out: &mut dyn Write) -> Result<Digest> {
    rebuild_checked(layer, out, None)
}

/// The same, with somebody who looks.
pub(crate) fn rebuild_checked(
    layer: &Path,
    out: &mut dyn Write,
    mut checks: Option<&mut dyn Checks>,
) -> Result<Digest> {
    let mut headers = HeaderReader::open(&layer.join("headers")).map_err(|e| match e.kind() {
        ErrorKind::NotFound => Error::unsupported(format!(
            "{}: an older version made it, without what its archive needs: remove and load it again",
            layer.display()
        )),
        _ => e,
    })?;
    let tree = layer.join("tree");
    let mut walker = Walker::new(open_folder(&tree)?);
    let replaced = layer.join(replaced::FOLDER);
    let mut lines = match base::files::exists(&replaced) {
        true => Some(Lines::open(&layer.join("files"))?),
        false => None,
    };
    let mut assembler = Assembler::default();
    let mut output = Output { out, hash: Sha256::new(), block: vec![0; BLOCK], content: None };
    while let Some(header) = headers.header()? {
        output.write(&header)?;
        match assembler.header(&header)? {
            Step::Zero => break,
            Step::Meta(length) => {
                let content = headers.meta(length)?;
                output.write(&content)?;
                assembler.meta(&content)?;
                output.filling(&mut headers, padding_of(length as u64) as u64)?;
            }
            Step::Entry(entry) => {
                let path = clean(&entry.path)?;
                let what = || format!("{}/{}", tree.display(), shown(&path));
                if let Some(checks) = &mut checks {
                    checks.entry(&entry, &path)?;
                }
                if !became_file(&entry, &path) {
                    output.filling(&mut headers, entry.size)?;
                } else {
                    let kept = match &mut lines {
                        Some(lines) => {
                            lines.next_file()?.map(|(_, hash)| replaced.join(hash.hex()))
                        }
                        None => None,
                    };
                    let kept = kept.filter(|path| base::files::exists(path));
                    let file = match kept {
                        _ if entry.size == 0 => None,
                        Some(path) => Some(
                            base::paths::open(
                                &path,
                                OFlags::RDONLY | OFlags::CLOEXEC,
                                rustix::fs::Mode::empty(),
                            )
                            .on_path("open", &path)?,
                        ),
                        None => Some(open(&mut walker, &path).on("open", what())?),
                    };
                    output.content = checks.is_some().then(Sha256::new);
                    if let Some(file) = file {
                        output.content(&file, entry.size, &what)?;
                    }
                    if let (Some(checks), Some(hash)) = (&mut checks, output.content.take()) {
                        checks.content(&path, entry.size, &hash.finish())?;
                    }
                }
                output.filling(&mut headers, padding_of(entry.size) as u64)?;
            }
        }
    }
    loop {
        let n = headers.rest(&mut output.block)?;
        if n == 0 {
            break;
        }
        output.hash.update(&output.block[..n]);
        output.out.write_all(&output.block[..n]).on("write", "the archive")?;
    }
    Ok(output.hash.finish())
}

/// Opens a file or a folder for its attributes.
pub(crate) fn open_any(walker: &mut Walker, path: &[u8]) -> std::result::Result<OwnedFd, Errno> {
    let (folder, name) = split(path);
    walker.enter(folder).map_err(|stop| stop.errno)?;
    open_for_reading(walker.here(), if name.is_empty() { b"." } else { name }, OFlags::empty())
}

fn open(walker: &mut Walker, path: &[u8]) -> std::result::Result<OwnedFd, Errno> {
    let (folder, name) = split(path);
    walker.enter(folder).map_err(|stop| stop.errno)?;
    let file = open_for_reading(walker.here(), name, OFlags::empty())?;
    // What waits for a writer, or has no end, is no file of a layer.
    let kind = rustix::fs::FileType::from_raw_mode(fstat(&file)?.st_mode);
    if kind == rustix::fs::FileType::RegularFile { Ok(file) } else { Err(Errno::INVAL) }
}
