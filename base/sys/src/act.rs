//! The child between clone and exec: it walks the parts of its plan with raw system calls.
//!
//! It is the copy of a process that may have had several threads, so it must not allocate, lock,
//! or unwind: only the calls below, arrays on its own stack, and the plan's memory. Its first acts
//! are to die with its parent and to close every descriptor but the channel; descriptors that the
//! plan names arrive over the channel and are known by slot. Whatever fails is reported as the
//! step's offset and the errno, and ends it.

mod channel;
mod init;
mod mounts;
mod process;
mod terminal;

pub(crate) use channel::Record;

use crate::Errno;
use crate::plan::{Cursor, Operation, Tolerate};
use crate::syscall::{check, check_int, raw};
use channel::{CHANNEL, map, receive_part, say, say_with};
use std::ffi::CStr;
use std::os::fd::RawFd;

/// The most descriptors that all parts of a plan may bring.
const SLOTS: usize = 64;

/// The child's state while it walks.
struct Walker {
    slots: [RawFd; SLOTS],
    filled: usize,
    /// The new root, once entered.
    root: RawFd,
    /// The terminal's slave.
    terminal: RawFd,
    /// What is to be loaded right before the program.
    filter: Option<process::Filter>,
    /// Stay, and clone a child for the program.
    init: bool,
    /// Loading it failed: the offset of its step, in place of the program's.
    failed_filter: Option<usize>,
}

/// What the child does from the clone on.
pub(crate) fn child(channel: RawFd) -> ! {
    // SAFETY: prctl with these arguments only changes this process.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) };
    if channel != CHANNEL {
        // SAFETY: replaces our copy of whatever 3 was; the child owns its descriptor table.
        unsafe { libc::dup3(channel, CHANNEL, libc::O_CLOEXEC) };
    }
    close_from(CHANNEL + 1);
    let mut walker = Walker {
        slots: [-1; SLOTS],
        filled: 0,
        root: -1,
        terminal: -1,
        filter: None,
        init: false,
        failed_filter: None,
    };
    loop {
        let part = match receive_part(&mut walker) {
            Ok(part) => part,
            // The parent has gone or speaks nonsense.
            Err(_) => exit(1),
        };
        if let Err((offset, errno)) = walker.walk(part) {
            say(&Record::Failed { offset: offset as u32, errno: errno.raw_os_error() });
            exit(127);
        }
        say(&Record::Waiting);
    }
}

fn exit(code: libc::c_int) -> ! {
    // SAFETY: _exit never returns and runs nothing of ours.
    unsafe { libc::_exit(code) }
}

/// Closes everything from this descriptor on: close_range(2), or one by one before Linux 5.9.
pub(crate) fn close_from(first: RawFd) {
    // SAFETY: the child owns its descriptor table, and no Rust owner of them ever runs again.
    unsafe {
        if raw!(libc::SYS_close_range, first, libc::c_int::MAX, 0).is_err() {
            let mut limit = libc::rlimit { rlim_cur: 1024, rlim_max: 0 };
            libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
            for descriptor in first..(limit.rlim_cur.min(1 << 20) as RawFd) {
                libc::close(descriptor);
            }
        }
    }
}

impl Walker {
    fn add_slot(&mut self, descriptor: RawFd) {
        if let Some(slot) = self.slots.get_mut(self.filled) {
            *slot = descriptor;
            self.filled += 1;
        }
    }

    fn slot(&self, number: u64) -> Result<RawFd, Errno> {
        self.slots.get(number as usize).copied().filter(|fd| *fd >= 0).ok_or(Errno::BADF)
    }

    /// Walks one part. A failure gives the offset of its step.
    fn walk(&mut self, part: &'static [u8]) -> Result<(), (usize, Errno)> {
        let mut cursor = Cursor::new(part, 0);
        while !cursor.at_end() {
            let offset = cursor.position;
            let Some((operation, tolerate)) = cursor.step() else {
                return Err((offset, Errno::INVAL));
            };
            match self.step(operation, &mut cursor) {
                Ok(()) => (),
                Err(_) if tolerate == Tolerate::Anything as u8 => (),
                Err(Errno::NOENT | Errno::NOTDIR) if tolerate == Tolerate::Missing as u8 => (),
                Err(errno) => return Err((self.failed_filter.unwrap_or(offset), errno)),
            }
        }
        Ok(())
    }

