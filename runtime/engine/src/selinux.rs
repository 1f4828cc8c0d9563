//! `--security-opt label=`: the contexts that SELinux shall give to a container's processes and to its
//! mounts. The parts that nobody names are those of the policy's file `lxc_contexts`.
//!
//! A container for which nobody asks for a label gets none, as with docker's daemon without
//! `--selinux-enabled`; where SELinux is off, labels are read and mean nothing, as with docker.

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
            "bad label option {option:?}, valid options 'disable' or 'user, role, level, type, \
             filetype' followed by ':' and a value"
        ))),
    }
}

/// The contexts of a container with these options, where there is SELinux.
pub(crate) fn labels(options: &[&str]) -> Option<Labels> {
    if options.is_empty() || !Path::new(ENABLED).exists() {
        return None;
    }
    merged(options, &defaults())
}

/// The contexts as `inspect` shows them.
pub(crate) fn shown(host: &HostConfig) -> Labels {
    let options = host.security_opt.iter().flatten();
    let options: Vec<&str> =
        options.filter_map(|one| one.strip_prefix("label")?.get(1..)).collect();
    let found = if host.privileged { None } else { labels(&options) };
    found.unwrap_or_default()
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

fn merged(options: &[&str], defaults: &Labels) -> Option<Labels> {
    // user:role:type:level, whose level has colons of its own.
    let parts = |text: &str| -> Vec<String> { text.splitn(4, ':').map(str::to_string).collect() };
    let (mut process, mut mount) = (parts(&defaults.process), parts(&defaults.mount));
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
            (&["type:spc_t"][..], "system_u:system_r:spc_t:s0", FILE),
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
            let labels = merged(options, &defaults).expect("labels");
            assert_eq!((labels.process.as_str(), labels.mount.as_str()), (process, mount));
        }
        assert_eq!(merged(&["type:a", "disable"], &defaults), None);
        let text = "# a\nprocess = \"a:b:c:s0\"\nfile=\"d\"\n";
        assert_eq!(value(text, "process").as_deref(), Some("a:b:c:s0"));
        assert_eq!(value(text, "file").as_deref(), Some("d"));
        assert_eq!(value(text, "x"), None);
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
