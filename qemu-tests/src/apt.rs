//! Debian packages of any CPU and release without touching the system's package sources: apt with
//! a private configuration, whose mirror is the one that the system itself uses.
//!
//! The index is fetched once a day and the packages are kept, all below `target/qemu`. apt checks
//! the signatures and sums. What no index offers is an error of its own kind (`NotFound`), so that
//! a release that has left the mirror is told apart from a test that failed.

use base::{Error, OnError, Result};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Mirrors in the middle of a sync refuse now and then.
const TRIES: u32 = 3;
const INDEX_AGE: Duration = Duration::from_secs(24 * 3600);

/// Where the system gets its own packages from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Releases.
    pub main: String,
    /// Their security updates.
    pub security: Option<String>,
}

impl Mirror {
    /// Reads the system's own package sources.
    pub fn of_system() -> Result<Mirror> {
        let mut texts = vec![PathBuf::from("/etc/apt/sources.list")];
        if let Ok(entries) = std::fs::read_dir("/etc/apt/sources.list.d") {
            texts.extend(entries.flatten().map(|entry| entry.path()));
        }
        let text: String = texts
            .iter()
            .filter_map(|path| std::fs::read_to_string(path).ok())
            .collect::<Vec<_>>()
            .join("\n\n");
        Mirror::parse(&text).ok_or_else(|| {
            Error::not_found("/etc/apt names no mirror of Debian, from which kernels could come")
        })
    }

    /// Understands both forms: lines `deb [options] URI SUITE…`, and paragraphs with `URIs:` and
    /// `Suites:`.
    fn parse(text: &str) -> Option<Mirror> {
        let mut found: Vec<(String, String)> = Vec::new();
        for line in text.lines() {
            let line = line.split_once(']').map_or(line, |(_, rest)| rest);
            let mut words =
                line.split_whitespace().skip_while(|word| *word == "deb" || word.starts_with('['));
            if let (Some(uri), Some(suite)) = (words.next(), words.next())
                && uri.contains("://")
            {
                found.push((uri.to_string(), suite.to_string()));
            }
        }
        for paragraph in text.split("\n\n") {
            let value = |key: &str| {
                let line = paragraph.lines().find_map(|line| line.strip_prefix(key))?;
                Some(line.trim().to_string())
            };
            if let (Some(uris), Some(suites)) = (value("URIs:"), value("Suites:")) {
                for uri in uris.split_whitespace() {
                    for suite in suites.split_whitespace() {
                        found.push((uri.to_string(), suite.to_string()));
                    }
                }
            }
        }
        const RELEASES: [&str; 6] =
            ["bullseye", "bookworm", "trixie", "forky", "stable", "testing"];
        let main = found.iter().find(|(_, suite)| RELEASES.contains(&suite.as_str()))?.0.clone();
        let security = found
            .iter()
            .find(|(_, suite)| {
                suite.split_once('-').is_some_and(|(release, rest)| {
                    RELEASES.contains(&release) && rest == "security"
                })
            })
            .map(|(uri, _)| uri.clone());
        Some(Mirror { main, security })
    }
}

/// A package as the index offers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// apt for one CPU and one release.
pub struct Apt {
    folder: PathBuf,
    architecture: String,
    suite: String,
    without_security: String,
}

impl Apt {
    /// `cache` is shared by all; `architecture` and `suite` are Debian's words.
    pub fn new(cache: &Path, mirror: &Mirror, architecture: &str, suite: &str) -> Result<Apt> {
        let folder = cache.join(format!("apt-{suite}-{architecture}"));
        for name in ["lists/partial", "cache/archives/partial"] {
            let path = folder.join(name);
            std::fs::create_dir_all(&path).on_path("mkdir", &path)?;
        }
        let absolute = std::fs::canonicalize(&folder).on_path("find", &folder)?;
        let place = absolute.display();
        let signed = format!("deb [signed-by={KEYRING}]");
        let without_security = format!("{signed} {} {suite} main\n", mirror.main);
        let mut sources = without_security.clone();
        if let Some(security) = &mirror.security
            && !suite.contains('-')
        {
            let _ = writeln!(sources, "{signed} {security} {suite}-security main");
        }
        let configuration = format!(
            "APT::Architecture \"{architecture}\";\n\
             APT::Architectures {{ \"{architecture}\"; }};\n\
             Dir::Etc::sourcelist \"{place}/sources.list\";\n\
             Dir::Etc::sourceparts \"-\";\n\
             Dir::State \"{place}\";\n\
             Dir::State::lists \"{place}/lists\";\n\
             Dir::State::status \"{place}/status\";\n\
             Dir::Cache \"{place}/cache\";\n\
             Acquire::Languages \"none\";\n\
             Acquire::Retries \"3\";\n\
             APT::Sandbox::User \"root\";\n"
        );
        for (name, text) in
            [("sources.list", sources.as_str()), ("status", ""), ("apt.conf", &configuration)]
        {
            let path = folder.join(name);
            std::fs::write(&path, text).on_path("write", &path)?;
        }
        let (architecture, suite) = (architecture.to_string(), suite.to_string());
        Ok(Apt { folder, architecture, suite, without_security })
    }

