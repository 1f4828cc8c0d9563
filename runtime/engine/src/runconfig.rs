//! What the image says and what the command line says, merged as Docker does. Pure.

use crate::health;
use base::json::Empty;
use base::{Error, Result};
use base_http::api::container::ContainerConfig;
use imgstore::ImageConfig;

/// Merges the image's configuration into the request's, and gives the whole command. Docker's
/// rules: a word of the request wins; an entry point of the request's also drops the image's
/// command; environment and labels are joined by name.
pub(crate) fn merge(config: &mut ContainerConfig, image: &ImageConfig) -> Result<Vec<String>> {
    let given = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    if !given(&config.entrypoint) {
        if !given(&config.cmd) {
            config.cmd = image.cmd.clone();
        }
        config.entrypoint = image.entrypoint.clone();
    } else if config.entrypoint.as_deref() == Some(&[String::new()]) {
        // `--entrypoint ""`: the image's is taken away.
        config.entrypoint = None;
    }
    let mut environment = image.env.clone();
    for variable in config.env.take().unwrap_or_default() {
        set_variable(&mut environment, variable);
    }
    // CVE in podman: a variable without `=` is dropped, never looked up on the host.
    environment.retain(|variable| variable.contains('='));
    config.env = Some(environment);
    let mut labels = image.labels.clone();
    labels.extend(config.labels.take().unwrap_or_default());
    config.labels = Some(labels);
    for port in image.exposed_ports.keys() {
        config.exposed_ports.insert(port.clone(), Empty);
    }
    let mut volumes = image.volumes.clone();
    volumes.extend(config.volumes.take().unwrap_or_default());
    let any = volumes.keys().next().is_some();
    config.volumes = any.then_some(volumes);
    let of_image = match image.healthcheck.text() {
        "" | "null" => None,
        _ => image.healthcheck.parse().ok(),
    };
    config.healthcheck = health::merge(config.healthcheck.take(), of_image);
    if config.stop_timeout.is_none() {
        config.stop_timeout = image.stop_timeout.map(i64::from);
    }
    for (mine, theirs) in [
        (&mut config.user, &image.user),
        (&mut config.working_dir, &image.working_dir),
        (&mut config.stop_signal, &image.stop_signal),
    ] {
        if mine.is_empty() {
            mine.clone_from(theirs);
        }
    }
    let command: Vec<String> =
        config.entrypoint.iter().chain(&config.cmd).flatten().cloned().collect();
    if command.first().is_none_or(String::is_empty) {
        return Err(Error::bad_input("no command specified"));
    }
    Ok(command)
}

/// Puts a variable in the place of its namesake; a name alone takes that away.
pub(crate) fn set_variable(environment: &mut Vec<String>, variable: String) {
    let name = variable.split('=').next();
    environment.retain(|other| other.split('=').next() != name);
    if variable.contains('=') {
        environment.push(variable);
    }
}

/// The environment of a process: PATH, HOSTNAME and, with a terminal, TERM first, as Docker orders
/// them.
pub(crate) fn environment(config: &ContainerConfig, terminal: bool) -> Vec<String> {
    const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let mut environment = vec![PATH.to_string(), format!("HOSTNAME={}", config.hostname)];
    if terminal {
        environment.push("TERM=xterm".to_string());
    }
    for variable in config.env.iter().flatten() {
        let name = variable.split('=').next();
        match environment.iter_mut().find(|other| other.split('=').next() == name) {
            Some(other) => other.clone_from(variable),
            None => environment.push(variable.clone()),
        }
    }
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| word.to_string()).collect()
    }

    #[test]
    fn commands_are_merged_as_docker_does() {
        // image entry point, image command, request entry point, request command -> command
        type Case<'a> =
            (&'a [&'a str], &'a [&'a str], Option<&'a [&'a str]>, &'a [&'a str], &'a [&'a str]);
        let cases: [Case<'_>; 6] = [
            (&[], &["sh"], None, &[], &["sh"]),
            (&[], &["sh"], None, &["ls", "-l"], &["ls", "-l"]),
            (&["/e"], &["a"], None, &[], &["/e", "a"]),
            (&["/e"], &["a"], None, &["b"], &["/e", "b"]),
            (&["/e"], &["a"], Some(&["/f"]), &[], &["/f"]),
            (&["/e"], &["a"], Some(&[""]), &["b"], &["b"]),
        ];
        for (entrypoint, cmd, wanted_entrypoint, wanted, want) in cases {
            let image = ImageConfig {
                entrypoint: Some(list(entrypoint)),
                cmd: Some(list(cmd)),
                ..ImageConfig::default()
            };
            let mut config = ContainerConfig {
                entrypoint: wanted_entrypoint.map(list),
                cmd: Some(list(wanted)),
                ..ContainerConfig::default()
            };
            assert_eq!(merge(&mut config, &image).expect("merge"), list(want));
        }
        let mut config = ContainerConfig::default();
        let error = merge(&mut config, &ImageConfig::default()).expect_err("none");
        assert_eq!(error.message(), "no command specified");
    }

    #[test]
    fn environments_are_joined_by_name() {
        let image = ImageConfig {
            cmd: Some(list(&["sh"])),
            env: list(&["A=1", "B=2", "PATH=/bin", "BROKEN"]),
            ..ImageConfig::default()
        };
        let mut config = ContainerConfig {
            env: Some(list(&["B=3", "A", "C="])),
            hostname: "box".into(),
            tty: true,
            ..ContainerConfig::default()
        };
        merge(&mut config, &image).expect("merge");
        let want = list(&["PATH=/bin", "HOSTNAME=box", "TERM=xterm", "B=3", "C="]);
        assert_eq!(environment(&config, config.tty), want);
    }
}
