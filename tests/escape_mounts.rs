//! More ways out that worked elsewhere: by mounts, volumes, files of our own making, and what containers
//! share with each other.

#![allow(clippy::expect_used)]

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use support::World;
use support::hostile::{image, outside, run};
use tar::EntryType;

#[test]
fn cve_2025_31133_masks_are_the_null_device_whatever_the_image_says() {
    let world = World::new();
    let (folder, path) = outside(&world);
    std::fs::write(folder.join("file"), "host\n").expect("write");
    let link = format!("{path}/file");
    let members: [(EntryType, &str, &[u8]); 2] =
        [(EntryType::Directory, "dev", b""), (EntryType::Symlink, "dev/null", link.as_bytes())];
    image(&world, &members);
    let look = "stat -c '%t:%T %F' /dev/null; for f in kcore keys timer_list interrupts; do \
                test ! -e /proc/$f || stat -c '%t:%T' /proc/$f; done | sort -u";
    let done = run(&world, &[], &["sh", "-c", look]);
    let null = "1:3 character special file\n1:3\n";
    assert_eq!(done.out, null, "what hides is not the null device: {done:?}");
    world.finish();
}

#[test]
fn cve_2025_52565_the_console_is_our_terminal() {
    let world = World::new();
    let (folder, path) = outside(&world);
    std::fs::write(folder.join("file"), "host\n").expect("write");
    let link = format!("{path}/file");
    let dev = |name| (EntryType::Directory, name, &b""[..]);
    let whole = [
        dev("dev"),
        (EntryType::Symlink, "dev/console", link.as_bytes()),
        dev("dev/pts"),
        dev("dev/shm"),
        dev("dev/mqueue"),
    ];
    let more = [
        dev("dev"),
        (EntryType::Symlink, "dev/console", path.as_bytes()),
        (EntryType::Symlink, "dev/pts", path.as_bytes()),
    ];
    for members in [&whole[..], &more] {
        image(&world, members);
        let binary = support::binary().display().to_string();
        let command = format!(
            "CORACLE_ROOT={} CORACLE_RUN={} {binary} run --rm -t --net none bad sh -c 'test -c \
             /dev/console && readlink /proc/self/fd/1 && tty'",
            world.root().display(),
            world.run_folder().display()
        );
        let mut script = std::process::Command::new("script");
        let done = script.args(["-qefc", &command, "/dev/null"]).stdin(std::process::Stdio::null());
        let out = String::from_utf8_lossy(&done.output().expect("script").stdout).into_owned();
        assert!(out.contains("/dev/pts/0"), "the console is elsewhere: {out}");
        assert_eq!(std::fs::read_dir(&folder).expect("read").count(), 1);
        assert_eq!(std::fs::read_to_string(folder.join("file")).expect("read"), "host\n");
    }
    world.finish();
}

#[test]
fn cve_2025_52881_and_2019_19921_nothing_lies_over_proc() {
    let world = World::new();
    let (folder, path) = outside(&world);
    let file = folder.join("msgmax");
    std::fs::write(&file, "untouched").expect("write");
    let kept = |target: &str, done: &support::Done| {
        let text = std::fs::read_to_string(&file).expect("read");
        assert_eq!(text, "untouched", "a sysctl went elsewhere: {target}: {done:?}");
        assert_ne!(done.code, 0, "something lies over /proc: {target}: {done:?}");
    };
    for target in ["/proc/sys/kernel", "/proc/self", "/proc/1/attr", "/proc/../proc/sys"] {
        let bind = format!("{path}:{target}");
        let done = world.script(&["-v", &bind, "--sysctl", "kernel.msgmax=9000"], "true");
        kept(target, &done);
        assert!(done.err.contains("inside /proc"), "{target}: {done:?}");
    }
    // By a link in the image, whose own /proc has the folders that it leads to.
    let members: [(EntryType, &str, &[u8]); 4] = [
        (EntryType::Directory, "proc/sys/kernel", b""),
        (EntryType::Directory, "proc/self/attr", b""),
        (EntryType::Symlink, "way", b"proc/sys/kernel"),
        (EntryType::Symlink, "self", b"/proc/self"),
    ];
    image(&world, &members);
    for target in ["/way", "/self/attr"] {
        let bind = format!("{path}:{target}");
        let done = run(&world, &["-v", &bind, "--sysctl", "kernel.msgmax=9000"], &["true"]);
        kept(target, &done);
        let done = run(&world, &["--tmpfs", target], &["true"]);
        kept(target, &done);
    }
    // What only tells may be replaced.
    let file = file.display().to_string();
    let done = world.script(&["-v", &format!("{file}:/proc/uptime:ro")], "cat /proc/uptime");
    assert_eq!(done.out, "untouched", "{done:?}");
    world.finish();
}

