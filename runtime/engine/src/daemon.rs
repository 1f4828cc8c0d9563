//! The daemon: the same server and engine as in a command, behind sockets.
//!
//! It holds no state: containers have monitors of their own, which outlive it, and commands without
//! it may work on the same store. What only a daemon does is to collect its children, and to
//! refuse a second one.

use crate::jobs::Restore;
use crate::local::next_signal;
use crate::{Engine, server};
use base::files::{Lock, Sync, create_dir_all, read_capped, write_then_rename};
use base::folders::Folders;
use base::{Error, OnError, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Connections at once. A stuck client costs a thread; what is beyond waits in the socket.
const MOST: usize = 512;

/// Below the run folder: the daemon's lock, and its pid for whoever is refused.
const FOLDER: &str = "daemon";
const PID: &str = "pid";

/// Whether this is the only daemon of these folders, for as long as the lock lives.
fn only_one(folders: &Folders) -> Result<Lock> {
    let folder = folders.run.join(FOLDER);
    create_dir_all(&folder)?;
    let Some(lock) = Lock::try_exclusive(&folder)? else {
        let pid = read_capped(&folder.join(PID), 32).unwrap_or_default();
        return Err(Error::conflict(format!(
            "a daemon with the process id {} serves {} already",
            String::from_utf8_lossy(&pid),
            folders.root.display()
        )));
    };
    let own = std::process::id().to_string();
    write_then_rename(&folder, PID, own.as_bytes(), Sync::No)?;
    Ok(lock)
}

/// The only daemon of its folders.
pub struct Daemon {
    engine: Arc<Engine>,
    _lock: Lock,
}

impl Daemon {
    /// Becomes it, and starts what shall run since the last boot.
    pub fn begin(engine: Arc<Engine>) -> Result<Daemon> {
        let lock = only_one(engine.folders())?;
        for line in Restore.run(&engine)?.failed {
            base::log::warn(line);
        }
        Ok(Daemon { engine, _lock: lock })
    }

    /// Serves these sockets until a signal comes that is not SIGCHLD. Containers go on afterwards.
    pub fn serve(&self, listeners: &[UnixListener], signals: &OwnedFd) -> Result<()> {
        for listener in listeners {
            listener.set_nonblocking(true).on("set up", "socket")?;
        }
        let busy = Arc::new(AtomicUsize::new(0));
        loop {
            self.engine.children().collect();
            let full = busy.load(Ordering::SeqCst) >= MOST;
            let wanted = if full { PollFlags::empty() } else { PollFlags::IN };
            let mut waiting = vec![PollFd::new(signals, PollFlags::IN)];
            waiting.extend(listeners.iter().map(|listener| PollFd::new(listener, wanted)));
            // Nobody tells when a connection ends.
            let second = Timespec { tv_sec: 1, tv_nsec: 0 };
            match poll(&mut waiting, full.then_some(&second)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => (),
                Err(errno) => return Err(errno).on("poll", "daemon"),
            }
            while let Some(signal) = next_signal(signals) {
                if signal != Signal::CHILD.as_raw() {
                    return Ok(());
                }
            }
            for (listener, asked) in listeners.iter().zip(&waiting[1..]) {
                if !asked.revents().is_empty() {
                    accept(&self.engine, listener, &busy);
                }
            }
        }
    }
}

/// One connection, on a thread of its own.
fn accept(engine: &Arc<Engine>, listener: &UnixListener, busy: &Arc<AtomicUsize>) {
    // Gone again meanwhile, or no descriptor is free: the next turn sees.
    let Ok((connection, _)) = listener.accept() else { return };
    let (engine, place) = (engine.clone(), Place::take(busy));
    let thread = std::thread::Builder::new().stack_size(server::STACK).spawn(move || {
        server::serve(&engine, connection);
        drop(place);
    });
    if let Err(error) = thread {
        base::log::warn(Error::os("start", &"server thread", error).message());
    }
}

/// A connection's place among [`MOST`].
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(busy: &Arc<AtomicUsize>) -> Place {
        busy.fetch_add(1, Ordering::SeqCst);
        Place(busy.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]

    use super::*;

    #[test]
    fn a_second_daemon_is_refused() {
        let run = std::env::temp_dir().join(format!("coracle-daemon-{}", std::process::id()));
        let folders = Folders { root: run.join("root"), run: run.clone(), ..Folders::default() };
        let lock = only_one(&folders).expect("the first");
        let refused = only_one(&folders).expect_err("a second");
        let own = format!("process id {} serves", std::process::id());
        assert!(refused.message().contains(&own), "{refused:?}");
        drop(lock);
        drop(only_one(&folders).expect("after the first"));
        std::fs::remove_dir_all(run).expect("remove");
    }
}
