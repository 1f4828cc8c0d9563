//! `update`: other limits and another restart policy.

use super::{Failure, each};
use crate::create_request;
use crate::session::Session;
use base::Error;
use base::flags::{Command, Flag, Matches, Operands};
use base_http::api::HostConfig;
use base_http::api::container::UpdateResponse;
use base_http::{Method, Payload};

pub(super) static COMMAND: Command = Command {
    name: "update",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Update configuration of one or more containers",
    aliases: &["container update"],
    flags: &[
        Flag::number(
            "blkio-weight",
            "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)",
        ),
        Flag::number("cpu-period", "Limit CPU CFS (Completely Fair Scheduler) period"),
        Flag::number("cpu-quota", "Limit CPU CFS (Completely Fair Scheduler) quota"),
        Flag::number("cpu-shares", "CPU shares (relative weight)").short(b'c'),
        Flag::text("cpus", "decimal", "Number of CPUs").checked(create_request::check_cpus),
        Flag::text("cpuset-cpus", "string", "CPUs in which to allow execution (0-3, 0,1)"),
        Flag::text("cpuset-mems", "string", "MEMs in which to allow execution (0-3, 0,1)"),
        Flag::text("memory", "bytes", "Memory limit")
            .short(b'm')
            .checked(create_request::check_size),
        Flag::text("memory-reservation", "bytes", "Memory soft limit")
            .checked(create_request::check_size),
        Flag::text(
            "memory-swap",
            "bytes",
            "Swap limit equal to memory plus swap: -1 to enable unlimited swap",
        )
        .checked(create_request::check_swap),
        Flag::number("pids-limit", "Tune container pids limit (set -1 for unlimited)"),
        Flag::text("restart", "string", "Restart policy to apply when a container exits")
            .checked(create_request::check_restart),
    ],
    common: &[],
    operands: Operands::AtLeast(1),
    stops: false,
};

pub(super) fn run(session: &Session<'_>, matches: &Matches) -> Result<u8, Failure> {
    let mut wanted = HostConfig::default();
    create_request::resources(matches, &mut wanted)?;
    if let Some(text) = matches.text("restart") {
        wanted.restart_policy = create_request::restart(text);
    }
    if wanted == HostConfig::default() {
        let error = Error::bad_input("you must provide one or more flags when using this command");
        return Err(Failure { code: 1, error, help: true });
    }
    let body = base::json::to_string(&wanted);
    each(session, matches, &mut |name| {
        let target = session.target("/containers/", name, "/update")?;
        let done: UpdateResponse = session.json(Method::Post, &target, Payload::Json(&body))?;
        for warning in done.warnings {
            session.tell(&["WARNING: ", &warning].concat());
        }
        Ok(())
    })
}
