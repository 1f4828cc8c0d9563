//! Ways out of a container that worked elsewhere, each by the number under which it is known; all of
//! them, with the weakened build at which each test was seen to fail, are in `docs/hostile.md`. What
//! the profile of system calls refuses is in `seccomp.rs` (CVE-2026-31431, AF_ALG, by every ABI).

#![allow(clippy::expect_used)]

use std::process::Command;
use support::World;
use support::hostile::{image, outside, run};
use tar::EntryType;

/// A command of a copy of our program, for it is attacked.
fn by_copy(world: &World, words: &[&str]) -> Command {
    let copy = world.folder.join("coracle");
    if !copy.exists() {
        support::copy_binary(&copy);
    }
    let plain = world.command(words);
    let mut command = Command::new(copy);
    command.args(plain.get_args()).stdin(std::process::Stdio::null());
    support::same_environment(&plain, &mut command);
    command
}

#[test]
fn cve_2019_5736_our_executable_cannot_be_written_from_inside() {
    let world = World::new();
    let before = std::fs::read(support::binary()).expect("read");
    image(&world, &[(EntryType::Regular, "evil", b"#!/proc/self/exe\n")]);
    let run = |words: &[&str]| -> support::Done {
        by_copy(&world, &[&["run", "--rm", "--net", "none", "bad"], words].concat())
            .output()
            .expect("run")
            .into()
    };
    // We become the program.
    let done = run(&["/proc/self/exe", "version"]);
    assert!(done.code != 0 || done.out.contains("Version"), "{done:?}");
    run(&["/evil"]);
    // A process of the container's opens us while we run inside, and writes when nobody runs us.
    let thief = "hold() { for p in /proc/[0-9]*; do case \"$(readlink $p/exe)\" in ''|*busybox) ;; \
                 *) exec 7<$p/exe && return;; esac; done; false; }; until hold; do :; done; \
                 echo held; until echo x >>/proc/self/fd/7; do sleep 0.05; done 2>/dev/null; \
                 echo written; exec sleep 1000";
    let words = ["run", "-d", "--net", "none", "--name", "thief", "bad", "sh", "-c", thief];
    assert!(by_copy(&world, &words).status().expect("run").success());
    // It waits for an archive.
    let mut inside = by_copy(&world, &["exec", "-i", "thief", "/proc/self/exe", "load"]);
    let mut inside = inside.stdin(std::process::Stdio::piped()).spawn().expect("exec");
    world.until("it is held", || world.coracle(&["logs", "thief"]).out == "held\n");
    drop(inside.stdin.take());
    inside.wait().expect("wait");
    let own = world.folder.to_string_lossy().into_owned();
    for monitor in support::processes(&own) {
        let pid = monitor.split(' ').next().expect("pid");
        assert!(Command::new("kill").args(["-9", pid]).status().expect("kill").success());
    }
    world.until("the monitor's end", || support::processes(&own).is_empty());
    std::thread::sleep(std::time::Duration::from_millis(500));
    let after = std::fs::read(world.folder.join("coracle")).expect("read");
    assert!(after == before, "it was written");
    world.ok(&["rm", "-f", "thief"]);
    world.finish();
}

#[test]
fn cve_2024_21626_a_working_directory_by_descriptor_stays_inside() {
    let world = World::new();
    image(&world, &[]);
    world.ok(&["run", "-d", "--net", "none", "--name", "later", "bad", "sleep", "1000"]);
    for number in 3..16 {
        let folder = format!("/proc/self/fd/{number}");
        let script = "echo runs; pwd; test \"$(ls ../../../..)\" = \"$(ls /)\" && echo inside";
        let first = run(&world, &["-w", &folder], &["sh", "-c", script]);
        let later = world.coracle(&["exec", "-w", &folder, "later", "sh", "-c", script]);
        for done in [first, later] {
            // Some of the numbers are the container's own root and /dev.
            match done.code {
                0 => assert!(
                    done.out.starts_with("runs\n/") && done.out.ends_with("\ninside\n"),
                    "{folder}: it is outside: {done:?}"
                ),
                _ => assert_eq!(done.out, "", "{folder}: it is outside: {done:?}"),
            }
        }
    }
    world.ok(&["rm", "-f", "later"]);
    world.finish();
}

#[test]
fn cve_2026_41579_and_2023_27561_links_in_the_place_of_our_mounts_are_refused() {
    let world = World::new();
    let (outside, path) = outside(&world);
    for name in ["dev", "proc", "sys"] {
        for target in [path.as_str(), "/etc", "tmp", "."] {
            image(&world, &[(EntryType::Symlink, name, target.as_bytes())]);
            let done = run(&world, &[], &["true"]);
            assert_ne!(done.code, 0, "a link was followed: {name} -> {target}: {done:?}");
            let entries = std::fs::read_dir(&outside).expect("read").count();
            assert_eq!(entries, 0, "{name} -> {target}: something was made on the host");
        }
    }
    world.finish();
}

