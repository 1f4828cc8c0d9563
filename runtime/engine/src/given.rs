//! What the host gives a container beside its files: devices, file systems in memory, limits of
//! setrlimit(2). From the words of the API to libcontainer's values, as Docker reads them.

use base::sys::process::RESOURCES;
use base::{Error, OnError, Result};
use base_http::api::host_config::HostConfig;
use libcontainer::devices::{self, Device, Kind, Rule};
use libcontainer::{FileSystem, ResourceLimit};
use rustix::mount::MountFlags;
use std::path::Path;

/// Devices and the rules about them.
pub(crate) struct Devices {
    pub(crate) nodes: Vec<Device>,
    /// `None` for the default rules.
    pub(crate) rules: Option<Vec<Rule>>,
}

/// Reads `--device`, `--device-cgroup-rule` and what `--privileged` means for them.
pub(crate) fn devices(host: &HostConfig) -> Result<Devices> {
    let mut nodes = Vec::new();
    if host.privileged {
        collect(Path::new("/dev"), "dev", &mut nodes)?;
        return Ok(Devices { nodes, rules: Some(devices::EVERYTHING.to_vec()) });
    }
    let mut rules = Vec::new();
    for mapping in &host.devices {
        let access = access(&mapping.permissions)?;
        let (path, first) = (Path::new(&mapping.on_host), nodes.len());
        let inside = if mapping.inside.is_empty() { &mapping.on_host } else { &mapping.inside };
        let wrong = |why: &str| {
            let text = ["error gathering device information while adding custom device \""];
            Error::bad_input([text[0], &mapping.on_host, "\": ", why].concat())
        };
        let metadata = std::fs::metadata(path).map_err(|_| wrong("no such file or directory"))?;
        if metadata.is_dir() {
            collect(path, inside, &mut nodes)?;
        } else {
            nodes.extend(Device::of_host(path, inside.clone()));
        }
        if nodes.len() == first {
            return Err(wrong("not a device node"));
        }
        rules.extend(nodes.iter().skip(first).map(|device| Rule {
            kind: device.kind,
            major: Some(device.major),
            minor: Some(device.minor),
            access,
        }));
    }
    for text in host.device_cgroup_rules.iter().flatten() {
        rules.extend(parse_rule(text)?);
    }
    let rules = (!rules.is_empty()).then(|| devices::with_defaults(&rules));
    Ok(Devices { nodes, rules })
}

/// Every device below a folder; not what has mounts of its own inside.
fn collect(folder: &Path, inside: &str, nodes: &mut Vec<Device>) -> Result<()> {
    for entry in std::fs::read_dir(folder).on_path("read", folder)? {
        let entry = entry.on_path("read", folder)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let kind = entry.file_type().on_path("read", folder)?;
        if ["pts", "shm", "mqueue", "fd", ".lxc", ".lxd-mounts", ".udev", "console"]
            .contains(&&*name)
        {
            continue;
        }
        let inside = format!("{inside}/{name}");
        if kind.is_dir() {
            collect(&entry.path(), &inside, nodes)?;
        } else if !kind.is_symlink() {
            nodes.extend(Device::of_host(&entry.path(), inside));
        }
    }
    Ok(())
}

fn access(text: &str) -> Result<u32> {
    if text.is_empty() {
        return Ok(devices::READ | devices::WRITE | devices::MAKE);
    }
    let mut access = 0;
    for letter in text.chars() {
        access |= match letter {
            'r' => devices::READ,
            'w' => devices::WRITE,
            'm' => devices::MAKE,
            _ => return Err(Error::bad_input(format!("invalid device mode: {text}"))),
        };
    }
    Ok(access)
}

