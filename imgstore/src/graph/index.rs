//! Listing, and the index that makes it quick: one file with all that `images` shows, where there are
//! too many images to open the files of each from a cold disk.
//!
//! It is a cache: it may be missing, damaged or old at any time, and nothing is removed or started by
//! what it says. Two things keep it true.
//!
//! Whoever changes names or images holds the store's lock, and removes the index before (durably: a power
//! cut must not bring it back beside the change). The one who writes it holds that lock alone, from before
//! it reads until it is written. So where there is an index nothing was changed since.
//!
//! It also says when the folders of names and images were changed last, for changes by hand or by a program
//! that does not know of it. Two changes within one tick of the clock have the same time: it is only written
//! when the last change is so long ago that any other would have another.

use crate::bases::{IMAGES, NAMES};
use crate::image::{ImageSummary, read_record, record_is_whole, record_text};
use crate::store::Store;
use base::files::{self, Lock};
use base::{OnError, Result, json_object, paths};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

const INDEX: &str = "index";
/// Where it is written first; only under the lock, so that one name does.
const ASIDE: &str = ".index";
/// With fewer images and names, reading them costs no more.
const LEAST: usize = 64;

json_object! {
    #[derive(Clone, Debug, Default)]
    struct Index {
        /// Which folders, and when they were changed.
        "Stamp" => stamp: String,
        "Images" => images: Vec<ImageSummary>,
    }
}

impl Store {
    /// All images, the youngest first.
    pub fn list(&self) -> Result<Vec<ImageSummary>> {
        if let Some(list) = self.read_index() {
            return Ok(list);
        }
        let (list, entries) = self.list_without_index()?;
        if entries >= LEAST && self.bases.is_empty() {
            // Without it everything works, only slower.
            let _ = self.write_index();
        }
        Ok(list)
    }

    /// The same from the files of each image, and how many files and folders that were.
    fn list_without_index(&self) -> Result<(Vec<ImageSummary>, usize)> {
        let mut names = self.names()?;
        let mut entries: usize = names.values().map(Vec::len).sum();
        let mut list = Vec::new();
        for record in self.records()? {
            entries += 1;
            let names = names.remove(&record.id).unwrap_or_default();
            list.push(ImageSummary::of(record, names));
        }
        list.sort_unstable_by(|a, b| b.created.cmp(&a.created).then(a.id.cmp(&b.id)));
        Ok((list, entries))
    }

    /// What the index says, if it is true. It holds nothing of base stores.
    fn read_index(&self) -> Option<Vec<ImageSummary>> {
        let path = self.root.join(INDEX);
        if !self.bases.is_empty() || !files::exists(&path) || !record_is_whole(&path).ok()? {
            return None;
        }
        let index: Index = read_record(&path).ok()?;
        (index.stamp == self.stamp().ok()?.0).then_some(index.images)
    }

    fn write_index(&self) -> Result<()> {
        let Some(_alone) = Lock::try_exclusive(&self.root)? else { return Ok(()) };
        let (stamp, settled) = self.stamp()?;
        let (images, entries) = self.list_without_index()?;
        // What was passed over is to be told each time.
        let all = self.everything(NAMES)?.len() + self.everything(IMAGES)?.len();
        if !settled || entries != all {
            return Ok(());
        }
        let text = record_text(&Index { stamp, images });
        self.check_room(text.len() as u64)?;
        let (aside, path) = (self.root.join(ASIDE), self.root.join(INDEX));
        let written = fs::write(&aside, text)
            .on_path("write", &aside)
            .and_then(|()| paths::rename(&aside, &path).on_path("write", &path));
        if written.is_err() {
            let _ = paths::unlink(&aside);
        }
        written
    }

    /// Before names or images change, under the store's lock: from now on there is no index.
    pub(crate) fn forget_index(&self) -> Result<()> {
        let path = self.root.join(INDEX);
        match paths::unlink(&path) {
            Ok(()) => files::sync_folder(&self.root),
            // A read-only file system says so of what is not there, too; there nothing changes.
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::ROFS) => Ok(()),
            Err(e) => Err(e).on_path("remove", &path),
        }
    }

    /// Both folders and the times of their last changes; and whether any change from now on would have
    /// another time.
    fn stamp(&self) -> Result<(String, bool)> {
        let (names, images) =
            (Folder::look(&self.folder(NAMES))?, Folder::look(&self.folder(IMAGES))?);
        let settled = names.settled() && images.settled();
        Ok(([names.text(), images.text()].join(" "), settled))
    }
}

struct Folder {
    inode: u64,
    seconds: i64,
    nanos: i64,
}

impl Folder {
    fn look(path: &Path) -> Result<Self> {
        let found = fs::metadata(path).on_path("stat", path)?;
        Ok(Self { inode: found.ino(), seconds: found.ctime(), nanos: found.ctime_nsec() })
    }

    fn text(&self) -> String {
        format!("{}:{}.{}", self.inode, self.seconds, self.nanos)
    }

    /// A kernel's clock for files ticks every 10 ms at the longest; a file system without nanoseconds
    /// may round to two seconds.
    fn settled(&self) -> bool {
        let tick = if self.nanos == 0 { 2500 } else { 50 };
        let since = Duration::new(u64::try_from(self.seconds).unwrap_or(0), self.nanos as u32);
        let changed = SystemTime::UNIX_EPOCH + since;
        SystemTime::now()
            .duration_since(changed)
            .is_ok_and(|ago| ago >= Duration::from_millis(tick))
    }
}
