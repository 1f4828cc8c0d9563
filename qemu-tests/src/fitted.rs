//! A kernel of our own fragment (`cross/kernel/`), from the source that Debian packages: what a
//! minimal device needs, and the same without one option or another.
//!
//! Only what asks for it is built. The sources and the objects are kept below `target/qemu/fitted`, so
//! that a kernel which differs in an option is built from what does not; the images are kept by
//! the sum of all that went into them.

use crate::apt::{Apt, Mirror};
use crate::kernels::{Trouble, Unpacked, sum};
use crate::tool::run;
use base::digest::Sha256;
use base::{Error, OnError, Result};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What coracle needs, and what QEMU's machine needs.
const FRAGMENTS: [&str; 2] = ["cross/kernel/coracle.config", "cross/kernel/qemu-x86_64.config"];

/// The series whose version 1 cgroups are whole.
const PACKAGE: &str = "linux-source-6.1";

/// What a build is made of.
struct Build<'a> {
    /// For messages and logs.
    name: &'a str,
    source: PathBuf,
    objects: PathBuf,
    /// The fragments' text, without the options that this one lacks.
    fragment: String,
    without: &'a [&'a str],
    log: PathBuf,
}

/// Downloads the source, and builds the kernel unless it is there. `without`: options of the
/// fragments (with all that depend on them) that this one shall lack.
pub(crate) fn fetch(
    cache: &Path,
    mirror: &Mirror,
    name: &str,
    without: &[&str],
) -> std::result::Result<Unpacked, Trouble> {
    let apt = Apt::new(cache, mirror, "amd64", "bookworm").map_err(Trouble::Download)?;
    let package = apt.named(PACKAGE).map_err(Trouble::Download)?;
    let deb = apt.download(&package).map_err(Trouble::Download)?;
    let home = cache.join("fitted");
    let built = || -> Result<(PathBuf, String)> {
        let sum = sum(&deb)?;
        let fragment = fragment(without)?;
        let mut key = Sha256::new();
        key.update(sum.as_bytes());
        key.update(fragment.as_bytes());
        let key = key.finish().hex();
        let image = home.join(format!("{name}-{}", key.get(..16).unwrap_or(&key)));
        if !image.exists() {
            let source = unpacked(&deb, &sum, &home)?;
            let objects = home.join("objects");
            let log = home.join(format!("{name}.log"));
            make(&Build { name, source, objects, fragment, without, log }, &image)?;
        }
        Ok((image, sum))
    };
    let (image, sum) = built().map_err(Trouble::Build)?;
    let size = std::fs::metadata(&image).map_or(0, |file| file.len());
    // No modules at all.
    let modules = home.join("no-modules");
    let _ = std::fs::create_dir_all(modules.join("kernel"));
    let lacks =
        if without.is_empty() { String::new() } else { format!(" without {}", without.join(" ")) };
    let kilobytes = size.div_ceil(1000);
    let origin = format!(
        "{} {} sha256:{sum}, our fragment{lacks}: {kilobytes} kB",
        package.name, package.version
    );
    Ok(Unpacked { image, modules, origin })
}

/// The fragments' lines without those options.
fn fragment(without: &[&str]) -> Result<String> {
    let mut text = String::new();
    for path in FRAGMENTS {
        text.push_str(&std::fs::read_to_string(path).on("read", path)?);
    }
    let mut lines = Vec::new();
    let mut left: Vec<&str> = without.to_vec();
    for line in text.lines().filter(|line| line.starts_with("CONFIG_")) {
        let option = line.split_once('=').map_or(line, |(option, _)| option);
        if without.contains(&option) {
            left.retain(|one| *one != option);
        } else {
            lines.push(line.to_string());
        }
    }
    if let Some(option) = left.first() {
        return Err(Error::bad_input(format!("{option} is in no fragment of cross/kernel")));
    }
    lines.extend(without.iter().map(|option| format!("# {option} is not set")));
    Ok(lines.join("\n") + "\n")
}

