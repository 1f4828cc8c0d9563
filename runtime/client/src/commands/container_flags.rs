//! The flags that `run` and `create` share, sorted by name, with docker's words.
//!
//! A macro because a constant table cannot be joined from two: what only `run` has is put into its
//! place by name.

/// The table; the arguments are what only one of the commands has.
macro_rules! container_flags {
    ($pull:literal, detach: [$($detach:expr)?], proxy: [$($proxy:expr)?]) => {
        &[
            Flag::text("cap-add", "list", "Add Linux capabilities"),
            Flag::text("cap-drop", "list", "Drop Linux capabilities"),
            Flag::text("cidfile", "string", "Write the container ID to the file"),
            $($detach,)?
            Flag::text("device", "list", "Add a host device to the container"),
            Flag::text("device-cgroup-rule", "list", "Add a rule to the cgroup allowed devices list"),
            Flag::text("entrypoint", "string", "Overwrite the default ENTRYPOINT of the image"),
            Flag::text("env", "list", "Set environment variables")
                .short(b'e')
                .checked($crate::env_file::check),
            Flag::text("env-file", "list", "Read in a file of environment variables"),
            Flag::text("group-add", "list", "Add additional groups to join"),
            Flag::switch("help", "Print usage"),
            Flag::text("hostname", "string", "Container host name").short(b'h'),
            Flag::switch("interactive", "Keep STDIN open even if not attached").short(b'i'),
            Flag::text("label", "list", "Set meta data on a container")
                .short(b'l')
                .checked($crate::create_request::check_label),
            Flag::text("log-driver", "string", "Logging driver for the container"),
            Flag::text("log-opt", "list", "Log driver options"),
            Flag::text("memory", "bytes", "Memory limit")
                .short(b'm')
                .checked($crate::create_request::check_size),
            Flag::text("name", "string", "Assign a name to the container"),
            Flag::text("network", "network", "Connect a container to a network").alias("net"),
            Flag::number("oom-score-adj", "Tune host's OOM preferences (-1000 to 1000)"),
            Flag::number("pids-limit", "Tune container pids limit (set -1 for unlimited)"),
            Flag::switch("privileged", "Give extended privileges to this container"),
            Flag::text("pull", "string", $pull).default("missing"),
            Flag::switch("quiet", "Suppress the pull output").short(b'q'),
            Flag::switch("read-only", "Mount the container's root filesystem as read only"),
            Flag::text("restart", "string", "Restart policy to apply when a container exits")
                .default("no")
                .checked($crate::create_request::check_restart),
            Flag::switch(
                "rm",
                "Automatically remove the container and its associated anonymous volumes when it \
                 exits",
            ),
            Flag::text("security-opt", "list", "Security Options"),
            Flag::text("shm-size", "bytes", "Size of /dev/shm")
                .checked($crate::create_request::check_size),
            $($proxy,)?
            Flag::text("tmpfs", "list", "Mount a tmpfs directory"),
            Flag::switch("tty", "Allocate a pseudo-TTY").short(b't'),
            Flag::text("ulimit", "ulimit", "Ulimit options"),
            Flag::text("user", "string", "Username or UID (format: <name|uid>[:<group|gid>])")
                .short(b'u'),
            Flag::text("volume", "list", "Bind mount a volume").short(b'v'),
            Flag::text("workdir", "string", "Working directory inside the container").short(b'w'),
        ]
    };
}
pub(super) use container_flags;