    /// One step. All operands are read before anything is done, so that a tolerated failure
    /// leaves the cursor at the next step.
    fn step(&mut self, operation: Operation, cursor: &mut Cursor<'static>) -> Result<(), Errno> {
        match operation {
            Operation::Unshare => {
                let flags = number(cursor)?;
                // SAFETY: changes only this process.
                check_int(unsafe { libc::unshare(flags as libc::c_int) })?;
            }
            Operation::Join => {
                let (slot, flag) = (number(cursor)?, number(cursor)?);
                // SAFETY: changes only this process.
                check_int(unsafe { libc::setns(self.slot(slot)?, flag as libc::c_int) })?;
            }
            Operation::Fork => process::fork()?,
            Operation::LoopbackUp => crate::loopback::up()?,
            Operation::Hostname => {
                let name = text(cursor)?;
                // SAFETY: the name's length is given.
                check_int(unsafe { libc::sethostname(name.as_ptr(), name.to_bytes().len()) })?;
            }
            Operation::Domainname => {
                let name = text(cursor)?;
                // SAFETY: the name's length is given.
                check_int(unsafe { libc::setdomainname(name.as_ptr(), name.to_bytes().len()) })?;
            }
            Operation::Propagation => {
                let flags = number(cursor)?;
                mounts::mount(c"none", c"/", c"", flags | libc::MS_REC as u64, c"")?;
            }
            Operation::Mount => {
                let (source, target, kind) = (text(cursor)?, text(cursor)?, text(cursor)?);
                let (flags, data) = (number(cursor)?, text(cursor)?);
                mounts::mount(source, target, kind, flags, data)?;
            }
            Operation::MountFirst => {
                let (kind, target, count) = (text(cursor)?, text(cursor)?, number(cursor)?);
                let mut result = Err(Errno::INVAL);
                for _ in 0..count {
                    let data = text(cursor)?;
                    // EINVAL: an option that this kernel does not know.
                    if result == Err(Errno::INVAL) {
                        result = mounts::mount(kind, target, kind, 0, data);
                    }
                }
                result?;
            }
            Operation::MountIn => {
                let (source, target, kind) = (text(cursor)?, text(cursor)?, text(cursor)?);
                let (flags, data, options) = (number(cursor)?, text(cursor)?, number(cursor)?);
                self.mount_in(source, target, kind, flags, data, options)?;
            }
            Operation::AttachIn => {
                let (slot, target) = (number(cursor)?, text(cursor)?);
                let options = number(cursor)?;
                self.attach_in(self.slot(slot)?, target, options)?;
            }
            Operation::MakeIn => {
                let (folder, name) = (text(cursor)?, text(cursor)?);
                self.make_in(folder, name, number(cursor)? != 0)?;
            }
            Operation::EnterDetached => {
                let (slot, folder) = (number(cursor)?, text(cursor)?);
                mounts::attach(self.slot(slot)?, libc::AT_FDCWD, folder)?;
                self.enter(folder)?;
            }
            Operation::EnterFolder => self.enter(text(cursor)?)?,
            Operation::SendFolder => {
                let folder = open(text(cursor)?, libc::O_PATH | libc::O_DIRECTORY)?;
                say_with(&Record::Sent, folder)?;
            }
            Operation::SendTree => {
                say_with(&Record::Sent, mounts::clone_tree(text(cursor)?)?)?;
            }
            Operation::FileOwner => {
                let (uid, gid) = (number(cursor)?, number(cursor)?);
                crate::mount::set_file_owner(uid as u32, gid as u32);
            }
            Operation::MakeFolder => {
                let (path, mode) = (text(cursor)?, number(cursor)?);
                // SAFETY: the path is a C string.
                match check_int(unsafe { libc::mkdir(path.as_ptr(), mode as libc::mode_t) }) {
                    Err(Errno::EXIST) => (),
                    result => drop(result?),
                }
            }
            Operation::MakeFile => {
                let (path, _mode) = (text(cursor)?, number(cursor)?);
                close(open(path, libc::O_CREAT | libc::O_NOFOLLOW | libc::O_WRONLY)?);
            }
            Operation::MakeLink => {
                let (path, target) = (text(cursor)?, text(cursor)?);
                // SAFETY: both are C strings.
                check_int(unsafe { libc::symlink(target.as_ptr(), path.as_ptr()) })?;
            }
            Operation::OpenTerminal => self.open_terminal()?,
            Operation::TerminalSize => {
                let (columns, rows) = (number(cursor)?, number(cursor)?);
                self.set_terminal_size(columns as u16, rows as u16)?;
            }
            Operation::BindTerminal => self.bind_terminal(text(cursor)?)?,
            Operation::TakeTerminal => self.take_terminal(number(cursor)?)?,
            Operation::PivotRoot => self.pivot_root()?,
            Operation::RemountRoot => mounts::mount(c"none", c"/", c"", number(cursor)?, c"")?,
            Operation::WriteFile => {
                let (path, bytes) = (text(cursor)?, text(cursor)?);
                let file = open(path, libc::O_WRONLY)?;
                let bytes = bytes.to_bytes();
                // SAFETY: the buffer's length is given.
                let result =
                    check(unsafe { libc::write(file, bytes.as_ptr().cast(), bytes.len()) } as _);
                close(file);
                result?;
            }
            Operation::WriteSlot => {
                let (slot, bytes, _path) = (number(cursor)?, text(cursor)?, text(cursor)?);
                let (file, bytes) = (self.slot(slot)?, bytes.to_bytes());
                // SAFETY: the buffer's length is given.
                check(unsafe { libc::write(file, bytes.as_ptr().cast(), bytes.len()) } as _)?;
            }
            Operation::Descriptor => {
                let (slot, target) = (number(cursor)?, number(cursor)?);
                // SAFETY: the child owns its descriptor table.
                check_int(unsafe { libc::dup2(self.slot(slot)?, target as RawFd) })?;
            }
            Operation::NewSession => {
                // SAFETY: changes only this process.
                check_int(unsafe { libc::setsid() })?;
            }
            Operation::ResourceLimit => {
                let (resource, soft, hard) = (number(cursor)?, number(cursor)?, number(cursor)?);
                process::set_limit(resource, soft, hard)?;
            }
            Operation::LowerLimit => {
                let (resource, wanted) = (number(cursor)?, number(cursor)?);
                process::lower_limit(resource, wanted)?;
            }
            Operation::ResetInherited => process::reset_inherited()?,
            Operation::BoundingSet => process::bounding_set(number(cursor)?)?,
            Operation::Groups => {
                let mut groups = [0_u32; 256];
                let count = number(cursor)? as usize;
                let groups = groups.get_mut(..count).ok_or(Errno::TOOBIG)?;
                for group in groups.iter_mut() {
                    *group = number(cursor)? as u32;
                }
                process::set_groups(groups)?;
            }
            Operation::Gid => process::set_gid(number(cursor)? as u32)?,
            Operation::Uid => process::set_uid(number(cursor)? as u32)?,
            Operation::Capabilities => {
                let (effective, permitted) = (number(cursor)?, number(cursor)?);
                process::set_capabilities(effective, permitted, number(cursor)?)?;
            }
            Operation::KeepCapabilities => process::prctl(libc::PR_SET_KEEPCAPS, 1)?,
            Operation::NoNewPrivileges => process::prctl(libc::PR_SET_NO_NEW_PRIVS, 1)?,
            Operation::Filter => {
                // The step begins two bytes before its operands.
                let offset = cursor.position - 2;
                let (flags, capabilities) = (number(cursor)?, number(cursor)?);
                let program = cursor.blob().ok_or(Errno::INVAL)?;
                self.filter = Some(process::Filter { offset, flags, capabilities, program });
            }
            Operation::ParentDeathSignal => {
                process::prctl(libc::PR_SET_PDEATHSIG, number(cursor)? as libc::c_ulong)?;
                // The parent may have died while the signal was cleared.
                process::exit_without_parent();
            }
            Operation::Dumpable => {
                process::prctl(libc::PR_SET_DUMPABLE, number(cursor)? as libc::c_ulong)?;
            }
            Operation::ChangeFolder => {
                let path = text(cursor)?;
                // SAFETY: the path is a C string.
                check_int(unsafe { libc::chdir(path.as_ptr()) })?;
            }
            Operation::CheckFolder => process::check_folder()?,
            Operation::Init => self.init = true,
            Operation::Execute => {
                let (filter, failed) = (self.filter.take(), &mut self.failed_filter);
                return process::execute(cursor, filter, self.init, failed);
            }
        }
        Ok(())
    }
}

