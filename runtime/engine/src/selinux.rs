//! `--security-opt label=`: the contexts that SELinux shall give to a container's processes and to its
//! mounts. The parts that nobody names are those of the policy's file `lxc_contexts`, and two categories
//! that no other container has, so that none reaches another's files.
//!
//! A container for which nobody asks for a label gets none, unless the settings say `selinux-enabled`, as
//! docker's; where SELinux is off, labels are read and mean nothing, as with docker.

use base::text::quote::quoted;
use base::{Error, Result};
use base_http::api::host_config::HostConfig;
use std::path::Path;

const ENABLED: &str = "/sys/fs/selinux/enforce";
const PROCESS: &str = "system_u:system_r:container_t:s0";
const FILE: &str = "system_u:object_r:container_file_t:s0";

/// A container's two contexts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Labels {
    /// Its processes'.
    pub(crate) process: String,
    /// Its root's, and its tmpfs'.
    pub(crate) mount: String,
}

/// Refuses what is no label.
pub(crate) fn check(option: &str) -> Result<()> {
    let known = ["user", "role", "level", "type", "filetype"];
    match option.split_once(':') {
        _ if option == "disable" => Ok(()),
        Some((name, value)) if known.contains(&name) && !value.is_empty() => Ok(()),
        _ => Err(Error::bad_input(format!(
            "bad label option {}, valid options 'disable' or 'user, role, level, type, \
             filetype' followed by ':' and a value",
            quoted(option)
        ))),
    }
}

/// The contexts of a container, where there is SELinux. `by_default`: also if it does not ask.
pub(crate) fn labels(host: &HostConfig, id: &str, by_default: bool) -> Option<Labels> {
    let options = host.security_opt.iter().flatten();
    let options: Vec<&str> =
        options.filter_map(|one| one.strip_prefix("label")?.get(1..)).collect();
    // As docker: what sees the host's processes or memory is not kept from its files.
    let shares = [&host.ipc_mode, &host.pid_mode].into_iter().any(|mode| mode == "host");
    let asks = !options.is_empty() || by_default && !shares;
    if host.privileged || !asks || !Path::new(ENABLED).exists() {
        return None;
    }
    // Who shares another's memory or processes has its categories.
    let mut others = [&host.ipc_mode, &host.pid_mode].into_iter();
    let other = others.find_map(|mode| mode.strip_prefix("container:"));
    merged(&options, &defaults(), &level(other.unwrap_or(id)))
}

/// The level of a container: two different categories of 1,024, as docker draws them, from its id.
fn level(id: &str) -> String {
    let end = id.get(id.len().saturating_sub(5)..).unwrap_or_default();
    let number = u32::from_str_radix(end, 16).unwrap_or(0);
    let (one, other) = (number >> 10 & 1023, number & 1023);
    let other = if one == other { other ^ 1 } else { other };
    format!("s0:c{},c{}", one.min(other), one.max(other))
}

/// An id for a new container; if it has labels, with a level that none of these has.
pub(crate) fn new_id(
    host: &HostConfig,
    by_default: bool,
    others: impl FnOnce() -> Result<Vec<String>>,
) -> Result<String> {
    let first = base::text::id::new()?;
    if labels(host, &first, by_default).is_none() {
        return Ok(first);
    }
    let taken: Vec<String> = others()?.iter().map(|id| level(id)).collect();
    let mut id = first;
    for _ in 0..1000 {
        if !taken.contains(&level(&id)) {
            break;
        }
        id = base::text::id::new()?;
    }
    Ok(id)
}

/// What the files of a bind or volume with these options shall be called, if one of them says so:
/// `Z` for this container alone, `z` for all of them.
pub(crate) fn of_files(mode: &str, label: Option<&str>) -> Option<String> {
    let label = label?;
    let has = |wanted| mode.split(',').any(|option| option == wanted);
    let shared = || label.splitn(4, ':').take(3).chain(["s0"]).collect::<Vec<_>>().join(":");
    if has("Z") { Some(label.to_string()) } else { has("z").then(shared) }
}

