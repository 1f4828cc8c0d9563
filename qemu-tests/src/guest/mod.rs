//! PID 1 of the virtual machine: mounts what a small system has, loads modules, runs the tests one
//! after the other, and powers off. Every result is a line on the console; nothing else is trusted.

mod cgroups;
mod features;
mod new_root;
pub mod probe;
mod reboots;
pub mod registry;
mod replay;
mod runner;
mod ubifs;

use crate::console::MARK;
use rustix::mount::{MountFlags, mount};
use std::ffi::CStr;
use std::path::Path;

/// The file that says how this machine shall be.
pub const CONFIGURATION: &str = "/conf";
/// Where the tests lie.
pub const TESTS: &str = "/tests";
/// The modules, in the order of their names.
pub const MODULES: &str = "/modules";
/// The name under which this program lets a command run as an older kernel would ([`crate::older`]).
pub const OLDER: &str = "older-kernel";
/// The image that the tests use, and where `load` finds it in other forms.
pub const IMAGES: &str = "/images";

/// What the host has written into [`CONFIGURATION`]: `key value` lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// `v1`, `hybrid` or `v2`.
    pub cgroup: String,
    /// `/proc/sys` files to write, as `path=value`.
    pub sysctl: Vec<String>,
    /// Modules to leave out.
    pub without: Vec<String>,
    /// The root folder's place: empty for RAM, else a block device, and after blanks its file system (ext4)
    /// and options.
    pub disk: String,
    /// A disk whose ext4 becomes the root, with programs of its own; empty for the initramfs alone.
    pub root: String,
    /// The story of reboots instead of tests ([`crate::reboots`]): a seed and the number of kills; else empty.
    pub reboots: String,
    /// Instead of tests, a look at states of a disk ([`crate::power_cut::inside`]); else empty.
    pub replay: String,
    /// Instead of tests, stories on ubifs ([`crate::power_cut::ubifs`]); else empty.
    pub ubifs: String,
    /// The kernel that is imitated and how it refuses, `4.9 ENOSYS` ([`crate::older`]); else empty.
    pub older: String,
    /// What goes wrong on purpose (the controls): `hang`, `panic`, `reboot`, `broken`.
    pub instead: String,
}

impl Configuration {
    /// Reads the text.
    #[must_use]
    pub fn parse(text: &str) -> Configuration {
        let mut configuration = Configuration::default();
        for line in text.lines() {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            let value = value.to_string();
            match key {
                "cgroup" => configuration.cgroup = value,
                "sysctl" => configuration.sysctl.push(value),
                "without" => configuration.without.push(value),
                "disk" => configuration.disk = value,
                "root" => configuration.root = value,
                "reboots" => configuration.reboots = value,
                "replay" => configuration.replay = value,
                "ubifs" => configuration.ubifs = value,
                "older" => configuration.older = value,
                "instead" => configuration.instead = value,
                _ => (),
            }
        }
        configuration
    }

    /// The text for [`Configuration::parse`].
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("cgroup {}\n", self.cgroup);
        for value in &self.sysctl {
            text.push_str(&format!("sysctl {value}\n"));
        }
        for value in &self.without {
            text.push_str(&format!("without {value}\n"));
        }
        for (key, value) in [
            ("disk", &self.disk),
            ("root", &self.root),
            ("reboots", &self.reboots),
            ("replay", &self.replay),
            ("ubifs", &self.ubifs),
            ("older", &self.older),
            ("instead", &self.instead),
        ] {
            if !value.is_empty() {
                text.push_str(&format!("{key} {value}\n"));
            }
        }
        text
    }
}

/// A line of the protocol, in one write: the kernel may print between two.
pub(crate) fn say(text: &str) {
    let line = format!("{MARK}{}\n", text.replace(['\n', '\r'], " "));
    let _ = rustix::io::write(rustix::stdio::stdout(), line.as_bytes());
}

/// What PID 1 does. It does not return: the machine ends.
pub fn init() -> ! {
    if let Err(error) = prepare() {
        say(&format!("error {error}"));
    }
    power_off()
}

fn power_off() -> ! {
    rustix::fs::sync();
    loop {
        let _ = rustix::system::reboot(rustix::system::RebootCommand::PowerOff);
        // Where the machine cannot (no ACPI): the host ends it, too.
        let _ = rustix::system::reboot(rustix::system::RebootCommand::Restart);
        std::thread::sleep(std::time::Duration::from_secs(60));
    }
}

