//! From a container's record to a running process: what libcontainer shall do.

use crate::Engine;
use crate::container::{Container, Process, Record, State, Status, write_file};
use crate::monitor;
use crate::security::{self, Security};
use crate::volume::mounts::{self, Ready};
use crate::{given, health, idmaps, namespaces, resources, runconfig, selinux};
use base::{Error, OnError, Result};
use base_http::api::exec::ExecConfig;
use base_http::api::host_config::HostConfig;
use imgstore::Image;
use imgstore::graphdriver::RootSource as StoreRoot;
use libcontainer::capabilities::Capabilities;
use libcontainer::cgroup::Join;
use libcontainer::seccomp::Seccomp;
use libcontainer::{Bind, KeptRoot, Program, RootSource, Spec, Started, Stdio, UserNamespace};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// The files that every container gets in /etc, from its run folder.
const FILES: [&str; 3] = ["hostname", "hosts", "resolv.conf"];

/// The streams of a container whose monitor serves them.
pub(crate) fn monitored_stdio(container: &Container, stdin: Option<OwnedFd>) -> Result<Stdio> {
    if container.record.config.tty {
        let size = &container.record.host_config.console_size;
        // Rows first, as docker sends them.
        let (rows, columns) = match size.as_slice() {
            [rows, columns] => (*rows as u16, *columns as u16),
            _ => (0, 0),
        };
        return Ok(Stdio::Terminal(columns, rows));
    }
    let stdin = match stdin {
        Some(stdin) => stdin,
        None => monitor::open_null()?,
    };
    let [stdout, stderr] = monitor::container_outputs(&container.run)?;
    Ok(Stdio::Descriptors([stdin, stdout, stderr]))
}

/// The command's own descriptors.
pub(crate) fn own_stdio(container: &Container) -> Result<Stdio> {
    let copy = |fd: std::os::fd::BorrowedFd<'_>| fd.try_clone_to_owned().on("dup", "stdio");
    let stdin = if container.record.config.open_stdin {
        copy(std::io::stdin().as_fd())?
    } else {
        monitor::open_null()?
    };
    let streams = [stdin, copy(std::io::stdout().as_fd())?, copy(std::io::stderr().as_fd())?];
    Ok(Stdio::Descriptors(streams))
}

/// Starts a container and writes its state. `foreground`: this process is its monitor, and it
/// dies with us. `kept`: the root of its last life.
pub(crate) fn launch(
    engine: &Engine,
    container: &Container,
    image: &Image,
    stdio: Stdio,
    foreground: bool,
    kept: Option<KeptRoot>,
) -> Result<Started> {
    // Held until the upper folder goes.
    let root = engine.root_of(container, image)?;
    // Until the container runs, nobody takes an empty volume's place.
    let mut ready = mounts::ready(&engine.containers(), &engine.volumes(), &container.record)?;
    let mut spec = spec(engine, container, root, foreground, &mut ready)?;
    let policy = crate::local::policy_of(container);
    let restarts = policy != monitor::Policy::No;
    spec.kept_root = kept;
    // What lies in RAM costs the disk nothing, and is gone.
    spec.keep_root =
        restarts && !foreground && matches!(spec.root, RootSource::Overlay { ram: None, .. });
    let started = libcontainer::start(&spec, &stdio)?;
    // Only a policy's start counts on; the others have nothing to read.
    let last = restarts.then(|| State::read(&container.run)).flatten();
    let again = last.filter(|state| state.restarting);
    let state = State {
        restart_count: again.map_or(0, |state| state.restart_count),
        status: Status::Running,
        process: Some(Process::of(started.pid)),
        started: Some(base::text::time::now()),
        ..State::default()
    };
    if let Err(error) = state.write(&container.run).and_then(|()| health::begin(container)) {
        let _ = started.process.signal(rustix::process::Signal::KILL);
        return Err(error);
    }
    engine.tell(container, "start", &[]);
    Ok(started)
}

/// A container's first process. Others are like it, but for what is asked for.
fn program(
    record: &Record,
    security: Security,
    terminal: bool,
    ids: Option<UserNamespace>,
) -> Result<Program> {
    let (config, host) = (&record.config, &record.host_config);
    Ok(Program {
        arguments: record.command.clone(),
        environment: runconfig::environment(config, terminal),
        folder: config.working_dir.clone(),
        user: config.user.clone(),
        capabilities: security.capabilities,
        no_new_privileges: security.no_new_privileges,
        seccomp: security.seccomp,
        apparmor: security.apparmor,
        selinux: security.selinux.map(|labels| labels.process),
        groups: host.group_add.clone().unwrap_or_default(),
        limits: given::limits(host)?,
        oom_score: given::oom_score(host)?,
        ids: ids.map(|ids| ids.count),
    })
}

fn security_of(engine: &Engine, record: &Record) -> Result<Security> {
    let labelled = engine.folders().settings.selinux_enabled;
    security::of(&record.host_config, &record.id, labelled)
}

