//! Layers: from a compressed archive to a folder, and from folders to a tree.
//!
//! The way of a byte: [`content`] reads, hashes and decompresses it; [`ring`] carries it to the
//! other thread; [`parser`] cuts it into [`entry`]s (from [`header`] and [`pax`]); [`unpack`]
//! writes it. [`settle`] completes a layer from those below; [`merge`] lays layers over each other.
//! [`headers`] keeps what of the archive is no content; [`rebuild`] makes the archive again. [`pack`]
//! goes the other way, from folders to an archive; [`changes`] finds what a container changed.

pub(crate) mod changes;
pub(crate) mod content;
mod early;
pub(crate) mod entry;
pub(crate) mod extract;
pub(crate) mod filelist;
mod gzip;
mod hardlink;
pub(crate) mod header;
pub(crate) mod headers;
pub(crate) mod merge;
pub(crate) mod metadata;
pub(crate) mod pack;
pub(crate) mod parser;
pub(crate) mod path;
pub(crate) mod pax;
pub(crate) mod rebuild;
mod replaced;
mod ring;
pub(crate) mod settle;
mod special;
pub(crate) mod unpack;
pub(crate) mod verify;
pub(crate) mod walker;
pub(crate) mod whiteout;
pub(crate) mod write;

use base::digest::{Digest, Sha256};
use base::files::{self, open_folder};
use base::{Error, OnError, Result};
use content::Content;
use early::Early;
use filelist::FileList;
use headers::Headers;
use merge::Files;
use metadata::Made;
use parser::Parser;
use ring::{BLOCK, Reader, Ring};
use rustix::fs::{Mode, fchmod, fstat};
use settle::Lowers;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread;
use unpack::Unpacker;
use whiteout::Marks;

/// A layer that lies in the work folder.
pub(crate) struct Unpacked {
    /// Its folder, holding `tree` and `files`.
    pub(crate) folder: PathBuf,
    /// Of the decompressed archive.
    pub(crate) diff: Digest,
    /// Of the blob as it came.
    pub(crate) blob: Digest,
    pub(crate) blob_size: u64,
    /// Bytes of all files.
    pub(crate) size: u64,
    /// Bytes of the decompressed archive.
    pub(crate) archive: u64,
    /// The digest of its list of files; only once it is complete.
    pub(crate) list: Digest,
    /// Its root hides all layers below.
    pub(crate) opaque: bool,
    /// It takes something from the layers below, and is not complete until it has it.
    pub(crate) waiting: Option<Box<Unpacker>>,
}

/// How layers of this store are unpacked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) marks: Marks,
    /// All owners become the user.
    pub(crate) squash: bool,
    /// The archive must have its end mark, since no digest says that it is whole.
    pub(crate) strict: bool,
    /// Compressed blobs are kept beside the layer.
    pub(crate) keep_blobs: bool,
    /// The largest window of zstd.
    pub(crate) window: u64,
    /// Others are unpacked at the same time: one thread.
    pub(crate) one_of_several: bool,
}

/// Makes `folder` and unpacks the content into it.
pub(crate) fn unpack(
    mut content: Content<'_>,
    folder: PathBuf,
    style: Style,
    progress: &mut dyn FnMut(u64),
) -> Result<Unpacked> {
    content.allow_window(style.window);
    if !style.strict {
        content.has_digest();
    }
    let mut unpacker = Box::new(begin(&folder, style)?);
    if style.keep_blobs && content.is_packed() {
        content.keep(&folder.join("blob"))?;
    }
    let mut hash = Sha256::new();
    let mut parser = Parser::new();
    let mut archive = 0;
    let mut progress = |bytes: u64| {
        archive += bytes;
        progress(bytes);
    };
    if processors() > 1 && !style.one_of_several {
        two_threads(&mut content, &mut hash, &mut parser, &mut unpacker, &mut progress)?;
    } else {
        // Several at a time, or little of everything: half as much memory.
        let mut block = vec![0; BLOCK / 2];
        loop {
            let n = content.read_some(&mut block)?;
            if n == 0 {
                break;
            }
            hash.update(&block[..n]);
            parser.feed(&block[..n], &mut *unpacker)?;
            progress(n as u64);
        }
    }
    parser.finish(style.strict)?;
    let (blob, blob_size) = content.finish()?;
    let (size, opaque) = (unpacker.size, unpacker.opaque);
    let (mut waiting, mut list) = (None, Digest::default());
    if unpacker.waits() {
        waiting = Some(unpacker);
    } else {
        let none = Lowers { trees: Vec::new(), marks: style.marks };
        list = settle::complete(*unpacker, &none)?;
    }
    let diff = hash.finish();
    Ok(Unpacked { folder, diff, blob, blob_size, size, archive, list, opaque, waiting })
}

