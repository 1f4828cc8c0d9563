//! The replay inside a machine, for file systems that the host's kernel may not have: the machine gets the
//! disk as it was before, the log and a disk to write on, makes one state after the other, and looks at each
//! with the same check. Several machines share the states.

use super::log::{Entry, Log};
use super::look::Tool;
use super::record::Recording;
use super::replay::{Amount, Bench, Findings, look_at};
use super::states::states;
use super::story;
use crate::console::Verdict;
use crate::job::{self, Job, Place};
use crate::kernels::Unpacked;
use base::{Error, OnError, Result};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The name of the test.
pub const TEST: &str = "replay";
/// Inside: what is written on, the log, and the disk as it was before.
const DISKS: [&str; 3] = ["/dev/vda", "/dev/vdb", "/dev/vdc"];
const MEMORY: u32 = 512;
/// For a machine's part of the states.
const LIMIT: Duration = Duration::from_secs(2 * 3600);
/// Where a state is mounted.
const FOLDER: &str = "/tmp/state";

/// What a machine is told.
#[derive(Debug, PartialEq, Eq)]
struct Order {
    kind: String,
    story: String,
    amount: [u64; 2],
    /// Every so manyeth state, from this one on.
    part: [usize; 2],
}

impl Order {
    fn text(&self) -> String {
        let ([samples, seed], [part, parts]) = (self.amount, self.part);
        format!("{} {} {samples} {seed} {part} {parts}", self.kind, self.story)
    }

    fn parse(text: &str) -> Option<Order> {
        let words: Vec<&str> = text.split(' ').collect();
        let [kind, story, samples, seed, part, parts] = words[..] else { return None };
        Some(Order {
            kind: kind.to_string(),
            story: story.to_string(),
            amount: [samples.parse().ok()?, seed.parse().ok()?],
            part: [part.parse().ok()?, parts.parse().ok().filter(|parts| *parts > 0)?],
        })
    }
}

/// On the host: looks at a recording in as many machines as run at once. `job` is the one that was recorded.
pub fn replay_inside(
    place: &Place,
    unpacked: &Unpacked,
    common: &[u8],
    job: &Job,
    recording: &Recording,
    (kind, story): (&str, &str),
    amount: Amount,
) -> Result<Findings> {
    let parts = place.at_once.max(1);
    let one = |part: usize| -> Result<Findings> {
        let order = Order {
            kind: kind.to_string(),
            story: story.to_string(),
            amount: [amount.samples as u64, amount.seed],
            part: [part, parts],
        };
        let mut job = job.clone();
        job.variant = format!("{} replay {}", job.variant, part + 1);
        job.configuration.disk = String::new();
        job.configuration.replay = order.text();
        job.hosted = None;
        job.memory = Some(MEMORY);
        job.limit = Some(LIMIT);
        job.tests = vec![(TEST.to_string(), String::new())];
        let scratch = recording.pristine.with_file_name(format!("scratch-{part}"));
        let size = std::fs::metadata(&recording.pristine).on_path("stat", &recording.pristine)?;
        let file = File::create(&scratch).on_path("create", &scratch)?;
        file.set_len(size.len()).on_path("resize", &scratch)?;
        job.devices = [
            (&scratch, "cache=unsafe"),
            (&recording.path, "readonly=on"),
            (&recording.pristine, "readonly=on"),
        ]
        .into_iter()
        .flat_map(|(path, how)| {
            ["-drive".to_string(), format!("file={},if=virtio,format=raw,{how}", path.display())]
        })
        .collect();
        let boot = job::boot(place, unpacked, common, &job)?;
        let _ = std::fs::remove_file(&scratch);
        told(&boot.console.verdicts(&[TEST.to_string()], boot.ending), &boot.console.notes)
    };
    Findings::of_parts(parts, &one)
}

/// What a machine said of its part.
pub(super) fn told(verdicts: &[(String, Verdict)], notes: &[String]) -> Result<Findings> {
    let text = match verdicts.first() {
        Some((_, Verdict::Passed(text))) => text,
        Some((_, Verdict::Failed(reason) | Verdict::Skipped(reason))) => {
            return Err(Error::other(format!("replay inside: {reason}")));
        }
        None => return Err(Error::other("replay inside: nothing was told")),
    };
    let mut numbers = text.split(' ').map(|word| word.parse().unwrap_or(0));
    let (states, wrong) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    // Other notes are about modules.
    let reasons = notes.iter().filter_map(|note| note.strip_prefix("bad ")).map(String::from);
    Ok(Findings { states, wrong, reasons: reasons.collect() })
}

