//! Machines that have what the usual ones lack: AppArmor with a profile, a disk with project quotas, a
//! disk whose scheduler knows weights, SELinux. Each has tests of its own in `fuller/NAME/`.

use crate::disk;
use crate::job::{Job, tests_of};
use crate::kernels::KERNELS;
use crate::tool::system_tool;
use base::{Error, OnError, Result};
use std::path::Path;
use std::process::{Command, Stdio};

/// One such machine.
struct Fuller {
    /// Its folder.
    name: &'static str,
    layouts: &'static [&'static str],
    boot_parameters: &'static str,
    modules: &'static [&'static str],
    /// The root folder's disk, with file system and options.
    disk: &'static str,
}

const MACHINES: [Fuller; 4] = [
    Fuller {
        name: "apparmor",
        layouts: &["v2"],
        boot_parameters: "apparmor=1 security=apparmor",
        modules: &[],
        disk: "",
    },
    Fuller {
        name: "quotas",
        layouts: &["v2"],
        boot_parameters: "",
        modules: &["quota_v2"],
        disk: "/dev/vda ext4 prjquota",
    },
    Fuller {
        name: "weights",
        layouts: &["v1", "v2"],
        boot_parameters: "",
        modules: &["bfq"],
        disk: disk::DEVICE,
    },
    // Nothing is forbidden until somebody says enforcing=1: a policy of three types is enough.
    Fuller {
        name: "selinux",
        layouts: &["v2"],
        boot_parameters: "security=selinux",
        modules: &[],
        disk: disk::DEVICE,
    },
];

/// A profile in the language of AppArmor, or a policy in that of SELinux, beside the tests of its machine.
const PROFILE: &str = "profile";
const CIL: &str = "policy.cil";
/// Where the machine finds it, as the kernel takes it.
const POLICY: &str = "/policy";

/// One boot for each machine and layout, on the first kernel.
pub fn jobs(folder: &Path) -> Result<Vec<Job>> {
    let Some(kernel) = KERNELS.first() else { return Ok(Vec::new()) };
    let mut jobs = Vec::new();
    for machine in MACHINES {
        let folder = folder.join(machine.name);
        // A test that has a layout's name is about that one.
        let fits = |test: &str, layout: &str| !["v1", "v2"].contains(&test) || test == layout;
        for layout in machine.layouts {
            let mut tests = tests_of(&folder, &[])?;
            tests.retain(|(test, _)| fits(test, layout));
            let mut job = Job::new(kernel, kernel.arch, layout, tests);
            job.variant = machine.name.to_string();
            job.boot_parameters = machine.boot_parameters.to_string();
            job.modules = machine.modules;
            job.configuration.disk = machine.disk.to_string();
            for (name, compile) in [(PROFILE, compiled as fn(&Path) -> _), (CIL, compiled_cil)] {
                let path = folder.join(name);
                if path.exists() {
                    job.files.push((POLICY.to_string(), compile(&path)?));
                }
            }
            jobs.push(job);
        }
    }
    Ok(jobs)
}

/// The 1,024 categories that docker gives to containers: the language has no loop.
fn categories() -> String {
    let names = || (0..1024).map(|number| format!("c{number}"));
    let all: String = names().map(|name| format!("(category {name})\n")).collect();
    format!("{all}(categoryorder ({}))\n", names().collect::<Vec<_>>().join(" "))
}

/// A policy as the kernel takes it.
fn compiled_cil(path: &Path) -> Result<Vec<u8>> {
    let to = std::env::temp_dir().join(format!("coracle-policy-{}", std::process::id()));
    let more = to.with_extension("cil");
    std::fs::write(&more, categories()).on_path("write", &more)?;
    let output = Command::new("secilc")
        .args(["-M", "true", "-c", "31", "-f", "/dev/null", "-o"])
        .args([&to, &more, path])
        .stdin(Stdio::null())
        .output()
        .on("start", "secilc")?;
    let bytes = std::fs::read(&to);
    let _ = std::fs::remove_file(&to);
    let _ = std::fs::remove_file(&more);
    match bytes {
        Ok(bytes) if output.status.success() => Ok(bytes),
        _ => {
            let text = String::from_utf8_lossy(&output.stderr);
            Err(Error::other(format!("secilc {}: {}", path.display(), text.trim())))
        }
    }
}

/// A profile as the kernel takes it; nothing of this host's is asked or changed.
fn compiled(path: &Path) -> Result<Vec<u8>> {
    let output = system_tool("apparmor_parser")
        .args(["--skip-kernel-load", "--skip-cache", "--stdout"])
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .on("start", "apparmor_parser")?;
    if output.status.success() && !output.stdout.is_empty() {
        return Ok(output.stdout);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(Error::other(format!("apparmor_parser {}: {}", path.display(), text.trim())))
}
