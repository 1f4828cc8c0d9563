//! A plan: what a container's first process shall do, step by step, in one flat piece of memory.
//!
//! The parent writes the plan with [`Plan`]'s methods and sends it over a socket; the child walks
//! it with raw system calls (module [`act`](crate::act)). A step is one byte for the operation, one
//! byte that says which failures are tolerated, then its operands: integers of eight bytes, texts
//! with a length of four bytes before and a NUL after them. The child reports a failure as the
//! offset of the step and the errno; [`Plan::describe`] turns the offset back into words, so the
//! child needs no text of its own.

mod cursor;
mod describe;

pub(crate) use cursor::Cursor;

/// The operation of a step. The comment of each names its operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Operation {
    /// `flags`: new namespaces for this process.
    Unshare,
    /// `slot, flag`: enter a namespace, by its file in /proc/PID/ns.
    Join,
    /// A second clone, which is in the joined PID namespace and a child of our parent; the first
    /// one says its number and ends.
    Fork,
    /// `flags` (MS_PRIVATE or MS_SLAVE): the propagation of every mount, recursively.
    Propagation,
    /// Bring the loopback interface up.
    LoopbackUp,
    /// `name`
    Hostname,
    /// `name`
    Domainname,
    /// `source, target, type, flags, data`: mount(2); the target is relative to the new root.
    Mount,
    /// `type, target, list of data`: mount(2) with the first data that the kernel understands.
    MountFirst,
    /// `source, target, type, flags, data, options`: the target is resolved beneath the new root.
    MountIn,
    /// `slot, target, options`: attach a detached mount, the target resolved beneath the new root.
    AttachIn,
    /// `folder, name, kind` (1 for a folder, 0 for an empty file): made beneath the new root, in a mount
    /// of the plan's, unless it is there.
    MakeIn,
    /// `slot, folder`: attach a detached mount as the new root and enter it.
    EnterDetached,
    /// `folder`: enter what is mounted there as the new root.
    EnterFolder,
    /// `path`: open it and send the descriptor to the parent.
    SendFolder,
    /// `path`: send the mount there as a detached one.
    SendTree,
    /// `uid, gid`: the files that it makes belong to them. Takes capabilities away, which
    /// `Capabilities` gives back.
    FileOwner,
    /// `path, mode`
    MakeFolder,
    /// `path, mode`: an empty file, if there is none.
    MakeFile,
    /// `path, target`
    MakeLink,
    /// Open a pseudo terminal in the new root's /dev/pts, keep its slave, send its master.
    OpenTerminal,
    /// `columns, rows`
    TerminalSize,
    /// `path`: bind the terminal's slave there.
    BindTerminal,
    /// Swap the new root in and the old one out.
    PivotRoot,
    /// `flags`: remount "/" with these flags.
    RemountRoot,
    /// `path, bytes`
    WriteFile,
    /// `slot, bytes, path`: write to an open file; the path is for the error's text.
    WriteSlot,
    /// `slot, number`: an own descriptor for the program to come.
    Descriptor,
    /// The terminal's slave as standard input, output and error, and as controlling terminal.
    TakeTerminal,
    /// A session of its own.
    NewSession,
    /// `resource, soft, hard`
    ResourceLimit,
    /// `resource, hard limit wanted`: as far as the present hard limit allows.
    LowerLimit,
    /// Default signal actions, nothing blocked, umask 022, nice 0, a session keyring of its own.
    ResetInherited,
    /// `mask`: only these capabilities stay in the bounding set.
    BoundingSet,
    /// `count, gid…`
    Groups,
    /// `gid`
    Gid,
    /// `uid`
    Uid,
    /// `effective, permitted, inheritable`
    Capabilities,
    /// The next change of user keeps the permitted capabilities.
    KeepCapabilities,
    /// No new privileges by exec.
    NoNewPrivileges,
    /// `flags, capabilities, program`: a seccomp filter, loaded right before execve(2), and then only
    /// these capabilities.
    Filter,
    /// `signal`: sent when the parent thread ends; 0 for none.
    ParentDeathSignal,
    /// `folder`
    ChangeFolder,
    /// The working directory must lie beneath the root.
    CheckFolder,
    /// The program becomes a child of this process, which passes signals on to it, waits for whoever is
    /// left to it, and ends as the program does.
    Init,
    /// 0 or 1
    Dumpable,
    /// `count, path…, count, argument…, count, environment…`
    Execute,
}

impl Operation {
    const ALL: [Operation; 47] = [
        Operation::Unshare,
        Operation::Join,
        Operation::Fork,
        Operation::Propagation,
        Operation::LoopbackUp,
        Operation::Hostname,
        Operation::Domainname,
        Operation::Mount,
        Operation::MountFirst,
        Operation::MountIn,
        Operation::AttachIn,
        Operation::MakeIn,
        Operation::EnterDetached,
        Operation::EnterFolder,
        Operation::SendFolder,
        Operation::SendTree,
        Operation::FileOwner,
        Operation::MakeFolder,
        Operation::MakeFile,
        Operation::MakeLink,
        Operation::OpenTerminal,
        Operation::TerminalSize,
        Operation::BindTerminal,
        Operation::PivotRoot,
        Operation::RemountRoot,
        Operation::WriteFile,
        Operation::WriteSlot,
        Operation::Descriptor,
        Operation::TakeTerminal,
        Operation::NewSession,
        Operation::ResourceLimit,
        Operation::LowerLimit,
        Operation::ResetInherited,
        Operation::BoundingSet,
        Operation::Groups,
        Operation::Gid,
        Operation::Uid,
        Operation::Capabilities,
        Operation::KeepCapabilities,
        Operation::NoNewPrivileges,
        Operation::Filter,
        Operation::ParentDeathSignal,
        Operation::ChangeFolder,
        Operation::CheckFolder,
        Operation::Init,
        Operation::Dumpable,
        Operation::Execute,
    ];

