//! `container_inspect`: everything about one container.

use crate::Engine;
use crate::container::{Mount, Record, State, Status};
use crate::monitor::LogSettings;
use base::Result;
use base::json::Raw;
use base::text::time::rfc3339;
use base_http::api::container::{ContainerInspect, ContainerState, MountPoint};
use base_http::api::image::GraphDriverData;

/// Inspects a container.
pub(crate) struct Inspect {
    pub(crate) container: String,
}

impl Inspect {
    pub(crate) fn run(self, engine: &Engine) -> Result<ContainerInspect> {
        let containers = engine.containers();
        let container = containers.find(&self.container)?;
        let state = container.state();
        let health = crate::health::read(&container);
        let file = |name: &str| container.run.join(name).display().to_string();
        let log = LogSettings::of(&container).unwrap_or_default();
        let log_path = log.as_ref().and_then(LogSettings::file);
        let log_path = log_path.map_or(String::new(), |path| path.display().to_string());
        let files = [file("hostname"), file("hosts"), file("resolv.conf")];
        let record = containers.take_record(container)?;
        let [hostname_path, hosts_path, resolv_conf_path] = files;
        let mounts = record.mounts.iter().map(shown).collect();
        let paused = is_paused(&state, &record);
        let labels = crate::selinux::labels(
            &record.host_config,
            &record.id,
            engine.folders().settings.selinux_enabled,
        )
        .unwrap_or_default();
        let mut command = record.command.into_iter();
        Ok(ContainerInspect {
            id: record.id,
            created: record.created,
            path: command.next().unwrap_or_default(),
            args: command.collect(),
            restart_count: i64::from(state.restart_count),
            state: ContainerState { health, ..in_docker_terms(&state, paused) },
            image: record.image,
            resolv_conf_path,
            hostname_path,
            hosts_path,
            log_path,
            name: format!("/{}", record.name),
            app_armor_profile: crate::labels::shown(&record.host_config),
            process_label: labels.process,
            mount_label: labels.mount,
            driver: record.driver.clone(),
            platform: "linux".to_string(),
            host_config: record.host_config,
            graph_driver: Some(GraphDriverData {
                name: record.driver,
                ..GraphDriverData::default()
            }),
            mounts,
            config: record.config,
            network_settings: Raw::of(&base::json::Empty),
            ..ContainerInspect::default()
        })
    }
}

/// A mount as the API shows it.
pub(super) fn shown(mount: &Mount) -> MountPoint {
    MountPoint {
        kind: mount.kind.clone(),
        driver: if mount.name.is_empty() { "" } else { "local" }.to_string(),
        name: mount.name.clone(),
        source: mount.source.clone(),
        destination: mount.target.clone(),
        mode: mount.mode.clone(),
        writable: mount.writable,
        propagation: mount.propagation.clone(),
    }
}

/// Whether a running container is frozen.
pub(super) fn is_paused(state: &State, record: &Record) -> bool {
    state.status == Status::Running && libcontainer::cgroup::is_frozen(&record.cgroup())
}

fn in_docker_terms(state: &State, paused: bool) -> ContainerState {
    let time = |time: Option<(i64, u32)>| {
        time.map_or("0001-01-01T00:00:00Z".to_string(), |(seconds, nanos)| rfc3339(seconds, nanos))
    };
    let running = state.status == Status::Running;
    let pid = state.process.as_ref().filter(|_| running).map_or(0, |process| process.pid);
    ContainerState {
        status: super::list::word(state, paused).to_string(),
        running,
        paused,
        restarting: state.restarting,
        oom_killed: state.out_of_memory,
        pid: i64::from(pid),
        exit_code: i64::from(state.exit_code),
        error: state.error.clone(),
        started_at: time(state.started),
        finished_at: time(state.finished),
        ..ContainerState::default()
    }
}
