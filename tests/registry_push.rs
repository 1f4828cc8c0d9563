//! `push`, `tags` and `search` against Debian's docker-registry.

#![allow(clippy::expect_used, clippy::panic)]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::registry::{
    Image, Registry, Server, architecture, layout, noise, own_network, peer, reply, tar_of,
};
use support::{Done, World};

/// A registry with an image of two layers at busybox:1.
fn start() -> (World, Registry, Image) {
    own_network();
    let world = World::empty();
    let registry = Registry::start(&world.folder, "", "");
    let tars = [support::busybox_tar(), tar_of("srv/noise", &noise(1, 3_000_000))];
    let image = Image::new(&tars, architecture());
    let folder = world.folder.join("layout");
    layout(&folder, &[("1", &[("", &image)])]);
    registry.push(&folder, "1", "busybox:1");
    (world, registry, image)
}

fn inspect(name: &str, what: &str) -> String {
    let name = format!("docker://{name}");
    peer("skopeo", &["inspect", "--tls-verify=false", "--format", what, &name]).trim().to_owned()
}

#[test]
fn what_came_from_the_registry_is_not_sent_again() {
    let (world, registry, image) = start();
    let name = "127.0.0.1:5000/busybox:1";
    world.ok(&["pull", "-q", name]);
    let short: Vec<String> = [support::busybox_tar(), tar_of("srv/noise", &noise(1, 3_000_000))]
        .iter()
        .map(|tar| support::registry::sha256(tar)[7..19].to_owned())
        .collect();
    let out = world.ok(&["push", name]);
    let last = format!("1: digest: {} size: {}", image.digest(), image.manifest.len());
    let want = [
        "The push refers to repository [127.0.0.1:5000/busybox]".to_owned(),
        format!("{}: Preparing", short[0]),
        format!("{}: Preparing", short[1]),
        format!("{}: Layer already exists", short[0]),
        format!("{}: Layer already exists", short[1]),
        last.clone(),
    ];
    assert_eq!(out, want.join("\n"));
    // To another repository: mounted, and the manifest is the same.
    world.ok(&["imgstore", "tag", name, "127.0.0.1:5000/other/copy:2"]);
    let out = world.ok(&["push", "127.0.0.1:5000/other/copy:2"]);
    assert_eq!(out.matches(": Mounted from busybox").count(), 2, "{out}");
    assert!(out.ends_with(&last.replace("1: digest", "2: digest")), "{out}");
    assert_eq!(registry.count("PATCH"), 1, "the configuration alone was sent");
    assert_eq!(inspect("127.0.0.1:5000/other/copy:2", "{{.Digest}}"), image.digest());
    assert_eq!(world.ok(&["push", "-q", name]), name);
    let done = world.coracle(&["push", "127.0.0.1:5000/nothing:3"]);
    let want = "An image does not exist locally with the tag: 127.0.0.1:5000/nothing";
    assert!(done.code == 1 && done.err.contains(want), "{done:?}");
    drop(registry);
    world.finish();
}

#[test]
fn made_here_and_pulled_by_all() {
    let (world, registry, image) = start();
    let name = "127.0.0.1:5000/mine:1";
    // Layers whose packing nobody knows: loaded from a docker archive of uncompressed layers.
    let saved = world.folder.join("saved.tar");
    world.ok(&["pull", "-q", "127.0.0.1:5000/busybox:1"]);
    world.ok(&["imgstore", "tag", "127.0.0.1:5000/busybox:1", name]);
    world.ok(&["save", "-o", &saved.to_string_lossy(), name]);
    let other = World::empty();
    other.ok(&["load", "-i", &saved.to_string_lossy()]);
    let out = other.ok(&["push", name]);
    assert_eq!(out.matches(": Pushed").count(), 2, "{out}");
    let digest = inspect(name, "{{.Digest}}");
    assert!(out.contains(&format!("1: digest: {digest} size: ")), "{out}");
    // Again, also after the registry forgot the tag: nothing is packed or sent anew.
    let patches = registry.count("PATCH");
    let out = other.ok(&["push", name]);
    assert_eq!(out.matches(": Layer already exists").count(), 2, "{out}");
    assert!(out.contains(&digest), "the same manifest again: {out}");
    assert_eq!(registry.count("PATCH"), patches);
    // skopeo takes it apart and checks every digest.
    let to = format!("oci:{}:1", world.folder.join("back").display());
    let words = ["copy", "-q", "--insecure-policy", "--src-tls-verify=false"];
    peer("skopeo", &[&words[..], &[&format!("docker://{name}"), &to]].concat());
    // And we pull it: the same image, the same tree.
    let third = World::empty();
    third.ok(&["pull", "-q", name]);
    assert_eq!(third.ok(&["inspect", "--format", "{{.Id}}", name]), image.id());
    let sum =
        |world: &World| world.ok(&["run", "--rm", "--net", "none", name, "wc", "-c", "/srv/noise"]);
    assert_eq!(sum(&third), sum(&world));
    // Deleted, then pushed and pulled once more.
    let url = format!("http://127.0.0.1:5000/v2/mine/manifests/{digest}");
    let delete = format!("docker://127.0.0.1:5000/mine@{digest}");
    peer("skopeo", &["delete", "--tls-verify=false", &delete]);
    third.ok(&["rmi", name]);
    assert!(third.coracle(&["pull", name]).err.contains("manifest unknown"), "{url}");
    other.ok(&["push", name]);
    third.ok(&["pull", "-q", name]);
    drop(registry);
    for world in [world, other, third] {
        world.finish();
    }
}