/// Starts one more process in a container that runs.
pub(crate) fn exec(
    engine: &Engine,
    container: &Container,
    config: &ExecConfig,
    stdio: &Stdio,
) -> Result<Started> {
    let record = &container.record;
    let mut security = security_of(engine, record)?;
    if config.privileged {
        // As docker: capabilities, not devices; and the filter would forbid what they allow.
        security.capabilities = Capabilities::all();
        security.seccomp = Seccomp::Unconfined;
        security.apparmor = None;
        security.selinux = None;
    }
    let state = container.state();
    let process = state.process.as_ref().and_then(Process::folder);
    let Some(first_process) = process else {
        return Err(crate::engine::not_running(container.id()));
    };
    let ids = idmaps::of_process(first_process.as_fd())?;
    let mut program = program(record, security, config.tty, ids)?;
    program.arguments = config.cmd.clone().unwrap_or_default();
    for variable in config.env.iter().flatten() {
        runconfig::set_variable(&mut program.environment, variable.clone());
    }
    if !config.user.is_empty() {
        program.user.clone_from(&config.user);
    }
    if !config.working_dir.is_empty() {
        program.folder.clone_from(&config.working_dir);
    }
    libcontainer::exec(
        &libcontainer::Exec {
            id: &record.cgroup(),
            first_process: first_process.as_fd(),
            program: &program,
            has_cgroup: !engine.is_ordinary(),
        },
        stdio,
    )
}

fn spec(
    engine: &Engine,
    container: &Container,
    root: StoreRoot,
    foreground: bool,
    ready: &mut Ready,
) -> Result<Spec> {
    let record = &container.record;
    let (config, host) = (&record.config, &record.host_config);
    let security = security_of(engine, record)?;
    let devices = given::devices(host)?;
    let ids = engine.ids_of(host)?;
    idmaps::check(host, ids)?;
    let mut binds = etc_files(container, ids)?;
    binds.retain(|file| ready.binds.iter().all(|bind| bind.target != file.target));
    binds.append(&mut ready.binds);
    let mut file_systems = given::tmpfs(host)?;
    file_systems.append(&mut ready.file_systems);
    let join = match host.cgroup_parent.as_str() {
        "" if foreground && host.auto_remove => Join::Asked,
        "" => Join::Statistics,
        _ => Join::Parent,
    };
    let limits = match engine.is_ordinary() {
        false => Some(resources::limits(host, join)?),
        true => None,
    };
    let mount_label = security.selinux.as_ref().map(|labels| labels.mount.clone());
    for bind in &mut binds {
        let mut mounts = record.mounts.iter();
        let mount = mounts.find(|mount| mount.target == bind.target);
        bind.label = mount.and_then(|mount| selinux::of_files(&mount.mode, mount_label.as_deref()));
    }
    for one in file_systems.iter_mut().filter(|one| one.kind == "tmpfs") {
        let label = libcontainer::label_option(mount_label.as_deref());
        one.options = [&one.options, &label].map(String::as_str).concat();
        one.options = one.options.trim_start_matches(',').to_string();
    }
    Ok(Spec {
        id: record.cgroup(),
        root: root_source(root, given::upper(host)?, mount_label.clone()),
        kept_root: None,
        keep_root: false,
        mount_point: engine.mount_point()?,
        read_only_root: host.readonly_rootfs,
        privileged: host.privileged,
        system_paths: security.system_paths,
        hostname: config.hostname.clone(),
        domainname: config.domainname.clone(),
        program: program(record, security, config.tty, ids)?,
        namespaces: namespaces::open(engine, host)?,
        sysctls: namespaces::sysctls(record),
        init: host.init == Some(true),
        binds,
        file_systems,
        mount_label,
        shared_memory: namespaces::shared_memory(engine, host)?,
        devices: devices.nodes,
        device_rules: devices.rules,
        limits,
        user_namespace: ids,
        dies_with_parent: foreground,
        parent_waits: !foreground,
    })
}

/// `ram`: what is written goes into so many bytes of RAM.
pub(crate) fn root_source(root: StoreRoot, ram: Option<u64>, label: Option<String>) -> RootSource {
    match root {
        StoreRoot::Overlay { lower, upper, work, volatile, userxattr } => {
            RootSource::Overlay { lower, upper, work, volatile, userxattr, ram, label }
        }
        StoreRoot::Folder(folder) => RootSource::Folder(folder),
    }
}

