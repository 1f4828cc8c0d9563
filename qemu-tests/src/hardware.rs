//! Whether the hardware runs machines here: a device node says nothing (a hypervisor below may offer
//! one that boots no kernel), so a kernel is booted, with a deadline. The answer holds for one run.

use crate::console::Ending;
use crate::cpio::Archive;
use crate::guest::{CONFIGURATION, Configuration};
use crate::initramfs::Binaries;
use crate::job::{Fetched, Job, Place};
use crate::machine::Machine;
use base::{OnError, Result};
use std::time::Duration;

const DEVICE: &str = "/dev/kvm";
/// Emulated it takes less than three seconds. A busy machine that misses it is emulated, no worse.
const DEADLINE: Duration = Duration::from_secs(5);

/// The CPU whose machines the hardware runs, if any, and a line that says why.
pub fn probe(place: &Place, fetched: &Fetched, jobs: &[Job]) -> Result<(Option<String>, String)> {
    let none = |why: String| Ok((None, format!("emulation (TCG): {why}")));
    let open = std::fs::File::options().read(true).write(true).open(DEVICE);
    if let Err(error) = open {
        return none(format!("{DEVICE}: {error}"));
    }
    let cpu = std::env::consts::ARCH;
    let own = jobs.iter().find_map(|job| {
        let unpacked = fetched.kernels.get(&job.kernel.name())?;
        (job.kernel.arch == cpu && job.arch == cpu).then_some((job.kernel, unpacked))
    });
    let Some((kernel, unpacked)) = own else {
        return none(format!("no kernel of this run is for {cpu}"));
    };
    let mut archive = Archive::default();
    for folder in ["dev", "proc", "sys", "run", "tmp", "var"] {
        archive.folder(folder);
    }
    archive.device("dev/console", 0o600, 5, 1);
    archive.device("dev/null", 0o666, 1, 3);
    archive.file("init", 0o755, Binaries::read(&place.dist, cpu)?.guest());
    let configuration = Configuration { cgroup: "none".to_string(), ..Configuration::default() };
    let name = CONFIGURATION.trim_start_matches('/');
    archive.file(name, 0o644, configuration.text().as_bytes());
    let folder = place.cache.join("logs");
    std::fs::create_dir_all(&folder).on_path("mkdir", &folder)?;
    let initramfs = folder.join("hardware.initramfs");
    std::fs::write(&initramfs, archive.finish()?).on_path("write", &initramfs)?;
    let boot = Machine {
        kernel,
        image: &unpacked.image,
        initramfs: &initramfs,
        boot_parameters: "",
        memory: None,
        more: &[],
        hardware: true,
        limit: DEADLINE,
        cut: None,
        log: folder.join("hardware.log"),
    }
    .run();
    let _ = std::fs::remove_file(&initramfs);
    let boot = boot?;
    match (&boot.console.release, boot.ending) {
        (Some(release), Ending::Itself) => Ok((
            Some(cpu.to_string()),
            format!(
                "hardware (KVM) for {cpu}: it booted {release} in {:.1} s",
                boot.took.as_secs_f32()
            ),
        )),
        (_, Ending::Deadline(seconds)) => {
            none(format!("{DEVICE} is there, but booted no kernel within {seconds} s"))
        }
        (_, Ending::Itself | Ending::Cut) => {
            none(format!("{DEVICE} is there, but QEMU ended without a boot"))
        }
    }
}
