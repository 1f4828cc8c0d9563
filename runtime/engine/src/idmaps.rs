//! Containers whose ids are others on the host: `--userns`, and `userns-remap` of the settings, as
//! docker's daemon has it.
//!
//! `--userns remap[:USER[:GROUP]]` takes the range that /etc/subuid and /etc/subgid give a user. Without
//! one, and for the setting `default`, the first of [`DEFAULTS`] that has a range. Of several ranges of
//! a user the largest one is taken.

use crate::Engine;
use base::paths::{openat, stat, statat};
use base::text::quote::quoted;
use base::{Error, OnError, Result};
use base_http::api::host_config::HostConfig;
use libcontainer::UserNamespace;
use libcontainer::subordinate::PROGRAMS;
use rustix::fs::{AtFlags, Mode, OFlags};
use std::os::fd::BorrowedFd;
use std::path::Path;

/// Ours, docker's, podman's.
const DEFAULTS: [&str; 3] = ["coracle", "dockremap", "containers"];
/// Where the ranges are, and where a name's number is.
const USERS: [&str; 2] = ["/etc/subuid", "/etc/passwd"];
const GROUPS: [&str; 2] = ["/etc/subgid", "/etc/group"];

impl Engine {
    /// The ids of a container's own user namespace, if it gets one.
    pub(crate) fn ids_of(&self, host: &HostConfig) -> Result<Option<UserNamespace>> {
        let setting = self.folders().settings.userns_remap.as_str();
        let setting = if setting == "default" { "" } else { setting };
        let ordinary = self.user_namespace();
        match host.userns_mode.as_str() {
            "" | "host" if ordinary.is_some() => Ok(ordinary),
            "host" => Ok(None),
            "" if self.folders().settings.userns_remap.is_empty() => Ok(None),
            _ if ordinary.is_some() => {
                Err(Error::unsupported("--userns: a range of ids needs root"))
            }
            "" | "remap" => range(setting).map(Some),
            mode => match mode.strip_prefix("remap:") {
                Some(user) if !user.is_empty() => range(user).map(Some),
                _ => Err(Error::bad_input(format!(
                    "invalid USER mode: {mode} (known: host, remap, remap:USER)"
                ))),
            },
        }
    }
}

/// Docker's rules about what such a container cannot have.
pub(crate) fn check(host: &HostConfig, ids: Option<UserNamespace>) -> Result<()> {
    if ids.is_none_or(|ids| ids.is_ordinary()) {
        return Ok(());
    }
    let modes = [&host.network_mode, &host.pid_mode, &host.ipc_mode];
    let why = if host.privileged {
        "privileged mode is incompatible with user namespaces.  You must run the container in the \
         host namespace when running privileged mode"
    } else if host.network_mode == "host" {
        "cannot share the host's network namespace when user namespaces are enabled"
    } else if host.pid_mode == "host" {
        "cannot share the host PID namespace when user namespaces are enabled"
    } else if modes.into_iter().any(|mode| mode.starts_with("container:")) {
        "cannot share another container's namespaces when user namespaces are enabled"
    } else {
        return Ok(());
    };
    Err(Error::bad_input(why))
}

/// `USER[:GROUP]`; empty for one of the defaults.
fn range(wanted: &str) -> Result<UserNamespace> {
    let users: &[&str] = if wanted.is_empty() { &DEFAULTS } else { &[wanted] };
    let mut result = Err(Error::other("no user"));
    for user in users {
        let (user, group) = user.split_once(':').unwrap_or((user, user));
        let found = of_user(USERS, user, "subuid")
            .and_then(|uids| Ok((uids, of_user(GROUPS, group, "subgid")?)));
        if let Ok(((uid, users), (gid, groups))) = found {
            return Ok(UserNamespace { uid, gid, count: users.min(groups), rest: None });
        }
        result = result.or(found.map(drop));
    }
    let wanted = if wanted.is_empty() { DEFAULTS.join(", ") } else { wanted.to_string() };
    match result {
        Err(error) if users.len() == 1 => Err(error),
        _ => Err(Error::bad_input(format!(
            "can't create ID mappings: no ranges in /etc/subuid and /etc/subgid for any of {wanted}"
        ))),
    }
}