    /// The operation with this number.
    pub fn from_number(number: u8) -> Option<Operation> {
        Operation::ALL.get(usize::from(number)).copied()
    }
}

/// Which failures of a step do not end the walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Tolerate {
    /// None.
    Nothing = 0,
    /// The object does not exist: masks of paths that this kernel does not have.
    Missing = 1,
    /// Whatever the kernel says: what is only tidiness.
    Anything = 2,
}

/// How [`Operation::MountIn`] finds its target.
pub mod target {
    /// The target is a folder.
    pub const FOLDER: u64 = 1;
    /// A symbolic link in the target's path is refused instead of followed beneath the root.
    pub const NO_LINKS: u64 = 2;
    /// After the mount: a bind remount with the same flags, and read-only.
    pub const READ_ONLY: u64 = 4;
    /// A target in procfs is refused (EPERM): a link may lead there.
    pub const NOT_PROC: u64 = 8;
}

/// One part of a plan, written by the parent. See the module's text for its form.
#[derive(Default)]
pub struct Plan {
    bytes: Vec<u8>,
}

/// A text that may stand in a plan: no NUL inside.
impl Plan {
    /// An empty plan.
    pub fn new() -> Plan {
        Plan { bytes: Vec::with_capacity(4096) }
    }

    /// The plan as the child reads it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Begins a step; its operands follow with [`number`](Plan::number) and [`text`](Plan::text).
    pub fn step(&mut self, operation: Operation, tolerate: Tolerate) -> &mut Plan {
        self.bytes.push(operation as u8);
        self.bytes.push(tolerate as u8);
        self
    }

    /// An integer operand.
    pub fn number(&mut self, number: u64) -> &mut Plan {
        self.bytes.extend_from_slice(&number.to_ne_bytes());
        self
    }

    /// A text operand. A text ends at its first NUL, as the kernel reads it: callers refuse NULs
    /// in input from outside before they write a plan.
    pub fn text(&mut self, text: &[u8]) -> &mut Plan {
        let length = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
        let text = &text[..length];
        self.bytes.extend_from_slice(&(text.len() as u32).to_ne_bytes());
        self.bytes.extend_from_slice(text);
        self.bytes.push(0);
        self
    }

    /// An operand of any bytes.
    pub fn blob(&mut self, bytes: &[u8]) -> &mut Plan {
        self.bytes.extend_from_slice(&(bytes.len() as u32).to_ne_bytes());
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// A list of texts, its length before it.
    pub fn texts<'a>(&mut self, texts: impl ExactSizeIterator<Item = &'a [u8]>) -> &mut Plan {
        self.number(texts.len() as u64);
        for text in texts {
            self.text(text);
        }
        self
    }

    /// mount(2), the target relative to the new root. Only for targets inside mounts that the
    /// plan itself made (procfs, sysfs, the /dev tmpfs): their contents are the kernel's or ours.
    pub fn mount(
        &mut self,
        tolerate: Tolerate,
        source: &str,
        target: &str,
        kind: &str,
        flags: u64,
        data: &str,
    ) -> &mut Plan {
        self.step(Operation::Mount, tolerate)
            .text(source.as_bytes())
            .text(target.as_bytes())
            .text(kind.as_bytes())
            .number(flags)
            .text(data.as_bytes())
    }

    /// mount(2) on a target that is resolved beneath the new root (see [`target`]).
    pub fn mount_in(
        &mut self,
        source: &[u8],
        target: &[u8],
        kind: &str,
        flags: u64,
        data: &str,
        options: u64,
    ) -> &mut Plan {
        self.step(Operation::MountIn, Tolerate::Nothing)
            .text(source)
            .text(target)
            .text(kind.as_bytes())
            .number(flags)
            .text(data.as_bytes())
            .number(options)
    }

    /// What the step at this offset does and to what: the two first parts of an error's text.
    pub fn describe(&self, offset: usize) -> (&'static str, String) {
        let mut cursor = Cursor::new(&self.bytes, offset);
        describe::describe_step(&mut cursor).unwrap_or(("start", "container".to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_found_by_its_number() {
        for (number, operation) in Operation::ALL.iter().enumerate() {
            assert_eq!(*operation as usize, number);
        }
        assert_eq!(Operation::from_number(Operation::ALL.len() as u8), None);
    }

    #[test]
    fn a_step_is_described_by_its_offset() {
        let mut plan = Plan::new();
        plan.step(Operation::Unshare, Tolerate::Nothing).number(libc::CLONE_NEWNET as u64);
        let offset = plan.bytes().len();
        plan.mount(Tolerate::Missing, "proc", "proc", "proc", 0, "");
        assert_eq!(plan.describe(0), ("unshare", "net namespace".to_string()));
        assert_eq!(plan.describe(offset), ("mount", "proc on /proc".to_string()));
    }

    #[test]
    fn a_plan_that_is_cut_short_ends_the_reading() {
        let mut plan = Plan::new();
        plan.step(Operation::Hostname, Tolerate::Nothing).text(b"name");
        for length in 0..plan.bytes().len() {
            let mut cursor = Cursor::new(&plan.bytes()[..length], 0);
            assert!(cursor.step().and_then(|_| cursor.text()).is_none());
        }
    }

    #[test]
    fn a_text_ends_at_its_first_nul() {
        let mut plan = Plan::new();
        plan.text(b"a\0b");
        assert_eq!(Cursor::new(plan.bytes(), 0).text(), Some(c"a"));
    }
}
