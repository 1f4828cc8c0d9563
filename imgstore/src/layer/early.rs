//! Small files begin their way to the disk while others still come.
//!
//! A large file is handed over when it is closed ([`super::unpack`]); for each small one that would be a call
//! more. So, after some thousands of them, a thread syncs what is there, and whoever makes all durable at the
//! end finds little to do. What fails here is not lost: it is told to the descriptor that was open before,
//! the work folder's ([`crate::commit`]).

use base::{OnError, Result};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// So many files are worth a sync: a journal is written for each.
const FILES: u64 = 4096;

/// The sync under way, of the file system that has this folder.
pub(super) struct Early {
    folder: Arc<OwnedFd>,
    /// How many files there were when it began.
    files: u64,
    running: Option<JoinHandle<()>>,
}

impl Early {
    pub(super) fn new(folder: BorrowedFd<'_>) -> Result<Self> {
        let folder = rustix::io::fcntl_dupfd_cloexec(folder, 3).on("duplicate", "a descriptor")?;
        Ok(Self { folder: Arc::new(folder), files: 0, running: None })
    }

    /// So many files there are now.
    pub(super) fn look(&mut self, files: u64) {
        let busy = self.running.as_ref().is_some_and(|running| !running.is_finished());
        if busy || files - self.files < FILES {
            return;
        }
        self.files = files;
        let folder = self.folder.clone();
        let sync = move || {
            let _ = rustix::fs::syncfs(folder);
        };
        // Without a thread it is only later.
        self.running =
            thread::Builder::new().name("sync".into()).stack_size(64 << 10).spawn(sync).ok();
    }
}
