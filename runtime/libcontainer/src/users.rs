//! `user[:group]` against the image's /etc/passwd and /etc/group, as Docker resolves it.
//!
//! The files are hostile: they are read with a cap, line by line, and a text of digits is always a
//! number, never looked up as a name (CVE-2024-40635 and its like: ids beyond 32 bits wrap to 0).

use base::{Error, Result};

/// The ids that a program runs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Home folder, for $HOME.
    pub home: String,
}

/// The most bytes of /etc/passwd or /etc/group that are read.
pub const LARGEST_FILE: u64 = 1 << 20;
/// The most supplementary groups that a user may have here.
const MOST_GROUPS: usize = 256;

/// Resolves `wanted` against the two files' contents (empty when an image lacks them).
pub fn resolve(wanted: &str, passwd: &[u8], group: &[u8]) -> Result<User> {
    let (user, wanted_group) = match wanted.split_once(':') {
        Some((user, group)) => (user, group),
        None => (wanted, ""),
    };
    let user = if user.is_empty() { "0" } else { user };
    let number = id(user)?;
    let entry = lines(passwd).find_map(|fields| {
        let [name, _, uid, gid, _, home, ..] = fields[..] else { return None };
        let uid: u32 = uid.parse().ok()?;
        let gid: u32 = gid.parse().ok()?;
        let found = match number {
            Some(number) => number == uid,
            None => name == user,
        };
        found.then(|| (name.to_string(), uid, gid, home.to_string()))
    });
    let (name, uid, mut gid, home) = match (entry, number) {
        (Some(entry), _) => entry,
        (None, Some(number)) => (String::new(), number, 0, String::new()),
        (None, None) => {
            return Err(Error::bad_input(format!(
                "unable to find user {user}: no matching entries in passwd file"
            )));
        }
    };
    let mut groups = Vec::new();
    if wanted_group.is_empty() {
        for fields in lines(group) {
            let [_, _, number, members, ..] = fields[..] else { continue };
            if !name.is_empty()
                && groups.len() < MOST_GROUPS
                && members.split(',').any(|member| member == name)
                && let Ok(number) = number.parse()
                && !groups.contains(&number)
            {
                groups.push(number);
            }
        }
    } else {
        gid = self::group(wanted_group, group)?;
    }
    let home = if home.is_empty() { "/".to_string() } else { home };
    Ok(User { uid, gid, groups, home })
}

/// The number of a group that is named by name or number.
pub fn group(wanted: &str, file: &[u8]) -> Result<u32> {
    let number = id(wanted)?;
    let found = lines(file).find_map(|fields| {
        let [name, _, gid, ..] = fields[..] else { return None };
        let gid: u32 = gid.parse().ok()?;
        let same = match number {
            Some(number) => number == gid,
            None => name == wanted,
        };
        same.then_some(gid)
    });
    found.or(number).ok_or_else(|| {
        Error::bad_input(format!(
            "unable to find group {wanted}: no matching entries in group file"
        ))
    })
}

/// A text of digits as an id. Anything else is a name (`None`); what looks like a number but is
/// none of the kernel's ids is refused.
fn id(text: &str) -> Result<Option<u32>> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse::<u32>() {
        // The highest means "no change" to the kernel.
        Ok(number) if number <= i32::MAX as u32 => Ok(Some(number)),
        _ => Err(Error::bad_input(format!("uids and gids must be in range 0-2147483647: {text}"))),
    }
}

/// The fields of each line that is text.
fn lines(file: &[u8]) -> impl Iterator<Item = Vec<&str>> {
    file.split(|byte| *byte == b'\n')
        .filter_map(|line| std::str::from_utf8(line).ok())
        .map(|line| line.split(':').collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] =
        b"root:x:0:0:root:/root:/bin/sh\n\nbad\nweb:x:33:34:web:/srv:/bin/sh\n55:x:77:77::/x:\n";
    const GROUP: &[u8] = b"root:x:0:\nwww:x:34:\nlog:x:4:web,root\nadm:x:5:web\nlog2:x:4:web\n";

    #[test]
    fn users_are_resolved_as_docker_does() {
        // wanted, uid, gid, groups, home
        let cases: [(&str, u32, u32, &[u32], &str); 10] = [
            ("", 0, 0, &[4], "/root"),
            ("root", 0, 0, &[4], "/root"),
            ("0", 0, 0, &[4], "/root"),
            ("web", 33, 34, &[4, 5], "/srv"),
            ("33", 33, 34, &[4, 5], "/srv"),
            ("web:log", 33, 4, &[], "/srv"),
            ("web:7", 33, 7, &[], "/srv"),
            ("1000", 1000, 0, &[], "/"),
            ("1000:www", 1000, 34, &[], "/"),
            // All digits: never looked up by name.
            ("55", 55, 0, &[], "/"),
        ];
        for (wanted, uid, gid, groups, home) in cases {
            let user = resolve(wanted, PASSWD, GROUP).expect(wanted);
            let want = User { uid, gid, groups: groups.to_vec(), home: home.to_string() };
            assert_eq!(user, want, "{wanted}");
        }
    }

    #[test]
    fn what_is_no_user_is_refused() {
        let wrong =
            ["nobody", "+1", "-1", " 1", "0x1", "4294967296", "4294967295", "web:none", "web:-1"];
        for wanted in wrong {
            assert!(resolve(wanted, PASSWD, GROUP).is_err(), "{wanted:?}");
        }
    }
}