fn begin(folder: &Path, style: Style) -> Result<Unpacker> {
    files::create_dir_all(folder)?;
    let tree = folder.join("tree");
    base::paths::mkdir(&tree, Mode::from_raw_mode(0o777)).on_path("create", &tree)?;
    let root = open_folder(&tree)?;
    let stat = fstat(&root).on_path("stat", &tree)?;
    // What the umask is, seen and not asked: asking would change it for other threads.
    let umask = 0o777 & !stat.st_mode;
    fchmod(&root, Mode::from_raw_mode(0o755)).on_path("change mode of", &tree)?;
    let made = Made { uid: stat.st_uid, gid: stat.st_gid, umask, squash: style.squash };
    // A bomb must end before the disk is full for everybody else.
    let free = room(&tree)?;
    let list = FileList::create(&folder.join("files"))?;
    let headers = Headers::create(&folder.join("headers"))?;
    let records = (list, headers);
    Ok(Unpacker::new(folder.to_owned(), root, records, made, style.marks, free))
}

/// How many bytes may still be written where this is. A part of the disk is left to small things: the
/// next container's record, its log, whatever else lives there.
pub(crate) fn room(path: &Path) -> Result<u64> {
    let count = || -> Result<u64> {
        let space = base::paths::statvfs(path).on_path("stat", path)?;
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        let all = space.f_blocks.saturating_mul(space.f_frsize);
        Ok(free.saturating_sub((all / 50).min(RESERVE)))
    };
    match count()? {
        // btrfs counts what was removed as free only after its next commit.
        little if little < RESERVE => {
            let folder = open_folder(path)?;
            rustix::fs::syncfs(&folder).on_path("sync", path)?;
            count()
        }
        enough => Ok(enough),
    }
}

/// The most that is left: 8 MiB.
const RESERVE: u64 = 8 << 20;

/// How many processors this process may use.
pub(crate) fn processors() -> usize {
    match rustix::thread::sched_getaffinity(None) {
        Ok(set) => set.count() as usize,
        Err(_) => 1,
    }
}

fn two_threads(
    content: &mut Content<'_>,
    hash: &mut Sha256,
    parser: &mut Parser,
    unpacker: &mut Unpacker,
    progress: &mut dyn FnMut(u64),
) -> Result<()> {
    let ring = Ring::default();
    let mut early = Early::new(unpacker.root())?;
    thread::scope(|scope| {
        let (reader, mut blocks) = (ring.reader(), ring.writer());
        let writer = move || {
            let mut back = None;
            while let Some((block, length)) = blocks.next(back.take()) {
                // Here and not in the reader, which has more to do: it decompresses.
                hash.update(&block[..length]);
                parser.feed(&block[..length], unpacker)?;
                early.look(unpacker.files);
                back = Some(block);
            }
            Ok(())
        };
        let builder = thread::Builder::new().name("unpack".into()).stack_size(256 << 10);
        let writer = builder.spawn_scoped(scope, writer).on("start", "a thread")?;
        let read = pump(content, reader, progress);
        let written = match writer.join() {
            Ok(written) => written,
            Err(_) => Err(Error::other("unpacking ended in a bug")),
        };
        // Where both failed, the writer did so on what the reader had read before.
        written.and(read)
    })
}

fn pump(
    content: &mut Content<'_>,
    mut blocks: Reader<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<()> {
    while let Some(mut block) = blocks.free() {
        let mut length = 0;
        while length < block.len() {
            let n = content.read_some(&mut block[length..])?;
            if n == 0 {
                break;
            }
            length += n;
        }
        if length == 0 {
            break;
        }
        blocks.send((block, length));
        progress(length as u64);
    }
    Ok(())
}

/// The digest of a file.
pub(crate) fn file_digest(path: &Path) -> Result<Digest> {
    let file = std::fs::File::open(path).on_path("open", path)?;
    replaced::digest(&file.into()).on_path("read", path)
}

impl Unpacked {
    /// Completes the layer on top of those below, topmost first. Says whether it took anything.
    pub(crate) fn complete(&mut self, lowers: &[PathBuf], marks: Marks) -> Result<bool> {
        let Some(unpacker) = self.waiting.take() else {
            return Ok(false);
        };
        let open = |tree: &PathBuf| open_folder(tree);
        let trees = lowers.iter().map(open).collect::<Result<Vec<_>>>()?;
        self.list = settle::complete(*unpacker, &Lowers { trees, marks })?;
        Ok(true)
    }
}

/// Copies the merged tree of layers, lowest first, into an empty folder.
pub(crate) fn copy_merged(layers: &[PathBuf], to: &Path, style: Style, files: Files) -> Result<()> {
    let root = open_folder(to)?;
    let mut merge = merge::Merge::new(root.as_fd(), style.marks, !style.squash, files);
    for tree in layers {
        merge.layer(tree)?;
    }
    Ok(())
}
