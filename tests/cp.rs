//! `cp` in both directions, with containers that run and that do not.

#![allow(clippy::expect_used)]

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use support::{World, feed};

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| format!("{}: {error}", path.display()))
}

fn here(world: &World) -> PathBuf {
    let folder = world.folder.join("here");
    std::fs::create_dir_all(folder.join("tree/sub")).expect("mkdir");
    std::fs::write(folder.join("file"), "local\n").expect("write");
    std::fs::write(folder.join("tree/sub/f"), "deep\n").expect("write");
    let mode = std::fs::Permissions::from_mode(0o4711);
    std::fs::set_permissions(folder.join("tree/sub/f"), mode).expect("chmod");
    symlink("sub/f", folder.join("tree/l")).expect("symlink");
    folder
}

/// Both kinds of a container: one that runs, and one that has never been started.
fn both(world: &World) -> [String; 2] {
    let flags = ["--net", "none", "-v", "data:/data", "bb"];
    let running = world.ok(&[&["run", "-d"], &flags[..], &["sleep", "1000"]].concat());
    let created = world.ok(&[&["create"], &flags[..], &["true"]].concat());
    [running, created]
}

#[test]
fn files_go_in_and_come_out() {
    let world = World::new();
    let folder = here(&world);
    let local = |name: &str| folder.join(name).display().to_string();
    for id in both(&world) {
        let inside = |path: &str| format!("{id}:{path}");
        // A new name, a folder that is there, a file that is there.
        world.ok(&["cp", &local("file"), &inside("/tmp/new")]);
        world.ok(&["cp", &local("file"), &inside("/tmp")]);
        world.ok(&["cp", &local("file"), &inside("/etc/group")]);
        for path in ["/tmp/new", "/tmp/file", "/etc/group"] {
            let out = local("out");
            world.ok(&["cp", &inside(path), &out]);
            assert_eq!(text(Path::new(&out)), "local\n", "{path}");
            std::fs::remove_file(out).expect("remove");
        }
        // Trees: into a folder, as a new name, only what is in them.
        world.ok(&["cp", &local("tree"), &inside("/srv")]);
        world.ok(&["cp", &local("tree"), &inside("/srv/other")]);
        world.ok(&["cp", &local("tree/."), &inside("/home")]);
        for path in ["/srv/tree", "/srv/other", "/home"] {
            world.ok(&["cp", &inside(path), &local("back")]);
            let back = folder.join("back");
            assert_eq!(text(&back.join("l")), "deep\n", "{path}");
            let mode = back.join("sub/f").metadata().expect("stat").mode();
            assert_eq!(mode & 0o7777, 0o4711, "{path}");
            std::fs::remove_dir_all(back).expect("remove");
        }
        // A volume, whether the container runs or not.
        world.ok(&["cp", &local("file"), &inside("/data/f")]);
        world.ok(&["cp", &inside("/data/f"), &local("from-volume")]);
        assert_eq!(text(&folder.join("from-volume")), "local\n");
        // Through standard output and input.
        let tar = world.command(&["cp", &inside("/srv/tree"), "-"]).output().expect("cp").stdout;
        let done = feed(&mut world.command(&["cp", "-", &inside("/tmp")]), &tar);
        assert_eq!(done.code, 0, "{done:?}");
        world.ok(&["cp", &inside("/tmp/tree/sub/f"), &local("piped")]);
        assert_eq!(text(&folder.join("piped")), "deep\n");
        // A link: itself, or what it leads to.
        world.ok(&["cp", &inside("/tmp/tree/l"), &local("link")]);
        assert_eq!(std::fs::read_link(folder.join("link")).expect("link"), Path::new("sub/f"));
        world.ok(&["cp", "-L", &inside("/tmp/tree/l"), &local("followed")]);
        assert_eq!(text(&folder.join("followed")), "deep\n");
        for name in ["link", "followed", "piped", "from-volume"] {
            std::fs::remove_file(folder.join(name)).expect("remove");
        }
        world.ok(&["start", &id]);
        world.ok(&["rm", "-f", &id]);
    }
    world.ok(&["volume", "rm", "data"]);
    world.finish();
}