fn of_user([ranges, names]: [&str; 2], user: &str, what: &str) -> Result<(u32, u32)> {
    let read = |path: &str| {
        let bytes = base::files::read_capped(Path::new(path), 1 << 20).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    largest(&read(ranges), &spellings(&read(names), user)).ok_or_else(|| {
        Error::bad_input(format!(
            "can't create ID mappings: no {what} ranges found for user {} in {ranges}",
            quoted(user)
        ))
    })
}

/// A user's name and number, as far as they are known.
fn spellings<'a>(names: &'a str, user: &'a str) -> Vec<&'a str> {
    let mut spellings = vec![user];
    for line in names.lines() {
        let mut fields = line.split(':');
        let (name, number) = (fields.next().unwrap_or_default(), fields.nth(1).unwrap_or_default());
        if name == user || number == user {
            spellings.extend([name, number]);
        }
    }
    spellings
}

/// The largest range that a line `NAME:FIRST:COUNT` gives to one of these. 0 and what lies beyond the
/// kernel's ids are none; one id is an ordinary user's.
fn largest(text: &str, names: &[&str]) -> Option<(u32, u32)> {
    let range = |line: &str| {
        let mut fields = line.trim().split(':');
        let name = fields.next()?;
        let (first, count): (u32, u32) =
            (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let fits = first > 0 && count > 1 && first.checked_add(count).is_some();
        (fits && names.contains(&name)).then_some((first, count))
    };
    text.lines().filter_map(range).max_by_key(|(_, count)| *count)
}

/// The ids of a process in a user namespace that is not ours.
pub(crate) fn of_process(process: BorrowedFd<'_>) -> Result<Option<UserNamespace>> {
    let theirs = statat(process, "ns/user", AtFlags::empty());
    let (Ok(theirs), Ok(ours)) = (theirs, stat("/proc/self/ns/user")) else { return Ok(None) };
    if (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino) {
        return Ok(None);
    }
    let map = |name: &str| -> Result<Map> {
        let file = openat(process, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .on("open", name)?;
        let mut text = Vec::new();
        base::read::at_most(&mut std::fs::File::from(file), 4096, &mut text).on("read", name)?;
        Ok(Map::of(&String::from_utf8_lossy(&text)))
    };
    let (users, groups) = (map("uid_map")?, map("gid_map")?);
    let rest = users.second.zip(groups.second);
    let count = users.count.min(groups.count);
    Ok(Some(UserNamespace { uid: users.first, gid: groups.first, count, rest }))
}

/// Ids as /proc/PID/uid_map tells them: one range, or an ordinary user's own id and one more range.
#[derive(Debug, Default, PartialEq)]
struct Map {
    first: u32,
    second: Option<u32>,
    count: u32,
}

impl Map {
    fn of(text: &str) -> Map {
        let mut map = Map::default();
        for line in text.lines() {
            let mut numbers = line.split_whitespace().map(|word| word.parse().unwrap_or(0));
            let mut number = || numbers.next().unwrap_or(0);
            match (number(), number(), number()) {
                (0, first, count) => (map.first, map.count) = (first, count),
                (inside, first, count) if inside == map.count => {
                    map.second = Some(first);
                    map.count = map.count.saturating_add(count);
                }
                _ => (),
            }
        }
        map
    }
}

/// His own id, and his subordinate ones where they can be mapped.
pub(crate) fn of_ordinary_user(uid: u32, gid: u32) -> UserNamespace {
    let single = UserNamespace { uid, gid, count: 1, rest: None };
    const FOLDERS: [&str; 3] = ["/usr/bin", "/bin", "/usr/local/bin"];
    let there =
        |program: &&str| FOLDERS.iter().any(|folder| Path::new(folder).join(program).exists());
    if !PROGRAMS.iter().all(there) {
        return single;
    }
    // Both files name users.
    let of = |ranges| of_user([ranges, USERS[1]], &uid.to_string(), ranges).ok();
    match (of(USERS[0]), of(GROUPS[0])) {
        (Some((users, count)), Some((groups, others))) => {
            let count = count.min(others).saturating_add(1);
            UserNamespace { count, rest: Some((users, groups)), ..single }
        }
        _ => single,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_range_of_a_user_by_name_or_number() {
        let names = "root:x:0:0::/root:/bin/sh\nweb:x:1000:1000::/:/bin/sh\n";
        let text = "other:1:99999999\nweb:100000:65536\n1000:300000:70000\nweb:x:1\nbad\n";
        assert_eq!(largest(text, &spellings(names, "web")), Some((300000, 70000)));
        assert_eq!(largest(text, &spellings(names, "1000")), Some((300000, 70000)));
        assert_eq!(largest(text, &spellings("", "web")), Some((100000, 65536)));
        assert_eq!(largest(text, &spellings(names, "nobody")), None);
        for wrong in ["web:0:65536", "web:4294967295:2", "web:5:1", "web:-1:5", "web:5"] {
            assert_eq!(largest(wrong, &["web"]), None, "{wrong}");
        }
    }

    #[test]
    fn maps_as_the_kernel_tells_them() {
        for (text, want) in [
            ("         0     100000      65536\n", (100000, None, 65536)),
            ("0 1000 1\n", (1000, None, 1)),
            ("0 1000 1\n1 100000 65536\n", (1000, Some(100000), 65537)),
            ("", (0, None, 0)),
        ] {
            let map = Map::of(text);
            assert_eq!((map.first, map.second, map.count), want, "{text}");
        }
    }

    #[test]
    fn what_it_cannot_share() {
        let ids = Some(UserNamespace { uid: 100000, gid: 100000, count: 65536, rest: None });
        let with = |change: &dyn Fn(&mut HostConfig)| {
            let mut host = HostConfig::default();
            change(&mut host);
            (check(&host, ids).is_ok(), check(&host, None).is_ok())
        };
        assert_eq!(with(&|_| ()), (true, true));
        assert_eq!(with(&|host| host.privileged = true), (false, true));
        assert_eq!(with(&|host| host.network_mode = "host".into()), (false, true));
        assert_eq!(with(&|host| host.pid_mode = "host".into()), (false, true));
        assert_eq!(with(&|host| host.network_mode = "container:x".into()), (false, true));
    }
}
