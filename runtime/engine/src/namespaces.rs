//! Which namespaces a container has of its own, and which it shares: the modes of the API.

use crate::container::{Process, Record};
use crate::{Engine, idmaps};
use base::paths::openat;
use base::text::quote::quoted;
use base::{Error, OnError, Result};
use base_http::api::host_config::HostConfig;
use libcontainer::{Namespace, Namespaces, SharedMemory};
use rustix::fs::{Mode, OFlags};
use std::net::IpAddr;

/// Whose namespace of a kind it is.
enum Owner<'a> {
    Own,
    Host,
    Container(&'a str),
}

fn owner<'a>(mode: &'a str, kind: &str) -> Result<Owner<'a>> {
    match mode {
        "" | "private" | "none" | "default" => Ok(Owner::Own),
        "host" => Ok(Owner::Host),
        _ => match mode.strip_prefix("container:") {
            Some("") => Err(Error::bad_input(format!(
                "invalid {kind} mode: a container's name or id is missing after container:"
            ))),
            Some(name) => Ok(Owner::Container(name)),
            None => Err(Error::bad_input(format!("invalid {kind} mode: {mode}"))),
        },
    }
}

/// Refuses modes that cannot be; puts the ids of containers in the place of their names, so that a new
/// name changes nothing.
pub(crate) fn check(engine: &Engine, host: &mut HostConfig, hostname_given: bool) -> Result<()> {
    let ordinary_user = engine.is_ordinary();
    if host.uts_mode == "host" && hostname_given {
        return Err(Error::bad_input("conflicting options: hostname and the UTS mode"));
    }
    if host.pid_mode == "private" || !["", "host"].contains(&host.uts_mode.as_str()) {
        let mode = if host.pid_mode == "private" { &host.pid_mode } else { &host.uts_mode };
        return Err(Error::bad_input(format!("invalid mode of a namespace: {mode}")));
    }
    match host.ipc_mode.as_str() {
        "" | "private" | "shareable" | "none" | "host" => (),
        mode if mode.starts_with("container:") => (),
        mode => return Err(Error::bad_input(format!("invalid IPC mode: {mode}"))),
    }
    if !["", "private", "host"].contains(&host.cgroupns_mode.as_str()) {
        let mode = &host.cgroupns_mode;
        return Err(Error::bad_input(format!("invalid cgroup namespace mode: {mode}")));
    }
    idmaps::check(host, engine.ids_of(host)?)?;
    let shares = [&host.pid_mode, &host.ipc_mode, &host.uts_mode, &host.cgroupns_mode]
        .into_iter()
        .any(|mode| mode == "host" || mode.starts_with("container:"));
    if ordinary_user && (shares || host.network_mode.starts_with("container:")) {
        return Err(Error::unsupported("shared namespaces need root (but --net host)"));
    }
    for mode in [&mut host.pid_mode, &mut host.network_mode, &mut host.ipc_mode] {
        if let Some(name) = mode.strip_prefix("container:") {
            let found = engine.containers().find(name)?;
            *mode = format!("container:{}", found.id());
        }
    }
    check_sysctls(host)
}

/// Docker's list: what belongs to the namespaces that a container has of its own.
fn check_sysctls(host: &HostConfig) -> Result<()> {
    const IPC: [&str; 8] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    for name in host.sysctls.keys() {
        let wrong = |why: &str| Err(Error::bad_input(format!("sysctl '{name}' {why}")));
        // One spelling: a slash would be a way around the list.
        if name.contains('/') || name.split('.').any(str::is_empty) {
            return wrong("is not allowed");
        }
        let (ipc, net) = (
            IPC.contains(&name.as_str()) || name.starts_with("fs.mqueue."),
            name.starts_with("net."),
        );
        match (ipc, net) {
            (true, _) if host.ipc_mode == "host" => {
                return wrong("not allowed in host ipc namespace");
            }
            (_, true) if host.network_mode == "host" => {
                return wrong("not allowed in host network namespace");
            }
            (false, false) => return wrong("is not allowed"),
            _ => (),
        }
    }
    Ok(())
}

/// Kernel parameters as paths below /proc/sys, and their values.
pub(crate) fn sysctls(record: &Record) -> Vec<(String, String)> {
    let host = &record.host_config;
    let path = |name: &String| name.replace('.', "/");
    host.sysctls.iter().map(|(name, value)| (path(name), value.clone())).collect()
}

/// Opens the namespaces that are shared.
pub(crate) fn open(engine: &Engine, host: &HostConfig) -> Result<Namespaces> {
    let one = |mode: &str, kind: &str, file: &str| match owner(mode, kind)? {
        Owner::Own => Ok(Namespace::Own),
        Owner::Host => Ok(Namespace::Host),
        Owner::Container(name) => open_of(engine, name, kind, file),
    };
    Ok(Namespaces {
        network: one(&host.network_mode, "network", "ns/net")?,
        pid: one(&host.pid_mode, "PID", "ns/pid")?,
        ipc: match host.ipc_mode.as_str() {
            "shareable" => Namespace::Own,
            mode => {
                let shared = one(mode, "IPC", "ns/ipc")?;
                if shared.is_of() {
                    check_shareable(engine, mode)?;
                }
                shared
            }
        },
        uts: if host.uts_mode == "host" { Namespace::Host } else { Namespace::Own },
        host_cgroups: host.cgroupns_mode == "host",
    })
}

