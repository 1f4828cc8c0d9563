//! Read-only base stores: baked by an ordinary user, unpacked or packed as squashfs, and run from.

#![allow(clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use support::{Done, World};

/// A command of the machine's, which must succeed.
fn must(program: &str, words: &[&str]) {
    let out = Command::new(program).args(words).output().expect(program);
    assert!(out.status.success(), "{program} {words:?}: {out:?}");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// An archive of two images, one with removed and hidden files, in a folder that anybody reads.
fn archive(maker: &World) -> PathBuf {
    let script = "rm /etc/passwd.new 2>/dev/null; echo one >/kept; mkdir /d; echo x >/d/below";
    maker.ok(&["run", "--name", "aa", "--net", "none", "bb", "sh", "-c", script]);
    maker.ok(&["commit", "aa", "app:1"]);
    let script =
        "rm /kept; rm -r /d; mkdir /d; echo y >/d/new; ln /d/new /d/link; chown 7:8 /d/new";
    maker.ok(&["run", "--name", "bb", "--net", "none", "app:1", "sh", "-c", script]);
    maker.ok(&["commit", "bb", "app:2"]);
    maker.ok(&["rm", "aa", "bb"]);
    let path = maker.folder.join("images.tar");
    maker.ok(&["save", "-o", text(&path), "app:1", "app:2", "bb"]);
    use std::os::unix::fs::PermissionsExt;
    for path in [&path, &maker.folder] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("chmod");
    }
    path
}

/// Baked by an ordinary user, from the archive.
fn bake(maker: &World, archive: &Path, name: &str) -> PathBuf {
    let home = maker.folder.join(name);
    std::fs::create_dir(&home).expect("mkdir");
    support::copy_binary(&home.join("coracle"));
    std::os::unix::fs::chown(&home, Some(65534), Some(65534)).expect("chown");
    let done: Done = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(home.join("coracle"))
        .args(["imgstore", "bake", "--from", text(archive), "-o", "base.tar"])
        .current_dir(&home)
        .env("HOME", &home)
        .env_remove("SOURCE_DATE_EPOCH")
        .env_remove("XDG_DATA_HOME")
        .stdin(Stdio::null())
        .output()
        .expect("setpriv")
        .into();
    assert_eq!(done.code, 0, "{done:?}");
    home.join("base.tar")
}

/// Containers of images of a base store, and of one that is made on top of one.
fn works(world: &World, base: &Path) {
    let flag = ["--base-store", text(base)];
    let ok = |words: &[&str]| world.ok(&[&flag[..], words].concat());
    let table = ok(&["images"]);
    for (name, tag) in [("app", "1"), ("app", "2"), ("bb", "latest")] {
        let is_it = |line: &str| line.split_whitespace().take(2).eq([name, tag]);
        assert!(table.lines().any(is_it), "{table}");
    }
    let script = "ls -d /kept /d/*; stat -c %u:%g:%h /d/new";
    for driver in ["overlay", "vfs"] {
        let run = ["--driver", driver, "run", "--rm", "--net", "none"];
        let see = |image: &str| {
            let words = [&flag[..], &run, &[image, "sh", "-c", script]].concat();
            world.coracle(&words).out
        };
        assert_eq!(see("app:1"), "/d/below\n/kept\n", "{driver}");
        assert_eq!(see("app:2"), "/d/link\n/d/new\n7:8:2\n", "{driver}");
    }
    // One that runs beside the command, whose monitor and workers need the base store, too.
    ok(&[
        "run",
        "-d",
        "--name",
        "web",
        "--net",
        "none",
        "--restart",
        "always",
        "app:2",
        "sleep",
        "999",
    ]);
    ok(&["restart", "-t", "0", "web"]);
    assert_eq!(ok(&["exec", "web", "cat", "/d/new"]), "y");
    ok(&["exec", "web", "sh", "-c", "echo mine >/mine"]);
    ok(&["commit", "web", "mine"]);
    assert_eq!(ok(&["run", "--rm", "--net", "none", "mine", "cat", "/mine", "/d/new"]), "mine\ny");
    let layers = std::fs::read_dir(world.root().join("layers")).expect("layers").count();
    assert_eq!(layers, 1, "only the layer that is new");
    ok(&["rm", "-f", "web"]);
    // Removed here, and back with a load.
    let saved = world.folder.join("saved.tar");
    ok(&["save", "-o", text(&saved), "app:1"]);
    ok(&["rmi", "app:1"]);
    assert_eq!(world.coracle(&[&flag[..], &["inspect", "app:1"]].concat()).code, 1);
    ok(&["load", "-q", "-i", text(&saved)]);
    assert_eq!(ok(&["run", "--rm", "--net", "none", "app:1", "cat", "/kept"]), "one");
    let run = |words: &[&str]| -> Done {
        let mut command = world.command(&[&["imgstore"], words].concat());
        command.env("CORACLE_BASE_STORES", base).output().expect("imgstore").into()
    };
    let done = run(&["fsck", "--deep"]);
    assert!(done.code == 0 && done.out.ends_with("clean\n"), "{done:?}");
    assert_eq!(run(&["gc"]).code, 0);
    for image in ["mine", "app:1", "app:2", "bb"] {
        ok(&["rmi", image]);
    }
    assert_eq!(ok(&["images", "-q"]), "");
    assert_eq!(world.ok(&["images", "-q"]), "");
}

#[test]
fn baked_by_anybody_run_from_anywhere() {
    let maker = World::new();
    let archive = archive(&maker);
    let (one, two) = (bake(&maker, &archive, "one"), bake(&maker, &archive, "two"));
    assert!(std::fs::read(&one).expect("tar") == std::fs::read(&two).expect("tar"));
    let unpacked = maker.folder.join("base");
    std::fs::create_dir(&unpacked).expect("mkdir");
    let words = ["--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf", text(&one), "-C"];
    must("tar", &[&words[..], &[text(&unpacked)]].concat());
    must("mount", &["--bind", text(&unpacked), text(&unpacked)]);
    must("mount", &["-o", "remount,bind,ro", text(&unpacked)]);
    let world = World::empty();
    works(&world, &unpacked);
    world.finish();
    must("umount", &[text(&unpacked)]);
    // The same tar as squashfs, without a root of its own in between.
    let image = maker.folder.join("base.squashfs");
    let script = format!("sqfstar -no-progress -quiet {} <{}", image.display(), one.display());
    must("sh", &["-c", &script]);
    let mounted = maker.folder.join("mounted");
    std::fs::create_dir(&mounted).expect("mkdir");
    must("mount", &["-t", "squashfs", "-o", "loop,ro", text(&image), text(&mounted)]);
    let world = World::empty();
    works(&world, &mounted);
    world.finish();
    must("umount", &[text(&mounted)]);
    maker.finish();
}

#[test]
fn one_that_is_gone_is_named() {
    let world = World::new();
    let gone = world.folder.join("gone");
    let want =
        format!("base store {}: open {}/format: No such file", gone.display(), gone.display());
    for words in [&["images"][..], &["run", "--rm", "--net", "none", "bb", "true"]] {
        let mut command = world.command(words);
        let done: Done = command.env("CORACLE_BASE_STORES", &gone).output().expect("run").into();
        assert!(done.code != 0 && done.err.contains(&want), "{words:?}: {done:?}");
        assert!(!done.err.contains("Unable to find image"), "{done:?}");
    }
    world.finish();
}
