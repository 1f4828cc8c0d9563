//! An ordinary user, without and with subordinate ids: what he can, and what he is told he cannot.

#![allow(clippy::expect_used)]

use std::path::PathBuf;
use std::process::{Command, Stdio};
use support::{Done, World, busybox_tar, feed};

struct User {
    world: World,
    home: PathBuf,
}

impl User {
    /// A user with a store of his own that holds busybox.
    fn new() -> User {
        User::with("")
    }

    /// One for whom /etc/subuid and /etc/subgid say this.
    fn with(ranges: &str) -> User {
        let world = World::empty();
        let home = world.folder.join("home");
        std::fs::create_dir(&home).expect("mkdir");
        // A copy that he can reach.
        support::copy_binary(&home.join("coracle"));
        for folder in [&world.folder, &home] {
            std::os::unix::fs::chown(folder, Some(65534), Some(65534)).expect("chown");
        }
        // Once: what a command has left to do in the background reads it, too.
        std::fs::write(home.join("ranges"), format!("{ranges}\n")).expect("write");
        let user = User { world, home };
        let done = feed(&mut user.command(&["import", "-", "bb"]), &busybox_tar());
        assert_eq!(done.code, 0, "{done:?}");
        user
    }

    fn command(&self, words: &[&str]) -> Command {
        let script = "mount --bind $HOME/ranges /etc/subuid && mount --bind $HOME/ranges /etc/subgid && \
            exec setpriv \"$@\"";
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"])
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(self.home.join("coracle"))
            .args(words)
            .env("HOME", &self.home)
            .env("CORACLE_ROOT", self.world.root())
            .env("CORACLE_RUN", self.world.run_folder())
            .current_dir(&self.home)
            .stdin(Stdio::null());
        command
    }

    fn coracle(&self, words: &[&str]) -> Done {
        self.command(words).output().expect("setpriv").into()
    }

    fn ok(&self, words: &[&str]) -> String {
        let done = self.coracle(words);
        assert_eq!(done.code, 0, "{words:?}: {done:?}");
        done.out.trim_end_matches('\n').to_string()
    }

    fn run(&self, flags: &[&str], script: &str) -> Done {
        let words = [&["run", "--rm", "--net", "none"], flags, &["bb", "sh", "-c", script]];
        self.coracle(&words.concat())
    }

    fn refused(&self, words: &[&str], want: &str) {
        let done = self.coracle(words);
        assert!(done.code != 0 && done.err.contains(want), "{words:?}: {done:?}");
    }
}

#[test]
fn the_life_of_a_container() {
    let user = User::new();
    user.ok(&[
        "run",
        "-d",
        "--net",
        "none",
        "--name",
        "web",
        "--health-cmd",
        "test -f /tmp/x",
        "--health-interval",
        "100ms",
        "--restart",
        "on-failure:2",
        "-v",
        "data:/data",
        "bb",
        "sh",
        "-c",
        "echo up; touch /tmp/x; exec sleep 1000",
    ]);
    user.world.until("healthy", || {
        user.ok(&["inspect", "-f", "{{.State.Health.Status}}", "web"]) == "healthy"
    });
    assert_eq!(user.ok(&["exec", "web", "id", "-u"]), "0");
    assert_eq!(user.ok(&["logs", "web"]), "up");
    assert!(user.ok(&["top", "web"]).contains("sleep 1000"));
    // A probe of its health is a process, too, as long as it lasts.
    let format = ["--format", "{{.Name}} {{.PIDs}} {{.MemUsage}}"];
    user.world.until("stats of one process", || {
        let row = user.ok(&[&["stats", "--no-stream"], &format[..]].concat());
        assert!(row.starts_with("web ") && !row.contains(" 0B /"), "{row}");
        row.starts_with("web 1 ")
    });
    // Files in and out while it runs.
    std::fs::write(user.home.join("file"), "text\n").expect("write");
    user.ok(&["cp", "file", "web:/data/f"]);
    assert_eq!(user.ok(&["exec", "web", "cat", "/data/f"]), "text");
    user.ok(&["cp", "web:/data/f", "back"]);
    assert_eq!(std::fs::read_to_string(user.home.join("back")).expect("read"), "text\n");
    assert!(user.ok(&["diff", "web"]).contains("A /tmp/x"));
    user.ok(&["commit", "--pause=false", "web", "mine"]);
    let kept = user.ok(&["run", "--rm", "--net", "none", "mine", "ls", "/tmp"]);
    assert_eq!(kept, "x");
    user.ok(&["export", "-o", "out.tar", "web"]);
    assert!(user.home.join("out.tar").metadata().expect("stat").len() > 100_000);
    user.ok(&["rename", "web", "www"]);
    user.ok(&["restart", "-t", "0", "www"]);
    user.ok(&["update", "--restart", "no", "www"]);
    user.ok(&["stop", "-t", "0", "www"]);
    let events = user.ok(&[
        "events",
        "--since",
        "1h",
        "--until",
        "0s",
        "-f",
        "event=die",
        "--format",
        "{{.Action}}",
    ]);
    assert!(events.lines().count() >= 2, "{events}");
    user.refused(&["cp", "www:/tmp/x", "y"], "start it first");
    user.ok(&["rm", "-v", "www"]);
    user.ok(&["volume", "rm", "data"]);
    user.world.finish();
}

