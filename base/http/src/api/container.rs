//! Containers: what `create` is told, what `inspect`, `ps` and `wait` tell.

use super::host_config::HostConfig;
use base::error::Result;
use base::json::{self, Empty, Raw};
use base::json_object;
use base::map::Map;

json_object! {
    /// How a container's health is probed. Times in nanoseconds; 0 for the default.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct HealthConfig {
        /// CMD or CMD-SHELL and the command; NONE for no probes; null or empty for the image's.
        "Test" ? => pub test: Option<Vec<String>>,
        /// From the end of one probe to the next.
        "Interval" ? => pub interval: i64,
        /// So long a probe may take.
        "Timeout" ? => pub timeout: i64,
        /// So long after the start a failure does not count.
        "StartPeriod" ? => pub start_period: i64,
        /// From one probe to the next in that time.
        "StartInterval" ? => pub start_interval: i64,
        /// So many failures in a row make it unhealthy.
        "Retries" ? => pub retries: i64,
    }
}

json_object! {
    /// What runs in a container, and how; also the configuration of an image.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct ContainerConfig {
        /// Its host name; empty for the short id.
        "Hostname" => pub hostname: String,
        /// Its NIS domain.
        "Domainname" => pub domainname: String,
        /// user[:group], names or numbers.
        "User" => pub user: String,
        /// The client attaches to stdin,
        "AttachStdin" => pub attach_stdin: bool,
        /// to stdout,
        "AttachStdout" => pub attach_stdout: bool,
        /// to stderr.
        "AttachStderr" => pub attach_stderr: bool,
        /// port/protocol.
        "ExposedPorts" ? => pub exposed_ports: Map<String, Empty>,
        /// It gets a terminal.
        "Tty" => pub tty: bool,
        /// It gets a stdin.
        "OpenStdin" => pub open_stdin: bool,
        /// Its stdin closes when the first attached client goes.
        "StdinOnce" => pub stdin_once: bool,
        /// NAME=VALUE; NAME alone takes the variable away.
        "Env" => pub env: Option<Vec<String>>,
        /// The command, or the arguments of the entry point.
        "Cmd" => pub cmd: Option<Vec<String>>,
        /// The image as the user named it.
        "Image" => pub image: String,
        /// Folders that become volumes.
        "Volumes" => pub volumes: Option<Map<String, Empty>>,
        /// Where the command starts.
        "WorkingDir" => pub working_dir: String,
        /// The entry point; one empty word takes the image's away.
        "Entrypoint" => pub entrypoint: Option<Vec<String>>,
        /// Labels.
        "Labels" => pub labels: Option<Map<String, String>>,
        /// The signal of `stop`.
        "StopSignal" ? => pub stop_signal: String,
        /// Seconds between that signal and SIGKILL.
        "StopTimeout" ? => pub stop_timeout: Option<i64>,
        /// How its health is probed.
        "Healthcheck" ? => pub healthcheck: Option<HealthConfig>,
    }
}

json_object! {
    /// The members of `POST /containers/create` that are not the container's configuration.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct CreateOptions {
        /// What the host gives.
        "HostConfig" => pub host_config: HostConfig,
        /// The networks that it joins.
        "NetworkingConfig" ? => pub networking_config: Raw,
    }
}

/// The body of `POST /containers/create`: one flat object on the wire.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CreateRequest {
    /// What runs.
    pub config: ContainerConfig,
    /// What the host gives it.
    pub options: CreateOptions,
}

impl CreateRequest {
    /// Reads the flat object: each half skips the members of the other.
    pub fn parse(body: &[u8]) -> Result<CreateRequest> {
        Ok(CreateRequest { config: json::parse(body)?, options: json::parse(body)? })
    }

    /// The flat object.
    pub fn to_json(&self) -> String {
        let mut text = json::to_string(&self.config);
        let options = json::to_string(&self.options);
        // Both are objects with at least one member: `{...}` and `{...}` become `{...,...}`.
        text.pop();
        text.push(',');
        text.push_str(&options[1..]);
        text
    }
}

json_object! {
    /// The answer to `POST /containers/create`.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct CreateResponse {
        /// 64 hex digits.
        "Id" => pub id: String,
        /// What the user should know.
        "Warnings" => pub warnings: Vec<String>,
    }
}

