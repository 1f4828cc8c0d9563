//! Power cuts: every write and flush of a disk is recorded while a command runs in a machine;
//! afterwards the disk is put together again as it may have been at any instant, and a program looks at
//! each such state.
//!
//! 1. [`record`](record::record): a machine with a disk whose every request QEMU's `blklogwrites`
//!    writes down.
//! 2. [`Log`](log::Log): what was written down; [`states`](states::states): which states of the disk
//!    were possible: at every flush what was written before it, and sampled sets of what was written
//!    after it and not flushed yet, in any choice, as disks with a cache may keep it.
//! 3. [`replay`](replay::replay): makes each state, mounts it (the file system's own recovery is part
//!    of what is tested), and gives it to a check; [`inside`]: the same in a machine, for file systems that
//!    the host does not have.
//!
//! A command says that something is safe by a *mark*: a number that it writes, unflushed, beyond the
//! end of the file system (`probe mark N`, [`mark`]). The marks lie in the log in their order with
//! everything else, so that the check knows what had been promised at each instant.

pub mod example;
pub mod inside;
pub mod log;
pub mod look;
pub mod record;
pub mod replay;
pub mod states;
pub mod store;
pub mod story;
pub mod ubifs;

use crate::job::{Fetched, Place, Report};
use base::{Error, OnError, Result};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;

/// Bytes of a disk with this file system; the last block is the mark's, the file system ends before it.
#[must_use]
pub fn disk_of(kind: &str) -> u64 {
    // f2fs keeps much of a small disk for itself.
    if kind == "f2fs" { 96 << 20 } else { 32 << 20 }
}
/// A block.
pub const BLOCK: usize = 4096;
const MAGIC: &[u8; 12] = b"coracle-mark";

/// The worked example's word.
const EXAMPLE: &str = "example";
/// What belongs to every run of the default set.
const USUAL: [&str; 4] = [EXAMPLE, "ext4", "btrfs", "pulls"];

/// What is to be done: what was asked for by word, else everything, or what is usual.
pub fn words(asked: &[String], all: bool) -> Result<Vec<&'static str>> {
    let known = [&[EXAMPLE], &store::WORDS[..], &[ubifs::WORD]].concat();
    if let Some(word) = asked.iter().find(|word| !known.contains(&word.as_str())) {
        return Err(Error::bad_input(format!("{word}: none of {}", known.join(", "))));
    }
    let fits = |word: &&str| match asked {
        [] => all || USUAL.contains(word),
        _ => asked.iter().any(|one| one == word),
    };
    Ok(known.into_iter().filter(fits).collect())
}

/// What these words ask for: reports and tables.
pub fn run(
    place: &Place,
    fetched: &Fetched,
    samples: usize,
    words: &[&str],
) -> Result<Vec<(Report, String)>> {
    let mut done = Vec::new();
    if words.contains(&EXAMPLE) {
        done.push(example::run(place, fetched, samples)?);
    }
    if words.iter().any(|word| store::WORDS.contains(word)) {
        done.push(store::run(place, fetched, samples, words)?);
    }
    if words.contains(&ubifs::WORD) {
        done.push(ubifs::run(place, fetched, samples)?);
    }
    Ok(done)
}

/// Whether the words want a kernel that has every file system ([`crate::kernels::FULL`]).
#[must_use]
pub fn needs_full_kernel(words: &[&str]) -> bool {
    words.contains(&ubifs::WORD) || store::needs_full_kernel(words)
}

/// A mark's block.
fn block(number: u64) -> Block {
    let mut block = Block([0; BLOCK]);
    block.0[..MAGIC.len()].copy_from_slice(MAGIC);
    block.0[MAGIC.len()..MAGIC.len() + 8].copy_from_slice(&number.to_le_bytes());
    block
}

/// The number in a block, if it is a mark.
fn number(data: &[u8]) -> Option<u64> {
    let rest = data.strip_prefix(MAGIC)?;
    Some(u64::from_le_bytes(rest.get(..8)?.try_into().ok()?))
}

#[repr(align(4096))]
struct Block([u8; BLOCK]);

/// Inside the machine: from now on what was promised with this number must outlive a power cut.
pub fn mark(device: &str, promise: u64) -> Result<()> {
    // Direct, so that it reaches the disk at once, and not flushed, so that it makes nothing else
    // safe.
    let mut disk = std::fs::File::options()
        .write(true)
        .custom_flags(libc::O_DIRECT)
        .open(device)
        .on("open", device)?;
    let size = disk.seek(SeekFrom::End(0)).on("seek in", device)?;
    let place = size.checked_sub(BLOCK as u64).ok_or_else(|| Error::other("a disk of no size"))?;
    disk.seek(SeekFrom::Start(place)).on("seek in", device)?;
    disk.write_all(&block(promise).0).on("write to", device)
}