#[test]
fn what_he_can_and_what_he_is_told_he_cannot() {
    let user = User::new();
    let cases: [(&[&str], &str, &str); 7] = [
        (
            &["--upper", "ram:1m"],
            "touch /f && rm -r /srv && ls -d /f /srv 2>/dev/null; true",
            "/f\n",
        ),
        (&["--init"], "cat /proc/1/comm", "init\n"),
        (&["-v", "/own"], "echo x >/own/f; cat /own/f", "x\n"),
        (&["--tmpfs", "/t", "-v", "/t/x"], "touch /t/x/f; ls /t/x", "f\n"),
        (&["--sysctl", "net.ipv4.ip_forward=1"], "cat /proc/sys/net/ipv4/ip_forward", "1\n"),
        (&["--add-host", "db:10.0.0.1"], "tail -n 1 /etc/hosts", "10.0.0.1\tdb\n"),
        (&["--ipc", "none"], "grep -c ' /dev/shm ' /proc/mounts || true", "0\n"),
    ];
    for (flags, script, want) in cases {
        let done = user.run(flags, script);
        assert_eq!((done.code, done.out.as_str()), (0, want), "{flags:?}: {done:?}");
        assert_eq!(done.err.lines().count(), 1, "said once: {done:?}");
    }
    assert_eq!(user.ok(&["volume", "ls", "-q"]), "");
    let create =
        |flags: &[&'static str]| [&["create", "--net", "none"], flags, &["bb", "true"]].concat();
    for flags in
        [&["-m", "64m"][..], &["--cpus", "1"], &["--pids-limit", "9"], &["--cgroup-parent", "x"]]
    {
        user.refused(&create(flags), "limits need root");
    }
    for flags in [&["--pid", "host"][..], &["--ipc", "host"], &["--uts", "host"]] {
        user.refused(&create(flags), "shared namespaces need root");
    }
    user.refused(&create(&["--device", "/dev/null"]), "devices need root");
    user.world.finish();
}

#[test]
fn flags_have_their_effect_without_root() {
    let user = User::new();
    std::fs::write(user.home.join("env"), "Y=2\n").expect("write");
    let bind = format!("type=bind,source={},target=/f,readonly", user.home.join("env").display());
    let status = |key: &str| format!("grep ^{key}: /proc/self/status");
    let (caps, news, filter) = (status("CapEff"), status("NoNewPrivs"), status("Seccomp"));
    let cases: [(&[&str], &str, &str); 17] = [
        (&["-e", "X=1"], "echo $X", "1\n"),
        (&["--env-file", "env"], "echo $Y", "2\n"),
        (&["-h", "box"], "cat /proc/sys/kernel/hostname", "box\n"),
        (&["--domainname", "d.e"], "cat /proc/sys/kernel/domainname", "d.e\n"),
        (&["--entrypoint", "echo"], "x", "sh -c x\n"),
        (&["-w", "/tmp"], "pwd", "/tmp\n"),
        (&["--read-only"], "touch /x 2>/dev/null || echo no", "no\n"),
        (&["--shm-size", "1m"], "grep -o 'shm .*size=1024k' /proc/mounts | wc -l", "1\n"),
        (&["--dns", "1.2.3.4"], "grep -c 1.2.3.4 /etc/resolv.conf", "1\n"),
        (&["--ulimit", "nofile=64"], "ulimit -n", "64\n"),
        (&["--oom-score-adj", "500"], "cat /proc/self/oom_score_adj", "500\n"),
        (&["--cap-drop", "ALL"], &caps, "CapEff:\t0000000000000000\n"),
        (&["--security-opt", "no-new-privileges"], &news, "NoNewPrivs:\t1\n"),
        (&["--security-opt", "seccomp=unconfined"], &filter, "Seccomp:\t0\n"),
        (&["--mount", &bind], "cat /f; echo x 2>/dev/null >/f || echo no", "Y=2\nno\n"),
        (&["--sig-proxy=false", "--pull", "never", "-q", "-a", "stdout"], "echo x", "x\n"),
        (&["--log-driver", "json-file", "--log-opt", "max-size=1m"], "echo x", "x\n"),
    ];
    for (flags, script, want) in cases {
        let done = user.run(flags, script);
        assert_eq!((done.code, done.out.as_str()), (0, want), "{flags:?}: {done:?}");
    }
    let words = ["run", "--rm", "-i", "--net", "none", "bb", "cat"];
    assert_eq!(feed(&mut user.command(&words), b"typed").out, "typed");
    // What is kept and shown.
    std::fs::write(user.home.join("labels"), "from=file\n").expect("write");
    let flags = ["-l", "a=b", "--label-file", "labels", "--annotation", "c=d", "--expose", "80"];
    let more = ["--stop-signal", "INT", "--stop-timeout", "3", "--cidfile", "cid", "-v", "/own"];
    let last = ["--replace", "--name", "boxy", "bb", "sh", "-c", "echo x >/own/f"];
    let id = user.ok(&[&["create", "--net", "none"], &flags[..], &more, &last].concat());
    assert_eq!(std::fs::read_to_string(user.home.join("cid")).expect("read"), id);
    let text = user.ok(&["inspect", "boxy"]);
    for part in ["\"a\": \"b\"", "\"from\": \"file\"", "\"c\": \"d\"", "80/tcp", "\"INT\""] {
        assert!(text.contains(part), "{part}: {text}");
    }
    user.ok(&["start", "-a", "boxy"]);
    assert_eq!(user.run(&["--volumes-from", "boxy"], "cat /own/f").out, "x\n");
    let again = user.ok(&[&["create", "--net", "none"], &last[..]].concat());
    assert!(again != id && user.ok(&["ps", "-aq", "--no-trunc"]) == again);
    user.ok(&["rm", "boxy"]);
    user.ok(&["volume", "prune", "-f"]);
    user.world.finish();
}

#[test]
fn other_users_inside_by_subordinate_ids() {
    let programs = ["/usr/bin/newuidmap", "/usr/bin/newgidmap"];
    assert!(programs.iter().all(|path| PathBuf::from(path).exists()), "install uidmap");
    let user = User::with("nobody:200000:65536");
    let maps = "tr -s ' ' </proc/self/uid_map; tr -s ' ' </proc/self/gid_map";
    let done = user.run(&[], maps);
    let both = " 0 65534 1\n 1 200000 65536\n";
    assert_eq!((done.code, done.out.as_str()), (0, [both, both].concat().as_str()), "{done:?}");
    assert_eq!(done.err, "WARNING: Ordinary user: no cgroup, so no limits.\n");
    let cases: [(&[&str], &str, &str); 4] = [
        (
            &["-u", "web"],
            "id; touch /tmp/x && stat -c %u:%g /tmp/x",
            "uid=33(web) gid=34 groups=4(log)\n33:34\n",
        ),
        (&["--group-add", "77"], "id -G", "0 77\n"),
        (
            &[],
            "mkdir -m 700 /d; touch /d/f; busybox chown -R 33:34 /d; stat -c %u:%g /d/f",
            "33:34\n",
        ),
        (&["--upper", "ram", "-u", "65536:1"], "id -u", "65536\n"),
    ];
    for (flags, script, want) in cases {
        let done = user.run(flags, script);
        assert_eq!((done.code, done.out.as_str()), (0, want), "{flags:?}: {done:?}");
    }
    user.refused(&["run", "--rm", "--net", "none", "-u", "65537", "bb", "true"], "has 65537 ids");
    // The folders of others go with the container and the volume; whoever runs is signalled.
    let script = "mkdir -p -m 700 /srv/d /own && touch /srv/d/f /own/f && \
        busybox chown -R 33:34 /srv/d /own && exec busybox su -s /bin/sh web -c 'exec sleep 1000'";
    let words =
        ["run", "-d", "--net", "none", "--name", "web", "-v", "data:/srv", "bb", "sh", "-c"];
    let id = user.ok(&[&words[..], &[script]].concat());
    let data = user.world.root().join("volumes/data/_data/d");
    user.world.until("its folder", || data.exists());
    user.world.until("its user", || user.ok(&["top", "web"]).contains("200032"));
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&data.metadata().expect("stat")), 200_032);
    assert_eq!(user.ok(&["exec", "web", "id", "-u"]), "0");
    assert_eq!(user.ok(&["exec", "-u", "web", "web", "cat", "/own/f"]), "");
    user.ok(&["stop", "-t", "0", "web"]);
    user.ok(&["rm", "web"]);
    let upper = user.world.root().join("uppers").join(&id);
    user.world.until("its folder is gone", || !upper.exists());
    user.ok(&["volume", "rm", "data"]);
    user.world.finish();
}

