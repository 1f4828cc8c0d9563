//! Containers of a folder, started for real. Needs root, as `.ci/run` has; an ordinary user's run
//! says that it could not look.

// A test that cannot set up its world has failed.
#![allow(clippy::expect_used)]

use base::sys::Errno;
use libcontainer::capabilities::Capabilities;
use libcontainer::cgroup::{self, Amount, Limits};
use libcontainer::seccomp::Seccomp;
use libcontainer::{Namespaces, Program, RootSource, SharedMemory, Spec, Started, Stdio, start};
use rustix::process::{WaitOptions, waitpid};
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A root with the host's own /bin/busybox as its only program.
struct Place {
    folder: PathBuf,
    id: String,
}

impl Place {
    fn new() -> Place {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let id = format!("lctest-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(&id);
        for name in ["root/bin", "root/etc", "upper", "work", "mnt"] {
            std::fs::create_dir_all(folder.join(name)).expect("mkdir");
        }
        std::os::unix::fs::symlink("busybox", folder.join("root/bin/sh")).expect("symlink");
        std::fs::copy("/bin/busybox", folder.join("root/bin/busybox")).expect("busybox-static");
        std::fs::write(folder.join("root/etc/passwd"), "web:x:33:34::/srv:/bin/sh\n")
            .expect("write");
        std::fs::write(folder.join("root/etc/group"), "log:x:4:web\n").expect("write");
        Place { folder, id }
    }

    fn spec(&self, script: &str) -> Spec {
        Spec {
            id: self.id.clone(),
            kept_root: None,
            keep_root: false,
            root: RootSource::Overlay {
                lower: vec![self.folder.join("root")],
                upper: self.folder.join("upper"),
                work: self.folder.join("work"),
                volatile: false,
                userxattr: false,
                ram: None,
                label: None,
            },
            mount_point: self.folder.join("mnt"),
            read_only_root: false,
            privileged: false,
            system_paths: false,
            hostname: "box".into(),
            domainname: String::new(),
            program: Program {
                arguments: ["sh", "-c", script].map(String::from).to_vec(),
                environment: vec!["PATH=/bin".into()],
                folder: "/".into(),
                user: String::new(),
                capabilities: Capabilities::default_set(),
                no_new_privileges: false,
                groups: Vec::new(),
                limits: Vec::new(),
                oom_score: None,
                apparmor: None,
                selinux: None,
                seccomp: Seccomp::Builtin,
                ids: None,
            },
            namespaces: Namespaces::default(),
            sysctls: Vec::new(),
            init: false,
            binds: Vec::new(),
            file_systems: Vec::new(),
            mount_label: None,
            shared_memory: SharedMemory::Own(64 << 20),
            devices: Vec::new(),
            device_rules: None,
            limits: Some(Limits::default()),
            user_namespace: None,
            dies_with_parent: true,
            parent_waits: false,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = cgroup::kill(&self.id);
        cgroup::remove(&self.id).expect("remove cgroup");
        std::fs::remove_dir_all(&self.folder).expect("remove");
    }
}

/// Output and exit code of a container.
fn run(spec: &Spec) -> Result<(String, i32), base::Error> {
    let (mut reader, writer) = std::io::pipe().expect("pipe");
    let null = std::fs::File::open("/dev/null").expect("null");
    let errors = writer.try_clone().expect("clone");
    let started = start(spec, &Stdio::Descriptors([null.into(), writer.into(), errors.into()]))?;
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("read");
    Ok((text, wait(&started)))
}

fn wait(started: &Started) -> i32 {
    let (_, status) =
        waitpid(Some(started.pid), WaitOptions::empty()).expect("wait").expect("status");
    status.exit_status().or(status.terminating_signal().map(|signal| 128 + signal)).expect("code")
}

#[test]
fn a_container_sees_itself_alone() {
    let place = Place::new();
    let script = "echo $$ $(busybox hostname) $HOME; busybox ls /proc/self/fd | busybox wc -l; busybox ls /sys/class/net; \
                  busybox grep -E 'Cap(Inh|Eff|Bnd)' /proc/self/status; busybox wc -l < /proc/1/cgroup; exit 7";
    let (text, code) = run(&place.spec(script)).expect("run");
    assert_eq!(code, 7, "{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "1 box /");
    assert_eq!(lines[1], "4", "0, 1, 2 and the folder that ls reads");
    assert_eq!(lines[2], "lo");
    assert_eq!(lines[3], "CapInh:\t0000000000000000");
    assert!(lines[4].starts_with("CapEff:\t00000000") && lines[5] == "CapBnd:\t00000000a80425fb");
}

#[test]
fn devices_outside_of_the_rules_cannot_be_opened() {
    let place = Place::new();
    let script = "echo x > /dev/null && echo null; busybox mknod /kmsg c 1 11 && echo made; \
                  busybox dd if=/kmsg count=0 2>&1 | busybox grep -c 'not permitted'";
    let (text, _) = run(&place.spec(script)).expect("run");
    assert_eq!(text, "null\nmade\n1\n");
}

#[test]
fn paths_of_the_host_are_hidden_or_read_only() {
    let place = Place::new();
    let script = "busybox wc -c < /proc/interrupts; busybox ls /sys/firmware | busybox wc -l; \
                  (echo 1 > /proc/sys/kernel/printk) 2>&1 | busybox grep -c 'Read-only'; busybox touch /sys/x 2>&1 | busybox grep -c 'Read-only'";
    let (text, _) = run(&place.spec(script)).expect("run");
    assert_eq!(text, "0\n0\n1\n1\n");
}

#[test]
fn a_user_of_the_image_has_his_groups_and_no_capabilities() {
    let place = Place::new();
    let mut spec =
        place.spec("busybox id; echo $HOME; busybox pwd; busybox grep CapEff /proc/self/status");
    spec.program.user = "web".into();
    spec.program.folder = "/made/for/us".into();
    let (text, _) = run(&spec).expect("run");
    assert_eq!(
        text,
        "uid=33(web) gid=34 groups=4(log)\n/srv\n/made/for/us\nCapEff:\t0000000000000000\n"
    );
    spec.program.user = "nobody".into();
    let error = run(&spec).expect_err("no such user");
    assert_eq!(error.message(), "unable to find user nobody: no matching entries in passwd file");
}

#[test]
fn what_takes_more_memory_than_allowed_is_killed() {
    let place = Place::new();
    let mut spec = place.spec("exec busybox dd if=/dev/zero of=/dev/null bs=100M count=1");
    spec.limits =
        Some(Limits { memory: Some(16 << 20), pids: Some(Amount::Of(20)), ..Limits::default() });
    let (text, code) = run(&spec).expect("run");
    assert_eq!(code, 137, "{text}");
    assert!(cgroup::was_out_of_memory(&place.id));
}

#[test]
fn a_read_only_root_cannot_be_written() {
    let place = Place::new();
    let mut spec = place.spec("busybox touch /x 2>&1 | busybox grep -c 'Read-only'");
    spec.read_only_root = true;
    assert_eq!(run(&spec).expect("run").0, "1\n");
}

#[test]
fn commands_that_cannot_run_say_why() {
    let place = Place::new();
    let cases = [
        ("nosuch", "exec: \"nosuch\": executable file not found in $PATH"),
        ("/bin/nosuch", "exec: \"/bin/nosuch\": no such file or directory"),
        ("/etc", "exec: \"/etc\": permission denied"),
        ("/etc/passwd", "exec: \"/etc/passwd\": permission denied"),
    ];
    for (command, want) in cases {
        let mut spec = place.spec("");
        spec.program.arguments = vec![command.into()];
        assert_eq!(run(&spec).expect_err(command).message(), want);
    }
}

#[test]
fn a_link_in_place_of_proc_is_refused() {
    let place = Place::new();
    std::os::unix::fs::symlink("/etc", place.folder.join("root/proc")).expect("symlink");
    let error = run(&place.spec("true")).expect_err("refused");
    assert!(error.message().starts_with("mount proc on /proc: "), "{error}");
}

#[test]
fn a_command_killed_while_it_runs_gives_the_signal() {
    let place = Place::new();
    let (text, code) = run(&place.spec("kill -9 $$; busybox sleep 1; exit 3")).expect("run");
    // The first process of a namespace ignores signals from inside.
    assert_eq!((text.as_str(), code), ("", 3));
    let null = || std::fs::File::open("/dev/null").expect("null").into();
    let stdio = Stdio::Descriptors([null(), null(), null()]);
    let started = start(&place.spec("exec busybox sleep 60"), &stdio).expect("start");
    started.process.signal(rustix::process::Signal::KILL).expect("kill");
    assert_eq!(wait(&started), 137);
    assert_eq!(rustix::process::test_kill_process(started.pid), Err(Errno::SRCH));
}