json_object! {
    /// The answer to `POST /commit`.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct CommitResponse {
        /// The new image's.
        "Id" => pub id: String,
    }
}

json_object! {
    /// A row of `GET /containers/ID/changes`.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct ContainerChange {
        /// With a slash before it.
        "Path" => pub path: String,
        /// 0 changed, 1 added, 2 removed.
        "Kind" => pub kind: u32,
    }
}

json_object! {
    /// What one probe gave.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct HealthResult {
        /// When it began, RFC 3339.
        "Start" => pub start: String,
        /// When it ended.
        "End" => pub end: String,
        /// 0 for healthy, -1 when it took too long.
        "ExitCode" => pub exit_code: i64,
        /// The beginning of what it wrote.
        "Output" => pub output: String,
    }
}

json_object! {
    /// A container's health.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Health {
        /// starting, healthy, unhealthy.
        "Status" => pub status: String,
        /// Failures since the last success.
        "FailingStreak" => pub failing_streak: i64,
        /// The last five results, the oldest first.
        "Log" => pub log: Vec<HealthResult>,
    }
}

json_object! {
    /// Where a container is in its life.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct ContainerState {
        /// created, running, paused, restarting, removing, exited, dead.
        "Status" => pub status: String,
        /// It has a process (also while paused).
        "Running" => pub running: bool,
        /// It is frozen.
        "Paused" => pub paused: bool,
        /// It ended and will be started again.
        "Restarting" => pub restarting: bool,
        /// The kernel killed it for its memory limit.
        "OOMKilled" => pub oom_killed: bool,
        /// Its removal failed.
        "Dead" => pub dead: bool,
        /// The host's number of its first process; 0 when there is none.
        "Pid" => pub pid: i64,
        /// How the last run ended.
        "ExitCode" => pub exit_code: i64,
        /// Why it could not be started.
        "Error" => pub error: String,
        /// When the last run began; 0001-01-01T00:00:00Z for never.
        "StartedAt" => pub started_at: String,
        /// When it ended.
        "FinishedAt" => pub finished_at: String,
        /// Its health, if it is probed.
        "Health" ? => pub health: Option<Health>,
    }
}

json_object! {
    /// One mount as `inspect` shows it.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct MountPoint {
        /// bind, volume, tmpfs.
        "Type" => pub kind: String,
        /// The volume's name.
        "Name" ? => pub name: String,
        /// Where it is on the host.
        "Source" => pub source: String,
        /// Where it is in the container.
        "Destination" => pub destination: String,
        /// The volume's driver.
        "Driver" ? => pub driver: String,
        /// Options as given.
        "Mode" => pub mode: String,
        /// Writable.
        "RW" => pub writable: bool,
        /// rprivate, ...
        "Propagation" => pub propagation: String,
    }
}

json_object! {
    /// The answer to `GET /containers/ID/json`.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct ContainerInspect {
        /// 64 hex digits.
        "Id" => pub id: String,
        /// When it was made.
        "Created" => pub created: String,
        /// The program,
        "Path" => pub path: String,
        /// and its arguments.
        "Args" => pub args: Vec<String>,
        /// Where it is in its life.
        "State" => pub state: ContainerState,
        /// The image's id.
        "Image" => pub image: String,
        /// The file that is its /etc/resolv.conf.
        "ResolvConfPath" => pub resolv_conf_path: String,
        /// The file that is its /etc/hostname.
        "HostnamePath" => pub hostname_path: String,
        /// The file that is its /etc/hosts.
        "HostsPath" => pub hosts_path: String,
        /// The log's file; empty without one.
        "LogPath" => pub log_path: String,
        /// A slash and the name.
        "Name" => pub name: String,
        /// How often the policy started it again.
        "RestartCount" => pub restart_count: i64,
        /// The graphdriver.
        "Driver" => pub driver: String,
        /// linux.
        "Platform" => pub platform: String,
        /// SELinux.
        "MountLabel" => pub mount_label: String,
        /// SELinux.
        "ProcessLabel" => pub process_label: String,
        /// AppArmor.
        "AppArmorProfile" => pub app_armor_profile: String,
        /// Running execs.
        "ExecIDs" => pub exec_ids: Option<Vec<String>>,
        /// What the host gives.
        "HostConfig" => pub host_config: HostConfig,
        /// Where its tree is.
        "GraphDriver" => pub graph_driver: Option<super::image::GraphDriverData>,
        /// Mounts beside the root.
        "Mounts" => pub mounts: Vec<MountPoint>,
        /// What runs.
        "Config" => pub config: ContainerConfig,
        /// Addresses and ports.
        "NetworkSettings" => pub network_settings: Raw,
    }
}