/// Inside: the part of the states that the order names. `progress` sees the number of each.
pub fn look_inside(order: &str, archive: &Path, progress: &dyn Fn(usize)) -> Result<Findings> {
    let order = Order::parse(order)
        .ok_or_else(|| Error::bad_input(format!("{order}: no order for a replay")))?;
    let story = story::named(&order.story)
        .ok_or_else(|| Error::bad_input(format!("{}: no story", order.story)))?;
    let log = Log::open(Path::new(DISKS[1]))?;
    let ([samples, seed], [part, parts]) = (order.amount, order.part);
    let mut all = states(&log.entries, samples as usize, seed);
    let mut number = 0;
    all.retain(|_| {
        number += 1;
        (number - 1) % parts == part
    });
    let run = PathBuf::from("/run/state");
    let mut tool = Tool::new(Path::new("/bin/coracle"), run, archive.to_path_buf());
    tool.bake(story, Path::new("/tmp/baking"))?;
    std::fs::create_dir_all(FOLDER).on("mkdir", FOLDER)?;
    let mut disk = Disk::read(order.kind, Path::new(DISKS[2]))?;
    let mut count = 0;
    look_at(&log, &all, &mut disk, &mut |folder, promised| {
        count += 1;
        progress(count);
        tool.look(story, folder, promised)
    })
}

/// The length of a write, and where in memory it begins so that it can be done directly.
const PIECE: usize = 1 << 20;
const ALIGNED: usize = 4096;

/// A disk in memory, and one that it is written to.
struct Disk {
    kind: String,
    bytes: Vec<u8>,
    /// Where in these the disk begins.
    start: usize,
}

impl Disk {
    fn new(kind: String, length: usize) -> Disk {
        let bytes = vec![0; length + ALIGNED];
        let start = bytes.as_ptr().align_offset(ALIGNED).min(ALIGNED);
        Disk { kind, bytes, start }
    }

    fn read(kind: String, from: &Path) -> Result<Disk> {
        let mut file = File::open(from).on_path("open", from)?;
        let length = file.seek(SeekFrom::End(0)).on_path("seek in", from)?;
        file.rewind().on_path("seek in", from)?;
        let mut disk = Disk::new(kind, length as usize);
        let end = disk.start + length as usize;
        file.read_exact(&mut disk.bytes[disk.start..end]).on_path("read", from)?;
        Ok(disk)
    }

    /// Puts bytes there and gives those that were there before; none where it ends before them.
    fn put(&mut self, place: u64, bytes: &[u8]) -> Option<Vec<u8>> {
        let begin = self.start.checked_add(place as usize)?;
        let there = self.bytes.get_mut(begin..begin.checked_add(bytes.len())?)?;
        let before = there.to_vec();
        there.copy_from_slice(bytes);
        Some(before)
    }

    fn write(&self, to: &str) -> Result<()> {
        let mut options = File::options();
        options.write(true).custom_flags(libc::O_DIRECT);
        let mut file = options.open(to).on("open", to)?;
        let end = self.start + self.bytes.len() - ALIGNED;
        for piece in self.bytes[self.start..end].chunks(PIECE) {
            file.write_all(piece).on("write to", to)?;
        }
        Ok(())
    }
}

impl Bench for Disk {
    fn keep(&mut self, log: &Log, entry: &Entry) -> Result<()> {
        if let Some(bytes) = log.data(entry)? {
            self.put(entry.place, &bytes).ok_or_else(beyond)?;
        }
        Ok(())
    }

    fn mount(
        &mut self,
        log: &Log,
        more: &[&Entry],
    ) -> Result<std::result::Result<PathBuf, String>> {
        let mut before = Vec::new();
        for entry in more {
            if let Some(bytes) = log.data(entry)? {
                before.push((entry.place, self.put(entry.place, &bytes).ok_or_else(beyond)?));
            }
        }
        self.write(DISKS[0])?;
        for (place, bytes) in before.iter().rev() {
            self.put(*place, bytes);
        }
        let mounted = mount(DISKS[0], FOLDER, self.kind.as_str(), MountFlags::empty(), None);
        Ok(mounted.map(|()| PathBuf::from(FOLDER)).map_err(|errno| errno.to_string()))
    }

    fn unmount(&mut self) -> Result<()> {
        unmount(FOLDER, UnmountFlags::empty()).on("unmount", FOLDER)
    }
}

fn beyond() -> Error {
    Error::bad_input("a request beyond the end of the disk")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_arrives_as_it_was_sent() {
        let order = Order {
            kind: "f2fs".to_string(),
            story: "store".to_string(),
            amount: [60, 1],
            part: [1, 2],
        };
        assert_eq!(Order::parse(&order.text()), Some(order));
        assert_eq!(Order::parse("f2fs store 60 1 0 0"), None);
    }

    #[test]
    fn a_disk_takes_bytes_and_gives_back_those_before() {
        let mut disk = Disk::new(String::new(), 6);
        assert_eq!(disk.bytes[disk.start..].as_ptr().align_offset(ALIGNED), 0);
        assert_eq!(disk.put(1, b"abcd"), Some(vec![0; 4]));
        assert_eq!(disk.put(3, b"xyz"), Some(b"cd\0".to_vec()));
        assert_eq!(disk.bytes[disk.start..disk.start + 6], *b"\0abxyz");
        assert_eq!(disk.put(u64::MAX, b"x"), None);
    }
}