#[test]
fn cve_2016_9962_no_descriptor_of_the_hosts_is_seen() {
    let world = World::new();
    let plain = world.command(&[]);
    let line = "exec 7</etc/passwd 8</ 9<>/dev/null; exec \"$0\" run --rm --net none bb sh -c \
                'ls /proc/self/fd; ls /proc/1/fd'";
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).arg(support::binary());
    support::same_environment(&plain, &mut shell);
    let done: support::Done = shell.output().expect("sh").into();
    // ls has its folder as 3; the shell may have one more of its own, 10.
    for line in done.out.lines() {
        assert!(["0", "1", "2", "3", "10"].contains(&line), "one of the host's: {line}: {done:?}");
    }
    assert!(done.out.lines().count() >= 7, "{done:?}");
    world.finish();
}

#[test]
fn cve_2024_9676_user_files_that_are_no_files() {
    let world = World::new();
    let secret = world.folder.join("passwd");
    std::fs::write(&secret, "web:x:4242:4242::/:/bin/sh\n").expect("write");
    let path = secret.to_string_lossy().into_owned();
    let climbing = format!("../../../../../../../..{path}");
    for target in [path.as_str(), &climbing] {
        image(&world, &[(EntryType::Symlink, "etc/passwd", target.as_bytes())]);
        let done = run(&world, &["-u", "web"], &["id", "-u"]);
        assert_ne!(done.out, "4242\n", "the host's users: {done:?}");
        assert!(done.code != 0 && done.err.contains("unable to find user web"), "{done:?}");
    }
    image(&world, &[(EntryType::Fifo, "etc/passwd", b"")]);
    let done = run(&world, &["-u", "web"], &["id", "-u"]);
    assert!(done.err.contains("is no regular file"), "{done:?}");
    world.finish();
}

#[test]
fn cve_2026_47262_a_huge_group_file_is_not_read() {
    let world = World::new();
    let line = b"g:x:1:\n".repeat(400_000);
    image(&world, &[(EntryType::Regular, "etc/group", &line)]);
    let done = run(&world, &["-u", "web"], &["true"]);
    assert!(done.code != 0 && done.err.contains("larger than 1 MiB"), "it was read: {done:?}");
    world.finish();
}

#[test]
fn cve_2026_30892_and_2016_3697_forms_of_a_user() {
    let world = World::new();
    // Names that look like numbers, some of them beyond the kernel's.
    let passwd = "root:x:0:0::/:/bin/sh\nweb:x:33:34::/:/bin/sh\n1:x:0:0::/:/bin/sh\n\
                  4294967296:x:0:0::/:/bin/sh\n"
        .as_bytes();
    image(&world, &[(EntryType::Regular, "etc/passwd", passwd)]);
    world.ok(&["run", "-d", "--net", "none", "--name", "later", "bad", "sleep", "1000"]);
    let cases = [
        ("1", "1 0"),
        ("1:", "1 0"),
        (":1", "0 1"),
        ("web:log", "33 4"),
        ("2147483647", "2147483647 0"),
        ("a:b", ""),
        ("+1", ""),
        ("-1", ""),
        (" 1", ""),
        ("0x1", ""),
        ("2147483648", ""),
        ("4294967295", ""),
        ("4294967296", ""),
        ("18446744073709551616", ""),
        ("1:4294967296", ""),
        ("web:-1", ""),
    ];
    for (user, want) in cases {
        let flag = format!("--user={user}");
        let script = "echo $(id -u) $(id -g)";
        let first = run(&world, &[&flag], &["sh", "-c", script]);
        let later = world.coracle(&["exec", &flag, "later", "sh", "-c", script]);
        for done in [first, later] {
            assert_eq!(done.out.trim(), want, "it runs as another: {user:?}: {done:?}");
            assert_eq!(done.code == 0, !want.is_empty(), "{user:?}: {done:?}");
        }
    }
    world.ok(&["rm", "-f", "later"]);
    world.finish();
}

#[test]
fn cve_2022_29162_nothing_is_inheritable_and_2022_36109_groups_are_exact() {
    let world = World::new();
    let nothing = "grep -cE '^Cap(Inh|Amb):.0000000000000000$' /proc/self/status";
    for flags in [
        &[][..],
        &["-u", "web"],
        &["--privileged"],
        &["--cap-add", "SYS_ADMIN"],
        &["--security-opt", "seccomp=unconfined"],
        &["--security-opt", "no-new-privileges"],
    ] {
        let done = world.script(flags, nothing);
        assert_eq!(done.out.trim(), "2", "something is inheritable: {flags:?}: {done:?}");
        let words = ["run", "-d", "--net", "none", "--name", "later"];
        world.ok(&[&words[..], flags, &["bb", "sleep", "1000"]].concat());
        let out = world.ok(&["exec", "later", "sh", "-c", nothing]);
        assert_eq!(out, "2", "something is inheritable in exec: {flags:?}");
        world.ok(&["rm", "-f", "later"]);
    }
    world.ok(&["run", "-d", "--net", "none", "--name", "later", "bb", "sleep", "1000"]);
    for (user, want) in [("0", "0"), ("web", "34 4"), ("web:log", "4"), ("33:77", "77"), ("5", "0")]
    {
        let out = world.script(&["-u", user], "id -G").out;
        assert_eq!(out.trim(), want, "other groups: {user}");
        let out = world.ok(&["exec", "-u", user, "later", "id", "-G"]);
        assert_eq!(out, want, "other groups in exec: {user}");
    }
    world.ok(&["rm", "-f", "later"]);
    world.finish();
}