    fn command(&self, program: &str, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(words).env("APT_CONFIG", self.folder.join("apt.conf")).stdin(Stdio::null());
        command
    }

    /// Runs it and gives its output.
    fn output(&self, program: &str, words: &[&str]) -> Result<String> {
        let output = self.command(program, words).output().on("start", program)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let text = String::from_utf8_lossy(&output.stderr);
        let line = text.lines().find(|line| line.starts_with("E:")).unwrap_or("no reason given");
        Err(Error::other(format!("{program} {}: {line}", words.join(" "))))
    }

    /// Fetches the index, unless there is one of today.
    pub fn update(&self) -> Result<()> {
        let stamp = self.folder.join("updated");
        let age = std::fs::metadata(&stamp).and_then(|file| file.modified());
        if age.is_ok_and(|time| time.elapsed().is_ok_and(|age| age < INDEX_AGE)) {
            return Ok(());
        }
        let update = || self.output("apt-get", &["-q", "update"]);
        let updated = retry(update).or_else(|error| {
            if !error.message().contains("-security") {
                return Err(error);
            }
            // That part of a mirror is in the middle of a sync more often, and for some CPUs it is
            // not there at all: then the release as it was published must do.
            eprintln!("qemu-tests: {} {}: without security updates", self.suite, self.architecture);
            let path = self.folder.join("sources.list");
            std::fs::write(&path, &self.without_security).on_path("write", &path)?;
            retry(update)
        });
        updated.map_err(|error| error.context(format!("{} {}", self.suite, self.architecture)))?;
        std::fs::write(&stamp, "").on_path("write", &stamp)
    }

    /// The newest package whose name is `prefix`, a version, `suffix`.
    pub fn newest(&self, prefix: &str, suffix: &str) -> Result<Package> {
        self.update()?;
        let names = self.output("apt-cache", &["pkgnames", prefix])?;
        let fitting: Vec<&str> =
            names.lines().filter(|name| is_version_between(name, prefix, suffix)).collect();
        let mut best: Option<Package> = None;
        for package in self.shown(&fitting)? {
            if best.as_ref().is_none_or(|best| is_newer(&package.version, &best.version)) {
                best = Some(package);
            }
        }
        best.ok_or_else(|| {
            Error::not_found(format!(
                "no index of {} for {} offers {prefix}*{suffix}",
                self.suite, self.architecture
            ))
        })
    }

    /// The package of this name.
    pub fn named(&self, name: &str) -> Result<Package> {
        self.update()?;
        let missing = || {
            let (suite, architecture) = (&self.suite, &self.architecture);
            Error::not_found(format!("no index of {suite} for {architecture} offers {name}"))
        };
        let shown = self.shown(&[name]).ok();
        shown.and_then(|found| found.into_iter().next()).ok_or_else(missing)
    }

    /// What the index says of these, in one call: each reads the whole index.
    fn shown(&self, names: &[&str]) -> Result<Vec<Package>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let words = [&["show", "--no-all-versions"], names].concat();
        Ok(packages(&self.output("apt-cache", &words)?))
    }

    /// Downloads a package, unless it is there, and gives its file.
    pub fn download(&self, package: &Package) -> Result<PathBuf> {
        let kept = self.folder.join(format!("{}_{}.deb", package.name, escape(&package.version)));
        if kept.exists() {
            return Ok(kept);
        }
        let work = self.folder.join(format!("download-{}", std::process::id()));
        std::fs::create_dir_all(&work).on_path("mkdir", &work)?;
        let wanted = format!("{}={}", package.name, package.version);
        let done = retry(|| {
            let mut command = self.command("apt-get", &["-q", "download", &wanted]);
            // APT_CONFIG is relative to where we are; apt downloads into the working directory.
            let configuration = std::fs::canonicalize(self.folder.join("apt.conf"));
            command.env("APT_CONFIG", configuration.on("find", "apt.conf")?).current_dir(&work);
            let output = command.output().on("start", "apt-get")?;
            if output.status.success() {
                return Ok(());
            }
            let text = String::from_utf8_lossy(&output.stderr);
            let line = text.lines().find(|line| line.starts_with("E:")).unwrap_or("no reason");
            Err(Error::other(format!("apt-get download {wanted}: {line}")))
        });
        let found = done.and_then(|()| {
            let mut entries = std::fs::read_dir(&work).on_path("read", &work)?.flatten();
            let entry = entries.find(|entry| entry.path().extension() == Some("deb".as_ref()));
            let entry = entry.ok_or_else(|| Error::other(format!("{wanted}: no file came")))?;
            std::fs::rename(entry.path(), &kept).on_path("rename", &kept)
        });
        let _ = std::fs::remove_dir_all(&work);
        found.map(|()| kept)
    }
}

