//! The mounts of a container: from `-v`, `--mount`, `--volumes-from` and the image's volumes to a
//! list in its record, and from there to what libcontainer shall do.

use super::{Volume, Volumes, Wanted, check_name};
use crate::container::{Containers, Mount, Record};
use base::files::Lock;
use base::map::Map;
use base::text::quote::quoted;
use base::{Error, Result};
use base_http::api::host_config::HostConfig;
use base_http::api::volume::Mount as LongForm;
use libcontainer::{Bind, FileSystem, Propagation};
use rustix::mount::MountFlags;
use std::path::{Path, PathBuf};

/// The mounts of a new container. The locks of its volumes are held until its record is there.
pub(crate) struct Made {
    pub(crate) mounts: Vec<Mount>,
    pub(crate) locks: Vec<Lock>,
}

fn wrong(text: &str, why: &str) -> Error {
    Error::bad_input(format!("invalid volume specification: '{text}'{why}"))
}

/// Reads all forms and makes the volumes that are missing.
pub(crate) fn make(
    containers: &Containers<'_>,
    volumes: &Volumes,
    host: &HostConfig,
    image_volumes: &Map<String, base::json::Empty>,
) -> Result<Made> {
    if !["", "local"].contains(&host.volume_driver.as_str()) {
        return Err(Error::not_found(format!(
            "error looking up volume plugin {0}: plugin \"{0}\" not found",
            host.volume_driver
        )));
    }
    let mut list: Vec<(Mount, Wanted)> = Vec::new();
    for text in host.volumes_from.iter().flatten() {
        for mount in from_container(containers, text)? {
            put(&mut list, mount, Wanted::default());
        }
    }
    // Those of another container give way, two of one's own do not.
    let inherited = list.len();
    for text in host.binds.iter().flatten() {
        let mount = short_form(text)?;
        refuse_twice(&list[inherited.min(list.len())..], &mount.target)?;
        put(&mut list, mount, Wanted::default());
    }
    for long in host.mounts.iter().filter(|long| long.kind != "tmpfs") {
        let (mount, wanted) = long_form(long)?;
        put(&mut list, mount, wanted);
    }
    for target in image_volumes.keys() {
        let target = clean(target).ok_or_else(|| wrong(target, ": mount path must be absolute"))?;
        let taken = list.iter().any(|(mount, _)| mount.target == target)
            || host.tmpfs.keys().any(|other| clean(other).as_ref() == Some(&target));
        if !taken {
            let mount = Mount { kind: VOLUME.into(), target, writable: true, ..Mount::default() };
            list.push((mount, Wanted::default()));
        }
    }
    let mut made = Made { mounts: Vec::new(), locks: Vec::new() };
    for (mut mount, mut wanted) in list {
        if mount.kind == VOLUME {
            wanted.anonymous = mount.name.is_empty();
            wanted.temporary = wanted.anonymous && host.auto_remove;
            wanted.name.clone_from(&mount.name);
            let (volume, lock) = volumes.ensure(&wanted)?;
            mount.anonymous |= wanted.anonymous;
            mount.source = volume.data().display().to_string();
            mount.name = volume.name;
            made.locks.push(lock);
        }
        made.mounts.push(mount);
    }
    Ok(made)
}

const VOLUME: &str = "volume";
const BIND: &str = "bind";

/// A later one takes the place of an earlier one.
fn put(list: &mut Vec<(Mount, Wanted)>, mount: Mount, wanted: Wanted) {
    list.retain(|(other, _)| other.target != mount.target);
    list.push((mount, wanted));
}

fn refuse_twice(list: &[(Mount, Wanted)], target: &str) -> Result<()> {
    match list.iter().any(|(other, _)| other.target == target) {
        true => Err(Error::bad_input(format!("Duplicate mount point: {target}"))),
        false => Ok(()),
    }
}

/// An absolute path without dots and doubled slashes; None when it is not absolute, or is the root.
fn clean(path: &str) -> Option<String> {
    if !path.starts_with('/') {
        return None;
    }
    let inside = base::text::path::clean(path);
    (!inside.is_empty()).then(|| format!("/{inside}"))
}

