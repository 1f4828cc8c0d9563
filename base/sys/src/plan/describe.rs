//! What a step does and to what: the text of its failure.

use super::{Cursor, Operation};

/// The step at the cursor.
pub(super) fn describe_step(cursor: &mut Cursor<'_>) -> Option<(&'static str, String)> {
    let (operation, _) = cursor.step()?;
    let nothing = String::new();
    Some(match operation {
        Operation::Unshare => ("unshare", namespace_names(cursor.number()?)),
        Operation::Join => {
            cursor.number()?;
            ("setns", namespace_names(cursor.number()?))
        }
        Operation::Fork => ("clone", "process".into()),
        Operation::Propagation => ("mount", "/ (propagation)".into()),
        Operation::LoopbackUp => ("bring up", "lo".into()),
        Operation::Hostname => ("sethostname", printable(cursor.text()?.to_bytes())),
        Operation::Domainname => ("setdomainname", printable(cursor.text()?.to_bytes())),
        Operation::Mount | Operation::MountFirst | Operation::MountIn => {
            let source = printable(cursor.text()?.to_bytes());
            let target = printable(cursor.text()?.to_bytes());
            ("mount", format!("{source} on /{}", target.trim_start_matches('/')))
        }
        Operation::AttachIn => {
            cursor.number()?;
            ("move_mount", printable(cursor.text()?.to_bytes()))
        }
        Operation::MakeIn => {
            let folder = printable(cursor.text()?.to_bytes());
            ("create", format!("/{folder}/{}", printable(cursor.text()?.to_bytes())))
        }
        Operation::EnterDetached => {
            cursor.number()?;
            ("move_mount root on", printable(cursor.text()?.to_bytes()))
        }
        Operation::EnterFolder => ("enter", printable(cursor.text()?.to_bytes())),
        Operation::SendFolder | Operation::SendTree => {
            ("open", printable(cursor.text()?.to_bytes()))
        }
        Operation::FileOwner => ("setfsuid", cursor.number()?.to_string()),
        Operation::MakeFolder => ("mkdir", printable(cursor.text()?.to_bytes())),
        Operation::MakeFile => ("create", printable(cursor.text()?.to_bytes())),
        Operation::MakeLink => ("symlink", printable(cursor.text()?.to_bytes())),
        Operation::OpenTerminal => ("open", "/dev/pts/ptmx".into()),
        Operation::TerminalSize => ("set size of", "terminal".into()),
        Operation::BindTerminal => {
            ("mount terminal on", format!("/{}", printable(cursor.text()?.to_bytes())))
        }
        Operation::PivotRoot => ("pivot_root", "/".into()),
        Operation::RemountRoot => ("remount", "/".into()),
        Operation::WriteFile => ("write", printable(cursor.text()?.to_bytes())),
        Operation::WriteSlot => {
            cursor.number()?;
            cursor.text()?;
            ("write", printable(cursor.text()?.to_bytes()))
        }
        Operation::Descriptor => ("dup", "descriptor".into()),
        Operation::TakeTerminal => ("take", "controlling terminal".into()),
        Operation::NewSession => ("setsid", nothing),
        Operation::ResourceLimit | Operation::LowerLimit => {
            let number = cursor.number()?;
            let known = crate::process::RESOURCES.iter().find(|known| u64::from(known.1) == number);
            ("setrlimit", known.map_or("resource", |known| known.0).to_string())
        }
        Operation::ResetInherited => ("reset", "inherited state".into()),
        Operation::BoundingSet => ("drop", "capabilities from the bounding set".into()),
        Operation::Groups => ("setgroups", nothing),
        Operation::Gid => ("setgid", cursor.number()?.to_string()),
        Operation::Uid => ("setuid", cursor.number()?.to_string()),
        Operation::Capabilities => ("capset", nothing),
        Operation::KeepCapabilities => ("prctl", "keepcaps".into()),
        Operation::NoNewPrivileges => ("prctl", "no_new_privs".into()),
        Operation::Filter => ("load", "seccomp filter".into()),
        Operation::ParentDeathSignal => ("prctl", "pdeathsig".into()),
        Operation::ChangeFolder => ("chdir to cwd", printable(cursor.text()?.to_bytes())),
        Operation::CheckFolder => ("check", "working directory: outside of the root".into()),
        Operation::Init => ("clone", "init".into()),
        Operation::Dumpable => ("prctl", "dumpable".into()),
        Operation::Execute => {
            let paths = cursor.number()?;
            for _ in 0..paths {
                cursor.text()?;
            }
            cursor.number()?;
            ("exec", printable(cursor.text()?.to_bytes()))
        }
    })
}

fn namespace_names(flags: u64) -> String {
    const NAMES: [(u64, &str); 7] = [
        (libc::CLONE_NEWNS as u64, "mount"),
        (libc::CLONE_NEWUTS as u64, "uts"),
        (libc::CLONE_NEWIPC as u64, "ipc"),
        (libc::CLONE_NEWUSER as u64, "user"),
        (libc::CLONE_NEWPID as u64, "pid"),
        (libc::CLONE_NEWNET as u64, "net"),
        (libc::CLONE_NEWCGROUP as u64, "cgroup"),
    ];
    let names: Vec<&str> =
        NAMES.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, name)| *name).collect();
    format!("{} namespace", names.join(", "))
}

fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
