//! Volumes and binds in all their forms, seen from inside and on the host.

#![allow(clippy::expect_used)]

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{World, busybox_tar, feed};

fn inside(world: &World, flags: &[&str], script: &str) -> String {
    let done = world.script(flags, script);
    assert_eq!((done.code, done.err.as_str()), (0, ""), "{flags:?}: {done:?}");
    done.out.trim_end().to_string()
}

fn refused(world: &World, flags: &[&str], want: &str) {
    let done = world.script(flags, "true");
    assert_ne!(done.code, 0, "{flags:?}: {done:?}");
    assert!(done.err.contains(want), "{flags:?}: {done:?}");
}

fn names(world: &World) -> Vec<String> {
    world.ok(&["volume", "ls", "-q"]).lines().map(str::to_string).collect()
}

fn data(world: &World, name: &str) -> PathBuf {
    PathBuf::from(world.ok(&["volume", "inspect", "-f", "{{.Mountpoint}}", name]))
}

#[test]
fn a_named_volume_outlives_its_containers() {
    let world = World::new();
    inside(&world, &["-v", "data:/d"], "echo one >/d/f");
    assert_eq!(inside(&world, &["--mount", "src=data,dst=/e"], "cat /e/f"), "one");
    assert_eq!(names(&world), ["data"]);
    // Read-only.
    let done = world.script(&["-v", "data:/d:ro"], "echo two >/d/f");
    assert!(done.code == 1 && done.err.contains("Read-only file system"), "{done:?}");
    let id = world.ok(&["create", "--net", "none", "-v", "data:/d", "bb", "true"]);
    let done = world.coracle(&["volume", "rm", "data"]);
    assert!(done.err.contains(&format!("remove data: volume is in use - [{id}]")), "{done:?}");
    // Those that are named stay, also with `rm -v`.
    world.ok(&["rm", "-v", &id]);
    assert_eq!(std::fs::read_to_string(data(&world, "data").join("f")).expect("read"), "one\n");
    assert_eq!(world.ok(&["volume", "rm", "data"]), "data");
    assert_eq!(names(&world), Vec::<String>::new());
    let done = world.coracle(&["volume", "rm", "data"]);
    assert!(done.code == 1 && done.err.contains("get data: no such volume"), "{done:?}");
    world.ok(&["volume", "rm", "-f", "data"]);
    world.finish();
}

#[test]
fn volumes_without_a_name_go_with_their_container_when_asked() {
    let world = World::new();
    inside(&world, &["-v", "/d"], "echo x >/d/f");
    assert_eq!(names(&world), Vec::<String>::new(), "--rm takes its volume along");
    let mut created = Vec::new();
    for _ in 0..3 {
        created.push(world.ok(&["create", "--net", "none", "-v", "/d", "bb", "true"]));
    }
    assert_eq!(names(&world).len(), 3);
    world.ok(&["rm", "-v", &created[0]]);
    assert_eq!(names(&world).len(), 2);
    world.ok(&["rm", &created[1]]);
    assert_eq!(names(&world).len(), 2, "without -v it stays");
    world.ok(&["volume", "create", "kept"]);
    let done = world.ok(&["volume", "prune", "-f"]);
    assert!(done.starts_with("Deleted Volumes:\n"), "{done}");
    assert_eq!(names(&world).len(), 2, "one is used, one has a name");
    let shown = world.ok(&["inspect", "-f", "{{json .Mounts}}", &created[2]]);
    assert!(shown.contains("\"Type\":\"volume\"") && shown.contains("\"Destination\":\"/d\""));
    world.ok(&["rm", "-v", &created[2]]);
    world.ok(&["volume", "prune", "-f", "--all"]);
    assert_eq!(names(&world), Vec::<String>::new());
    world.finish();
}