#[test]
fn cve_2024_45310_and_2015_1335_mount_points_are_made_inside() {
    let world = World::new();
    let (folder, path) = outside(&world);
    let up = format!("/../../../../..{path}");
    let members: [(EntryType, &str, &[u8]); 2] =
        [(EntryType::Symlink, "out", path.as_bytes()), (EntryType::Symlink, "up", up.as_bytes())];
    image(&world, &members);
    let given = world.folder.join("given");
    std::fs::write(&given, "x").expect("write");
    for link in ["/out", "/up"] {
        let cases = [
            vec!["-v".to_string(), format!("{}:{link}/made", given.display())],
            vec!["-v".to_string(), format!("data:{link}/made")],
            vec!["--tmpfs".to_string(), format!("{link}/made")],
            vec!["-w".to_string(), format!("{link}/made")],
        ];
        for flags in cases {
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            // It may be made inside or refused.
            let _ = run(&world, &flags, &["true"]);
            let names = std::fs::read_dir(&folder).expect("read").count();
            assert_eq!(names, 0, "{flags:?}: something was made on the host");
        }
    }
    world.ok(&["volume", "rm", "-f", "data"]);
    world.finish();
}

#[test]
fn cve_2022_23648_a_volume_gets_the_images_files_not_the_hosts() {
    let world = World::new();
    let (folder, path) = outside(&world);
    std::fs::write(folder.join("secret"), "host").expect("write");
    image(&world, &[(EntryType::Symlink, "data", path.as_bytes())]);
    let up = "/x/../../../../../../../../../".to_string() + &path;
    for target in ["/data", "/data/.", up.as_str()] {
        let flag = format!("v1:{target}");
        let done = run(
            &world,
            &["-v", &flag],
            &[
                "sh",
                "-c",
                "busybox find / -path /proc -prune -o -path /sys -prune -o -name secret -print; true",
            ],
        );
        assert!(!done.out.contains("secret"), "the host's file came along: {target}: {done:?}");
        let data = world.ok(&["volume", "inspect", "-f", "{{.Mountpoint}}", "v1"]);
        let names = std::fs::read_dir(data).expect("read").count();
        assert_eq!(names, 0, "the host's file came along: {target}");
        world.ok(&["volume", "rm", "v1"]);
    }
    world.finish();
}

#[test]
fn cve_2015_3631_images_cannot_ask_for_volumes_over_our_mounts() {
    let world = World::new();
    for path in ["/", "/proc", "/sys", "/dev", "/proc/sys"] {
        let change = format!("VOLUME [\"{path}\"]");
        let mut import = world.command(&["import", "-c", &change, "-", "bad"]);
        assert_eq!(support::feed(&mut import, &support::busybox_tar()).code, 0);
        let done = run(&world, &[], &["true"]);
        assert_ne!(done.code, 0, "a volume lies over ours: {path}: {done:?}");
    }
    world.ok(&["volume", "prune", "-f"]);
    world.finish();
}

#[test]
fn cve_2021_43816_files_over_ours_stay_the_hosts() {
    let world = World::new();
    let file = world.folder.join("hosts");
    std::fs::write(&file, "127.0.0.1 mine\n").expect("write");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("chmod");
    std::os::unix::fs::chown(&file, Some(7), Some(8)).expect("chown");
    for target in ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"] {
        let bind = format!("{}:{target}:ro", file.display());
        let flags = ["-v", &bind, "--add-host", "db:10.0.0.1", "--dns", "9.9.9.9"];
        let done = world.script(&flags, &format!("cat {target}; echo x >>{target}"));
        let text = std::fs::read_to_string(&file).expect("read");
        assert_eq!(text, "127.0.0.1 mine\n", "the host's file was written: {done:?}");
        let stat = file.metadata().expect("stat");
        let stat = (stat.mode() & 0o7777, stat.uid(), stat.gid());
        assert_eq!(stat, (0o640, 7, 8), "the host's file was changed: {done:?}");
        assert_eq!(done.out, "127.0.0.1 mine\n", "{done:?}");
    }
    world.finish();
}