fn number(cursor: &mut Cursor<'static>) -> Result<u64, Errno> {
    cursor.number().ok_or(Errno::INVAL)
}

fn text(cursor: &mut Cursor<'static>) -> Result<&'static CStr, Errno> {
    cursor.text().ok_or(Errno::INVAL)
}

fn open(path: &CStr, flags: libc::c_int) -> Result<RawFd, Errno> {
    // SAFETY: the path is a C string; the mode is read only with O_CREAT.
    let result = unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, 0o644) };
    check_int(result).map(|descriptor| descriptor as RawFd)
}

fn close(descriptor: RawFd) {
    // SAFETY: the child opened it and forgets it now.
    unsafe { libc::close(descriptor) };
}

#[cfg(test)]
mod tests {
    use crate::clone::{Answer, Child, Clone};
    use crate::plan::{Operation, Plan, Tolerate};
    use std::io::Read;
    use std::os::fd::AsFd;

    fn clone() -> Child {
        Child::start(&Clone {
            namespaces: 0,
            cgroup: None,
            pid_namespace: None,
            parent_waits: false,
        })
        .expect("clone")
    }

    fn wait(child: &Child) -> Option<rustix::process::WaitStatus> {
        rustix::process::waitpid(Some(child.pid), rustix::process::WaitOptions::empty())
            .expect("wait")
            .map(|(_, status)| status)
    }

