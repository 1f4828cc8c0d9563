//! Power cuts: every write and flush of a disk is recorded while a command runs in a machine;
//! afterwards the disk is put together again as it may have been at any instant, and a program on
//! the host looks at each such state.
//!
//! 1. [`record`](record::record): a machine with a disk whose every request QEMU's `blklogwrites`
//!    writes down.
//! 2. [`Log`](log::Log): what was written down; [`states`](states::states): which states of the disk
//!    were possible: at every flush what was written before it, and sampled sets of what was written
//!    after it and not flushed yet, in any choice, as disks with a cache may keep it.
//! 3. [`replay`](replay::replay): makes each state, mounts it (the file system's own recovery is part
//!    of what is tested), and gives it to a check.
//!
//! A command says that something is safe by a *mark*: a number that it writes, unflushed, beyond the
//! end of the file system (`probe mark N`, [`mark`]). The marks lie in the log in their order with
//! everything else, so that the check knows what had been promised at each instant.

pub mod example;
pub mod log;
pub mod record;
pub mod replay;
pub mod states;
pub mod store;

use base::{Error, OnError, Result};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;

/// Bytes of a disk; the last block is the mark's, the file system ends before it.
pub const DISK: u64 = 32 << 20;
/// A block.
pub const BLOCK: usize = 4096;
const MAGIC: &[u8; 12] = b"coracle-mark";

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
