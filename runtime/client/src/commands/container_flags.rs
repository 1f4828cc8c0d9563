//! The flags that `run` and `create` have in common, with docker's words.

use base::flags::Flag;

/// See the module's text.
pub(super) static CONTAINER_FLAGS: &[Flag] = &[
    Flag::text("add-host", "list", "Add a custom host-to-IP mapping (host:ip)"),
    Flag::text(
        "annotation",
        "map",
        "Add an annotation to the container (passed through to the OCI runtime)",
    ),
    Flag::text("attach", "list", "Attach to STDIN, STDOUT or STDERR")
        .short(b'a')
        .checked(crate::create_request::check_stream),
    Flag::number(
        "blkio-weight",
        "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)",
    ),
    Flag::text("blkio-weight-device", "list", "Block IO weight (relative device weight)"),
    Flag::text("cap-add", "list", "Add Linux capabilities"),
    Flag::text("cap-drop", "list", "Drop Linux capabilities"),
    Flag::text("cgroup-parent", "string", "Optional parent cgroup for the container"),
    Flag::text("cgroupns", "string", "Cgroup namespace to use (host|private)"),
    Flag::text("cidfile", "string", "Write the container ID to the file"),
    Flag::number("cpu-period", "Limit CPU CFS (Completely Fair Scheduler) period"),
    Flag::number("cpu-quota", "Limit CPU CFS (Completely Fair Scheduler) quota"),
    Flag::number("cpu-shares", "CPU shares (relative weight)").short(b'c'),
    Flag::text("cpus", "decimal", "Number of CPUs").checked(crate::create_request::check_cpus),
    Flag::text("cpuset-cpus", "string", "CPUs in which to allow execution (0-3, 0,1)"),
    Flag::text("cpuset-mems", "string", "MEMs in which to allow execution (0-3, 0,1)"),
    crate::typed::DETACH_KEYS,
    Flag::text("device", "list", "Add a host device to the container"),
    Flag::text("device-cgroup-rule", "list", "Add a rule to the cgroup allowed devices list"),
    Flag::text("device-read-bps", "list", "Limit read rate (bytes per second) from a device"),
    Flag::text("device-read-iops", "list", "Limit read rate (IO per second) from a device"),
    Flag::text("device-write-bps", "list", "Limit write rate (bytes per second) to a device"),
    Flag::text("device-write-iops", "list", "Limit write rate (IO per second) to a device"),
    Flag::text("dns", "list", "Set custom DNS servers"),
    Flag::text("dns-option", "list", "Set DNS options"),
    Flag::alias("dns-opt", "dns-option"),
    Flag::text("dns-search", "list", "Set custom DNS search domains"),
    Flag::text("domainname", "string", "Container NIS domain name"),
    Flag::text("entrypoint", "string", "Overwrite the default ENTRYPOINT of the image"),
    Flag::text("env", "list", "Set environment variables")
        .short(b'e')
        .checked(crate::env_file::check),
    Flag::text("env-file", "list", "Read in a file of environment variables"),
    Flag::text("expose", "list", "Expose a port or a range of ports")
        .checked(crate::network_flags::check_expose),
    Flag::text("group-add", "list", "Add additional groups to join"),
    Flag::text("health-cmd", "string", "Command to run to check health"),
    Flag::text("health-interval", "duration", "Time between running the check (ms|s|m|h)")
        .checked(crate::create_request::check_duration),
    Flag::number("health-retries", "Consecutive failures needed to report unhealthy"),
    Flag::text(
        "health-start-interval",
        "duration",
        "Time between running the check during the start period (ms|s|m|h)",
    )
    .checked(crate::create_request::check_duration),
    Flag::text(
        "health-start-period",
        "duration",
        "Start period for the container to initialize before starting health-retries \
                 countdown (ms|s|m|h)",
    )
    .checked(crate::create_request::check_duration),
    Flag::text("health-timeout", "duration", "Maximum time to allow one check to run (ms|s|m|h)")
        .checked(crate::create_request::check_duration),
    Flag::switch("help", "Print usage"),
    Flag::text("hostname", "string", "Container host name").short(b'h'),
    Flag::switch(
        "init",
        "Run an init inside the container that forwards signals and reaps processes",
    ),
    Flag::switch("interactive", "Keep STDIN open even if not attached").short(b'i'),
    Flag::text("ip", "string", "IPv4 address (e.g., 172.30.100.104)"),
    Flag::text("ip6", "string", "IPv6 address (e.g., 2001:db8::33)"),
    Flag::text("ipc", "string", "IPC mode to use"),
    Flag::text("label", "list", "Set meta data on a container")
        .short(b'l')
        .checked(crate::create_request::check_label),
    Flag::text("label-file", "list", "Read in a line delimited file of labels"),
    Flag::text("link", "list", "Add link to another container"),
    Flag::text("link-local-ip", "list", "Container IPv4/IPv6 link-local addresses"),
    Flag::text("log-driver", "string", "Logging driver for the container"),
    Flag::text("log-opt", "list", "Log driver options"),
    Flag::text("mac-address", "string", "Container MAC address (e.g., 92:d0:c6:0a:29:33)"),
    Flag::text("memory", "bytes", "Memory limit")
        .short(b'm')
        .checked(crate::create_request::check_size),
    Flag::text("memory-reservation", "bytes", "Memory soft limit")
        .checked(crate::create_request::check_size),
    Flag::text(
        "memory-swap",
        "bytes",
        "Swap limit equal to memory plus swap: '-1' to enable unlimited swap",
    )
    .checked(crate::create_request::check_swap),
    Flag::number("memory-swappiness", "Tune container memory swappiness (0 to 100) (default -1)"),
    Flag::text("mount", "mount", "Attach a filesystem mount to the container"),
    Flag::text("name", "string", "Assign a name to the container"),
    Flag::text("network", "network", "Connect a container to a network"),
    Flag::alias("net", "network"),
    Flag::text("network-alias", "list", "Add network-scoped alias for the container"),
    Flag::alias("net-alias", "network-alias"),
    Flag::switch("no-healthcheck", "Disable any container-specified HEALTHCHECK"),
    Flag::switch("oom-kill-disable", "Disable OOM Killer"),
    Flag::number("oom-score-adj", "Tune host's OOM preferences (-1000 to 1000)"),
    Flag::text("pid", "string", "PID namespace to use"),
    Flag::number("pids-limit", "Tune container pids limit (set -1 for unlimited)"),
    Flag::text("platform", "string", "Set platform if server is multi-platform capable"),
    Flag::switch("privileged", "Give extended privileges to this container"),
    Flag::text("publish", "list", "Publish a container's port(s) to the host").short(b'p'),
    Flag::switch("publish-all", "Publish all exposed ports to random ports").short(b'P'),
    Flag::switch("quiet", "Suppress the pull output").short(b'q'),
    Flag::switch("read-only", "Mount the container's root filesystem as read only"),
    Flag::switch("replace", "Remove a container of the same name first"),
    Flag::text(
        "restart",
        "string",
        "Restart policy to apply when a container exits (default \"no\")",
    )
    .checked(crate::create_request::check_restart),
    Flag::switch("restart-unhealthy", "Restart the container when it becomes unhealthy"),
    Flag::switch(
        "rm",
        "Automatically remove the container and its associated anonymous volumes when it \
                 exits",
    ),
    Flag::text("runtime", "string", "Runtime to use for this container"),
    Flag::text("security-opt", "list", "Security Options"),
    Flag::text("shm-size", "bytes", "Size of /dev/shm").checked(crate::create_request::check_size),
    Flag::text("stop-signal", "string", "Signal to stop the container"),
    Flag::number("stop-timeout", "Timeout (in seconds) to stop a container"),
    Flag::text("storage-opt", "list", "Storage driver options for the container"),
    Flag::text("sysctl", "map", "Sysctl options"),
    Flag::text("tmpfs", "list", "Mount a tmpfs directory"),
    Flag::switch("tty", "Allocate a pseudo-TTY").short(b't'),
    Flag::text("ulimit", "ulimit", "Ulimit options"),
    Flag::text("upper", "string", "Where the container writes: in RAM (ram[:SIZE])"),
    Flag::text("user", "string", "Username or UID (format: <name|uid>[:<group|gid>])").short(b'u'),
    Flag::text("userns", "string", "User namespace to use"),
    Flag::text("uts", "string", "UTS namespace to use"),
    Flag::text("volume", "list", "Bind mount a volume").short(b'v'),
    Flag::text("volume-driver", "string", "Optional volume driver for the container"),
    Flag::text("volumes-from", "list", "Mount volumes from the specified container(s)"),
    Flag::text("workdir", "string", "Working directory inside the container").short(b'w'),
];
