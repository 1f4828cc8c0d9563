//! One more process in a container: what it shall be, and how it is.

use base::json_object;

json_object! {
    /// The body of `POST /containers/ID/exec`.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct ExecConfig {
        /// The client attaches to stdin,
        "AttachStdin" => pub attach_stdin: bool,
        /// to stdout,
        "AttachStdout" => pub attach_stdout: bool,
        /// to stderr.
        "AttachStderr" => pub attach_stderr: bool,
        /// Nobody attaches.
        "Detach" => pub detach: bool,
        /// The keys that leave it.
        "DetachKeys" ? => pub detach_keys: String,
        /// It gets a terminal.
        "Tty" => pub tty: bool,
        /// NAME=VALUE, beside the container's own.
        "Env" ? => pub env: Option<Vec<String>>,
        /// The command.
        "Cmd" => pub cmd: Option<Vec<String>>,
        /// All capabilities.
        "Privileged" => pub privileged: bool,
        /// user[:group]; empty for the container's.
        "User" => pub user: String,
        /// Where it starts; empty for the container's.
        "WorkingDir" ? => pub working_dir: String,
        /// Rows and columns.
        "ConsoleSize" ? => pub console_size: Vec<i64>,
    }
}

json_object! {
    /// The answer to it.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct ExecCreated {
        /// 64 hex digits.
        "Id" => pub id: String,
    }
}

json_object! {
    /// The body of `POST /exec/ID/start`.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct ExecStart {
        /// Answer at once, attach nobody.
        "Detach" => pub detach: bool,
        /// One raw stream instead of frames.
        "Tty" => pub tty: bool,
        /// Rows and columns.
        "ConsoleSize" ? => pub console_size: Vec<i64>,
    }
}

json_object! {
    /// What is said of its process.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct ExecProcess {
        /// It has a terminal.
        "tty" => pub tty: bool,
        /// The command's first word.
        "entrypoint" => pub entrypoint: String,
        /// The others.
        "arguments" => pub arguments: Vec<String>,
        /// It has all capabilities.
        "privileged" => pub privileged: bool,
        /// As it was asked for.
        "user" ? => pub user: String,
    }
}

json_object! {
    /// The answer of `GET /exec/ID/json`.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct ExecInspect {
        /// Its own id.
        "ID" => pub id: String,
        /// It runs.
        "Running" => pub running: bool,
        /// Its exit code; none while it runs.
        "ExitCode" => pub exit_code: Option<i64>,
        /// What it is.
        "ProcessConfig" => pub process: ExecProcess,
        /// It has a stdin,
        "OpenStdin" => pub open_stdin: bool,
        /// stderr,
        "OpenStderr" => pub open_stderr: bool,
        /// stdout.
        "OpenStdout" => pub open_stdout: bool,
        /// Nobody can attach to it again.
        "CanRemove" => pub can_remove: bool,
        /// Its container.
        "ContainerID" => pub container: String,
        /// The keys that leave it.
        "DetachKeys" => pub detach_keys: String,
        /// Its number on the host; 0 when it does not run.
        "Pid" => pub pid: i64,
    }
}