/// `a|b|c MAJOR:MINOR rwm`, `*` for any number.
fn parse_rule(text: &str) -> Result<Vec<Rule>> {
    let wrong = || Error::bad_input(format!("invalid device cgroup rule format: '{text}'"));
    let words: Vec<&str> = text.split_whitespace().collect();
    let [kind, numbers, letters] = words[..] else { return Err(wrong()) };
    let (major, minor) = numbers.split_once(':').ok_or_else(wrong)?;
    let number = |text: &str| match text {
        "*" => Ok(None),
        text => text.parse().map(Some).map_err(|_| wrong()),
    };
    let (major, minor, access) = (number(major)?, number(minor)?, access(letters)?);
    let kinds: &[Kind] = match kind {
        "a" => &[Kind::Block, Kind::Character],
        "b" => &[Kind::Block],
        "c" => &[Kind::Character],
        _ => return Err(wrong()),
    };
    Ok(kinds.iter().map(|kind| Rule { kind: *kind, major, minor, access }).collect())
}

/// Reads `--ulimit`.
pub(crate) fn limits(host: &HostConfig) -> Result<Vec<ResourceLimit>> {
    let mut limits = Vec::new();
    for ulimit in &host.ulimits {
        let Some((_, resource)) = RESOURCES.iter().find(|(name, _)| *name == ulimit.name) else {
            return Err(Error::bad_input(format!("invalid ulimit type: {}", ulimit.name)));
        };
        let (soft, hard) = (ulimit.soft as u64, ulimit.hard as u64);
        if soft > hard {
            return Err(Error::bad_input(format!(
                "ulimit soft limit must be less than or equal to hard limit: {} > {}",
                ulimit.soft, ulimit.hard
            )));
        }
        limits.push(ResourceLimit { resource: *resource, soft, hard });
    }
    Ok(limits)
}

/// Reads `--tmpfs`. Without a word about it, nothing in it is executed, and no device or set-id bit
/// counts.
pub(crate) fn tmpfs(host: &HostConfig) -> Result<Vec<FileSystem>> {
    let mut given: Vec<(String, String)> =
        host.tmpfs.iter().map(|(target, text)| (target.clone(), text.clone())).collect();
    for mount in host.mounts.iter().filter(|mount| mount.kind == "tmpfs") {
        let options = mount.tmpfs.clone().unwrap_or_default();
        let mut words = vec![if mount.read_only { "ro" } else { "rw" }.to_string()];
        words.extend((options.size > 0).then(|| format!("size={}", options.size)));
        words.extend((options.mode > 0).then(|| format!("mode={:o}", options.mode)));
        given.push((mount.target.clone(), words.join(",")));
    }
    let mut list = Vec::new();
    for (target, text) in &given {
        if !target.starts_with('/') {
            let why = format!("invalid mount path: '{target}' mount path must be absolute");
            return Err(Error::bad_input(why));
        }
        let mut flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        let mut options: Vec<&str> = Vec::new();
        for option in text.split(',').filter(|option| !option.is_empty()) {
            let (set, flag) = match option {
                "exec" => (false, MountFlags::NOEXEC),
                "noexec" => (true, MountFlags::NOEXEC),
                "suid" => (false, MountFlags::NOSUID),
                "nosuid" => (true, MountFlags::NOSUID),
                "dev" => (false, MountFlags::NODEV),
                "nodev" => (true, MountFlags::NODEV),
                "ro" => (true, MountFlags::RDONLY),
                "rw" => (false, MountFlags::RDONLY),
                "noatime" => (true, MountFlags::NOATIME),
                option => {
                    let name = option.split('=').next().unwrap_or_default();
                    if !["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"]
                        .contains(&name)
                    {
                        let why = format!("invalid tmpfs option [\"{option}\"]");
                        return Err(Error::bad_input(why));
                    }
                    options.push(option);
                    continue;
                }
            };
            flags.set(flag, set);
        }
        list.push(FileSystem {
            kind: "tmpfs".to_string(),
            source: "tmpfs".to_string(),
            target: target.clone(),
            flags: u64::from(flags.bits()),
            options: options.join(","),
        });
    }
    Ok(list)
}

/// Bytes of /dev/shm: 64 MiB unless said otherwise.
pub(crate) fn shm_size(host: &HostConfig) -> Result<u64> {
    match host.shm_size {
        0 => Ok(64 << 20),
        bytes if bytes > 0 => Ok(bytes as u64),
        _ => Err(Error::bad_input("SHM size can not be less than 0")),
    }
}

