//! What a container may do: capabilities, seccomp, protected paths, as `--privileged`, `--cap-add`,
//! `--cap-drop` and `--security-opt` say. Pure but for one question to the kernel.

use crate::labels;
use crate::selinux::{self, Labels};
use base::text::quote::quoted;
use base::{Error, Result};
use base_http::api::host_config::HostConfig;
use libcontainer::capabilities::Capabilities;
use libcontainer::seccomp::{self, Seccomp};

/// The options of one container, read.
pub(crate) struct Security {
    pub(crate) capabilities: Capabilities,
    pub(crate) no_new_privileges: bool,
    pub(crate) seccomp: Seccomp,
    /// The default profile would be loaded, if this kernel had filters.
    pub(crate) lacks_filter: bool,
    /// Nothing in /proc and /sys is hidden or read-only.
    pub(crate) system_paths: bool,
    /// The profile to enter.
    pub(crate) apparmor: Option<String>,
    /// What SELinux shall call it.
    pub(crate) selinux: Option<Labels>,
}

fn invalid(option: &str) -> Error {
    Error::bad_input(["invalid --security-opt 2: ", &quoted(option)].concat())
}

/// Reads them. What this machine cannot do is refused. `labelled`: SELinux, also if nobody asks.
pub(crate) fn of(host: &HostConfig, id: &str, labelled: bool) -> Result<Security> {
    let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let capabilities = if host.privileged {
        Capabilities::all()
    } else {
        Capabilities::tweaked(&list(&host.cap_add), &list(&host.cap_drop))?
    };
    let mut profile = None;
    let mut no_new_privileges = false;
    let mut apparmor = None;
    for option in host.security_opt.iter().flatten() {
        if option == "no-new-privileges" {
            no_new_privileges = true;
            continue;
        }
        let (name, value) =
            option.split_once('=').or_else(|| option.split_once(':')).ok_or_else(|| {
                Error::bad_input(["invalid --security-opt 1: ", &quoted(option)].concat())
            })?;
        match (name, value) {
            ("no-new-privileges", "true" | "1") => no_new_privileges = true,
            ("no-new-privileges", "false" | "0") => no_new_privileges = false,
            ("seccomp", "unconfined") => profile = Some(Seccomp::Unconfined),
            ("seccomp", "builtin") => profile = Some(Seccomp::Builtin),
            ("seccomp", text) => profile = Some(Seccomp::Document(text.to_string())),
            ("apparmor", profile) => apparmor = Some(profile),
            ("label", option) => {
                selinux::check(option)?;
            }
            _ => return Err(invalid(option)),
        }
    }
    if let Some(Seccomp::Document(text)) = &profile {
        seccomp::check(text)?;
    }
    let supported = base::sys::seccomp::is_supported();
    let lacks_filter = !supported && profile != Some(Seccomp::Unconfined) && !host.privileged;
    let seccomp = match profile {
        Some(Seccomp::Document(_)) if !supported => {
            return Err(Error::unsupported(
                "seccomp is not enabled in your kernel, cannot run a custom seccomp profile \
                 (kernel option CONFIG_SECCOMP_FILTER)",
            ));
        }
        Some(profile) if supported => profile,
        // As Docker: the default profile only where there are filters, and not for the privileged.
        None if supported && !host.privileged => Seccomp::Builtin,
        _ => Seccomp::Unconfined,
    };
    let unconfined = |paths: &Option<Vec<String>>| match paths.as_deref() {
        None => Ok(false),
        Some([]) => Ok(true),
        Some(_) => Err(Error::unsupported("lists of MaskedPaths or ReadonlyPaths of one's own")),
    };
    let system_paths = unconfined(&host.masked_paths)? & unconfined(&host.readonly_paths)?;
    let apparmor = labels::apparmor(apparmor, host.privileged)?;
    let selinux = selinux::labels(host, id, labelled);
    Ok(Security {
        capabilities,
        no_new_privileges,
        seccomp,
        lacks_filter,
        system_paths,
        apparmor,
        selinux,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(options: &[&str]) -> Result<Security> {
        let options = options.iter().map(|option| option.to_string()).collect();
        of(&HostConfig { security_opt: Some(options), ..HostConfig::default() }, "", false)
    }

    #[test]
    fn options_are_read_and_wrong_ones_refused() {
        assert_eq!(with(&[]).expect("none").seccomp, Seccomp::Builtin);
        assert_eq!(with(&["seccomp=unconfined"]).expect("option").seccomp, Seccomp::Unconfined);
        assert!(with(&["no-new-privileges"]).expect("option").no_new_privileges);
        assert!(with(&["no-new-privileges:true"]).expect("option").no_new_privileges);
        assert!(!with(&["no-new-privileges=false"]).expect("option").no_new_privileges);
        with(&["label=disable", "apparmor=unconfined"]).expect("options");
        for (option, want) in [
            ("x", "invalid --security-opt 1: \"x\""),
            ("x=y", "invalid --security-opt 2: \"x=y\""),
            ("no-new-privileges=maybe", "invalid --security-opt 2"),
            ("seccomp={}", "seccomp profile: unknown action"),
            ("apparmor=", "invalid --security-opt 2: \"apparmor=\""),
            ("label=colour:x", "bad label option"),
        ] {
            let error = with(&[option]).err().expect(option);
            assert!(error.message().contains(want), "{}", error.message());
        }
    }

    #[test]
    fn the_privileged_have_everything() {
        let host = HostConfig { privileged: true, ..HostConfig::default() };
        let security = of(&host, "", false).expect("privileged");
        assert_eq!(security.seccomp, Seccomp::Unconfined);
        assert_eq!(security.capabilities, Capabilities::all());
    }
}