fn open_of(engine: &Engine, name: &str, kind: &str, file: &str) -> Result<Namespace> {
    let container = engine.containers().find(name)?;
    let state = container.state();
    let Some(process) = state.process.as_ref().and_then(Process::folder) else {
        return Err(Error::conflict(format!(
            "cannot join {kind} namespace of a non running container: {}",
            container.id()
        )));
    };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    openat(&process, file, flags, Mode::empty()).on("open", file).map(Namespace::Of)
}

/// Docker's rule: whoever shares his memory has said so.
fn check_shareable(engine: &Engine, mode: &str) -> Result<()> {
    let name = mode.strip_prefix("container:").unwrap_or_default();
    let container = engine.containers().find(name)?;
    match container.record.host_config.ipc_mode.as_str() {
        "shareable" => Ok(()),
        _ => Err(Error::bad_input(format!(
            "can't join IPC of container {}: non-shareable IPC (hint: use IpcMode:shareable for the \
             donor container)",
            container.id()
        ))),
    }
}

/// /dev/shm.
pub(crate) fn shared_memory(engine: &Engine, host: &HostConfig) -> Result<SharedMemory> {
    if let Some(name) = host.ipc_mode.strip_prefix("container:") {
        return Ok(match open_of(engine, name, "IPC", "ns/mnt")? {
            Namespace::Of(mounts) => SharedMemory::Of(mounts),
            _ => SharedMemory::Missing,
        });
    }
    Ok(match host.ipc_mode.as_str() {
        "host" => SharedMemory::Host,
        "none" => SharedMemory::Missing,
        _ => SharedMemory::Own(crate::given::shm_size(host)?),
    })
}

/// Lines for /etc/hosts, from `--add-host`.
pub(crate) fn extra_hosts(host: &HostConfig) -> Result<String> {
    let mut lines = String::new();
    for text in host.extra_hosts.iter().flatten() {
        let wrong = || Error::bad_input(["bad format for add-host: ", &quoted(text)].concat());
        let (name, address) = text.split_once(':').ok_or_else(wrong)?;
        let address = address.trim_start_matches('[').trim_end_matches(']');
        if address == "host-gateway" {
            return Err(Error::unsupported(
                "--add-host host-gateway needs a network, which is not there yet",
            ));
        }
        let address: IpAddr = address.parse().map_err(|_| {
            Error::bad_input(["invalid IP address in add-host: ", &quoted(address)].concat())
        })?;
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(wrong());
        }
        lines.push_str(&format!("{address}\t{name}\n"));
    }
    Ok(lines)
}

/// The container's resolv.conf: the host's, with what is given in the place of what is there.
pub(crate) fn resolv_conf(host: &HostConfig, of_host: &str) -> Result<String> {
    for server in &host.dns {
        if server.parse::<IpAddr>().is_err() {
            return Err(Error::bad_input(format!("{server} is not an ip address")));
        }
    }
    let given =
        [("nameserver", &host.dns), ("search", &host.dns_search), ("options", &host.dns_options)];
    let mut text = String::new();
    for line in of_host.lines() {
        let word = line.split_whitespace().next().unwrap_or_default();
        // domain and search exclude each other.
        let word = if word == "domain" { "search" } else { word };
        if given.iter().all(|(name, values)| values.is_empty() || *name != word) {
            text.push_str(line);
            text.push('\n');
        }
    }
    for (name, values) in given {
        match name {
            _ if values.is_empty() => (),
            "nameserver" => {
                values.iter().for_each(|value| text.push_str(&format!("{name} {value}\n")));
            }
            // One dot: no domains at all.
            "search" if values.iter().any(|value| value == ".") => (),
            name => text.push_str(&format!("{name} {}\n", values.join(" "))),
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut HostConfig)) -> HostConfig {
        let mut host = HostConfig::default();
        change(&mut host);
        host
    }

    #[test]
    fn only_parameters_of_its_own_namespaces() {
        let sysctl = |name: &str, network: &str| {
            check_sysctls(&with(|host| {
                host.sysctls.insert(name.to_string(), "1".to_string());
                host.network_mode = network.to_string();
            }))
        };
        assert!(sysctl("net.ipv4.ip_forward", "none").is_ok());
        assert!(sysctl("kernel.msgmax", "none").is_ok() && sysctl("fs.mqueue.x", "none").is_ok());
        for (name, network) in [
            ("net.ipv4.ip_forward", "host"),
            ("kernel.panic", "none"),
            ("net/../kernel.x", "none"),
            ("net..x", "none"),
            ("vm.overcommit_memory", "none"),
        ] {
            assert!(sysctl(name, network).is_err(), "{name}");
        }
    }

    #[test]
    fn hosts_and_name_servers() {
        let host = with(|host| {
            host.extra_hosts = Some(vec!["db:10.0.0.1".into(), "six:[::1]".into()]);
            host.dns = vec!["9.9.9.9".into()];
            host.dns_search = vec!["example.org".into()];
        });
        assert_eq!(extra_hosts(&host).expect("hosts"), "10.0.0.1\tdb\n::1\tsix\n");
        let text = resolv_conf(&host, "nameserver 1.1.1.1\ndomain x\noptions rotate\n");
        assert_eq!(
            text.expect("resolv.conf"),
            "options rotate\nnameserver 9.9.9.9\nsearch example.org\n"
        );
        for wrong in ["db", "db:x", ":1.2.3.4", "a b:1.2.3.4"] {
            let host = with(|host| host.extra_hosts = Some(vec![wrong.into()]));
            assert!(extra_hosts(&host).is_err(), "{wrong}");
        }
        assert!(resolv_conf(&with(|host| host.dns = vec!["x".into()]), "").is_err());
    }
}
