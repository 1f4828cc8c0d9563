//! The kernels: which package each comes from, and which machine QEMU gives it.

use crate::apt::{Apt, Mirror};
use base::digest::Sha256;
use base::{Error, OnError, Result};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where a kernel comes from.
#[derive(Debug)]
enum Source {
    /// A package of Debian's, by series and flavour.
    Package {
        /// Debian's name of the CPU.
        debian: &'static str,
        /// The release whose index offers it.
        suite: &'static str,
        /// The package's name before and after its version.
        name: (&'static str, &'static str),
    },
    /// Built from our fragment without these options.
    Fitted(&'static [&'static str]),
}

/// A kernel, and the machine that it boots.
#[derive(Debug)]
pub struct Kernel {
    /// What `--kernel` calls it.
    pub series: &'static str,
    /// The CPU, as `cross/build` calls it.
    pub arch: &'static str,
    /// Further CPUs whose binaries it runs.
    pub also: &'static [&'static str],
    source: Source,
    /// QEMU's program.
    pub qemu: &'static str,
    /// The machine.
    pub machine: &'static [&'static str],
    /// The console's device inside.
    pub console: &'static str,
    /// Megabytes.
    pub memory: u32,
    /// Part of the default set.
    pub default: bool,
}

const X86: &[&str] = &["-M", "q35"];
const ARM64: &[&str] = &["-M", "virt", "-cpu", "cortex-a53"];
const ARM: &[&str] = &["-M", "virt", "-cpu", "cortex-a15"];

/// All of them.
pub const KERNELS: &[Kernel] = &[
    Kernel {
        series: "6.1",
        arch: "x86_64",
        also: &[],
        source: Source::Package {
            debian: "amd64",
            suite: "bookworm",
            name: ("linux-image-6.1.", "-cloud-amd64"),
        },
        qemu: "qemu-system-x86_64",
        machine: X86,
        console: "ttyS0",
        memory: 256,
        default: true,
    },
    Kernel {
        series: "5.10",
        arch: "x86_64",
        also: &[],
        source: Source::Package {
            debian: "amd64",
            suite: "bullseye",
            name: ("linux-image-5.10.", "-cloud-amd64"),
        },
        qemu: "qemu-system-x86_64",
        machine: X86,
        console: "ttyS0",
        memory: 256,
        default: true,
    },
    Kernel {
        series: "6.1",
        arch: "aarch64",
        also: &[],
        source: Source::Package {
            debian: "arm64",
            suite: "bookworm",
            name: ("linux-image-6.1.", "-cloud-arm64"),
        },
        qemu: "qemu-system-aarch64",
        machine: ARM64,
        console: "ttyAMA0",
        memory: 256,
        default: true,
    },
    Kernel {
        series: "6.1",
        arch: "armv7",
        also: &["arm"],
        source: Source::Package {
            debian: "armhf",
            suite: "bookworm",
            name: ("linux-image-6.1.", "-armmp-lpae"),
        },
        qemu: "qemu-system-arm",
        machine: ARM,
        console: "ttyAMA0",
        memory: 256,
        default: true,
    },
    Kernel {
        series: "6.1",
        arch: "mipsel",
        also: &[],
        source: Source::Package {
            debian: "mipsel",
            suite: "bookworm",
            name: ("linux-image-6.1.", "-4kc-malta"),
        },
        qemu: "qemu-system-mipsel",
        machine: &["-M", "malta"],
        console: "ttyS0",
        memory: 256,
        default: true,
    },
    Kernel {
        series: "6.12",
        arch: "x86_64",
        also: &[],
        source: Source::Package {
            debian: "amd64",
            suite: "trixie",
            name: ("linux-image-6.12.", "-cloud-amd64"),
        },
        qemu: "qemu-system-x86_64",
        machine: X86,
        console: "ttyS0",
        memory: 256,
        default: false,
    },
    Kernel {
        series: "6.1",
        arch: "i686",
        also: &[],
        source: Source::Package {
            debian: "i386",
            suite: "bookworm",
            name: ("linux-image-6.1.", "-686"),
        },
        qemu: "qemu-system-i386",
        machine: &["-M", "pc"],
        console: "ttyS0",
        memory: 256,
        default: false,
    },
    Kernel {
        series: "6.12",
        arch: "riscv64",
        also: &[],
        source: Source::Package {
            debian: "riscv64",
            suite: "trixie",
            name: ("linux-image-6.12.", "-riscv64"),
        },
        qemu: "qemu-system-riscv64",
        machine: &["-M", "virt"],
        console: "ttyS0",
        memory: 256,
        default: false,
    },
    fitted("fitted", &[]),
];