/// The paragraphs of `apt-cache show`.
fn packages(text: &str) -> Vec<Package> {
    let field = |paragraph: &str, key: &str| {
        paragraph
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .map(|value| value.trim().to_string())
    };
    let package = |paragraph: &str| {
        let (name, version) = (field(paragraph, "Package:")?, field(paragraph, "Version:")?);
        Some(Package { name, version })
    };
    text.split("\n\n").filter_map(package).collect()
}

/// `linux-image-6.1.` and `-cloud-amd64` fit `linux-image-6.1.0-50-cloud-amd64`, but `-amd64` does
/// not: between them is nothing but a version.
fn is_version_between(name: &str, prefix: &str, suffix: &str) -> bool {
    name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(suffix)).is_some_and(|version| {
        let (release, abi) = version.split_once('-').unwrap_or((version, ""));
        !release.is_empty() && abi.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn is_newer(one: &str, other: &str) -> bool {
    let compared = Command::new("dpkg").args(["--compare-versions", one, "gt", other]).status();
    compared.is_ok_and(|status| status.success())
}

fn escape(version: &str) -> String {
    version.replace([':', '/'], "%")
}

fn retry<T>(mut action: impl FnMut() -> Result<T>) -> Result<T> {
    let mut result = action();
    for round in 1..TRIES {
        let Err(error) = &result else { break };
        eprintln!("qemu-tests: {}; again", error.message());
        std::thread::sleep(Duration::from_secs(u64::from(5 * round)));
        result = action();
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flavour_is_not_taken_for_another() {
        let fits = |name, suffix| is_version_between(name, "linux-image-6.1.", suffix);
        assert!(fits("linux-image-6.1.0-50-amd64", "-amd64"));
        assert!(fits("linux-image-6.1.0-50-cloud-amd64", "-cloud-amd64"));
        assert!(!fits("linux-image-6.1.0-50-cloud-amd64", "-amd64"));
        assert!(!fits("linux-image-6.1.0-50-amd64-unsigned", "-amd64"));
        assert!(!fits("linux-image-6.1.0-50-amd64-dbg", "-amd64"));
        assert!(is_version_between(
            "linux-image-6.12.94+deb13-riscv64",
            "linux-image-6.12.",
            "-riscv64"
        ));
    }

    #[test]
    fn each_paragraph_is_a_package() {
        let text = "Package: a\nVersion: 1:2-3\nDescription: x\n .\n Version: 9\n\nVersion: 4\nPackage: b\n\nnoise\n";
        let found = packages(text);
        let found: Vec<_> = found.iter().map(|one| (&*one.name, &*one.version)).collect();
        assert_eq!(found, [("a", "1:2-3"), ("b", "4")]);
    }

    #[test]
    fn both_forms_of_package_sources_are_understood() {
        let want = Mirror {
            main: "http://one/debian".into(),
            security: Some("http://two/security".into()),
        };
        let lines = "# a comment\ndeb [arch=amd64 signed-by=/k] http://one/debian bookworm main\n\
                     deb http://two/security bookworm-security main\ndeb http://x/y cloud main";
        assert_eq!(Mirror::parse(lines), Some(want.clone()));
        let paragraphs = "Types: deb\n# x\nURIs: http://one/debian\nSuites: bookworm bookworm-updates\n\
                          \n\nTypes: deb\nURIs: http://two/security\nSuites: bookworm-security\n";
        assert_eq!(Mirror::parse(paragraphs), Some(want));
        assert_eq!(Mirror::parse("deb http://x/y nodistro main"), None);
    }
}
