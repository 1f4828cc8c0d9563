//! Containers whose ids are others on the host: `--userns remap`, and `userns-remap` of the settings.

#![allow(clippy::expect_used)]

use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};
use support::{Done, Terminal, World, binary};

/// A world whose commands see an /etc of their own: with ranges for `coracle` and `other`, and these
/// settings.
struct Mapped {
    world: World,
    settings: &'static str,
}

const ETC: &str = "mount -t tmpfs etc /etc && mkdir /etc/coracle && echo \"$0\" \
    >/etc/coracle/daemon.json && echo root:x:0:0::/: >/etc/passwd && \
    printf 'coracle:100000:65536\\nother:300000:1000\\n' | tee /etc/subuid >/etc/subgid && \
    exec \"$@\"";

impl Mapped {
    fn new(settings: &'static str) -> Mapped {
        Mapped { world: World::new(), settings }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c", ETC, self.settings])
            .arg(binary())
            .args(words)
            .env("CORACLE_ROOT", self.world.root())
            .env("CORACLE_RUN", self.world.run_folder())
            .stdin(Stdio::null());
        command
    }

    fn coracle(&self, words: &[&str]) -> Done {
        self.command(words).output().expect("unshare").into()
    }

    fn ok(&self, words: &[&str]) -> String {
        let done = self.coracle(words);
        assert_eq!(done.code, 0, "{words:?}: {done:?}");
        done.out.trim_end_matches('\n').to_string()
    }

    /// The output of a script in a container with these flags.
    fn inside(&self, flags: &[&str], script: &str) -> String {
        let words = [&["run", "--rm", "--net", "none"], flags, &["bb", "sh", "-c", script]];
        self.ok(&words.concat())
    }

    fn refused(&self, flags: &[&str], want: &str) {
        let done = self.coracle(&[&["run", "--rm"], flags, &["bb", "true"]].concat());
        assert!(done.code == 125 && done.err.contains(want), "{flags:?}: {done:?}");
    }
}

const REMAP: [&str; 2] = ["--userns", "remap"];

fn owner(path: &Path) -> (u32, u32) {
    let stat = std::fs::symlink_metadata(path).expect("stat");
    (stat.uid(), stat.gid())
}

#[test]
fn its_root_is_nobody_on_the_host() {
    let mapped = Mapped::new("{}");
    let maps = "cat /proc/self/uid_map /proc/self/gid_map | tr -s ' '";
    assert_eq!(mapped.inside(&REMAP, maps), " 0 100000 65536\n 0 100000 65536");
    assert_eq!(mapped.inside(&["--userns", "remap:other"], maps), " 0 300000 1000\n 0 300000 1000");
    let host = " 0 0 4294967295\n 0 0 4294967295";
    assert_eq!(mapped.inside(&["--userns", "host"], maps), host);
    assert_eq!(mapped.inside(&[], maps), host);
    // Files of the image, of /dev and /etc are its own, and it can change them.
    let look = "stat -c %u:%g /bin/busybox /dev /dev/null /etc/hosts /dev/pts && \
        touch /new /etc/hosts && mkdir /sub && stat -c %u:%g /new && echo x >/dev/null && \
        mount -t tmpfs t /sub 2>/dev/null || echo no";
    let zeroes = ["0:0"; 6].join("\n");
    assert_eq!(mapped.inside(&REMAP, look), [&zeroes, "no"].join("\n"));
    // What it writes may lie in RAM.
    let ram = [&REMAP[..], &["--upper", "ram:1m"]].concat();
    assert_eq!(mapped.inside(&ram, look), [&zeroes, "no"].join("\n"));
    // Another user, with his groups.
    let id = mapped.inside(&[&REMAP[..], &["-u", "web"]].concat(), "id; touch /tmp/x; ls -ln /tmp");
    assert!(id.starts_with("uid=33(web) gid=34 groups=4(log)\n"), "{id}");
    assert!(id.contains(" 33 ") && id.contains(" 34 "), "{id}");
    // Flags that others write for it.
    let flags =
        [&REMAP[..], &["--oom-score-adj", "500", "--cap-drop", "ALL", "--read-only"]].concat();
    let domain = mapped.inside(
        &[&REMAP[..], &["--domainname", "d.e"]].concat(),
        "cat /proc/sys/kernel/domainname",
    );
    assert_eq!(domain, "d.e");
    let seen = mapped.inside(&flags, "cat /proc/self/oom_score_adj; grep CapBnd /proc/self/status");
    assert_eq!(seen, "500\nCapBnd:\t0000000000000000");
    mapped.world.finish();
}