/// The sources, unpacked once.
fn unpacked(deb: &Path, sum: &str, home: &Path) -> Result<PathBuf> {
    let source = home.join(format!("source-{}", sum.get(..16).unwrap_or(sum)));
    if source.exists() {
        return Ok(source);
    }
    eprintln!("qemu-tests: unpacking {}", deb.display());
    let work = home.join("unpacking");
    let _ = std::fs::remove_dir_all(&work);
    let tree = work.join("tree");
    std::fs::create_dir_all(&tree).on_path("mkdir", &tree)?;
    run(Command::new("dpkg-deb").arg("-x").arg(deb).arg(&work))?;
    let folder = work.join("usr/src");
    let entries = std::fs::read_dir(&folder).on_path("read", &folder)?;
    let archive = entries
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().contains(".tar."))
        .ok_or_else(|| Error::not_found(format!("{}: no archive of sources", deb.display())))?;
    run(Command::new("tar")
        .arg("-xf")
        .arg(archive)
        .args(["--strip-components=1", "-C"])
        .arg(&tree))?;
    std::fs::rename(&tree, &source).on_path("rename", &source)?;
    let _ = std::fs::remove_dir_all(&work);
    // Those of another version's, whose files look newer or older than they are.
    let _ = std::fs::remove_dir_all(home.join("objects"));
    Ok(source)
}

fn make(build: &Build<'_>, image: &Path) -> Result<()> {
    let begin = std::time::Instant::now();
    eprintln!("qemu-tests: building the kernel {}, which takes minutes", build.name);
    std::fs::create_dir_all(&build.objects).on_path("mkdir", &build.objects)?;
    let objects = std::fs::canonicalize(&build.objects).on_path("find", &build.objects)?;
    let chosen = objects.join("fragment");
    std::fs::write(&chosen, &build.fragment).on_path("write", &chosen)?;
    let log = std::fs::File::create(&build.log).on_path("create", &build.log)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    for target in ["allnoconfig", "bzImage"] {
        let mut command = Command::new("make");
        command
            .current_dir(&build.source)
            .args(["-s", &format!("-j{cores}"), "ARCH=x86_64", target])
            .arg(format!("O={}", objects.display()))
            .env("KCONFIG_ALLCONFIG", &chosen)
            // The same bytes each time.
            .env("KBUILD_BUILD_TIMESTAMP", "2024-01-01")
            .env("KBUILD_BUILD_USER", "coracle")
            .env("KBUILD_BUILD_HOST", "coracle")
            .stdin(Stdio::null())
            .stdout(log.try_clone().on_path("dup", &build.log)?)
            .stderr(log.try_clone().on_path("dup", &build.log)?);
        if !command.status().on("start", "make")?.success() {
            let text = std::fs::read_to_string(&build.log).unwrap_or_default();
            let line = text.lines().find(|line| line.to_ascii_lowercase().contains("error"));
            return Err(Error::other(format!(
                "make {target} of the kernel {}: {} (see {})",
                build.name,
                line.unwrap_or("no reason given"),
                build.log.display()
            )));
        }
        if target == "allnoconfig" {
            let path = objects.join(".config");
            let config = std::fs::read_to_string(&path).on_path("read", &path)?;
            taken(&build.fragment, &config, build.without)?;
        }
    }
    let made = objects.join("arch/x86/boot/bzImage");
    let beside = image.with_extension("new");
    std::fs::copy(&made, &beside).on_path("copy", &made)?;
    std::fs::copy(objects.join(".config"), image.with_extension("config"))
        .on_path("copy", &objects)?;
    std::fs::rename(&beside, image).on_path("rename", image)?;
    eprintln!("qemu-tests: built {} in {} s", build.name, begin.elapsed().as_secs());
    Ok(())
}

/// Did the kernel take the fragment as it is meant? What depends on something that is not there is
/// dropped without a word, and a default may bring back what was left out.
fn taken(fragment: &str, config: &str, without: &[&str]) -> Result<()> {
    let has = |wanted: &str| config.lines().any(|line| line == wanted);
    if let Some(line) = fragment.lines().find(|line| line.starts_with("CONFIG_") && !has(line)) {
        return Err(Error::other(format!(
            "cross/kernel: {line} was not taken: is it gone, or does it depend on another option?"
        )));
    }
    match without.iter().find(|option| has(&format!("{option}=y"))) {
        Some(option) => Err(Error::other(format!("{option} is there: another option selects it"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]
    use super::*;

    #[test]
    fn what_a_kernel_did_not_take_is_named() {
        let fragment = "CONFIG_A=y\nCONFIG_B=\"x\"\n# CONFIG_C is not set\n";
        assert_eq!(taken(fragment, "CONFIG_B=\"x\"\nCONFIG_A=y\n", &["CONFIG_C"]), Ok(()));
        for (config, want) in [
            ("CONFIG_A=y\n# CONFIG_B is not set\n", "CONFIG_B=\"x\" was not taken"),
            ("CONFIG_A=y\nCONFIG_B=\"x\"\nCONFIG_C=y\n", "CONFIG_C is there"),
        ] {
            let error = taken(fragment, config, &["CONFIG_C"]).expect_err(config);
            assert!(error.message().contains(want), "{}", error.message());
        }
    }
}
