//! `update`: other limits and another restart policy, while the container runs too.

use crate::container::Status;
use crate::monitor::Policy;
use crate::monitor::control::{Control, Message};
use crate::{Engine, resources};
use base::{Error, Kind, Result};
use base_http::api::container::UpdateResponse;
use base_http::api::host_config::HostConfig;
use libcontainer::cgroup::{self, Join};

/// Changes a container.
pub(crate) struct Update {
    pub(crate) container: String,
    /// What is to change; what is empty or 0 stays.
    pub(crate) wanted: HostConfig,
}

impl Update {
    pub(crate) fn run(mut self, engine: &Engine) -> Result<UpdateResponse> {
        let containers = engine.containers();
        let container = containers.find(&self.container)?;
        let policy = Policy::of(&self.wanted.restart_policy)?;
        if policy != Policy::No && container.record.host_config.auto_remove {
            return Err(Error::bad_input(
                "Restart policy cannot be updated because AutoRemove is enabled for the container",
            ));
        }
        let mut record = containers.own_record(&container)?;
        let host = &mut record.host_config;
        merge(host, &self.wanted);
        let warnings = resources::check(host)?;
        if engine.is_ordinary() && resources::any(&self.wanted) {
            return Err(Error::unsupported(
                "limits need root: an ordinary user has no cgroup here",
            ));
        }
        let lock = container.lock()?;
        if container.state().status == Status::Running && resources::any(&self.wanted) {
            resources::check(&mut self.wanted)?;
            // Swap follows memory: both are written.
            let mut limits = resources::limits(&self.wanted, Join::Statistics)?;
            let all = resources::limits(host, Join::Statistics)?;
            if limits.memory.is_some() || limits.memory_and_swap.is_some() {
                limits.memory = all.memory;
                limits.memory_and_swap = all.memory_and_swap;
            }
            if limits.cpu_period.is_some() || limits.cpu_quota.is_some() {
                limits.cpu_period = all.cpu_period;
                limits.cpu_quota = all.cpu_quota;
            }
            cgroup::update(&container.record.cgroup(), &limits)?;
        }
        containers.rewrite(&container, &record)?;
        engine.tell(&container, "update", &[]);
        drop(lock);
        if !self.wanted.restart_policy.name.is_empty() {
            // The monitor that is there has read the old one.
            match Control::connect(&container.run) {
                Ok(control) => drop(control.ask(Message::Policy(policy), &[])?),
                Err(error) if error.kind() == Kind::NotFound => (),
                Err(error) => return Err(error),
            }
        }
        Ok(UpdateResponse { warnings })
    }
}

/// What is given takes the place of what was.
fn merge(host: &mut HostConfig, wanted: &HostConfig) {
    fn number(mine: &mut i64, theirs: i64) {
        if theirs != 0 {
            *mine = theirs;
        }
    }
    if wanted.nano_cpus != 0 {
        (host.cpu_period, host.cpu_quota) = (0, 0);
    }
    if wanted.cpu_period != 0 || wanted.cpu_quota != 0 {
        host.nano_cpus = 0;
    }
    number(&mut host.memory, wanted.memory);
    number(&mut host.memory_swap, wanted.memory_swap);
    number(&mut host.memory_reservation, wanted.memory_reservation);
    number(&mut host.nano_cpus, wanted.nano_cpus);
    number(&mut host.cpu_shares, wanted.cpu_shares);
    number(&mut host.cpu_period, wanted.cpu_period);
    number(&mut host.cpu_quota, wanted.cpu_quota);
    number(&mut host.blkio_weight, wanted.blkio_weight);
    if wanted.pids_limit.is_some_and(|limit| limit != 0) {
        host.pids_limit = wanted.pids_limit;
    }
    for (mine, theirs) in
        [(&mut host.cpuset_cpus, &wanted.cpuset_cpus), (&mut host.cpuset_mems, &wanted.cpuset_mems)]
    {
        if !theirs.is_empty() {
            mine.clone_from(theirs);
        }
    }
    if !wanted.restart_policy.name.is_empty() {
        host.restart_policy = wanted.restart_policy.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_given_changes() {
        let mut host = HostConfig {
            memory: 64 << 20,
            cpu_quota: 5000,
            cpuset_cpus: "0".into(),
            ..HostConfig::default()
        };
        let wanted =
            HostConfig { nano_cpus: 500_000_000, pids_limit: Some(9), ..HostConfig::default() };
        merge(&mut host, &wanted);
        assert_eq!((host.memory, host.cpu_quota, host.nano_cpus), (64 << 20, 0, 500_000_000));
        assert_eq!((host.pids_limit, host.cpuset_cpus.as_str()), (Some(9), "0"));
    }
}
