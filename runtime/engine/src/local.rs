//! The engine in a command's own process: its main thread is the monitor's loop.
//!
//! The client runs on a second thread and each of its connections has a server thread. What must
//! happen on the main thread, because a thread's end must not be a container's, is sent to it: the
//! main thread clones the container, waits for it, serves its streams, and reads the signals, which
//! it hands to the client.

use crate::container::Container;
use crate::monitor::{
    Config, LogSettings, Monitor, Policy, Probe, Running, Start, Work, spawn_probe,
};
use crate::{Engine, execdriver};
use base::{Error, OnError, Result};
use libcontainer::{KeptRoot, Started};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// What a server thread asks of the main thread.
#[derive(Default)]
struct Desk {
    asked: Mutex<Asked>,
    answered: Condvar,
}

#[derive(Default)]
enum Asked {
    #[default]
    Nothing,
    /// Be this container's monitor.
    Begin(String),
    /// How that went.
    Begun(Result<()>),
    /// The main thread asks no more.
    Gone,
}

impl Desk {
    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The engine's way to the main thread.
pub(crate) struct Handle {
    desk: Arc<Desk>,
    wake: Arc<OwnedFd>,
    /// The command wants to be the next container's monitor itself.
    wanted: AtomicBool,
}

impl Handle {
    pub(crate) fn want(&self) {
        self.wanted.store(true, Ordering::SeqCst);
    }

    /// Takes the wish, so that it counts for one container: nobody else asks at the same time.
    pub(crate) fn take_wish(&self) -> bool {
        self.wanted.swap(false, Ordering::SeqCst)
    }