/// Bytes of RAM for what the container writes, if it asks for that: `--upper ram[:SIZE]`, and its size
/// by `--storage-opt` as well.
pub(crate) fn upper(host: &HostConfig) -> Result<Option<u64>> {
    /// As docker's /dev/shm.
    const USUAL: u64 = 64 << 20;
    let size = |text: &str| match base::text::size::parse(text) {
        Ok(bytes) if bytes > 0 => Ok(bytes),
        _ => Err(Error::bad_input(format!("invalid size: '{text}'"))),
    };
    let mut limit = None;
    for (name, text) in host.storage_opt.iter() {
        if !name.eq_ignore_ascii_case("size") {
            return Err(Error::bad_input(format!("unknown option {name} in --storage-opt")));
        }
        limit = Some(size(text)?);
    }
    match (host.upper.as_str(), host.upper.strip_prefix("ram:"), limit) {
        // Of the disk's, see below.
        ("", ..) => Ok(None),
        ("ram", _, limit) => Ok(Some(limit.unwrap_or(USUAL))),
        (_, Some(text), None) => size(text).map(Some),
        (_, Some(_), Some(_)) => {
            Err(Error::bad_input("conflicting options: a size by --upper and by --storage-opt"))
        }
        (other, ..) => Err(Error::bad_input(format!("invalid upper: {other} (known: ram[:SIZE])"))),
    }
}

/// Bytes of the disk for what the container writes, if there is a limit.
pub(crate) fn disk_limit(host: &HostConfig) -> Result<Option<u64>> {
    match host.storage_opt.get("size").filter(|_| host.upper.is_empty()) {
        Some(text) => Ok(Some(base::text::size::parse(text)? as u64)),
        None => Ok(None),
    }
}

/// The out-of-memory killer's liking, if it was given.
pub(crate) fn oom_score(host: &HostConfig) -> Result<Option<i32>> {
    match host.oom_score_adj {
        0 => Ok(None),
        score @ -1000..=1000 => Ok(Some(score as i32)),
        score => Err(Error::bad_input(format!(
            "Invalid value {score}, range for oom score adj is [-1000, 1000]"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_about_devices() {
        let rules = parse_rule("a *:* rwm").expect("rule");
        assert_eq!(rules.len(), 2);
        assert_eq!(rules[0].access, 7);
        let want = Rule { kind: Kind::Character, major: Some(42), minor: None, access: 3 };
        assert_eq!(parse_rule("c 42:* mr").expect("rule"), [want]);
        for wrong in ["", "c", "c 1:3", "d 1:3 r", "c 1 r", "c 1:3 x", "c x:3 r", "c 1:3 r w"] {
            assert!(parse_rule(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_written_may_go_to_ram() {
        let with = |text: &str, size: &str| {
            let mut host = HostConfig { upper: text.to_string(), ..HostConfig::default() };
            if !size.is_empty() {
                host.storage_opt.insert("size".to_string(), size.to_string());
            }
            upper(&host).ok()
        };
        for (text, size, want) in [
            ("", "", Some(None)),
            ("ram", "", Some(Some(64 << 20))),
            ("ram:3m", "", Some(Some(3 << 20))),
            ("ram", "1g", Some(Some(1 << 30))),
            ("ram:3m", "1g", None),
            ("ram:", "", None),
            ("ram:0", "", None),
            ("disk", "", None),
            ("", "1g", Some(None)),
        ] {
            assert_eq!(with(text, size), want, "{text} {size}");
        }
    }

    #[test]
    fn tmpfs_options_become_flags_and_data() {
        let with = |text: &str| {
            let mut host = HostConfig::default();
            host.tmpfs.insert("/t".to_string(), text.to_string());
            tmpfs(&host).map(|mut list| list.remove(0))
        };
        let default = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        assert_eq!(with("").expect("tmpfs").flags, u64::from(default.bits()));
        let made = with("size=1m,exec,ro,mode=700").expect("tmpfs");
        assert_eq!(made.options, "size=1m,mode=700");
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::RDONLY;
        assert_eq!(made.flags, u64::from(flags.bits()));
        assert!(with("context=x").is_err());
    }
}
