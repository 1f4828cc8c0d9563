//! The container's end of its streams, as the monitor holds it.
//!
//! Without a terminal, standard output and error are FIFOs in the run folder. The container opens
//! them for reading and writing, so a killed monitor breaks no pipe: the next one reads on.
//! Standard input is an ordinary pipe, so that its end arrives. With a terminal, everything is its
//! master.

use base::{OnError, Result};
use rustix::fs::{Mode, OFlags, mkfifoat};
use rustix::pipe::{PipeFlags, pipe_with};
use std::os::fd::OwnedFd;
use std::path::Path;

/// The FIFOs' names.
pub(crate) const OUTPUTS: [&str; 2] = ["stdout", "stderr"];

/// What the monitor reads and writes.
#[derive(Default)]
pub(super) struct Streams {
    /// The read ends of standard output and error.
    pub(super) outputs: [Option<OwnedFd>; 2],
    /// The write end of standard input.
    pub(super) input: Option<OwnedFd>,
    /// The terminal's master, instead of all three.
    pub(super) terminal: Option<OwnedFd>,
}

impl Streams {
    /// Makes the FIFOs, unless they are there, and opens them for reading.
    pub(super) fn open_outputs(&mut self, run: &Path) -> Result<()> {
        for (place, name) in OUTPUTS.iter().enumerate() {
            let path = run.join(name);
            match mkfifoat(rustix::fs::CWD, &path, Mode::from_raw_mode(0o666)) {
                Ok(()) => {
                    // Past the umask: a program under another user opens /dev/stdout by name. The
                    // folder above is closed to all others.
                    base::paths::chmod(&path, Mode::from_raw_mode(0o666))
                        .on_path("chmod", &path)?;
                }
                Err(rustix::io::Errno::EXIST) => (),
                Err(errno) => return Err(errno).on_path("mkfifo", &path),
            }
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let fifo = base::paths::open(&path, flags, Mode::empty()).on_path("open", &path)?;
            self.outputs[place] = Some(fifo);
        }
        Ok(())
    }

    /// Makes the pipe of standard input and gives its read end, for the container.
    pub(super) fn make_input(&mut self) -> Result<OwnedFd> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).on("pipe", "stdin")?;
        rustix::io::ioctl_fionbio(&write, true).on("pipe", "stdin")?;
        self.input = Some(write);
        Ok(read)
    }

    /// All output has been read.
    pub(super) fn are_drained(&self) -> bool {
        self.outputs.iter().all(Option::is_none) && self.terminal.is_none()
    }
}

/// The container's ends of the FIFOs: opened for reading and writing, so that they have a reader
/// as long as the container lives.
pub(crate) fn container_outputs(run: &Path) -> Result<[OwnedFd; 2]> {
    let open = |name: &str| {
        let path = run.join(name);
        base::paths::open(&path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .on_path("open", &path)
    };
    Ok([open(OUTPUTS[0])?, open(OUTPUTS[1])?])
}
