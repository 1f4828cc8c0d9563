//! What a machine boots with: our binaries, the tests' image, the modules in their order, and, as a
//! second archive behind the first, what differs from boot to boot.

use crate::cpio::Archive;
use crate::guest::{CONFIGURATION, Configuration, IMAGES, MODULES, TESTS};
use crate::{image, modules};
use base::{OnError, Result};
use std::path::Path;

/// A CPU's binaries.
pub struct Binaries {
    coracle: Vec<u8>,
    guest: Vec<u8>,
    archives: image::Archives,
}

impl Binaries {
    /// PID 1 of the machines.
    #[must_use]
    pub fn guest(&self) -> &[u8] {
        &self.guest
    }

    /// Reads them from `dist/ARCH/small`, where `cross/build --small` puts them.
    pub fn read(dist: &Path, arch: &str) -> Result<Binaries> {
        let read = |name: &str| {
            let path = dist.join(arch).join("small").join(name);
            std::fs::read(&path).on_path("read", &path)
        };
        let guest = read("qemu-guest")?;
        let archives = image::archives(&guest, image_word(arch))?;
        Ok(Binaries { coracle: read("coracle")?, guest, archives })
    }
}

/// The image specification's word for a CPU.
pub(crate) fn image_word(arch: &str) -> &str {
    match arch {
        "x86_64" => "amd64",
        "i686" => "386",
        "aarch64" => "arm64",
        "armv7" | "arm" => "arm",
        "mipsel" => "mipsle",
        other => other,
    }
}

/// The part that all boots of a kernel share.
pub fn common(binaries: &Binaries, modules_folder: &Path) -> Result<Vec<u8>> {
    common_with(binaries, modules_folder, &[])
}

/// The same with more modules.
pub fn common_with(binaries: &Binaries, modules_folder: &Path, more: &[&str]) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for folder in ["bin", "dev", "proc", "sys", "run", "tmp", "var", "root", "etc"] {
        archive.folder(folder);
    }
    // Before PID 1 has mounted anything, its streams are these.
    archive.device("dev/console", 0o600, 5, 1);
    archive.device("dev/null", 0o666, 1, 3);
    archive.file("bin/probe", 0o755, &binaries.guest);
    archive.link("init", "bin/probe");
    archive.file("bin/coracle", 0o755, &binaries.coracle);
    archive.file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n");
    archive.folder(inside(IMAGES));
    archive.file(&format!("{}/probe.tar", inside(IMAGES)), 0o644, &binaries.archives.docker);
    archive.file(&format!("{}/probe-oci.tar", inside(IMAGES)), 0o644, &binaries.archives.oci);
    archive.folder(inside(MODULES));
    let wanted = [modules::WANTED, more].concat();
    for (number, path) in modules::ordered(modules_folder, &wanted)?.into_iter().enumerate() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{}/{number:03}-{}", inside(MODULES), name.trim_end_matches(".xz"));
        archive.file(&name, 0o644, &modules::read(&path)?);
    }
    archive.finish()
}

/// The part of one boot.
pub fn own(configuration: &Configuration, tests: &[(String, String)]) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    archive.file(inside(CONFIGURATION), 0o644, configuration.text().as_bytes());
    archive.folder(inside(TESTS));
    for (name, session) in tests {
        archive.folder(&format!("{}/{name}", inside(TESTS)));
        archive.file(&format!("{}/{name}/session", inside(TESTS)), 0o644, session.as_bytes());
    }
    archive.finish()
}

/// Modules and files that one boot has beside.
pub fn more(
    modules_folder: &Path,
    wanted: &[&str],
    files: &[(String, Vec<u8>)],
) -> Result<Vec<u8>> {
    if wanted.is_empty() && files.is_empty() {
        return Ok(Vec::new());
    }
    let mut archive = Archive::default();
    for (number, path) in modules::ordered(modules_folder, wanted)?.into_iter().enumerate() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name =
            format!("{}/{:03}-{}", inside(MODULES), 900 + number, name.trim_end_matches(".xz"));
        archive.file(&name, 0o644, &modules::read(&path)?);
    }
    for (path, bytes) in files {
        archive.file(inside(path), 0o644, bytes);
    }
    archive.finish()
}

fn inside(path: &str) -> &str {
    path.trim_start_matches('/')
}