/// Writes hostname, hosts and resolv.conf into the run folder, and says where they go.
fn etc_files(container: &Container, ids: Option<UserNamespace>) -> Result<Vec<Bind>> {
    let record = &container.record;
    let (name, host) = (&record.config.hostname, &record.host_config);
    let (mut hosts, resolv) = match host.network_mode.as_str() {
        "none" => (LOCAL_HOSTS.to_string(), String::new()),
        "host" => (host_file("/etc/hosts"), host_file("/etc/resolv.conf")),
        // Another container's, as it is now.
        mode => {
            let other = mode.strip_prefix("container:").unwrap_or_default();
            let folder = container.run.with_file_name(other);
            let file = |name| host_file(&folder.join(name).to_string_lossy());
            (file(FILES[1]), file(FILES[2]))
        }
    };
    hosts.push_str(&namespaces::extra_hosts(host)?);
    let resolv = namespaces::resolv_conf(host, &resolv)?;
    write_file(&container.run, FILES[0], format!("{name}\n").as_bytes())?;
    write_file(&container.run, FILES[1], hosts.as_bytes())?;
    write_file(&container.run, FILES[2], resolv.as_bytes())?;
    if let Some(ids) = ids.filter(|ids| !ids.is_ordinary()) {
        for file in FILES {
            let path = container.run.join(file);
            std::os::unix::fs::chown(&path, Some(ids.uid), Some(ids.gid))
                .on_path("chown", &path)?;
        }
    }
    Ok(FILES
        .iter()
        .map(|file| Bind::new(container.run.join(file), format!("/etc/{file}"), false))
        .collect())
}

const LOCAL_HOSTS: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";

/// A file of the host's network, if it has it.
fn host_file(path: &str) -> String {
    let bytes = base::files::read_capped(Path::new(path), 1 << 20).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Refuses at creation what a start could not do.
pub(crate) fn check(engine: &Engine, container: &Record) -> Result<Vec<String>> {
    let ids = engine.user_namespace();
    let (ordinary_user, single_id) = (ids.is_some(), ids.is_some_and(|ids| ids.count == 1));
    let host = &container.host_config;
    let mut warnings = Vec::new();
    match host.network_mode.as_str() {
        "none" | "host" => (),
        mode if mode.starts_with("container:") => (),
        "" | "default" => warnings.push(
            "No network named: the container gets none (--net none). Other networks are not there \
             yet; --net host shares the host's."
                .to_string(),
        ),
        other => {
            return Err(Error::not_found(format!("network {other} not found")));
        }
    }
    if security_of(engine, container)?.lacks_filter {
        warnings.push(
            "seccomp is not enabled in your kernel (kernel option CONFIG_SECCOMP_FILTER): the container \
             runs without a filter of system calls."
                .to_string(),
        );
    }
    given::devices(host)?;
    given::limits(host)?;
    given::tmpfs(host)?;
    given::shm_size(host)?;
    given::oom_score(host)?;
    if given::upper(host)?.is_some() && container.driver != "overlay" {
        return Err(Error::unsupported("--upper ram needs the driver overlay"));
    }
    if given::disk_limit(host)?.is_some() {
        check_quota(engine, container)?;
    }
    namespaces::extra_hosts(host)?;
    namespaces::resolv_conf(host, "")?;
    health::check(container.config.healthcheck.as_ref())?;
    refuse_for_now(host)?;
    if ordinary_user && (host.privileged || !host.devices.is_empty()) {
        return Err(Error::unsupported("devices need root: an ordinary user has none to give"));
    }
    monitor::check_log(&host.log_config)?;
    if monitor::Policy::of(&host.restart_policy)? != monitor::Policy::No && host.auto_remove {
        return Err(Error::bad_input("can't create 'AutoRemove' container with restart policy"));
    }
    if ordinary_user {
        let others = match single_id {
            true => "; one id, root, so no other users inside",
            false => "",
        };
        warnings.push(format!("Ordinary user: no cgroup, so no limits{others}."));
    }
    if ordinary_user && (resources::any(host) || !host.cgroup_parent.is_empty()) {
        return Err(Error::unsupported("limits need root: an ordinary user has no cgroup here"));
    }
    Ok(warnings)
}

/// Whether the disk can limit a container.
fn check_quota(engine: &Engine, container: &Record) -> Result<()> {
    if container.driver != "overlay" {
        return Err(Error::unsupported("--storage-opt size needs the driver overlay"));
    }
    if engine.is_ordinary() {
        return Err(Error::unsupported("--storage-opt size needs root"));
    }
    let root = &engine.folders().root;
    if base::sys::quota::is_on(base::files::open_folder(root)?.as_fd()) {
        return Ok(());
    }
    Err(Error::unsupported(format!(
        "--storage-opt is supported only for overlay over ext4 with the feature 'project' and the mount \
         option 'prjquota', or xfs with 'pquota' (Linux 5.14, CONFIG_QFMT_V2 or CONFIG_XFS_QUOTA): {} \
         has no project quotas; --upper ram can be limited everywhere",
        root.display()
    )))
}

/// What is known and not there.
fn refuse_for_now(host: &HostConfig) -> Result<()> {
    // What docker's client sends when nothing is said of them is empty.
    for name in ["PortBindings", "PublishAllPorts", "Links"] {
        let given = host.rest.get(name).map_or("", base::json::Raw::text);
        if !["", "null", "false", "{}", "[]"].contains(&given) {
            return Err(Error::unsupported(format!("{name}: networks are not supported yet")));
        }
    }
    let runtime = host.runtime.as_str();
    match runtime {
        "" | "coracle" | "runc" | "io.containerd.runc.v2" => Ok(()),
        _ => Err(Error::bad_input(format!("unknown or invalid runtime name: {runtime}"))),
    }
}