/// Our own without something, for the machines of `cut_down.rs`.
pub const FITTED_WITHOUT: &[Kernel] = &[fitted(
    "fitted-bare",
    &[
        "CONFIG_SECCOMP",
        "CONFIG_SECCOMP_FILTER",
        "CONFIG_NAMESPACES",
        "CONFIG_UTS_NS",
        "CONFIG_IPC_NS",
        "CONFIG_PID_NS",
        "CONFIG_NET_NS",
        "CONFIG_USER_NS",
        "CONFIG_CGROUP_BPF",
        "CONFIG_MEMCG",
        "CONFIG_SYSVIPC",
        "CONFIG_POSIX_MQUEUE",
        "CONFIG_INOTIFY_USER",
        "CONFIG_PROC_CHILDREN",
        "CONFIG_DEVTMPFS",
        "CONFIG_TMPFS_XATTR",
    ],
)];

/// Debian's kernel for any PC, which has the file systems of flash: for power cuts alone.
pub static FULL: Kernel = Kernel {
    series: "6.1-full",
    arch: "x86_64",
    also: &[],
    source: Source::Package {
        debian: "amd64",
        suite: "bookworm",
        name: ("linux-image-6.1.", "-amd64"),
    },
    qemu: "qemu-system-x86_64",
    machine: X86,
    console: "ttyS0",
    memory: 384,
    default: false,
};

const fn fitted(series: &'static str, without: &'static [&'static str]) -> Kernel {
    Kernel {
        series,
        arch: "x86_64",
        also: &[],
        source: Source::Fitted(without),
        qemu: "qemu-system-x86_64",
        machine: X86,
        console: "ttyS0",
        memory: 256,
        default: false,
    }
}

/// A kernel that has been downloaded and unpacked.
#[derive(Clone, Debug)]
pub struct Unpacked {
    /// The image that QEMU boots.
    pub image: PathBuf,
    /// `lib/modules/VERSION`
    pub modules: PathBuf,
    /// Package, version and checksum, to be printed with the results.
    pub origin: String,
}

impl Kernel {
    /// `6.1 x86_64`
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {}", self.series, self.arch)
    }

    /// Built here, which takes minutes: only who asks for it gets it.
    #[must_use]
    pub fn is_built(&self) -> bool {
        matches!(self.source, Source::Fitted(_))
    }

    /// Gets the newest package that the index offers, and unpacks it; or builds it.
    pub fn fetch(&self, cache: &Path, mirror: &Mirror) -> std::result::Result<Unpacked, Trouble> {
        match &self.source {
            Source::Package { debian, suite, name } => {
                package(cache, mirror, debian, suite, *name).map_err(Trouble::Download)
            }
            Source::Fitted(without) => crate::fitted::fetch(cache, mirror, self.series, without),
        }
    }
}

/// Why there is no kernel.
#[derive(Debug)]
pub enum Trouble {
    /// No mirror gave it, which no test is to blame for.
    Download(Error),
    /// It could not be built.
    Build(Error),
}

fn package(
    cache: &Path,
    mirror: &Mirror,
    debian: &str,
    suite: &str,
    name: (&str, &str),
) -> Result<Unpacked> {
    let apt = Apt::new(cache, mirror, debian, suite)?;
    let package = apt.newest(name.0, name.1)?;
    let deb = apt.download(&package)?;
    let sum = sum(&deb)?;
    let root = cache.join(format!("{}_{}", package.name, debian));
    let stamp = root.join("unpacked");
    if std::fs::read_to_string(&stamp).ok().as_deref() != Some(&sum) {
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(&root).on_path("mkdir", &root)?;
        let status = Command::new("dpkg-deb").arg("-x").args([&deb, &root]).status();
        if !status.on("start", "dpkg-deb")?.success() {
            return Err(Error::other(format!("dpkg-deb -x {}: failed", deb.display())));
        }
        std::fs::write(&stamp, &sum).on_path("write", &stamp)?;
    }
    let image = only(&root.join("boot"), "vmlinu")?;
    let modules = match only(&root.join("lib/modules"), "") {
        Ok(modules) => modules,
        // Since trixie.
        Err(_) => only(&root.join("usr/lib/modules"), "")?,
    };
    let origin = format!("{} {} sha256:{sum}", package.name, package.version);
    Ok(Unpacked { image, modules, origin })
}

/// The entry of a folder whose name begins like this.
fn only(folder: &Path, prefix: &str) -> Result<PathBuf> {
    let entries = std::fs::read_dir(folder).on_path("read", folder)?;
    entries
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .ok_or_else(|| Error::not_found(format!("{}: nothing named {prefix}*", folder.display())))
}

pub(crate) fn sum(path: &Path) -> Result<String> {
    let mut file = std::fs::File::open(path).on_path("open", path)?;
    let (mut sum, mut bytes) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut bytes).on_path("read", path)? {
            0 => return Ok(sum.finish().hex()),
            count => sum.update(&bytes[..count]),
        }
    }
}