/// What the policy says: `process = "…"`, `file = "…"`.
fn defaults() -> Labels {
    let read = |path: &str| {
        let bytes = base::files::read_capped(Path::new(path), 64 << 10).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let kind = value(&read("/etc/selinux/config"), "SELINUXTYPE");
    let text = kind.map(|kind| read(&format!("/etc/selinux/{kind}/contexts/lxc_contexts")));
    let one = |key, otherwise: &str| {
        let found = text.as_deref().and_then(|text| value(text, key));
        found.unwrap_or_else(|| otherwise.to_string())
    };
    Labels { process: one("process", PROCESS), mount: one("file", FILE) }
}

/// `key = "value"`
fn value(text: &str, key: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.trim() == key && !value.is_empty()).then(|| value.to_string())
    })
}

fn merged(options: &[&str], defaults: &Labels, level: &str) -> Option<Labels> {
    // user:role:type:level, whose level has colons of its own.
    let parts = |text: &str| -> Vec<String> { text.splitn(4, ':').map(str::to_string).collect() };
    let (mut process, mut mount) = (parts(&defaults.process), parts(&defaults.mount));
    for last in [&mut process, &mut mount].into_iter().filter_map(|parts| parts.get_mut(3)) {
        *last = level.to_string();
    }
    for option in options {
        let (name, value) = option.split_once(':').unwrap_or((option, ""));
        let mut set = |of_process: bool, of_mount: bool, place: usize| {
            for (list, is_meant) in [(&mut process, of_process), (&mut mount, of_mount)] {
                if is_meant && let Some(part) = list.get_mut(place) {
                    *part = value.to_string();
                }
            }
        };
        match name {
            "disable" => return None,
            "user" => set(true, true, 0),
            "role" => set(true, false, 1),
            "type" => set(true, false, 2),
            "filetype" => set(false, true, 2),
            _ => set(true, true, 3),
        }
    }
    Some(Labels { process: process.join(":"), mount: mount.join(":") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_change_their_part() {
        let defaults = Labels { process: PROCESS.to_string(), mount: FILE.to_string() };
        for (options, process, mount) in [
            (
                &["type:spc_t"][..],
                "system_u:system_r:spc_t:s0:c3,c4",
                "system_u:object_r:container_file_t:s0:c3,c4",
            ),
            (
                &["level:s0:c1,c2"],
                "system_u:system_r:container_t:s0:c1,c2",
                "system_u:object_r:container_file_t:s0:c1,c2",
            ),
            (
                &["user:u", "role:r", "filetype:f", "level:s1"],
                "u:r:container_t:s1",
                "u:object_r:f:s1",
            ),
        ] {
            let labels = merged(options, &defaults, "s0:c3,c4").expect("labels");
            assert_eq!((labels.process.as_str(), labels.mount.as_str()), (process, mount));
        }
        assert_eq!(merged(&["type:a", "disable"], &defaults, "s0"), None);
        let text = "# a\nprocess = \"a:b:c:s0\"\nfile=\"d\"\n";
        assert_eq!(value(text, "process").as_deref(), Some("a:b:c:s0"));
        assert_eq!(value(text, "file").as_deref(), Some("d"));
        assert_eq!(value(text, "x"), None);
    }

    #[test]
    fn levels_are_two_categories_of_the_id() {
        for (id, want) in
            [("ab00000", "s0:c0,c1"), ("fffff", "s0:c1022,c1023"), ("ee00401", "s0:c0,c1")]
        {
            assert_eq!(level(id), want, "{id}");
        }
        let label = "u:object_r:t:s0:c1,c2";
        for (mode, want) in
            [("Z", Some(label)), ("ro,z", Some("u:object_r:t:s0")), ("ro", None), ("", None)]
        {
            assert_eq!(of_files(mode, Some(label)).as_deref(), want, "{mode}");
        }
        assert_eq!(of_files("z", None), None);
    }

    #[test]
    fn wrong_options_are_named() {
        for option in ["disable", "type:container_t", "level:s0:c1,c2"] {
            assert!(check(option).is_ok(), "{option}");
        }
        for option in ["what", "type:", "color:red"] {
            let error = check(option).expect_err(option);
            assert!(error.message().contains("bad label option"), "{}", error.message());
        }
    }
}
