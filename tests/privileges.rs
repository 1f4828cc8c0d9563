//! Flags that give a container more or less than the default: their effect seen from inside.

#![allow(clippy::expect_used)]

use support::World;

/// The script's output with these flags.
fn inside(world: &World, flags: &[&str], script: &str) -> String {
    let done = world.script(flags, script);
    assert_eq!((done.code, done.err.as_str()), (0, ""), "{flags:?}: {done:?}");
    done.out.trim_end().to_string()
}

/// What a wrong flag is told.
fn refused(world: &World, flags: &[&str], want: &str) {
    let done = world.script(flags, "true");
    assert_ne!(done.code, 0, "{flags:?}: {done:?}");
    assert!(done.err.contains(want), "{flags:?}: {done:?}");
}

#[test]
fn capabilities_are_added_and_dropped() {
    let world = World::new();
    let bounding = std::fs::read_to_string("/proc/self/status").expect("status");
    let bounding = bounding.lines().find_map(|line| line.strip_prefix("CapBnd:")).expect("CapBnd");
    let cases: [(&[&str], &str); 6] = [
        (&[], "00000000a80425fb"),
        (&["--cap-drop", "ALL"], "0000000000000000"),
        (&["--cap-drop", "ALL", "--cap-add", "chown"], "0000000000000001"),
        (&["--cap-add", "CAP_NET_ADMIN", "--cap-drop", "MKNOD"], "00000000a00435fb"),
        (&["--cap-add", "ALL"], bounding.trim()),
        (&["--privileged"], bounding.trim()),
    ];
    for (flags, want) in cases {
        let script = "grep CapEff: /proc/self/status | { read name mask; echo $mask; }";
        assert_eq!(inside(&world, flags, script), want, "{flags:?}");
    }
    // The effect, not only the number.
    let script = "touch f; busybox chown 1 f 2>/dev/null && echo yes || echo no";
    assert_eq!(inside(&world, &["--cap-drop", "CHOWN"], script), "no");
    assert_eq!(inside(&world, &[], script), "yes");
    refused(&world, &["--cap-add", "CHWON"], "invalid CapAdd: unknown capability: \"CAP_CHWON\"");
    refused(&world, &["--cap-drop", "X"], "invalid CapDrop: unknown capability: \"CAP_X\"");
    world.finish();
}

#[test]
fn the_privileged_get_the_hosts_devices_and_writable_system_paths() {
    let world = World::new();
    let script = "{ echo box >/proc/sys/kernel/hostname; } 2>/dev/null && echo proc; \
                  grep -q ' /sys sysfs rw' /proc/mounts && echo sys; \
                  test -s /proc/kcore && echo kcore; mknod /tmp/kmsg c 1 11; \
                  true 3</tmp/kmsg && echo kmsg; test -c /dev/kmsg && echo node; \
                  grep Seccomp: /proc/self/status | tr -d '\\t'";
    let done = world.script(&["--privileged"], script);
    let kcore = if std::path::Path::new("/proc/kcore").exists() { "kcore\n" } else { "" };
    let node = if std::path::Path::new("/dev/kmsg").exists() { "node\n" } else { "" };
    assert_eq!(done.out, format!("proc\nsys\n{kcore}kmsg\n{node}Seccomp:0\n"), "{done:?}");
    // Without: the paths are protected, and the node cannot be opened.
    let done = world.script(&[], script);
    assert!(!done.out.contains("kmsg") && !done.out.contains("proc\n"), "{done:?}");
    assert!(done.out.ends_with("Seccomp:2\n") && !done.out.contains("sys"), "{done:?}");
    world.finish();
}

#[test]
fn the_privileged_may_make_cgroups_and_leave_none() {
    let world = World::new();
    // Version 1 shows none.
    let script = "cd /sys/fs/cgroup; if test -e cgroup.procs; then mkdir -p a/b c; \
                  sh -c 'echo $$ >a/b/cgroup.procs; exec sleep 9' & sleep 0.2; fi; echo made";
    let done = world.script(&["--privileged"], script);
    assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (0, "made\n", ""));
    world.finish();
}

#[test]
fn devices_are_given_with_their_rights() {
    let world = World::new();
    let open =
        "mknod /tmp/kmsg c 1 11; true 3</tmp/kmsg && echo read; true 3>/tmp/kmsg && echo write";
    let syslog = ["--cap-add", "SYSLOG"];
    let rule = |text| ["--device-cgroup-rule", text];
    let cases = [("c 1:11 r", "read\n"), ("c 1:* rw", "read\nwrite\n"), ("c 2:11 rwm", "")];
    for (text, want) in cases {
        // CAP_SYSLOG is what the kernel itself wants of readers.
        let done = world.script(&[&rule(text)[..], &syslog].concat(), open);
        assert_eq!(done.out, want, "{text}: {done:?}");
    }
    assert_eq!(world.script(&syslog, open).out, "");
    // A node of the host's, which this test makes: not every host has /dev/kmsg.
    let node = world.folder.join("node");
    let mut make = std::process::Command::new("mknod");
    make.args(["-m", "640"]).arg(&node).args(["c", "1", "11"]);
    assert!(make.status().expect("mknod").success());
    let device = format!("{}:/dev/deep/log:r", node.display());
    let script = "stat -c '%t:%T %a' /dev/deep/log; true 3</dev/deep/log && echo read; \
                  true 3>/dev/deep/log || echo no";
    let done = world.script(&["--device", &device, syslog[0], syslog[1]], script);
    assert_eq!(done.out, "1:b 640\nread\nno\n", "{done:?}");
    refused(&world, &["--device", "/dev/nosuch"], "error gathering device information");
    refused(&world, &["--device", "/etc/passwd:/dev/x"], "not a device node");
    refused(&world, &["--device", "/dev/null:/dev/x:q"], "invalid device mode: q");
    refused(&world, &["--device-cgroup-rule", "c 1"], "invalid device cgroup rule format: 'c 1'");
    world.finish();
}