/// mount(2) with the errors of our protocol.
pub(crate) fn mounted(
    source: &str,
    target: &str,
    kind: &str,
    flags: MountFlags,
    data: &CStr,
) -> Result<(), String> {
    std::fs::create_dir_all(target).map_err(|error| format!("mkdir {target}: {error}"))?;
    let data = (!data.is_empty()).then_some(data);
    mount(source, target, kind, flags, data).map_err(|errno| format!("mount {target}: {errno}"))
}

fn prepare() -> Result<(), String> {
    let safe = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mounted("proc", "/proc", "proc", safe, c"")?;
    mounted("sysfs", "/sys", "sysfs", safe, c"")?;
    // Where the kernel has it: AppArmor's policies are loaded there.
    let _ = mounted("securityfs", "/sys/kernel/security", "securityfs", safe, c"");
    let _ = mounted("selinuxfs", "/sys/fs/selinux", "selinuxfs", MountFlags::NOSUID, c"");
    // A kernel may have mounted it already.
    let _ = mounted("devtmpfs", "/dev", "devtmpfs", MountFlags::NOSUID, c"mode=0755");
    let _ = mounted("devpts", "/dev/pts", "devpts", MountFlags::NOSUID, c"mode=0620");
    for folder in ["/run", "/tmp", "/var"] {
        mounted("tmpfs", folder, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=0755")?;
    }
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    say(&format!("start {release}"));
    let text = std::fs::read_to_string(CONFIGURATION).unwrap_or_default();
    let configuration = Configuration::parse(&text);
    load_modules(&configuration.without)?;
    for setting in &configuration.sysctl {
        let (path, value) = setting.split_once('=').unwrap_or((setting, ""));
        std::fs::write(format!("/proc/sys/{path}"), value)
            .map_err(|error| format!("sysctl {setting}: {error}"))?;
    }
    let tests = match configuration.root.as_str() {
        "" => TESTS.to_string(),
        device => new_root::enter(device)?,
    };
    cgroups::mount_all(&configuration.cgroup)?;
    if !configuration.disk.is_empty() {
        let folder = "/var/lib/coracle";
        let disk = configuration.disk.as_str();
        let mut words = disk.splitn(3, ' ');
        let mut word = || words.next().unwrap_or("");
        let (device, kind, options) = (word(), word(), word());
        let kind = if kind.is_empty() { "ext4" } else { kind };
        let options = std::ffi::CString::new(options).map_err(|error| error.to_string())?;
        mounted(device, folder, kind, MountFlags::empty(), &options)?;
    }
    let _ = rustix::system::sethostname(b"device");
    control(&configuration.instead)?;
    if !configuration.reboots.is_empty() {
        return reboots::run_all(&configuration.reboots);
    }
    if !configuration.replay.is_empty() {
        return replay::run(&configuration.replay);
    }
    if !configuration.ubifs.is_empty() {
        return ubifs::run(&configuration.ubifs);
    }
    let mut older: Vec<String> = configuration.older.split_whitespace().map(String::from).collect();
    if !older.is_empty() {
        std::os::unix::fs::symlink("/init", ["/bin/", OLDER].concat())
            .map_err(|error| format!("link {OLDER}: {error}"))?;
        older.insert(0, OLDER.to_string());
    }
    runner::run_all(Path::new(&tests), !configuration.root.is_empty(), &older)
}

fn load_modules(without: &[String]) -> Result<(), String> {
    let Ok(entries) = std::fs::read_dir(MODULES) else { return Ok(()) };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        // NNN-name.ko
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        let name = name.split_once('-').map_or(name, |(_, name)| name).replace('-', "_");
        if without.contains(&name) {
            continue;
        }
        let file = std::fs::File::open(&path).map_err(|error| format!("{name}: {error}"))?;
        match rustix::system::finit_module(&file, c"", 0) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => (),
            // Hardware that this machine lacks, or a module that a missing one is needed for.
            Err(errno) => say(&format!("note module {name}: {errno}")),
        }
        // Its memory is needed elsewhere.
        let _ = std::fs::remove_file(&path);
    }
    Ok(())
}

/// The controls: what must end as a failure, in bounded time.
fn control(instead: &str) -> Result<(), String> {
    match instead {
        "hang" => loop {
            std::thread::sleep(std::time::Duration::from_secs(1000));
        },
        "panic" => std::fs::write("/proc/sysrq-trigger", "c").map_err(|error| error.to_string()),
        "reboot" => {
            let _ = rustix::system::reboot(rustix::system::RebootCommand::Restart);
            Err("the machine did not reboot".to_string())
        }
        // A binary that was cut off on its way to the device.
        "broken" => std::fs::File::options()
            .write(true)
            .open("/bin/coracle")
            .and_then(|file| file.set_len(50_000))
            .map_err(|error| error.to_string()),
        _ => Ok(()),
    }
}