#[test]
fn on_the_disk_everything_is_as_everybodys() {
    let mapped = Mapped::new("{}");
    let script = "mkdir -p /srv/d; busybox chown 33:34 /srv/d; touch /srv/d/f; exec sleep 1000";
    let words = ["run", "-d", "--net", "none", "--userns", "remap", "--name", "web"];
    let id = mapped.ok(&[&words[..], &["-v", "data:/srv", "bb", "sh", "-c", script]].concat());
    mapped.world.until("its file", || mapped.ok(&["exec", "web", "ls", "/srv/d"]) == "f");
    let pid = mapped.ok(&["inspect", "-f", "{{.State.Pid}}", "web"]);
    assert_eq!(owner(Path::new(&format!("/proc/{pid}/cwd/."))).0, 100000);
    assert_eq!(std::fs::metadata(format!("/proc/{pid}")).expect("stat").uid(), 100000);
    let data = mapped.world.root().join("volumes/data/_data");
    assert_eq!((owner(&data.join("d")), owner(&data.join("d/f"))), ((33, 34), (0, 0)));
    // One more process, as root and as another.
    assert_eq!(mapped.ok(&["exec", "web", "id", "-u"]), "0");
    assert_eq!(mapped.ok(&["exec", "-u", "web", "web", "id", "-u"]), "33");
    mapped.ok(&["exec", "-u", "web", "web", "touch", "/tmp/own"]);
    let upper = mapped.world.root().join("uppers").join(&id).join("upper");
    assert_eq!(owner(&upper.join("tmp/own")), (33, 34));
    // Files in and out with their owners, while it runs and when it does not.
    let file = mapped.world.folder.join("file");
    std::fs::write(&file, "text").expect("write");
    chown(&file, Some(33), Some(4)).expect("chown");
    let file = file.display().to_string();
    let back = mapped.world.folder.join("back");
    for place in ["/tmp/file", "/srv/file"] {
        mapped.ok(&["cp", "-a", &file, &format!("web:{place}")]);
        assert_eq!(mapped.ok(&["exec", "web", "stat", "-c", "%u:%g", place]), "33:4", "{place}");
        mapped.ok(&["cp", "-a", &format!("web:{place}"), &back.display().to_string()]);
        assert_eq!(owner(&back), (33, 4), "{place}");
    }
    assert_eq!(owner(&upper.join("tmp/file")), (33, 4));
    mapped.ok(&["stop", "-t", "0", "web"]);
    mapped.ok(&["cp", "-a", "web:/tmp/file", &back.display().to_string()]);
    assert_eq!(owner(&back), (33, 4));
    mapped.ok(&["start", "web"]);
    assert_eq!(mapped.ok(&["exec", "web", "stat", "-c", "%u", "/tmp/file"]), "33");
    // The image made of it, and the volume, are everybody's.
    mapped.ok(&["commit", "web", "made"]);
    mapped.ok(&["rm", "-f", "web"]);
    let look = ["stat", "-c", "%u:%g", "/tmp/own", "/srv/d"];
    let words = ["run", "--rm", "--net", "none", "-v", "data:/srv", "made"];
    assert_eq!(mapped.ok(&[&words[..], &look].concat()), "33:34\n33:34");
    mapped.ok(&["volume", "rm", "data"]);
    mapped.ok(&["rmi", "made"]);
    mapped.world.finish();
}

#[test]
fn volumes_get_what_the_image_has_and_binds_stay_the_hosts() {
    let mapped = Mapped::new("{}");
    let make = "mkdir -p /srv/d && busybox chown 33:34 /srv/d && echo x >/srv/d/f";
    mapped.ok(&["run", "--net", "none", "--name", "maker", "bb", "sh", "-c", make]);
    mapped.ok(&["commit", "maker", "filled"]);
    mapped.ok(&["rm", "maker"]);
    let words = ["run", "--rm", "--net", "none", "--userns", "remap", "-v", "vol:/srv", "filled"];
    let seen = mapped.ok(&[&words[..], &["stat", "-c", "%u:%g", "/srv/d", "/srv/d/f"]].concat());
    assert_eq!(seen, "33:34\n0:0");
    let data = mapped.world.root().join("volumes/vol/_data");
    assert_eq!((owner(&data.join("d")), owner(&data.join("d/f"))), ((33, 34), (0, 0)));
    // A folder of the host belongs to whom it belongs: its root is not the host's.
    let folder = mapped.world.folder.join("host");
    std::fs::create_dir(&folder).expect("mkdir");
    std::fs::write(folder.join("secret"), "s").expect("write");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(folder.join("secret"), mode).expect("chmod");
    std::fs::write(folder.join("given"), "g").expect("write");
    chown(folder.join("given"), Some(100_033), Some(100_034)).expect("chown");
    let bind = format!("{}:/b", folder.display());
    let script = "stat -c %u /b /b/given; cat /b/secret 2>&1; touch /b/new 2>&1 || true";
    let seen = mapped.inside(&[&REMAP[..], &["-v", &bind]].concat(), script);
    let lines: Vec<&str> = seen.lines().collect();
    assert_eq!(lines[..2], ["65534", "33"], "{seen}");
    assert!(lines[2].contains("Permission denied") && lines[3].contains("Permission denied"));
    mapped.ok(&["volume", "rm", "vol"]);
    mapped.ok(&["rmi", "filled"]);
    mapped.world.finish();
}