/// A cgroup of the ordinary user's, as systemd gives one to a session; gone with this value.
struct Delegated(PathBuf);

impl Delegated {
    fn new() -> Delegated {
        let folders = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup", "/sys/fs/cgroup/memory"];
        let mut trees = folders.into_iter().map(PathBuf::from);
        let tree = trees.find(|tree| tree.join("cgroup.procs").exists());
        let now = std::time::UNIX_EPOCH.elapsed().expect("time").as_nanos();
        let name = format!("coracle-test-{now:x}");
        let folder = tree.expect("a host with cgroups").join(name);
        std::fs::create_dir(&folder).expect("mkdir");
        for path in [folder.clone(), folder.join("cgroup.procs")] {
            std::os::unix::fs::chown(path, Some(65534), Some(65534)).expect("chown");
        }
        Delegated(folder)
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        // Its processes may be on their way out.
        for _ in 0..100 {
            let _ = std::fs::remove_dir(self.0.join("x"));
            if std::fs::remove_dir(&self.0).is_ok() || !self.0.exists() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

/// 2023-25809: what is the user's on the host is not his container's, by whichever way cgroups are shown.
#[test]
fn cve_2023_25809_his_own_cgroups_cannot_be_written() {
    let user = User::new();
    let cgroup = Delegated::new();
    let folder = cgroup.0.display().to_string();
    let script = format!(
        "for d in /sys/fs/cgroup {folder}; do mkdir $d/x 2>/dev/null && echo made $d/x; \
         {{ true >>$d/cgroup.procs; }} 2>/dev/null && echo open $d/cgroup.procs; done; true"
    );
    for network in ["none", "host"] {
        let plain = user.command(&["run", "--rm", "--net", network, "bb", "sh", "-c", &script]);
        let mut command = Command::new("sh");
        command
            .args(["-c", "echo 0 >\"$0/cgroup.procs\" && exec \"$@\"", &folder])
            .arg(plain.get_program())
            .args(plain.get_args())
            .current_dir(&user.home)
            .stdin(Stdio::null());
        support::same_environment(&plain, &mut command);
        let done = Done::from(command.output().expect("sh"));
        assert_eq!((done.code, done.out.as_str()), (0, ""), "--net {network}: {done:?}");
    }
    user.world.until("an empty cgroup", || std::fs::remove_dir(&cgroup.0).is_ok());
    user.world.finish();
}