json_object! {
    /// A published or exposed port.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Port {
        /// The host's address.
        "IP" ? => pub ip: String,
        /// In the container.
        "PrivatePort" => pub private_port: u16,
        /// On the host; 0 when not published.
        "PublicPort" ? => pub public_port: u16,
        /// tcp, udp, sctp.
        "Type" => pub kind: String,
    }
}

json_object! {
    /// The part of HostConfig that a list shows.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct SummaryHostConfig {
        /// The network's name.
        "NetworkMode" ? => pub network_mode: String,
    }
}

json_object! {
    /// One row of `GET /containers/json`.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct ContainerSummary {
        /// 64 hex digits.
        "Id" => pub id: String,
        /// Each with a slash before it.
        "Names" => pub names: Vec<String>,
        /// The image as the user named it; its id when that name now means another.
        "Image" => pub image: String,
        /// The image's id.
        "ImageID" => pub image_id: String,
        /// Program and arguments in one line.
        "Command" => pub command: String,
        /// Seconds since 1970.
        "Created" => pub created: i64,
        /// Ports.
        "Ports" => pub ports: Vec<Port>,
        /// Bytes that it wrote, when asked for.
        "SizeRw" ? => pub size_rw: i64,
        /// Bytes of its whole tree, when asked for.
        "SizeRootFs" ? => pub size_root_fs: i64,
        /// Labels.
        "Labels" => pub labels: Map<String, String>,
        /// created, running, exited, ...
        "State" => pub state: String,
        /// The same in words: Up 2 hours, Exited (0) 3 minutes ago.
        "Status" => pub status: String,
        /// The part that lists show.
        "HostConfig" => pub host_config: SummaryHostConfig,
        /// Addresses.
        "NetworkSettings" => pub network_settings: Raw,
        /// Mounts beside the root.
        "Mounts" => pub mounts: Vec<MountPoint>,
    }
}

json_object! {
    /// Why a wait failed.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct WaitError {
        /// One sentence.
        "Message" => pub message: String,
    }
}

json_object! {
    /// The answer to `POST /containers/ID/wait`, sent when the container has ended.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct WaitResponse {
        /// The program's exit code; 128 + n for a signal.
        "StatusCode" => pub status_code: i64,
        /// The wait itself failed.
        "Error" ? => pub error: Option<WaitError>,
    }
}
json_object! {
    /// The answer of `GET /containers/ID/top`.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct ContainerTop {
        /// The columns' names.
        "Titles" => pub titles: Vec<String>,
        /// A row for each process.
        "Processes" => pub processes: Vec<Vec<String>>,
    }
}
json_object! {
    /// The answer of `POST /containers/ID/update`.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct UpdateResponse {
        /// What the user should know.
        "Warnings" => pub warnings: Vec<String>,
    }
}

json_object! {
    /// What lies at a path in a container: a header of the archive's routes.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct PathStat {
        /// The last name of the path.
        "name" => pub name: String,
        /// Bytes.
        "size" => pub size: i64,
        /// Kind and permissions as Go's os.FileMode has them.
        "mode" => pub mode: u32,
        /// When it was changed, RFC 3339.
        "mtime" => pub mtime: String,
        /// Where a symbolic link leads, as a path in the container.
        "linkTarget" => pub link_target: String,
    }
}

json_object! {
    /// The answer to `POST /containers/prune`.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct ContainersPruned {
        /// The ids of those that are gone.
        "ContainersDeleted" => pub deleted: Vec<String>,
        /// Bytes that are free now.
        "SpaceReclaimed" => pub space: u64,
    }
}
