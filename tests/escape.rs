//! Ways out of a container that worked elsewhere, each by the number under which it is known. What
//! the profile of system calls refuses is in `seccomp.rs` (CVE-2026-31431, AF_ALG, by every ABI).

#![allow(clippy::expect_used)]

mod support;

use std::process::Command;
use support::World;
use support::hostile::{image, run};
use tar::EntryType;

#[test]
fn cve_2019_5736_our_executable_cannot_be_written_from_inside() {
    let world = World::new();
    let before = std::fs::read(support::binary()).expect("read");
    image(&world, &[(EntryType::Regular, "evil", b"#!/proc/self/exe\n")]);
    // We become the program, and are asked to write to ourselves.
    let done = run(&world, &[], &["/proc/self/exe", "version"]);
    assert!(done.code != 0 || done.out.contains("Version"), "{done:?}");
    run(&world, &[], &["/evil"]);
    let privileged = ["--privileged", "--entrypoint", "/bin/sh"];
    let script = "for n in 1 2 3 4 5; do /proc/self/exe version & for p in /proc/[0-9]*/exe; do \
                  { echo x >>$p; } 2>/dev/null; done; done; wait; echo done";
    let done = run(&world, &privileged, &["-c", script]);
    assert!(done.out.contains("done"), "{done:?}");
    assert!(std::fs::read(support::binary()).expect("read") == before, "it was written");
    world.finish();
}

#[test]
fn cve_2024_21626_a_working_directory_by_descriptor_stays_inside() {
    let world = World::new();
    image(&world, &[]);
    for number in 3..16 {
        let folder = format!("/proc/self/fd/{number}");
        let script = "pwd; test \"$(ls ../../../..)\" = \"$(ls /)\" && echo inside";
        let done = run(&world, &["-w", &folder], &["sh", "-c", script]);
        // Some of the numbers are the container's own root and /dev.
        match done.code {
            0 => assert!(done.out.starts_with('/') && done.out.ends_with("\ninside\n"), "{done:?}"),
            _ => assert_eq!(done.out, "", "{folder}: {done:?}"),
        }
    }
    world.finish();
}

#[test]
fn cve_2026_41579_and_2023_27561_links_in_the_place_of_our_mounts_are_refused() {
    let world = World::new();
    let outside = world.folder.join("outside");
    std::fs::create_dir(&outside).expect("mkdir");
    let path = outside.to_string_lossy().into_owned();
    for name in ["dev", "proc", "sys"] {
        for target in [path.as_str(), "/etc", "tmp", "."] {
            image(&world, &[(EntryType::Symlink, name, target.as_bytes())]);
            let done = run(&world, &[], &["true"]);
            assert_ne!(done.code, 0, "{name} -> {target}: {done:?}");
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
    for (name, value) in plain.get_envs().filter_map(|(name, value)| Some((name, value?))) {
        shell.env(name, value);
    }
    let done: support::Done = shell.output().expect("sh").into();
    // ls has its folder as 3; the shell may have one more of its own, 10.
    for line in done.out.lines() {
        assert!(["0", "1", "2", "3", "10"].contains(&line), "{done:?}");
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
    assert!(done.code != 0 && done.err.contains("larger than 1 MiB"), "{done:?}");
    world.finish();
}

#[test]
fn cve_2026_30892_and_2016_3697_forms_of_a_user() {
    let world = World::new();
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
        let done = world.script(&[&flag], "echo $(id -u) $(id -g)");
        assert_eq!(done.out.trim(), want, "{user:?}: {done:?}");
        assert_eq!(done.code == 0, !want.is_empty(), "{user:?}: {done:?}");
    }
    world.finish();
}

#[test]
fn cve_2022_29162_nothing_is_inheritable_and_2022_36109_groups_are_exact() {
    let world = World::new();
    for flags in [&[][..], &["-u", "web"], &["--privileged"], &["--cap-add", "SYS_ADMIN"]] {
        let done = world.script(flags, "grep -E '^Cap(Inh|Amb)' /proc/self/status | grep -c 0000$");
        assert_eq!(done.out.trim(), "2", "{flags:?}: {done:?}");
    }
    for (user, want) in [("0", "0"), ("web", "34 4"), ("web:log", "4"), ("33:77", "77"), ("5", "0")]
    {
        assert_eq!(world.script(&["-u", user], "id -G").out.trim(), want, "{user}");
    }
    world.finish();
}

#[test]
fn cve_2015_3630_paths_of_the_kernel_are_hidden_or_read_only() {
    let world = World::new();
    let script = "for f in /proc/kcore /proc/keys /proc/timer_list /proc/interrupts \
                  /proc/sched_debug; do test -s $f && echo $f; done; \
                  for d in /proc/acpi /proc/scsi /proc/asound /sys/firmware; do \
                  test -d $d && ls $d; done; \
                  for f in /proc/sysrq-trigger /proc/sys/kernel/core_pattern /proc/irq/x \
                  /sys/kernel/x; do { echo x >$f; } 2>/dev/null && echo wrote $f; done; true";
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
    let (mut started, mut failed) = (0, 0);
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
                1 => panic_outside(&done),
                _ => failed += 1,
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(started > 0 && failed > 0, "no race: {started} started, {failed} did not");
    assert_eq!(std::fs::read_dir(&outside).expect("read").count(), 0);
    world.finish();
}

/// grep found no mount: it was made somewhere else.
fn panic_outside(done: &support::Done) {
    assert_eq!(done.code, 0, "mounted outside of the root: {done:?}");
}
