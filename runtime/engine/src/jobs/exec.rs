//! `exec`: one more process in a container that runs.
//!
//! Sessions live in the engine that made them. Without a daemon that is one command's own; the
//! process itself belongs to its container, and goes on when the command ends.

use crate::container::is_missing_command;
use crate::execdriver;
use crate::monitor::control::Attach;
use crate::monitor::{Relay, exit_code, open_null};
use crate::{Engine, engine};
use base::sys::process::Process;
use base::{Error, Kind, Result};
use base_http::api::exec::{ExecConfig, ExecInspect, ExecProcess};
use libcontainer::Stdio;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// At most so many sessions are remembered; the oldest that has ended goes first.
const MOST: usize = 256;

/// One session.
pub(crate) struct Exec {
    id: String,
    container: String,
    config: ExecConfig,
    progress: Mutex<Progress>,
}

enum Progress {
    Created,
    Running { pid: i64, terminal: Option<OwnedFd> },
    Ended(i32),
}

/// The sessions of an engine.
#[derive(Default)]
pub(crate) struct Execs(Mutex<Vec<Arc<Exec>>>);

impl Execs {
    fn list(&self) -> MutexGuard<'_, Vec<Arc<Exec>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session with this id.
    pub(crate) fn find(&self, id: &str) -> Result<Arc<Exec>> {
        let found = self.list().iter().find(|exec| exec.id == id).cloned();
        found.ok_or_else(|| Error::not_found(format!("No such exec instance: {id}")))
    }

    fn add(&self, exec: Exec) -> Result<String> {
        let mut list = self.list();
        if list.len() >= MOST {
            let ended = list.iter().position(|one| matches!(*one.progress(), Progress::Ended(_)));
            let Some(place) = ended else {
                return Err(Error::conflict(format!("more than {MOST} exec sessions at once")));
            };
            list.remove(place);
        }
        let id = exec.id.clone();
        list.push(Arc::new(exec));
        Ok(id)
    }
}

/// Makes a session; nothing is started.
pub(crate) struct ExecCreate {
    pub(crate) container: String,
    pub(crate) config: ExecConfig,
}

impl ExecCreate {
    /// Gives its id.
    pub(crate) fn run(self, engine: &Engine) -> Result<String> {
        let container = engine.containers().find(&self.container)?;
        if self.config.cmd.as_ref().is_none_or(Vec::is_empty) {
            return Err(Error::bad_input("No exec command specified"));
        }
        if !container.state().is_alive() {
            return Err(engine::not_running(container.id()));
        }
        if libcontainer::cgroup::is_frozen(&container.record.cgroup()) {
            return Err(Error::conflict(format!(
                "Container {} is paused, unpause the container before exec",
                container.id()
            )));
        }
        engine.execs().add(Exec {
            id: base::text::id::new()?,
            container: container.id().to_string(),
            config: self.config,
            progress: Mutex::new(Progress::Created),
        })
    }
}

/// A process that has been started, and how its streams reach us.
pub(crate) struct Begun {
    exec: Arc<Exec>,
    process: Process,
    relay: Option<Relay>,
}

impl Exec {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn command_line(&self) -> String {
        self.config.cmd.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ")
    }

    fn tell(&self, engine: &Engine, action: &str, more: &[(&str, &str)]) {
        if let Ok(container) = engine.containers().find(&self.container) {
            let more = [&[("execID", self.id.as_str())], more].concat();
            engine.tell(&container, action, &more);
        }
    }

    /// It gets a terminal.
    pub(crate) fn has_terminal(&self) -> bool {
        self.config.tty
    }

    /// Starts the process. `size`: rows and columns of its terminal.
    pub(crate) fn start(
        self: Arc<Exec>,
        engine: &Engine,
        attached: bool,
        size: &[i64],
    ) -> Result<Begun> {
        if !matches!(*self.progress(), Progress::Created) {
            return Err(Error::conflict(format!("exec {} has been started already", self.id)));
        }
        let started = self.launch(engine, attached, size);
        if started.is_ok() {
            self.tell(engine, &format!("exec_start: {}", self.command_line()), &[]);
        }
        match started {
            Ok((process, relay, terminal)) => {
                let pid = i64::from(process.pid().as_raw_nonzero().get());
                *self.progress() = Progress::Running { pid, terminal };
                Ok(Begun { exec: self, process, relay })
            }
            Err(error) => {
                // docker's: 127 for a command that is not there, 126 for one that cannot be executed.
                let code = if is_missing_command(&error) { 127 } else { 126 };
                *self.progress() = Progress::Ended(code);
                Err(error)
            }
        }
    }

