//! More ways out that worked elsewhere: by what an image says of itself, its environment, labels and
//! working directory.

#![allow(clippy::expect_used)]

use support::World;
use support::hostile::{outside, run, saying};
use tar::EntryType;

#[test]
fn cve_2026_57231_a_variable_without_a_value_is_not_the_hosts() {
    let world = World::new();
    let names = ["SECRET", "PATH", "=", "", "SECRET2="];
    saying(&world, serde_json::json!({ "Cmd": ["env"], "Env": names }), &[]);
    let command = |words: &[&str]| {
        let mut command = world.command(words);
        command.env("SECRET", "of-the-host").env("SECRET2", "of-the-host");
        support::Done::from(command.output().expect("run"))
    };
    let done = command(&["run", "--rm", "--net", "none", "bad"]);
    assert!(done.code == 0 && done.out.contains("PATH="), "{done:?}");
    assert!(!done.out.contains("of-the-host"), "a variable of the host's: {done:?}");
    let id = command(&["run", "-d", "--net", "none", "bad", "sleep", "1000"]).out;
    let done = command(&["exec", id.trim(), "env"]);
    assert!(done.code == 0 && done.out.contains("PATH="), "{done:?}");
    assert!(!done.out.contains("of-the-host"), "a variable of the host's in exec: {done:?}");
    world.ok(&["rm", "-f", id.trim()]);
    world.finish();
}

#[test]
fn cve_2026_53488_labels_of_an_image_ask_for_nothing() {
    let world = World::new();
    let made = world.folder.join("made");
    let uri = format!("binary:///bin/touch?{}", made.display());
    let labels = serde_json::json!({
        "log-driver": "json-file", "nerdctl/log-uri": uri, "containerd.io/restart.loguri": uri,
        "io.containerd.runc.v2.options": "{}", "coracle.log-driver": "json-file",
        "coracle.privileged": "true", "coracle.devices": "/dev/mem", "coracle.volumes": "/:/host",
        "io.podman.annotations.privileged": "TRUE", "io.kubernetes.cri.untrusted-workload": "false",
        "run.oci.hooks.stdout": made, "org.opencontainers.image.hooks": uri,
    });
    saying(&world, serde_json::json!({ "Cmd": ["sh"], "Labels": labels }), &[]);
    let mut hosts = Vec::new();
    for image in ["bad", "bb"] {
        let id = world.ok(&["create", "--net", "none", image, "true"]);
        let done = world.coracle(&["start", "-a", &id]);
        assert_eq!(done.code, 0, "{done:?}");
        let text = world.ok(&["inspect", &id]);
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let labels = json[0]["Config"]["Labels"].as_object().map_or(0, |labels| labels.len());
        assert_eq!(labels, if image == "bad" { 12 } else { 0 }, "{text}");
        hosts.push((json[0]["HostConfig"].clone(), json[0]["Mounts"].clone()));
        world.ok(&["rm", &id]);
    }
    assert_eq!(hosts[0], hosts[1], "a label was obeyed");
    assert!(!made.exists(), "a label's command was run");
    world.finish();
}

#[test]
fn ghsa_q6r4_3wmg_fwcq_the_working_directory_is_made_inside() {
    let world = World::new();
    let (outside, path) = outside(&world);
    for (folder, user) in [("/out/made", "0"), ("/out/made", "web"), ("/out", "web")] {
        let config = serde_json::json!({ "WorkingDir": folder, "User": user });
        saying(&world, config, &[(EntryType::Symlink, "out", path.as_bytes())]);
        // It may be made inside or refused.
        let done = run(&world, &[], &["true"]);
        let names = std::fs::read_dir(&outside).expect("read").count();
        assert_eq!(names, 0, "{folder}: something was made on the host: {done:?}");
        let owner = std::os::unix::fs::MetadataExt::uid(&outside.metadata().expect("stat"));
        assert_eq!(owner, 0, "{folder}: the host's folder has another owner: {done:?}");
    }
    world.finish();
}

/// procd, 2026: a long name in a buffer of its own. Whatever is long is refused in a line, or taken.
#[test]
fn procd_2026_long_names_are_refused() {
    let world = World::new();
    let long = "n".repeat(5000);
    let path = format!("/{}", ["d"; 3000].join("/"));
    for flags in [
        vec!["--name", &long],
        vec!["-h", &long],
        vec!["--cgroup-parent", &long],
        vec!["--cgroup-parent", &path],
        vec!["-w", &path],
        vec!["-w", &long],
        vec!["-u", &long],
        vec!["--tmpfs", &path],
        vec!["--group-add", &long],
        vec!["--ulimit", &long],
        vec!["--device-cgroup-rule", &long],
        vec!["--sysctl", &long],
        vec!["--cpuset-cpus", &long],
        vec!["--device", &long],
    ] {
        let done = world.script(&flags, "true");
        assert!([1, 125, 126, 127].contains(&done.code), "{}: {done:?}", flags[0]);
        let told = done.err.starts_with("coracle: ") && !done.err.contains("panicked");
        assert!(told, "{}: {done:?}", flags[0]);
    }
    world.finish();
}
