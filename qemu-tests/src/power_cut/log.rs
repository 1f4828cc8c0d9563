//! The log of QEMU's blklogwrites, which is that of the kernel's dm-log-writes: a superblock, then
//! entries, each a header of one sector and its data. Little-endian.

use super::number;
use base::{Error, OnError, Result};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

const MAGIC: u64 = 0x006a_7366_7773_6872;
const FLUSH: u64 = 1;
const FORCED: u64 = 2;
const DISCARD: u64 = 4;

/// One request of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where on the disk, in bytes.
    pub place: u64,
    /// How many bytes; none for a flush alone.
    pub length: u64,
    /// Everything that was written before it is safe.
    pub flush: bool,
    /// Its own data is safe at once (FUA).
    pub forced: bool,
    /// The number, if it is a mark.
    pub mark: Option<u64>,
    /// Where the data lies in the log.
    data: u64,
}

/// A log.
pub struct Log {
    file: File,
    /// The requests in the order in which they were done.
    pub entries: Vec<Entry>,
}

impl Log {
    /// Reads the headers.
    pub fn open(path: &Path) -> Result<Log> {
        let file = File::open(path).on_path("open", path)?;
        let numbers = |place: u64| -> Result<[u64; 4]> {
            let mut bytes = [0; 32];
            file.read_exact_at(&mut bytes, place).on_path("read", path)?;
            let mut numbers = [0; 4];
            for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(8)) {
                *number = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
            }
            Ok(numbers)
        };
        let [magic, version, count, sector] = numbers(0)?;
        // The size of a sector is a number of 32 bits.
        let sector = sector & 0xffff_ffff;
        if magic != MAGIC || version != 1 || !(512..=4096).contains(&sector) {
            return Err(Error::bad_input(format!("{}: not a log of writes", path.display())));
        }
        let mut entries = Vec::new();
        let mut place = sector;
        for _ in 0..count {
            let [at, sectors, flags, _] = numbers(place)?;
            place += sector;
            let mut entry = Entry {
                place: at * sector,
                length: sectors * sector,
                flush: flags & FLUSH != 0,
                forced: flags & FORCED != 0,
                mark: None,
                data: place,
            };
            if flags & DISCARD != 0 {
                // Reads as anything; nothing is there to be replayed.
                entry.length = 0;
            } else {
                let mut head = [0; 32];
                if entry.length > 0 {
                    file.read_exact_at(&mut head, place).on_path("read", path)?;
                }
                entry.mark = number(&head);
                place += entry.length;
            }
            entries.push(entry);
        }
        Ok(Log { file, entries })
    }

    /// The data of a request, where it belongs to the file system: marks are beyond it, and not part of
    /// what is looked at.
    pub fn data(&self, entry: &Entry) -> Result<Option<Vec<u8>>> {
        if entry.length == 0 || entry.mark.is_some() {
            return Ok(None);
        }
        let mut bytes = vec![0; entry.length as usize];
        self.file.read_exact_at(&mut bytes, entry.data).on("read", "log of writes")?;
        Ok(Some(bytes))
    }

    /// Does a request again, on an image.
    pub fn apply(&self, entry: &Entry, image: &File) -> Result<()> {
        match self.data(entry)? {
            Some(bytes) => image.write_all_at(&bytes, entry.place).on("write to", "image"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
impl Entry {
    pub(super) fn for_test(length: u64, flush: bool, mark: Option<u64>) -> Entry {
        Entry { place: 0, length, flush, forced: false, mark, data: 0 }
    }
}
