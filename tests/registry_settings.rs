//! What `daemon.json` says of registries: insecure ones, mirrors; and proxies for plain http.

#![allow(clippy::expect_used, clippy::panic)]

use std::process::Command;
use support::registry::{Image, Registry, Server, layout, own_network, peer, reply, serve};
use support::{Done, World, binary};

/// A pull on a machine whose /etc has these settings and nothing else.
fn pull(world: &World, settings: &str, name: &str, environment: &[(&str, &str)]) -> Done {
    let script = format!(
        "mount -t tmpfs etc /etc && mkdir /etc/coracle && echo '{settings}' > /etc/coracle/daemon.json \
         && exec {} pull {name}",
        binary().display()
    );
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", &script])
        .env("CORACLE_ROOT", world.root())
        .env("CORACLE_RUN", world.run_folder())
        .env("CORACLE_REGISTRY_PATIENCE", "1")
        .env("DOCKER_CONFIG", world.folder.join("docker"))
        .envs(environment.iter().copied());
    command.output().expect("start").into()
}

fn start() -> (World, Registry) {
    own_network();
    peer("busybox", &["ip", "addr", "add", "10.9.8.7/32", "dev", "lo"]);
    let world = World::empty();
    let registry = Registry::start_at("0.0.0.0:5000", &world.folder, "", "");
    let folder = world.folder.join("layout");
    layout(&folder, &[("1", &[("", &Image::busybox())])]);
    registry.push(&folder, "1", "library/busybox:1");
    (world, registry)
}

#[test]
fn insecure_registries_are_named() {
    let (world, registry) = start();
    let name = "10.9.8.7:5000/library/busybox:1";
    let refused = pull(&world, "{}", name, &[]);
    // Without TLS it says so, with TLS the registry speaks none.
    assert_eq!(refused.code, 1, "{refused:?}");
    assert_eq!(registry.count("GET"), 0, "nothing was asked by http");
    for settings in [
        r#"{"insecure-registries":["10.9.8.7:5000"]}"#,
        r#"{"insecure-registries":["10.9.0.0/16"]}"#,
    ] {
        let done = pull(&world, settings, name, &[]);
        assert_eq!(done.code, 0, "{settings}: {done:?}");
        world.ok(&["rmi", name]);
    }
    let wrong = pull(&world, r#"{"insecure-registries":[1]}"#, name, &[]);
    assert!(wrong.code == 1 && wrong.err.contains("insecure-registries"), "{wrong:?}");
    drop(registry);
    world.finish();
}

#[test]
fn mirrors_are_asked_first_and_not_told_who_we_are() {
    let (world, registry) = start();
    let folder = world.folder.join("docker");
    std::fs::create_dir_all(&folder).expect("mkdir");
    let secret = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"bWU6czNjcmV0"}}}"#;
    std::fs::write(folder.join("config.json"), secret).expect("write");
    // The first mirror wants to know who we are, the second has everything.
    let curious = Server::start("10.9.8.7:80", |_, stream| {
        reply(stream, "401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\n", b"");
    });
    let settings =
        r#"{"registry-mirrors":["http://10.9.8.7","http://10.9.8.7:5000","http://127.0.0.1:9"]}"#;
    let done = pull(&world, settings, "busybox:1", &[]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.out.contains("1: Pulling from library/busybox\n"), "{done:?}");
    assert!(done.out.ends_with("docker.io/library/busybox:1\n"), "{done:?}");
    assert_eq!(world.ok(&["inspect", "--format", "{{.Id}}", "busybox:1"]), Image::busybox().id());
    assert!(!curious.log().is_empty());
    assert!(curious.log().iter().all(|asked| asked.header("authorization").is_none()));
    // Only docker.io has mirrors.
    let asked = curious.log().len();
    let done = pull(&world, settings, "127.0.0.1:5000/library/busybox:1", &[]);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(curious.log().len(), asked);
    drop(registry);
    world.finish();
}

#[test]
fn a_proxy_for_plain_http() {
    own_network();
    let world = World::empty();
    let image = Image::busybox();
    let proxy = Server::start("127.0.0.1:3128", move |asked, stream| {
        // A real one would go there.
        if asked.target.ends_with("/v2/") {
            return reply(stream, "200 OK", "", b"{}");
        }
        if !asked.target.starts_with("http://10.1.1.1/v2/x/") || !serve(&image, asked, stream) {
            reply(stream, "404 Not Found", "", b"");
        }
    });
    let settings = r#"{"insecure-registries":["10.1.1.1"]}"#;
    let proxies = [("http_proxy", "http://me:pass@127.0.0.1:3128/")];
    let done = pull(&world, settings, "10.1.1.1/x:1", &proxies);
    assert_eq!(done.code, 0, "{done:?}");
    let log = proxy.log();
    assert!(log.iter().all(|asked| asked.target.starts_with("http://10.1.1.1/v2/")), "{log:?}");
    assert!(log.iter().all(|a| a.header("proxy-authorization") == Some("Basic bWU6cGFzcw==")));
    world.finish();
}