#[test]
fn cve_2021_21334_environments_do_not_mix() {
    let world = World::new();
    let results: Vec<(usize, String)> = std::thread::scope(|scope| {
        let world = &world;
        let start = |worker: usize| {
            scope.spawn(move || {
                let one = |round: usize| {
                    let number = worker * 25 + round;
                    let own = format!("OWN_{number}=v{number}");
                    let done = world.script(&["-e", &own, "-e", &format!("SAME={number}")], "env");
                    (number, done.out)
                };
                (0..25).map(one).collect::<Vec<_>>()
            })
        };
        let workers: Vec<_> = (0..4).map(start).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("join")).collect()
    });
    assert_eq!(results.len(), 100);
    for (number, text) in results {
        let own: BTreeSet<&str> = text
            .lines()
            .filter(|line| line.starts_with("OWN_") || line.starts_with("SAME"))
            .collect();
        let want = [format!("OWN_{number}=v{number}"), format!("SAME={number}")];
        let want = want.iter().map(String::as_str).collect();
        assert_eq!(own, want, "{number} has another's environment");
    }
    world.finish();
}

#[test]
fn cve_2020_15257_no_socket_of_ours_is_reached_from_the_hosts_network() {
    let world = World::new();
    let id = world.ok(&["run", "-d", "--net", "host", "bb", "sleep", "1000"]);
    let listening = world.ok(&["exec", &id, "cat", "/proc/net/unix"]);
    let run = world.run_folder().display().to_string();
    for line in listening.lines() {
        assert!(!line.contains('@'), "an abstract socket: {line}");
        // A path is of no use: the container has another root.
        if line.contains(&run) {
            let path = line.split(' ').next_back().expect("path");
            let done = world.coracle(&["exec", &id, "stat", path]);
            assert_ne!(done.code, 0, "{path} is reached: {done:?}");
        }
    }
    world.ok(&["rm", "-f", &id]);
    world.finish();
}

#[test]
fn cve_2021_41091_nobody_else_enters_our_folders() {
    let world = World::empty();
    let script = "umask 000; exec \"$@\"";
    let plain = world.command(&["run", "--rm", "--net", "none", "-v", "data:/d", "hello"]);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", script, "sh"]).arg(plain.get_program()).args(plain.get_args());
    support::same_environment(&plain, &mut command);
    assert!(command.status().expect("sh").success());
    for folder in [world.root(), world.run_folder()] {
        let mode = folder.metadata().expect("stat").mode() & 0o777;
        assert_eq!(mode, 0o700, "others may enter {}: {mode:o}", folder.display());
        for entry in std::fs::read_dir(&folder).expect("read").flatten() {
            let stat = entry.metadata().expect("stat");
            let mode = stat.mode() & 0o777;
            assert_eq!(mode & 0o022, 0, "{}: {mode:o}", entry.path().display());
        }
    }
    world.ok(&["volume", "rm", "data"]);
    world.finish();
}

/// 2015-3627: links in the image are as harmless at the second start and in exec as at the first.
#[test]
fn cve_2015_3627_links_do_no_harm_at_later_starts() {
    let world = World::new();
    let (folder, path) = outside(&world);
    std::fs::write(folder.join("passwd"), "web:x:4242:4242::/:/bin/sh\n").expect("write");
    let given = world.folder.join("given");
    std::fs::write(&given, "x").expect("write");
    let bind = format!("{}:/mnt/f", given.display());
    let words = ["create", "--net", "none", "-v", &bind, "-v", "data:/data/v", "--tmpfs", "/run/t"];
    let more = ["-w", "/work/w", "-u", "web", "bb", "sleep", "99"];
    let id = world.ok(&[&words[..], &more].concat());
    let names = || std::fs::read_dir(&folder).expect("read").count();
    for round in 0..3 {
        let done = world.coracle(&["start", &id]);
        assert_eq!(names(), 1, "round {round}: something was made on the host: {done:?}");
        assert!(round > 0 || done.code == 0, "{done:?}");
        if done.code == 0 {
            // Now the container changes what the next start uses.
            let script = format!(
                "for d in mnt data run work; do busybox mv /$d /$d.old; \
                 busybox ln -s {path} /$d; done; busybox ln -sf {path}/passwd /etc/passwd"
            );
            world.ok(&["exec", "-u", "0", "-w", "/", &id, "sh", "-c", &script]);
        }
        world.ok(&["stop", "-t", "0", &id]);
    }
    world.ok(&["rm", &id]);
    world.ok(&["volume", "rm", "data"]);
    // And what exec uses.
    let id = world.ok(&["run", "-d", "--net", "none", "bb", "sleep", "99"]);
    let script = format!("busybox ln -s {path} /work; busybox ln -sf {path}/passwd /etc/passwd");
    world.ok(&["exec", &id, "sh", "-c", &script]);
    let done = world.coracle(&["exec", "-w", "/work", &id, "touch", "made"]);
    assert_eq!(names(), 1, "exec made something on the host: {done:?}");
    let done = world.coracle(&["exec", "-u", "web", &id, "id", "-u"]);
    assert_ne!(done.out, "4242\n", "exec takes the host's users: {done:?}");
    world.ok(&["rm", "-f", &id]);
    world.finish();
}