#[test]
fn cve_2015_3630_paths_of_the_kernel_are_hidden_or_read_only() {
    let world = World::new();
    // Most of these files have no size, and some need rights to be read.
    let script = "test -s /proc/kcore && echo shown /proc/kcore; \
                  for f in /proc/keys /proc/timer_list /proc/interrupts /proc/sched_debug \
                  /proc/latency_stats /proc/timer_stats; do \
                  test -z \"$(head -c 1 $f 2>/dev/null | tr '\\0' x)\" || echo shown $f; done; \
                  for d in /proc/acpi /proc/scsi /proc/asound /sys/firmware \
                  /sys/devices/virtual/powercap; do \
                  test -z \"$(ls $d 2>/dev/null)\" || echo shown $d; done; true";
    let done = world.script(&[], script);
    assert_eq!((done.code, done.out.as_str()), (0, ""), "{done:?}");
    // The host has most of them: what is hidden was there to be seen.
    let done = world.script(&["--security-opt", "systempaths=unconfined"], script);
    assert!(done.out.contains("shown"), "{done:?}");
    // Opened, and not written: were they not protected, they would be the host's.
    let script = "for f in /proc/sysrq-trigger /proc/sys/kernel/core_pattern \
                  /proc/irq/default_smp_affinity /sys/kernel/uevent_helper /sys/kernel/mm/ksm/run \
                  /sys/power/state; do { true >>$f; } 2>/dev/null && echo open $f; done; \
                  for d in /proc/fs /proc/bus; do \
                  grep -q \" $d proc ro\" /proc/mounts || ! test -d $d || echo rw $d; done; true";
    let done = world.script(&[], script);
    assert_eq!((done.code, done.out.as_str()), (0, ""), "{done:?}");
    world.finish();
}

#[test]
fn cve_2022_0492_cgroups_cannot_be_written() {
    let world = World::new();
    let script = "mkdir /sys/fs/cgroup/x 2>/dev/null && echo made; \
                  { echo 1 >/sys/fs/cgroup/cgroup.procs; } 2>/dev/null && echo wrote; \
                  mkdir /tmp/c; mount -t cgroup -o rdma cgroup /tmp/c 2>/dev/null && echo mounted; \
                  mount -o remount,rw /sys/fs/cgroup 2>/dev/null && echo remounted; true";
    let done = world.script(&[], script);
    assert_eq!((done.code, done.out.as_str()), (0, ""), "{done:?}");
    world.finish();
}

#[test]
fn cve_2021_30465_a_mount_point_that_is_exchanged_for_a_link_stays_inside() {
    let world = World::new();
    let shared = world.folder.join("shared");
    let source = world.folder.join("given");
    let outside = world.folder.join("outside/x");
    for folder in [shared.join("a/x"), source.clone(), outside.clone()] {
        std::fs::create_dir_all(folder).expect("mkdir");
    }
    std::fs::write(source.join("mark"), "").expect("write");
    std::os::unix::fs::symlink(outside.parent().expect("parent"), shared.join("b")).expect("link");
    let flags =
        [format!("{}:/shared", shared.display()), format!("{}:/shared/a/x", source.display())];
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (mut started, mut failed, mut outside_of_it) = (0, 0, None);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (one, two) = (shared.join("a"), shared.join("b"));
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let flags = rustix::fs::RenameFlags::EXCHANGE;
                let here = rustix::fs::CWD;
                rustix::fs::renameat_with(here, &one, here, &two, flags).expect("exchange");
            }
        });
        let end = std::time::Instant::now() + std::time::Duration::from_secs(3);
        while std::time::Instant::now() < end {
            // The mount is where the container sees it, or there is no container.
            let script = "grep -c '/given /' /proc/self/mountinfo";
            let done = world.script(&["-v", &flags[0], "-v", &flags[1]], script);
            match done.code {
                0 => started += 1,
                // grep found no mount: it was made somewhere else.
                1 => outside_of_it = Some(done),
                _ => failed += 1,
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(outside_of_it.is_none(), "mounted outside of the root: {outside_of_it:?}");
    assert!(started > 0 && failed > 0, "no race: {started} started, {failed} did not");
    assert_eq!(std::fs::read_dir(&outside).expect("read").count(), 0);
    world.finish();
}