#[test]
fn a_committed_layer_goes_on_top_of_a_pulled_one() {
    let (world, registry, _) = start();
    let base = "127.0.0.1:5000/busybox:1";
    world.ok(&["run", "--name", "cc", "--net", "none", base, "sh", "-c", "echo mine > /srv/mine"]);
    world.ok(&["commit", "cc", "127.0.0.1:5000/child:1"]);
    world.ok(&["rm", "cc"]);
    let out = world.ok(&["push", "127.0.0.1:5000/child:1"]);
    assert_eq!(out.matches(": Mounted from busybox").count(), 2, "{out}");
    assert_eq!(out.matches(": Pushed").count(), 1, "{out}");
    let other = World::empty();
    let words = ["run", "--rm", "--net", "none", "127.0.0.1:5000/child:1", "cat", "/srv/mine"];
    assert_eq!(other.ok(&words), "mine");
    drop(registry);
    other.finish();
    world.finish();
}

#[test]
fn all_tags_tags_and_search() {
    let (world, registry, _) = start();
    world.ok(&["pull", "-q", "127.0.0.1:5000/busybox:1"]);
    for tag in ["a", "b"] {
        world.ok(&[
            "imgstore",
            "tag",
            "127.0.0.1:5000/busybox:1",
            &format!("127.0.0.1:5000/t/x:{tag}"),
        ]);
    }
    let out = world.ok(&["push", "-a", "127.0.0.1:5000/t/x"]);
    assert!(out.contains("a: digest: ") && out.contains("b: digest: "), "{out}");
    assert_eq!(world.ok(&["tags", "127.0.0.1:5000/t/x"]), "a\nb");
    let done = world.coracle(&["tags", "127.0.0.1:5000/nothing"]);
    assert!(done.code == 1 && done.err.contains("name unknown"), "{done:?}");
    // docker-registry has no search of its own: the catalog.
    let found = world.ok(&["search", "127.0.0.1:5000/busy"]);
    let lines: Vec<&str> = found.lines().collect();
    assert!(lines.len() == 2 && lines[1].starts_with("127.0.0.1:5000/busybox"), "{found}");
    assert_eq!(world.ok(&["search", "--limit", "1", "127.0.0.1:5000/"]).lines().count(), 2);
    assert_eq!(world.coracle(&["search", "--limit", "101", "127.0.0.1:5000/x"]).code, 1);
    drop(registry);
    let _server = Server::start("127.0.0.1:5002", |asked, stream| {
        let body = br#"{"results":[{"name":"nice/one","description":"a \u001b[2Jthing","star_count":7,"is_official":true}]}"#;
        match asked.target.as_str() {
            "/v1/search?q=one&n=25" => reply(stream, "200 OK", "", body),
            _ => reply(stream, "404 Not Found", "", b""),
        }
    });
    let found = world.ok(&["search", "127.0.0.1:5002/one"]);
    assert!(found.contains("127.0.0.1:5002/nice/one") && found.contains("[OK]"), "{found}");
    assert!(!found.contains('\u{1b}'));
    world.finish();
}

#[test]
fn a_line_that_breaks_while_pushing() {
    let (world, registry, _) = start();
    let name = "127.0.0.1:5001/cut:1";
    let saved = world.folder.join("saved.tar");
    world.ok(&["pull", "-q", "127.0.0.1:5000/busybox:1"]);
    world.ok(&["imgstore", "tag", "127.0.0.1:5000/busybox:1", name]);
    world.ok(&["save", "-o", &saved.to_string_lossy(), name]);
    let other = World::empty();
    other.ok(&["load", "-i", &saved.to_string_lossy()]);
    // Three times the connection is cut within a piece. docker-registry forgets the upload then.
    let listener = TcpListener::bind("127.0.0.1:5001").expect("bind");
    let cuts = Arc::new(AtomicUsize::new(0));
    let made = cuts.clone();
    std::thread::spawn(move || {
        for here in listener.incoming().flatten() {
            let Ok(there) = TcpStream::connect("127.0.0.1:5000") else { continue };
            let (mut from, mut to) =
                (here.try_clone().expect("dup"), there.try_clone().expect("dup"));
            let cuts = made.clone();
            std::thread::spawn(move || {
                let (mut passed, mut piece) = (0, [0; 4096]);
                while let Ok(n @ 1..) = from.read(&mut piece) {
                    passed += n;
                    if passed > 600_000 && cuts.fetch_add(1, Ordering::Relaxed) < 3 {
                        let _ = from.shutdown(Shutdown::Both);
                        break;
                    }
                    if to.write_all(&piece[..n]).is_err() {
                        break;
                    }
                }
                let _ = to.shutdown(Shutdown::Both);
            });
            let (mut from, mut to) = (there, here);
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
    });
    let mut command: Command = other.command(&["push", name]);
    command.env("CORACLE_REGISTRY_PATIENCE", "2");
    let done = Done::from(command.output().expect("start"));
    assert_eq!(done.code, 0, "{done:?}");
    assert!(cuts.load(Ordering::Relaxed) >= 3, "the line was not cut");
    let third = World::empty();
    third.ok(&["pull", "-q", "127.0.0.1:5000/cut:1"]);
    let words = ["run", "--rm", "--net", "none", "127.0.0.1:5000/cut:1", "wc", "-c", "/srv/noise"];
    assert!(third.ok(&words).starts_with("3000000"));
    drop(registry);
    for world in [world, other, third] {
        world.finish();
    }
}