    pub(crate) fn begin(&self, id: &str) -> Result<()> {
        let mut asked = self.desk.asked();
        if !matches!(*asked, Asked::Gone) {
            *asked = Asked::Begin(id.to_string());
        }
        wake(&self.wake);
        loop {
            match std::mem::take(&mut *asked) {
                Asked::Begun(result) => return result,
                Asked::Gone => {
                    *asked = Asked::Gone;
                    return Err(Error::other("the main thread has ended"));
                }
                waiting => *asked = waiting,
            }
            asked = self.desk.answered.wait(asked).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn wake(descriptor: &OwnedFd) {
    let _ = rustix::io::write(descriptor, &1_u64.to_ne_bytes());
}

/// Ends the main thread's loop: the client is done.
pub struct Finish {
    done: Arc<AtomicBool>,
    wake: Arc<OwnedFd>,
}

impl Drop for Finish {
    fn drop(&mut self) {
        self.done.store(true, Ordering::SeqCst);
        wake(&self.wake);
    }
}

/// The main thread's loop, before it runs.
pub struct MainLoop {
    desk: Arc<Desk>,
    wake: Arc<OwnedFd>,
    done: Arc<AtomicBool>,
}

/// Makes the two ends: what the engine holds, and the loop for the main thread. Dropping the
/// [`Finish`] ends the loop.
pub(crate) fn pair() -> Result<(Handle, MainLoop, Finish)> {
    let wake =
        eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).on("eventfd", "engine")?;
    let wake = Arc::new(wake);
    let done = Arc::new(AtomicBool::new(false));
    let desk = Arc::new(Desk::default());
    let wanted = AtomicBool::new(false);
    let handle = Handle { desk: desk.clone(), wake: wake.clone(), wanted };
    let finish = Finish { done: done.clone(), wake: wake.clone() };
    Ok((handle, MainLoop { desk, wake, done }, finish))
}

impl Drop for MainLoop {
    fn drop(&mut self) {
        *self.desk.asked() = Asked::Gone;
        self.desk.answered.notify_all();
    }
}

impl MainLoop {
    /// Runs until the client is done. `signals` is a signalfd; each signal's number goes as one
    /// byte into `forward`.
    pub fn run(self, engine: &Arc<Engine>, signals: &OwnedFd, forward: &OwnedFd) -> Result<()> {
        let mut monitor: Option<Monitor> = None;
        while !self.done.load(Ordering::SeqCst) {
            let extras = [signals.as_fd(), self.wake.as_fd()];
            let ready = match &mut monitor {
                Some(monitor) => monitor.turn(&extras)?,
                None => {
                    let mut fds = extras.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
                    match poll(&mut fds, None) {
                        Ok(_) | Err(rustix::io::Errno::INTR) => (),
                        Err(errno) => return Err(errno).on("poll", "engine"),
                    }
                    (0..fds.len()).filter(|number| !fds[*number].revents().is_empty()).collect()
                }
            };
            if ready.contains(&0) {
                forward_signals(signals, forward);
            }
            if ready.contains(&1) {
                let _ = rustix::io::read(&*self.wake, &mut [0; 8]);
                let mut asked = self.desk.asked();
                if let Asked::Begin(id) = &*asked {
                    let begun = begin_monitor(engine, id).map(|one| monitor = Some(one));
                    *asked = Asked::Begun(begun);
                    self.desk.answered.notify_all();
                }
            }
            if monitor.as_ref().is_some_and(Monitor::is_over) {
                monitor = None;
            }
        }
        Ok(())
    }
}

fn forward_signals(signals: &OwnedFd, forward: &OwnedFd) {
    while let Some(number) = next_signal(signals) {
        // Signals are below 128.
        let _ = rustix::io::write(forward, &[number as u8]);
    }
}

/// The next signal's number from a signalfd, if there is one.
pub(crate) fn next_signal(signals: &OwnedFd) -> Option<i32> {
    let mut record = [0; base::sys::signal::RECORD];
    rustix::io::read(signals, &mut record).ok().filter(|count| *count == record.len())?;
    // ssi_signo, the first number.
    Some(i32::from_ne_bytes([record[0], record[1], record[2], record[3]]))
}

fn begin_monitor(engine: &Arc<Engine>, id: &str) -> Result<Monitor> {
    let container = engine.containers().find(id)?;
    let config = monitor_config(&container, true);
    let work = LocalWork { engine: engine.clone(), id: id.to_string(), direct: config.direct };
    Monitor::new(id, &container.run, config, Box::new(work))
}

/// How a container's monitor serves its streams. `foreground`: the monitor is the command itself.
pub(crate) fn monitor_config(container: &Container, foreground: bool) -> Config {
    let config = &container.record.config;
    // What was refused at creation is not there; what has become wrong since is told by `logs`.
    let log = LogSettings::of(container).unwrap_or_default();
    Config {
        cgroup: container.record.cgroup(),
        terminal: config.tty,
        input: config.open_stdin,
        input_once: config.stdin_once,
        direct: foreground && log.is_none() && !config.tty,
        log,
        policy: policy_of(container),
        health: crate::health::times(&container.record),
    }
}

/// When it is started again. It was read when the container was made.
pub(crate) fn policy_of(container: &Container) -> Policy {
    Policy::of(&container.record.host_config.restart_policy).unwrap_or_default()
}

/// The heavy work, done right here.
struct LocalWork {
    engine: Arc<Engine>,
    id: String,
    direct: bool,
}

impl Work for LocalWork {
    fn start(&mut self, stdin: Option<OwnedFd>, _: bool, _: Option<KeptRoot>) -> Result<Start> {
        let container = self.engine.containers().find(&self.id)?;
        let _lock = container.lock()?;
        let streams = if self.direct {
            execdriver::own_stdio(&container)?
        } else {
            execdriver::monitored_stdio(&container, stdin)?
        };
        let image = self.engine.store()?.find(&container.record.image)?;
        let started = execdriver::launch(&self.engine, &container, &image, streams, true, None)?;
        let Started { process, terminal, root, .. } = started;
        Ok(Start::Done(Running { process, terminal, root }))
    }

    fn probe(&mut self) -> Result<Probe> {
        spawn_probe(&self.engine, &self.id)
    }

    fn release(&mut self, exit_code: Option<i32>) -> Result<()> {
        self.engine.release(&self.id, exit_code)
    }
}
