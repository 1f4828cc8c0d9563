//! Programs of others: found in PATH, told what they need, heard.
//!
//! std's `Command` would be 18 kB of the binary: a B-tree for the environment, three pipes read at once.

use crate::paths::open;
use crate::sys::spawn;
use crate::{Error, OnError, Result};
use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, WaitOptions, waitpid};
use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

/// A program in one of the folders of PATH.
pub struct Program {
    name: String,
    path: PathBuf,
}

/// How a program ended.
pub struct Ended {
    /// Its exit code was 0.
    pub success: bool,
    /// What it wrote.
    pub said: Vec<u8>,
}

/// A program that waits for a word.
pub struct Waiting<'a> {
    program: &'a Program,
    pid: Pid,
    input: File,
}

/// This process's own, as a program gets it.
pub fn environment() -> Vec<CString> {
    let pair = |(name, value): (OsString, OsString)| {
        let bytes = [name.as_encoded_bytes(), b"=", value.as_encoded_bytes()].concat();
        CString::new(bytes).ok()
    };
    std::env::vars_os().filter_map(pair).collect()
}

impl Program {
    /// Looks for it; none where PATH has it not.
    pub fn find(name: &str) -> Option<Self> {
        let paths = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
        let mut places = std::env::split_paths(&paths).map(|folder| folder.join(name));
        let path = places.find(|path| path.is_absolute() && path.is_file())?;
        Some(Self { name: name.to_string(), path })
    }

    fn start(&self, words: &[&str], descriptors: &[BorrowedFd<'_>]) -> Result<Pid> {
        let zero = || Error::bad_input([&self.name, ": a zero byte"].concat());
        let text = |bytes: &[u8]| CString::new(bytes).map_err(|_| zero());
        let words = std::iter::once(self.name.as_str()).chain(words.iter().copied());
        let arguments: Vec<CString> =
            words.map(|word| text(word.as_bytes())).collect::<Result<_>>()?;
        spawn::start(&spawn::Program {
            path: &text(self.path.as_os_str().as_encoded_bytes())?,
            arguments: &arguments,
            environment: &environment(),
            descriptors,
            new_session: false,
        })
        .on("start", &self.name)
    }

    fn wait(&self, pid: Pid) -> Result<bool> {
        let ended = rustix::io::retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty()));
        let ended = ended.on("wait for", &self.name)?;
        Ok(ended.is_some_and(|(_, status)| status.exit_status() == Some(0)))
    }

    /// Runs it with this input; gives what it writes to its standard output, `cap` bytes at most. Its
    /// errors go where ours go.
    pub fn run(&self, words: &[&str], input: &[u8], cap: u64) -> Result<Ended> {
        let (its_in, our_out) = pipe_with(PipeFlags::CLOEXEC).on("pipe", &self.name)?;
        let (our_in, its_out) = pipe_with(PipeFlags::CLOEXEC).on("pipe", &self.name)?;
        let errors = rustix::stdio::stderr();
        let pid = self.start(words, &[its_in.as_fd(), its_out.as_fd(), errors])?;
        drop((its_in, its_out));
        // One that does not read says why by its exit.
        let _ = File::from(our_out).write_all(input);
        let mut said = Vec::new();
        let read = crate::read::at_most(&mut File::from(our_in), cap, &mut said);
        let success = self.wait(pid)?;
        read.on("read", &self.name)?;
        Ok(Ended { success, said })
    }

    /// Runs it without input; gives what it writes, errors too, `cap` bytes at most.
    pub fn hear(&self, words: &[&str], cap: u64) -> Result<Ended> {
        let null = open(c"/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let null = null.on("open", "/dev/null")?;
        let (our_in, its_out) = pipe_with(PipeFlags::CLOEXEC).on("pipe", &self.name)?;
        let pid = self.start(words, &[null.as_fd(), its_out.as_fd(), its_out.as_fd()])?;
        drop(its_out);
        let mut said = Vec::new();
        let read = crate::read::at_most(&mut File::from(our_in), cap, &mut said);
        let success = self.wait(pid)?;
        read.on("read", &self.name)?;
        Ok(Ended { success, said })
    }

    /// Starts it; it goes on when it is told a line.
    pub fn waiting(&self, words: &[&str]) -> Result<Waiting<'_>> {
        let (its_in, our_out) = pipe_with(PipeFlags::CLOEXEC).on("pipe", &self.name)?;
        let (output, errors) = (rustix::stdio::stdout(), rustix::stdio::stderr());
        let pid = self.start(words, &[its_in.as_fd(), output, errors])?;
        Ok(Waiting { program: self, pid, input: our_out.into() })
    }
}

impl Waiting<'_> {
    /// Tells it to go on, or ends its input; whether it then succeeded.
    pub fn finish(mut self, go: bool) -> Result<bool> {
        let told = if go { self.input.write_all(b"go\n") } else { Ok(()) };
        drop(self.input);
        let success = self.program.wait(self.pid)?;
        told.on("talk to", &self.program.name)?;
        Ok(success)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell() -> Program {
        Program::find("sh").expect("a shell")
    }

    #[test]
    fn programs_get_their_input_and_are_heard() {
        let ended = shell().run(&["-c", "cat; exit 3"], b"text", 100).expect("run");
        assert_eq!((ended.success, ended.said.as_slice()), (false, &b"text"[..]));
        let ended = shell().hear(&["-c", "echo out; echo error >&2; cat"], 100).expect("hear");
        assert_eq!((ended.success, ended.said.as_slice()), (true, &b"out\nerror\n"[..]));
        assert_eq!(shell().hear(&["-c", "echo abcdef"], 3).expect("hear").said, b"abc");
    }

    #[test]
    fn who_waits_goes_on_when_told() {
        let start = |program: &Program, go| {
            program.waiting(&["-c", "read word && test $word = go"]).expect("start").finish(go)
        };
        assert!(start(&shell(), true).expect("told"));
        assert!(!start(&shell(), false).expect("not told"));
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        assert!(Program::find("no-such-program").is_none());
        assert!(shell().run(&["a\0b"], b"", 1).is_err());
    }
}