#[test]
fn what_cannot_be_is_told() {
    let world = World::new();
    let folder = here(&world);
    let local = |name: &str| folder.join(name).display().to_string();
    for id in both(&world) {
        let inside = |path: &str| format!("{id}:{path}");
        for (from, to, want) in [
            (inside("/nosuch"), local("x"), "Could not find the file /nosuch in container"),
            (inside("/etc"), local("file"), "cannot copy directory"),
            (inside("/etc/passwd"), local("no/such"), "invalid output path: directory"),
            (inside("/etc/passwd"), local("no/"), "no such directory"),
            (local("nosuch"), inside("/tmp"), "No such file or directory"),
            (local("tree"), inside("/etc/passwd"), "cannot copy directory"),
            (local("file"), inside("/no/such/x"), "Could not find the file /no/such"),
            (local("file"), inside("/nosuch/"), "no such directory"),
            (local("file"), local("x"), "at least one container source"),
            (inside("/a"), inside("/b"), "between containers is not supported"),
            (local("file"), "nosuch:/x".to_string(), "No such container: nosuch"),
        ] {
            let done = world.coracle(&["cp", &from, &to]);
            assert!(done.code != 0 && done.err.contains(want), "{from} {to}: {done:?}");
        }
        // A folder does not take the place of a file in the tree, nor the other way round.
        std::fs::create_dir_all(folder.join("clash/passwd")).expect("mkdir");
        let done = world.coracle(&["cp", &local("clash/."), &inside("/etc")]);
        assert!(done.err.contains("cannot overwrite non-directory"), "{done:?}");
        std::fs::remove_dir_all(folder.join("clash")).expect("remove");
        world.ok(&["rm", "-f", &id]);
    }
    let id = world.ok(&["create", "--net", "none", "--read-only", "bb", "true"]);
    let done = world.coracle(&["cp", &local("file"), &format!("{id}:/tmp")]);
    assert!(done.err.contains("container rootfs is marked read-only"), "{done:?}");
    world.ok(&["rm", &id]);
    world.ok(&["volume", "rm", "data"]);
    world.finish();
}

#[test]
fn owners_are_kept_or_given() {
    let world = World::new();
    let folder = here(&world);
    let file = folder.join("file");
    std::os::unix::fs::chown(&file, Some(77), Some(78)).expect("chown");
    let id = world.ok(&["run", "-d", "--net", "none", "-u", "web", "bb", "sleep", "1000"]);
    let path = file.display().to_string();
    let owner = |name: &str| world.ok(&["exec", &id, "stat", "-c", "%u:%g", name]);
    world.ok(&["cp", &path, &format!("{id}:/tmp/one")]);
    assert_eq!(owner("/tmp/one"), "77:78");
    world.ok(&["cp", "-a", &path, &format!("{id}:/tmp/two")]);
    assert_eq!(owner("/tmp/two"), "33:34", "the container's user");
    let back = folder.join("back").display().to_string();
    world.ok(&["cp", &format!("{id}:/tmp/one"), &back]);
    assert_eq!(Path::new(&back).metadata().expect("stat").uid(), 0);
    world.ok(&["cp", "-a", &format!("{id}:/tmp/one"), &back]);
    assert_eq!(Path::new(&back).metadata().expect("stat").uid(), 77);
    world.ok(&["rm", "-f", &id]);
    world.finish();
}

/// CVE-2018-15664 and its kin: links inside lead nowhere outside, also when they change while a copy is
/// under way.
#[test]
fn cve_2018_15664_links_lead_nowhere_outside() {
    let world = World::new();
    let folder = here(&world);
    let secret = world.folder.join("secret");
    std::fs::create_dir_all(&secret).expect("mkdir");
    std::fs::write(secret.join("f"), "host").expect("write");
    let path = secret.display().to_string();
    let script = format!(
        "ln -s {path} /tmp/out; ln -s /../../../../../..{path}/f /tmp/up; mkdir /tmp/a /tmp/b; \
         ln -s {path} /tmp/b/x; mkdir /tmp/a/x; while :; do mv /tmp/a /tmp/c; mv /tmp/b /tmp/a; \
         mv /tmp/c /tmp/b; done"
    );
    let id = world.ok(&["run", "-d", "--net", "none", "bb", "sh", "-c", &script]);
    world.until("its links", || world.coracle(&["exec", &id, "stat", "/tmp/a/x"]).code == 0);
    let file = folder.join("file").display().to_string();
    for target in ["/tmp/out/new", "/tmp/up", "/tmp/out"] {
        let _ = world.coracle(&["cp", &file, &format!("{id}:{target}")]);
    }
    let out = folder.join("stolen").display().to_string();
    for source in ["/tmp/out/f", "/tmp/up"] {
        let _ = world.coracle(&["cp", "-L", &format!("{id}:{source}"), &out]);
        assert_ne!(text(Path::new(&out)), "host");
    }
    // The race: a folder and a link to the host's folder change places all the time.
    let mut running = Vec::new();
    for _ in 0..100 {
        let mut command = world.command(&["cp", &file, &format!("{id}:/tmp/a/x/raced")]);
        running.push(command.stderr(Stdio::null()).spawn().expect("start"));
        if running.len() == 4 {
            running.drain(..).for_each(|mut child| drop(child.wait()));
        }
    }
    world.ok(&["rm", "-f", &id]);
    let names: Vec<_> = std::fs::read_dir(&secret).expect("read").flatten().collect();
    assert_eq!(names.len(), 1, "{names:?}");
    assert_eq!(text(&secret.join("f")), "host");
    world.finish();
}
