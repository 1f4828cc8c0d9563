//! Flags of `run` and `create` about networks, which are not there yet: known, and refused in one line.
//! `--expose` says something about the program, and is kept.

use base::flags::Matches;
use base::{Error, Result};

/// What is wrong with `PORT[-PORT][/PROTOCOL]`.
pub(crate) fn check_expose(text: &str) -> std::result::Result<(), String> {
    match exposed(text) {
        Some(_) => Ok(()),
        None => Err(["invalid range format for --expose: ", text].concat()),
    }
}

/// Each port with its protocol.
pub(crate) fn exposed(text: &str) -> Option<Vec<String>> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
    let protocol = protocol.to_ascii_lowercase();
    let fits = first > 0 && first <= last && ["tcp", "udp", "sctp"].contains(&protocol.as_str());
    fits.then(|| (first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

/// Flags that say something of a network.
const OF_NETWORKS: [&str; 8] = [
    "ip",
    "ip6",
    "link",
    "link-local-ip",
    "mac-address",
    "network-alias",
    "publish",
    "publish-all",
];

/// Refuses those that were given.
pub(crate) fn refuse(matches: &Matches) -> Result<()> {
    let given = |name: &&&str| matches.text(name).is_some_and(|text| text != "false");
    match OF_NETWORKS.iter().find(given) {
        Some(name) => Err(Error::unsupported(
            ["--", name, ": networks are not supported yet (--net host has the host's)"].concat(),
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_ranges() {
        let list = |text: &str| exposed(text).map(|ports| ports.join(" "));
        assert_eq!(list("80").as_deref(), Some("80/tcp"));
        assert_eq!(list("7-9/UDP").as_deref(), Some("7/udp 8/udp 9/udp"));
        for wrong in ["", "0", "x", "9-8", "80/icmp", "65536", "1-"] {
            assert_eq!(list(wrong), None, "{wrong}");
        }
    }
}