    fn launch(
        &self,
        engine: &Engine,
        attached: bool,
        size: &[i64],
    ) -> Result<(Process, Option<Relay>, Option<OwnedFd>)> {
        let container = engine.containers().find(&self.container)?;
        let config = &self.config;
        let attach = Attach {
            stdin: attached && config.attach_stdin,
            stdout: attached && config.attach_stdout,
            stderr: attached && config.attach_stderr,
        };
        let (mut relay, stdio) = match (config.tty, attached) {
            (true, _) => {
                (None, terminal_of(if size.is_empty() { &config.console_size } else { size }))
            }
            (false, true) => {
                let (relay, stdio) = Relay::pipes(attach)?;
                (Some(relay), stdio)
            }
            (false, false) => {
                (None, Stdio::Descriptors([open_null()?, open_null()?, open_null()?]))
            }
        };
        let started = execdriver::exec(engine, &container, config, &stdio)?;
        let mut terminal = None;
        if let Some(master) = started.terminal.filter(|_| attached) {
            terminal = master.try_clone().ok();
            relay = Some(Relay::terminal(attach, master)?);
        }
        Ok((started.process, relay, terminal))
    }

    /// How it is.
    pub(crate) fn inspect(&self) -> ExecInspect {
        let config = &self.config;
        let mut words = config.cmd.iter().flatten().cloned();
        let mut found = ExecInspect {
            id: self.id.clone(),
            process: ExecProcess {
                tty: config.tty,
                entrypoint: words.next().unwrap_or_default(),
                arguments: words.collect(),
                privileged: config.privileged,
                user: config.user.clone(),
            },
            open_stdin: config.attach_stdin,
            open_stdout: config.attach_stdout,
            open_stderr: config.attach_stderr,
            container: self.container.clone(),
            detach_keys: config.detach_keys.clone(),
            ..ExecInspect::default()
        };
        match &*self.progress() {
            Progress::Created => (),
            Progress::Running { pid, .. } => (found.running, found.pid) = (true, *pid),
            Progress::Ended(code) => found.exit_code = Some(i64::from(*code)),
        }
        found
    }

    /// The size of its terminal.
    pub(crate) fn resize(&self, columns: u16, rows: u16) -> Result<()> {
        match &*self.progress() {
            Progress::Running { terminal: Some(terminal), .. } => {
                crate::monitor::resize(terminal.as_fd(), columns, rows)
            }
            _ => Err(Error::conflict(format!("exec {} has no terminal that runs", self.id))),
        }
    }
}

/// A terminal; rows first, as docker sends them.
fn terminal_of(size: &[i64]) -> Stdio {
    let number = |number: &i64| u16::try_from(*number).unwrap_or(0);
    match size {
        [rows, columns] => Stdio::Terminal(number(columns), number(rows)),
        _ => Stdio::Terminal(0, 0),
    }
}

impl Begun {
    /// Serves the client, if there is one, and waits for the end.
    pub(crate) fn finish(self, engine: &Engine, client: Option<OwnedFd>) -> Result<()> {
        let Begun { exec, process, relay } = self;
        let served = match (relay, client) {
            (Some(relay), Some(client)) => relay.serve(client, &process),
            _ => Ok(()),
        };
        let code = end_of(&process)?;
        *exec.progress() = Progress::Ended(code);
        exec.tell(engine, "exec_die", &[("exitCode", &code.to_string())]);
        served
    }
}

fn end_of(process: &Process) -> Result<i32> {
    use base::OnError;
    loop {
        crate::jobs::wait::is_readable_within(&process.end().on("watch", "process")?, -1)?;
        match process.wait() {
            Ok(Some(status)) => return Ok(exit_code(&status)),
            Ok(None) => (),
            Err(errno) => {
                return Err(Error::new(Kind::Other, format!("wait for process: {errno}")));
            }
        }
    }
}