#[test]
fn an_empty_volume_gets_what_the_image_has() {
    let world = World::new();
    // An image with a folder that belongs to somebody, with files, and a volume of its own there.
    let mut tar = busybox_tar();
    tar.truncate(tar.len() - 1024);
    let mut more = tar::Builder::new(tar);
    let mut add = |kind, name: &str, mode, owner, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(owner);
        header.set_gid(owner);
        header.set_mtime(1_600_000_000);
        header.set_size(bytes.len() as u64);
        more.append_data(&mut header, name, bytes).expect("tar");
    };
    add(tar::EntryType::Directory, "var/data/", 0o2770, 33, b"");
    add(tar::EntryType::Regular, "var/data/seed", 0o640, 33, b"from the image\n");
    let mut import = world.command(&["import", "-c", "VOLUME /var/data", "-", "seeded"]);
    let done = feed(&mut import, &more.into_inner().expect("tar"));
    assert_eq!(done.code, 0, "{done:?}");
    let run = |flags: &[&str], script: &str| {
        let words =
            [&["run", "--rm", "--net", "none"], flags, &["seeded", "sh", "-c", script]].concat();
        let done = world.coracle(&words);
        assert_eq!((done.code, done.err.as_str()), (0, ""), "{flags:?}: {done:?}");
        done.out.trim_end().to_string()
    };
    let look = "stat -c '%a %u %n' /var/data /var/data/seed; cat /var/data/seed";
    let want = "2770 33 /var/data\n640 33 /var/data/seed\nfrom the image";
    assert_eq!(run(&[], look), want, "the image's own volume");
    assert_eq!(run(&["-v", "v1:/var/data"], look), want);
    assert_eq!(run(&["-v", "v2:/var/data:nocopy"], "ls /var/data | wc -l"), "0");
    // What is not empty stays as it is.
    run(&["-v", "v3:/x"], "echo mine >/x/own");
    assert_eq!(run(&["-v", "v3:/var/data"], "ls /var/data"), "own");
    let seed = data(&world, "v1").join("seed").metadata().expect("stat");
    assert_eq!((seed.uid(), seed.mode() & 0o777, seed.mtime()), (33, 0o640, 1_600_000_000));
    // Many at once: all see all of it, whoever was first.
    let results: Vec<String> = std::thread::scope(|scope| {
        let start = |_| {
            scope.spawn(|| {
                world.coracle(&[
                    "run",
                    "--rm",
                    "--net",
                    "none",
                    "-v",
                    "v4:/var/data",
                    "seeded",
                    "cat",
                    "/var/data/seed",
                ])
            })
        };
        let threads: Vec<_> = (0..6).map(start).collect();
        threads.into_iter().map(|one| one.join().expect("join").out).collect()
    });
    assert!(results.iter().all(|out| out == "from the image\n"), "{results:?}");
    world.ok(&["volume", "rm", "v1", "v2", "v3", "v4"]);
    world.finish();
}

#[test]
fn binds_lie_in_each_other_and_in_file_systems() {
    let world = World::new();
    let host = world.folder.join("host");
    std::fs::create_dir_all(host.join("a/deep")).expect("mkdir");
    std::fs::write(host.join("file"), "text\n").expect("write");
    let bind = |from: &str, to: &str| format!("{}:{to}", host.join(from).display());
    let (outer, inner) = (bind("a", "/o"), bind("a/deep", "/o/new/place"));
    let (file, in_tmpfs) = (bind("file", "/o/f"), bind("file", "/t/x/f"));
    // The order on the command line does not matter.
    let script = "echo in >/o/new/place/made; cat /o/f /t/x/f; ls /o";
    let out = inside(
        &world,
        &["-v", &inner, "-v", &file, "-v", &outer, "-v", &in_tmpfs, "--tmpfs", "/t"],
        script,
    );
    assert_eq!(out, "text\ntext\ndeep\nf\nnew");
    assert_eq!(std::fs::read_to_string(host.join("a/deep/made")).expect("read"), "in\n");
    refused(&world, &["-v", &outer, "-v", &bind("file", "/o")], "Duplicate mount point: /o");
    refused(&world, &["-v", "/nosuch:/"], "destination can't be '/'");
    refused(&world, &["-v", "/a:b"], "mount path must be absolute");
    refused(&world, &["-v", "a/b:/x"], "includes invalid characters for a local volume name");
    refused(&world, &["--mount", "type=bind,src=/nosuch/x,dst=/x"], "source path does not exist");
    refused(&world, &["--mount", "type=bind,src=/"], "target is required");
    refused(&world, &["-v", "v:/x", "--volume-driver", "other"], "plugin \"other\" not found");
    assert!(!Path::new("/nosuch").exists());
    world.finish();
}