/// `SOURCE:TARGET[:OPTIONS]`. A source that begins with a slash is a path of the host, any other one
/// a volume's name.
pub(crate) fn short_form(text: &str) -> Result<Mount> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts[..] {
        [source, target] => (source, target, ""),
        [source, target, options] => (source, target, options),
        _ => return Err(wrong(text, "")),
    };
    let target = match clean(target) {
        Some(target) => target,
        None if target.starts_with('/') => return Err(wrong(text, ": destination can't be '/'")),
        None => return Err(wrong(text, ": mount path must be absolute")),
    };
    let mut mount = Mount { target, mode: options.to_string(), writable: true, ..Mount::default() };
    if source.starts_with('/') {
        mount.kind = BIND.to_string();
        mount.source = source.to_string();
        mount.propagation = "rprivate".to_string();
    } else {
        check_name(source)?;
        mount.kind = VOLUME.to_string();
        mount.name = source.to_string();
    }
    for option in options.split(',') {
        match option {
            "ro" | "readonly" => mount.writable = false,
            "nocopy" if mount.kind == VOLUME => mount.no_copy = true,
            _ if PROPAGATIONS.contains(&option) && mount.kind == BIND => {
                mount.propagation = option.to_string();
            }
            // Read at the start, where SELinux is.
            "z" | "Z" if !(options.contains('z') && options.contains('Z')) => (),
            // What is asked for is what happens anyway.
            "" | "rw" | "rbind" | "cached" | "delegated" | "consistent" => (),
            _ => return Err(wrong(text, &format!(": invalid mode: {option}"))),
        }
    }
    Ok(mount)
}

const PROPAGATIONS: [&str; 6] = ["private", "rprivate", "slave", "rslave", "shared", "rshared"];

fn long_form(long: &LongForm) -> Result<(Mount, Wanted)> {
    let refuse = |why: String| {
        Err(Error::bad_input(format!("invalid mount config for type \"{}\": {why}", long.kind)))
    };
    let Some(target) = clean(&long.target) else {
        return refuse(match long.target.as_str() {
            "" => "field Target must not be empty".to_string(),
            target if target.starts_with('/') => {
                "invalid specification: destination can't be '/'".to_string()
            }
            target => format!("invalid mount path: '{target}' mount path must be absolute"),
        });
    };
    let mut mount =
        Mount { kind: long.kind.clone(), target, writable: !long.read_only, ..Mount::default() };
    let mut wanted = Wanted::default();
    match long.kind.as_str() {
        BIND => {
            if !long.source.starts_with('/') {
                return refuse(format!(
                    "invalid mount path: '{}' mount path must be absolute",
                    long.source
                ));
            }
            let options = long.bind.clone().unwrap_or_default();
            if options.non_recursive {
                return Err(Error::unsupported("binds that are not recursive"));
            }
            mount.propagation = match options.propagation.as_str() {
                "" => "rprivate".to_string(),
                known if PROPAGATIONS.contains(&known) => known.to_string(),
                other => return refuse(format!("invalid propagation mode: {other}")),
            };
            if !options.create_source && !Path::new(&long.source).exists() {
                return refuse(format!("bind source path does not exist: {}", long.source));
            }
            mount.source.clone_from(&long.source);
        }
        VOLUME => {
            mount.name.clone_from(&long.source);
            let options = long.volume.clone().unwrap_or_default();
            mount.no_copy = options.no_copy;
            wanted.labels = options.labels;
            wanted.options = options.driver.map(|driver| driver.options).unwrap_or_default();
        }
        _ => return Err(Error::bad_input(["mount type unknown: ", &quoted(&long.kind)].concat())),
    }
    Ok((mount, wanted))
}

/// `CONTAINER[:ro|rw]`: all mounts of that container.
fn from_container(containers: &Containers<'_>, text: &str) -> Result<Vec<Mount>> {
    let (name, mode) = text.split_once(':').unwrap_or((text, "rw"));
    if !["ro", "rw", "z", "Z"].contains(&mode) {
        return Err(Error::bad_input(format!("invalid mode for volumes-from: {mode}")));
    }
    let container = containers.find(name)?;
    let mut mounts = container.record.mounts.clone();
    for mount in &mut mounts {
        mount.writable &= mode != "ro";
        if ["z", "Z"].contains(&mode) {
            mount.mode = mode.to_string();
        }
        // It is the other container's.
        mount.anonymous = false;
    }
    Ok(mounts)
}

/// What a start mounts, and the locks that keep others from its empty volumes meanwhile.
pub(crate) struct Ready {
    pub(crate) binds: Vec<Bind>,
    pub(crate) file_systems: Vec<FileSystem>,
    pub(crate) locks: Vec<Lock>,
}