#[test]
fn a_terminal_and_the_settings() {
    let mapped = Mapped::new("{\"userns-remap\":\"default\"}");
    let first = "head -n 1 /proc/self/uid_map | tr -s ' '";
    assert_eq!(mapped.inside(&[], first), " 0 100000 65536");
    assert_eq!(mapped.inside(&["--userns", "host"], first), " 0 0 4294967295");
    let line = format!(
        "unshare --mount --propagation private sh -c '{}' {{}} {} run --rm --userns remap:other \
         --net none -it bb sh",
        ETC.replace('\'', "'\\''"),
        binary().display()
    );
    let mut terminal = Terminal::start(&mapped.world, &line);
    terminal.send("stat -c %u:%g $(busybox tty) /dev/console; tail -n 1 /proc/self/uid_map\n");
    terminal.expect("0:5").expect("0:5").expect("300000").send("exit 5\n");
    assert_eq!(terminal.end(), 5);
    for (flags, want) in [
        (&["--privileged", "--net", "none"][..], "privileged mode is incompatible with user"),
        (&["--net", "host"], "cannot share the host's network namespace when user"),
        (&["--net", "none", "--pid", "host"], "cannot share the host PID namespace when user"),
        (&["--net", "none", "--userns", "remap:no"], "no subuid ranges found for user \"no\""),
        (&["--net", "none", "--userns", "auto"], "invalid USER mode: auto"),
        (&["--net", "none", "-u", "70000"], "has 65536 ids, and 70000 is none of them"),
    ] {
        mapped.refused(flags, want);
    }
    mapped.world.finish();
}

/// Says so when it can look into a process of ours that is on its way in.
const SPY: &str = r#"
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(void) {
    char path[300], to[4096];
    struct dirent *entry;
    for (DIR *proc = opendir("/proc");; rewinddir(proc))
        while ((entry = readdir(proc))) {
            snprintf(path, sizeof path, "/proc/%s/exe", entry->d_name);
            ssize_t length = readlink(path, to, sizeof to - 1);
            if (length > 0 && (to[length] = 0, strstr(to, "coracle"))) {
                puts(to);
                return 0;
            }
        }
}
"#;

/// 2016-9962: whoever has SYS_PTRACE inside reads /proc/PID of all there, but of what the kernel calls
/// dumpable: a process that has not become the program yet has descriptors, and memory, of the host's.
#[test]
fn cve_2016_9962_a_process_on_its_way_in_cannot_be_looked_into() {
    let mapped = Mapped::new("{}");
    let (source, spy) = (mapped.world.folder.join("spy.c"), mapped.world.folder.join("spy"));
    std::fs::write(&source, SPY).expect("write");
    let done = Command::new("cc").arg("-static").arg("-o").arg(&spy).arg(&source).output();
    assert!(done.expect("cc").status.success());
    let bind = format!("{}:/spy:ro", spy.display());
    let words = ["run", "-d", "--net", "none", "--userns", "remap", "--cap-add", "SYS_PTRACE"];
    let more = ["--name", "spy", "-v", &bind, "bb", "sh", "-c", "echo ready; exec /spy"];
    mapped.ok(&[&words[..], &more].concat());
    let said = || mapped.ok(&["logs", "spy"]);
    mapped.world.until("the spy", || said() == "ready");
    for round in 0..40 {
        mapped.coracle(&["exec", "spy", "true"]);
        assert_eq!(said(), "ready", "round {round}: the spy has looked into ours");
    }
    assert_eq!(mapped.ok(&["inspect", "-f", "{{.State.Running}}", "spy"]), "true");
    mapped.ok(&["rm", "-f", "spy"]);
    mapped.world.finish();
}

/// 2021-21284: the container's root, which is somebody on the host, has no way to what is kept.
#[test]
fn cve_2021_21284_the_mapped_root_does_not_reach_the_store() {
    let mapped = Mapped::new("{}");
    let script = "touch /f /own/f; mkdir /own/d; exec sleep 1000";
    let words = ["run", "-d", "--net", "none", "--userns", "remap", "--name", "web"];
    mapped.ok(&[&words[..], &["-v", "data:/own", "bb", "sh", "-c", script]].concat());
    mapped.world.until("its file", || mapped.ok(&["exec", "web", "ls", "/own"]) == "d\nf");
    let (root, run) = (mapped.world.root(), mapped.world.run_folder());
    for folder in [&root, &run] {
        for attempt in ["ls \"$0\"", "cd \"$0\"", "touch \"$0/made\"", "ls \"$0\"/*/"] {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=100000", "--regid=100000", "--clear-groups", "sh", "-c"]);
            let done = Done::from(command.arg(attempt).arg(folder).output().expect("setpriv"));
            assert_ne!(done.code, 0, "{attempt} reaches {}: {done:?}", folder.display());
        }
    }
    let find = Command::new("find").arg(&root).args(["-uid", "+99999"]).output().expect("find");
    let found = Done::from(find);
    assert_eq!((found.code, found.out.as_str()), (0, ""), "files of the mapped root: {found:?}");
    mapped.ok(&["rm", "-f", "web"]);
    mapped.ok(&["volume", "rm", "data"]);
    mapped.world.finish();
}