    fn texts<'a>(texts: &'a [&'a str]) -> impl ExactSizeIterator<Item = &'a [u8]> {
        texts.iter().map(|text| text.as_bytes())
    }

    #[test]
    fn parts_are_walked_and_the_program_runs_with_the_named_descriptors_only() {
        let (mut reader, writer) = std::io::pipe().expect("pipe");
        let child = clone();
        child.send(&Plan::new(), &[]).expect("send");
        let mut received = Vec::new();
        assert_eq!(child.answer(&mut received).expect("answer"), Answer::Waiting);
        let mut plan = Plan::new();
        plan.step(Operation::Descriptor, Tolerate::Nothing).number(0).number(1);
        plan.step(Operation::Execute, Tolerate::Nothing)
            .texts(texts(&["/nonexistent/sh", "/bin/sh"]))
            .texts(texts(&["sh", "-c", "echo $A; ls /proc/self/fd | wc -l"]))
            .texts(texts(&["A=b", "PATH=/bin:/usr/bin"]));
        child.send(&plan, &[writer.as_fd()]).expect("send");
        drop(writer);
        assert_eq!(child.answer(&mut received).expect("answer"), Answer::Running);
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("read");
        // 0, 1, 2 and the folder that ls reads.
        assert_eq!(text, "b\n4\n");
        assert_eq!(wait(&child).and_then(|status| status.exit_status()), Some(0));
    }

    #[test]
    fn a_failed_step_is_reported_by_offset_and_errno() {
        let child = clone();
        let mut plan = Plan::new();
        plan.step(Operation::ChangeFolder, Tolerate::Missing).text(b"/nonexistent");
        plan.step(Operation::Dumpable, Tolerate::Nothing).number(0);
        let offset = plan.bytes().len();
        plan.step(Operation::ChangeFolder, Tolerate::Nothing).text(b"/nonexistent");
        child.send(&plan, &[]).expect("send");
        let answer = child.answer(&mut Vec::new()).expect("answer");
        assert_eq!(answer, Answer::Failed { offset, errno: crate::Errno::NOENT });
        assert_eq!(plan.describe(offset), ("chdir to cwd", "/nonexistent".to_string()));
        wait(&child);
    }

    #[test]
    fn a_child_without_its_parent_ends() {
        let child = clone();
        let Child { pid, .. } = child;
        drop(child);
        let (_, status) =
            rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty())
                .expect("wait")
                .expect("status");
        assert_eq!(status.exit_status(), Some(1));
    }
}