/// Looks at a container's mounts before its start.
pub(crate) fn ready(
    containers: &Containers<'_>,
    volumes: &Volumes,
    record: &Record,
) -> Result<Ready> {
    let mut ready = Ready { binds: Vec::new(), file_systems: Vec::new(), locks: Vec::new() };
    for mount in &record.mounts {
        let mut bind =
            Bind::new(PathBuf::from(&mount.source), mount.target.clone(), !mount.writable);
        if mount.kind == BIND {
            bind.propagation = match mount.propagation.trim_start_matches('r') {
                "slave" => Propagation::Slave,
                "shared" => Propagation::Shared,
                _ => Propagation::Private,
            };
            if !bind.source.exists() {
                base::files::create_dir_all(&bind.source)?;
            }
            ready.binds.push(bind);
            continue;
        }
        let volume = volumes.find(&mount.name)?;
        let gone = || Error::not_found(format!("get {}: no such volume", mount.name));
        if volume.record.options.keys().next().is_some() {
            ready.locks.push(volume.share()?.ok_or_else(gone)?);
            mount_options(&volume, mount, &mut ready)?;
            continue;
        }
        bind.source = volume.data();
        bind.mapped = true;
        // Alone, and asked again: of two containers that start, one fills it.
        let mut fills = !mount.no_copy && volume.is_empty();
        let mut lock = if fills { volume.own()? } else { volume.share()? };
        if fills && !(volume.is_empty() && nobody_uses(containers, &mount.name)) {
            drop(lock);
            fills = false;
            lock = volume.share()?;
        }
        if fills {
            bind.copy_up = Some(volume.aside());
        }
        ready.locks.push(lock.ok_or_else(gone)?);
        ready.binds.push(bind);
    }
    Ok(ready)
}

/// No container that runs sees the volume: it would not see what takes its place.
fn nobody_uses(containers: &Containers<'_>, name: &str) -> bool {
    containers.list().is_ok_and(|list| {
        list.iter().filter(|one| uses(&one.record, name)).all(|one| !one.state().is_alive())
    })
}

/// Whether a container has a volume of this name.
pub(crate) fn uses(record: &Record, name: &str) -> bool {
    record.mounts.iter().any(|mount| mount.kind == VOLUME && mount.name == name)
}

/// A volume that stands for something else: `type`, `device`, `o` of docker's driver `local`. It is
/// mounted in the container, so that nothing is left on the host.
fn mount_options(volume: &Volume, mount: &Mount, ready: &mut Ready) -> Result<()> {
    let option = |name: &str| volume.record.options.get(name).cloned().unwrap_or_default();
    let (kind, device) = (option("type"), option("device"));
    let mut flags = MountFlags::empty();
    flags.set(MountFlags::RDONLY, !mount.writable);
    let mut options: Vec<String> = Vec::new();
    let mut bind = kind == "bind";
    for word in option("o").split(',').filter(|word| !word.is_empty()) {
        match word {
            "bind" | "rbind" => bind = true,
            "ro" => flags.set(MountFlags::RDONLY, true),
            "rw" | "defaults" => (),
            "nosuid" => flags.set(MountFlags::NOSUID, true),
            "nodev" => flags.set(MountFlags::NODEV, true),
            "noexec" => flags.set(MountFlags::NOEXEC, true),
            "noatime" => flags.set(MountFlags::NOATIME, true),
            word => options.push(word.to_string()),
        }
    }
    if bind {
        let source = PathBuf::from(&device);
        let read_only = flags.contains(MountFlags::RDONLY);
        ready.binds.push(Bind::new(source, mount.target.clone(), read_only));
        return Ok(());
    }
    ready.file_systems.push(FileSystem {
        kind,
        source: device,
        target: mount.target.clone(),
        flags: u64::from(flags.bits()),
        options: options.join(","),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms() {
        let mount = short_form("/a:/b/../c//d:ro").expect("bind");
        assert_eq!((mount.source.as_str(), mount.target.as_str()), ("/a", "/c/d"));
        assert!(!mount.writable && mount.kind == "bind" && mount.propagation == "rprivate");
        let mount = short_form("data:/x:nocopy").expect("volume");
        assert!(mount.kind == "volume" && mount.name == "data" && mount.no_copy);
        assert_eq!(short_form("/a:/b:rslave").expect("bind").propagation, "rslave");
        for text in [
            "/a",
            "/a:b",
            "/a:/",
            "/a:/b:what",
            "/a:/b:z,Z",
            "/a:/b:ro:x",
            "",
            "a/b:/x",
            "data:/x:rslave",
            "/a:/b:nocopy",
        ] {
            assert!(short_form(text).is_err(), "{text}");
        }
    }

    #[test]
    fn long_forms() {
        let long = |kind: &str, source: &str, target: &str| LongForm {
            kind: kind.into(),
            source: source.into(),
            target: target.into(),
            ..LongForm::default()
        };
        assert_eq!(long_form(&long("bind", "/", "/x")).expect("bind").0.source, "/");
        assert_eq!(long_form(&long("volume", "v1", "/x")).expect("volume").0.name, "v1");
        for (kind, source, target, want) in [
            ("bind", "/nosuch/path", "/x", "bind source path does not exist: /nosuch/path"),
            ("bind", "x", "/x", "mount path must be absolute"),
            ("volume", "v1", "", "field Target must not be empty"),
            ("volume", "v1", "/", "destination can't be '/'"),
            ("npipe", "x", "/x", "mount type unknown"),
        ] {
            let error = long_form(&long(kind, source, target)).expect_err(want);
            assert!(error.message().contains(want), "{}", error.message());
        }
    }
}