#[test]
fn volumes_of_another_container() {
    let world = World::new();
    let host = world.folder.join("host");
    std::fs::create_dir_all(&host).expect("mkdir");
    let bind = format!("{}:/h", host.display());
    let first = world.ok(&["create", "--net", "none", "-v", "/d", "-v", &bind, "bb", "true"]);
    inside(&world, &["--volumes-from", &first], "echo d >/d/f; echo h >/h/f");
    assert_eq!(names(&world).len(), 1, "it is the other container's, so --rm leaves it");
    assert_eq!(inside(&world, &["--volumes-from", &format!("{first}:ro")], "cat /d/f"), "d");
    let done = world.script(&["--volumes-from", &format!("{first}:ro")], "echo x >/h/f");
    assert!(done.err.contains("Read-only file system"), "{done:?}");
    refused(&world, &["--volumes-from", "nosuch"], "No such container: nosuch");
    world.ok(&["rm", "-v", &first]);
    world.finish();
}

#[test]
fn read_only_holds_for_what_is_mounted_inside_and_mounts_travel_when_asked() {
    let world = World::new();
    let host = world.folder.join("host");
    std::fs::create_dir_all(host.join("sub")).expect("mkdir");
    let mount = |words: &[&str]| {
        let status = Command::new("mount").args(words).status().expect("mount");
        assert!(status.success(), "mount {words:?}");
    };
    let path = |name: &str| host.join(name).display().to_string();
    mount(&["-t", "tmpfs", "tmpfs", &path("")]);
    mount(&["--make-shared", &path("")]);
    std::fs::create_dir_all(host.join("sub")).expect("mkdir");
    std::fs::create_dir_all(host.join("later")).expect("mkdir");
    mount(&["-t", "tmpfs", "tmpfs", &path("sub")]);
    let done = world.script(&["-v", &format!("{}:/h:ro", path(""))], "touch /h/sub/f");
    assert!(done.err.contains("Read-only file system"), "{done:?}");
    inside(&world, &["-v", &format!("{}:/h", path(""))], "touch /h/sub/f");
    // A mount that is made later.
    for (mode, want) in [("rprivate", "0"), ("rslave", "1")] {
        let name = ["travel", mode].concat();
        let bind = format!("{}:/h:{mode}", path(""));
        world
            .ok(&["run", "-d", "--net", "none", "--name", &name, "-v", &bind, "bb", "sleep", "99"]);
        mount(&["-t", "tmpfs", "tmpfs", &path("later")]);
        let count = ["exec", &name, "sh", "-c", "grep -c ' /h/later ' /proc/mounts || true"];
        let seen = world.ok(&count);
        let status = Command::new("umount").arg(path("later")).status().expect("umount");
        world.ok(&["rm", "-f", &name]);
        assert!(status.success());
        assert_eq!(seen, want, "{mode}");
    }
    // From inside to the host.
    let bind = format!("{}:/h:rshared", path(""));
    inside(
        &world,
        &["--privileged", "-v", &bind],
        "mount -t tmpfs tmpfs /h/later && touch /h/later/x",
    );
    assert!(host.join("later/x").exists());
    for name in ["later", "sub", ""] {
        assert!(Command::new("umount").arg(path(name)).status().expect("umount").success());
    }
    world.finish();
}

#[test]
fn volumes_that_stand_for_something_else() {
    let world = World::new();
    let options = ["-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m,mode=700"];
    world.ok(&[&["volume", "create"], &options[..], &["--label", "a=b", "ram"]].concat());
    let seen = inside(&world, &["-v", "ram:/r"], "grep ' /r ' /proc/mounts; stat -c %a /r");
    assert!(
        seen.contains("tmpfs") && seen.contains("size=1024k") && seen.ends_with("700"),
        "{seen}"
    );
    let host = world.folder.join("host");
    std::fs::create_dir_all(&host).expect("mkdir");
    std::fs::set_permissions(&host, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    let device = format!("device={}", host.display());
    world.ok(&["volume", "create", "-o", "type=none", "-o", "o=bind", "-o", &device, "there"]);
    inside(&world, &["-v", "there:/t"], "echo x >/t/f");
    assert!(host.join("f").exists());
    let found = world.ok(&["volume", "ls", "-f", "label=a=b", "--format", "{{.Name}}"]);
    assert_eq!(found, "ram");
    let done = world.coracle(&["volume", "create", "-o", "type=tmpfs", "x1"]);
    assert!(done.err.contains("missing required option: \"device\""), "{done:?}");
    world.ok(&["volume", "rm", "ram", "there"]);
    world.finish();
}
