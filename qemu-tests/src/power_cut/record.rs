//! Records a command's writes: a machine with one disk, whose requests QEMU writes down.

use super::log::Log;
use super::{BLOCK, disk_of};
use crate::console::Ending;
use crate::disk;
use crate::job::{self, Job, Place};
use crate::kernels::Unpacked;
use base::{Error, OnError, Result};
use std::path::{Path, PathBuf};

/// What was recorded.
pub struct Recording {
    /// The disk as it was before.
    pub pristine: PathBuf,
    /// Everything that was done to it.
    pub log: Log,
    /// Where that was written down.
    pub path: PathBuf,
}

/// Boots the job with a fresh ext4 disk mounted on `/var/lib/coracle` and records until the machine
/// has powered off. The job's tests must pass. `folder` keeps the disk and the log.
pub fn record(
    place: &Place,
    unpacked: &Unpacked,
    common: &[u8],
    job: &Job,
    folder: &Path,
) -> Result<Recording> {
    record_on("ext4", place, unpacked, common, job, folder)
}

/// The same on another file system.
pub fn record_on(
    kind: &str,
    place: &Place,
    unpacked: &Unpacked,
    common: &[u8],
    job: &Job,
    folder: &Path,
) -> Result<Recording> {
    std::fs::create_dir_all(folder).on_path("mkdir", folder)?;
    let path = |name: &str| folder.join(name);
    let (pristine, image, log) = (path("pristine"), path("disk"), path("log"));
    disk::make(&pristine, kind, disk_of(kind), BLOCK as u64)?;
    std::fs::copy(&pristine, &image).on_path("copy", &pristine)?;
    // QEMU does not make it larger.
    let file = std::fs::File::create(&log).on_path("create", &log)?;
    file.set_len(512 << 20).on_path("resize", &log)?;
    let mut job = job.clone();
    job.configuration.disk = format!("{} {kind}", disk::DEVICE);
    job.devices = [
        "-blockdev".to_string(),
        format!("driver=file,filename={},node-name=disk-file", image.display()),
        "-blockdev".to_string(),
        "driver=raw,file=disk-file,node-name=disk".to_string(),
        "-blockdev".to_string(),
        format!("driver=file,filename={},node-name=log-file", log.display()),
        "-blockdev".to_string(),
        "driver=raw,file=log-file,node-name=log".to_string(),
        "-blockdev".to_string(),
        "driver=blklogwrites,node-name=logged,file=disk,log=log,log-sector-size=512".to_string(),
        "-device".to_string(),
        "virtio-blk-pci,drive=logged".to_string(),
    ]
    .to_vec();
    let boot = job::boot(place, unpacked, common, &job)?;
    let wanted: Vec<String> = job.tests.iter().map(|(name, _)| name.clone()).collect();
    for (name, verdict) in boot.console.verdicts(&wanted, boot.ending) {
        if let crate::console::Verdict::Failed(reason) = verdict {
            return Err(Error::other(format!("{name}, while it was recorded: {reason}")));
        }
    }
    if boot.ending != Ending::Itself {
        return Err(Error::other("the recorded machine did not power off"));
    }
    Ok(Recording { pristine, log: Log::open(&log)?, path: log })
}
