//! Capabilities by name, and the set that a container gets (capabilities(7)).

use base::{Error, Result};

/// A set of capabilities, bit N for capability N.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities(pub u64);

/// The names in the order of their numbers, without `CAP_`.
pub const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Docker's default set.
const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// The bit of a capability by its name without `CAP_`; none for a name that is none.
#[must_use]
pub const fn bit(name: &str) -> u64 {
    let mut number = 0;
    while number < NAMES.len() {
        if same(NAMES[number].as_bytes(), name.as_bytes()) {
            return 1 << number;
        }
        number += 1;
    }
    0
}

const fn same(one: &[u8], other: &[u8]) -> bool {
    let mut place = 0;
    while place < one.len() && place < other.len() && one[place] == other[place] {
        place += 1;
    }
    place == one.len() && place == other.len()
}

/// The bits of these names, with or without `CAP_`, and whether ALL is among them.
fn set(names: &[String], list: &str) -> Result<(u64, bool)> {
    let (mut mask, mut all) = (0, false);
    for name in names {
        let name = name.trim().to_ascii_uppercase();
        if name == "ALL" || name == "CAP_ALL" {
            all = true;
            continue;
        }
        let plain = name.strip_prefix("CAP_").unwrap_or(&name);
        match bit(plain) {
            0 => {
                return Err(Error::bad_input(format!(
                    "invalid {list}: unknown capability: \"CAP_{plain}\""
                )));
            }
            bit => mask |= bit,
        }
    }
    Ok((mask, all))
}

impl Capabilities {
    /// None at all.
    pub const NONE: Capabilities = Capabilities(0);

    /// What a container gets unless it is told otherwise.
    pub fn default_set() -> Capabilities {
        let mut mask = 0;
        for (number, name) in NAMES.iter().enumerate() {
            if DEFAULT.contains(name) {
                mask |= 1 << number;
            }
        }
        Capabilities(mask)
    }

    /// All that this kernel's bounding set of ours has: never more than we could give.
    pub fn all() -> Capabilities {
        let file = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = file.lines().find_map(|line| line.strip_prefix("CapBnd:"));
        let mask = line.and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
        Capabilities(mask.unwrap_or((1 << NAMES.len()) - 1))
    }

    /// Docker's default set with these added and those dropped, as Docker reads the two lists.
    pub fn tweaked(add: &[String], drop: &[String]) -> Result<Capabilities> {
        let (added, add_all) = set(add, "CapAdd")?;
        let (dropped, drop_all) = set(drop, "CapDrop")?;
        Ok(Capabilities(match (add_all, drop_all) {
            (true, _) => Capabilities::all().0 & !dropped,
            (false, true) => added,
            (false, false) => (Capabilities::default_set().0 & !dropped) | added,
        }))
    }

    /// The names of those in the set, in the order of their numbers.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES
            .iter()
            .enumerate()
            .filter(move |(number, _)| self.0 & (1 << number) != 0)
            .map(|(_, name)| *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_docker_reads_them() {
        let list =
            |text: &str| -> Vec<String> { text.split_whitespace().map(String::from).collect() };
        let default = Capabilities::default_set().0;
        let all = Capabilities::all().0;
        let cases = [
            ("", "", default),
            ("SYS_ADMIN", "", default | 1 << 21),
            ("cap_sys_admin NET_RAW", "CHOWN", (default | 1 << 21) & !1),
            ("", "ALL", 0),
            ("chown", "all", 1),
            ("ALL", "", all),
            ("ALL", "CAP_CHOWN KILL", all & !(1 | 1 << 5)),
            ("ALL", "ALL", all),
            ("KILL", "KILL", default),
        ];
        for (add, drop, want) in cases {
            let got = Capabilities::tweaked(&list(add), &list(drop)).expect("tweaked");
            assert_eq!(got, Capabilities(want), "+{add} -{drop}");
        }
        for (add, drop, want) in [
            ("CHWON", "", "invalid CapAdd: unknown capability: \"CAP_CHWON\""),
            ("", "cap_x", "invalid CapDrop: unknown capability: \"CAP_X\""),
        ] {
            let error = Capabilities::tweaked(&list(add), &list(drop)).expect_err(want);
            assert_eq!(error.message(), want);
        }
    }

    #[test]
    fn the_default_set_is_dockers() {
        // CapEff of a container of Docker's, from /proc/self/status.
        assert_eq!(Capabilities::default_set(), Capabilities(0x0000_0000_a804_25fb));
        assert_eq!(Capabilities::default_set().names().count(), DEFAULT.len());
    }
}