#[test]
fn profiles_and_labels_that_cannot_be_are_refused() {
    let world = World::new();
    let option = |text| ["--security-opt", text];
    let enabled = std::fs::read_to_string("/sys/module/apparmor/parameters/enabled");
    let want = match enabled.is_ok_and(|text| text.starts_with('Y')) {
        true => "apparmor=nosuch: no such profile is loaded",
        false => "apparmor=nosuch: this kernel has no AppArmor, or it is off (kernel option",
    };
    refused(&world, &option("apparmor=nosuch"), want);
    refused(&world, &option("apparmor:nosuch"), want);
    refused(&world, &option("label=colour:red"), "bad label option \"colour:red\"");
    let mut taken = vec!["apparmor=unconfined", "label=disable"];
    // Where SELinux is off they mean nothing, as with docker; where it is on: qemu-tests/fuller/selinux.
    if !std::path::Path::new("/sys/fs/selinux/enforce").exists() {
        taken.extend(["label=type:x", "label=level:s0:c1,c2"]);
    }
    for text in taken {
        assert_eq!(inside(&world, &option(text), "echo x"), "x");
    }
    let words = ["create", "--net", "none", "--security-opt", "apparmor=unconfined", "bb", "true"];
    let id = world.ok(&words);
    assert_eq!(world.ok(&["inspect", "-f", "{{.AppArmorProfile}}", &id]), "unconfined");
    world.ok(&["rm", &id]);
    world.finish();
}

#[test]
fn devices_by_the_version_1_controller() {
    let world = World::new();
    // A host with version 1 alone: ours without its version 2 tree, where it has one beside.
    if !std::path::Path::new("/sys/fs/cgroup/devices/cgroup.procs").exists() {
        println!("not looked at: this host has no version 1 controller of devices");
        return world.finish();
    }
    let script = "umount /sys/fs/cgroup/unified 2>/dev/null; exec \"$@\"";
    let open =
        "mknod /tmp/kmsg c 1 11; true 3</tmp/kmsg && echo read; true 3>/tmp/kmsg && echo write";
    let run = |flags: &[&str]| {
        let mut command = std::process::Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"])
            .arg(support::binary())
            .args(["run", "--rm", "--net", "none", "--cap-add", "SYSLOG"])
            .args(flags)
            .args(["bb", "sh", "-c", open])
            .env("CORACLE_ROOT", world.root())
            .env("CORACLE_RUN", world.run_folder());
        support::Done::from(command.output().expect("unshare"))
    };
    for (flags, want) in [
        (&[][..], ""),
        (&["--device-cgroup-rule", "c 1:11 r"], "read\n"),
        (&["--device-cgroup-rule", "c 1:* rw"], "read\nwrite\n"),
        (&["--device-cgroup-rule", "c 2:11 rwm"], ""),
        (&["--privileged"], "read\nwrite\n"),
    ] {
        let done = run(flags);
        assert_eq!(done.out, want, "{flags:?}: {done:?}");
    }
    world.finish();
}

#[test]
fn groups_limits_scores_and_memory_file_systems() {
    let world = World::new();
    let shm = "grep ' /dev/shm ' /proc/mounts | grep -o 'size=[0-9]*k'";
    let cases: [(&[&str], &str, &str); 9] = [
        (&["--group-add", "log", "--group-add", "77"], "id -G", "0 4 77"),
        (&["-u", "web", "--group-add", "9"], "id -G", "34 4 9"),
        (&["--ulimit", "nofile=64:128"], "ulimit -n; ulimit -Hn", "64\n128"),
        (&["--ulimit", "core=0"], "ulimit -c", "0"),
        (&["--oom-score-adj", "500"], "cat /proc/self/oom_score_adj", "500"),
        (&[], shm, "size=65536k"),
        (&["--shm-size", "3m"], shm, "size=3072k"),
        (
            &["--tmpfs", "/new/t:size=1m,mode=700"],
            "grep ' /new/t ' /proc/mounts | grep -c nosuid,nodev,noexec; stat -c %a /new/t",
            "1\n700",
        ),
        (
            &["--security-opt", "systempaths=unconfined"],
            "grep -c ' /proc/' /proc/mounts || true",
            "0",
        ),
    ];
    for (flags, script, want) in cases {
        assert_eq!(inside(&world, flags, script), want, "{flags:?}");
    }
    refused(&world, &["--group-add", "nosuch"], "unable to find group nosuch");
    refused(&world, &["--ulimit", "nosuch=1"], "invalid ulimit type: nosuch");
    refused(&world, &["--ulimit", "nofile"], "invalid ulimit argument: nofile");
    refused(&world, &["--ulimit", "nofile=9:8"], "ulimit soft limit must be less than");
    // More than the kernel lets anybody have, root or not: the error names it.
    refused(&world, &["--ulimit", "nofile=9223372036854775807"], "setrlimit nofile");
    refused(&world, &["--oom-score-adj", "1001"], "Invalid value 1001");
    refused(&world, &["--tmpfs", "/proc"], "invalid mount: destination can't be '/proc'");
    refused(&world, &["--tmpfs", "x"], "mount path must be absolute");
    world.finish();
}
