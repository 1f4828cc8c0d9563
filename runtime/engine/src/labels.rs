//! `--security-opt apparmor=`: the profile that AppArmor shall apply to a container.
//!
//! The default profile is docker's, if somebody has loaded it: we load none.

use base::{Error, Result};
use base_http::api::host_config::HostConfig;
use std::path::Path;

/// The profile that docker loads and gives to every container.
const DEFAULT: &str = "docker-default";
const ENABLED: &str = "/sys/module/apparmor/parameters/enabled";
const LOADED: &str = "/sys/kernel/security/apparmor/profiles";

fn read(path: &str) -> Option<String> {
    let bytes = base::files::read_capped(Path::new(path), 4 << 20).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Lines of `NAME (MODE)`.
fn names(list: &str, profile: &str) -> bool {
    list.lines().any(|line| line.rsplit_once(" (").is_some_and(|(name, _)| name == profile))
}

/// The profile to enter: what was asked for, or the default. `None`: none.
pub(crate) fn apparmor(asked: Option<&str>, privileged: bool) -> Result<Option<String>> {
    let enabled = || read(ENABLED).is_some_and(|text| text.starts_with('Y'));
    let loaded = |profile: &str| read(LOADED).map(|list| names(&list, profile));
    match asked {
        Some("unconfined") => Ok(None),
        Some("") => Err(Error::bad_input("invalid --security-opt 2: \"apparmor=\"")),
        Some(profile) if !enabled() => Err(Error::unsupported(format!(
            "--security-opt apparmor={profile}: this kernel has no AppArmor, or it is off (kernel \
             option CONFIG_SECURITY_APPARMOR, boot with apparmor=1 security=apparmor)"
        ))),
        Some(profile) if loaded(profile) == Some(false) => Err(Error::bad_input(format!(
            "--security-opt apparmor={profile}: no such profile is loaded ({LOADED})"
        ))),
        Some(profile) => Ok(Some(profile.to_string())),
        None if privileged || !enabled() => Ok(None),
        None => Ok((loaded(DEFAULT) == Some(true)).then(|| DEFAULT.to_string())),
    }
}

/// The profile as `inspect` shows it.
pub(crate) fn shown(host: &HostConfig) -> String {
    let mut options = host.security_opt.iter().flatten();
    let asked = options.find_map(|option| option.strip_prefix("apparmor")?.get(1..));
    match asked {
        Some(asked) => asked.to_string(),
        None => apparmor(None, host.privileged).ok().flatten().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_found_by_their_whole_name() {
        let list = "docker-default (enforce)\n/usr/bin/man (complain)\na b (x) (enforce)\n";
        for name in ["docker-default", "/usr/bin/man", "a b (x)"] {
            assert!(names(list, name), "{name}");
        }
        for name in ["docker", "man", "", "docker-default (enforce)"] {
            assert!(!names(list, name), "{name}");
        }
    }
}
