//! Registries by https: private roots, client certificates, names, clocks, proxies and settings.
//! These are tests of the full set; `registry_settings` has what both sets do.

#![allow(clippy::expect_used, clippy::panic)]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use support::registry::{Image, Registry, Server, layout, own_network, peer, reply};
use support::{Done, World};

/// Not of this machine's own network, so that nothing is lenient.
const HOST: &str = "10.9.8.7";
const NAME: &str = "10.9.8.7:5000/busybox:1";

/// Certificates of an authority of the test's.
struct Authority {
    folder: PathBuf,
}

impl Authority {
    fn new(folder: &Path) -> Authority {
        let folder = folder.join("authority");
        std::fs::create_dir_all(&folder).expect("mkdir");
        let authority = Authority { folder };
        let (key, root) = (authority.path("ca.key"), authority.path("ca.crt"));
        peer(
            "openssl",
            &[
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=authority of the test",
                "-addext",
                "basicConstraints=critical,CA:TRUE",
                "-keyout",
                &key,
                "-out",
                &root,
            ],
        );
        std::fs::write(authority.path("index.txt"), "").expect("write");
        std::fs::write(authority.path("serial"), "01\n").expect("write");
        authority
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_string_lossy().into_owned()
    }

    /// NAME.crt and NAME.key, valid from a day on (`YYMMDD000000Z`).
    fn sign(&self, name: &str, alternative: &str, from: &str) {
        let (key, request) = (self.path(&format!("{name}.key")), self.path("request"));
        let subject = format!("/CN={name}");
        peer(
            "openssl",
            &[
                "req",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-subj",
                &subject,
                "-keyout",
                &key,
                "-out",
                &request,
            ],
        );
        let config = format!(
            "[ca]\ndefault_ca=d\n[d]\ndatabase={}\nserial={}\nnew_certs_dir={}\ndefault_md=sha256\n\
             policy=p\nx509_extensions=e\n[p]\ncommonName=supplied\n[e]\nsubjectAltName={alternative}\n",
            self.path("index.txt"),
            self.path("serial"),
            self.path(""),
        );
        std::fs::write(self.path("ca.cnf"), config).expect("write");
        peer(
            "openssl",
            &[
                "ca",
                "-batch",
                "-notext",
                "-config",
                &self.path("ca.cnf"),
                "-cert",
                &self.path("ca.crt"),
                "-keyfile",
                &self.path("ca.key"),
                "-in",
                &request,
                "-out",
                &self.path(&format!("{name}.crt")),
                "-startdate",
                from,
                "-enddate",
                "20991231000000Z",
            ],
        );
    }
}

/// The section of docker-registry's settings.
fn section(authority: &Authority, name: &str, more: &str) -> String {
    let (certificate, key) =
        (authority.path(&format!("{name}.crt")), authority.path(&format!("{name}.key")));
    format!("  tls: {{certificate: {certificate}, key: {key}{more}}}")
}

/// A network with the registry's address, a registry there, and busybox in it.
fn start(server: &str, alternative: &str, from: &str, more: &str) -> (World, Authority, Registry) {
    own_network();
    peer("busybox", &["ip", "addr", "add", "10.9.8.7/32", "dev", "lo"]);
    let world = World::empty();
    let authority = Authority::new(&world.folder);
    authority.sign(server, alternative, from);
    authority.sign("client", "DNS:client", PAST);
    let more = more.replace("ROOT", &authority.path("ca.crt"));
    let http = section(&authority, server, &more);
    let http = http + "\n  net: tcp";
    let registry = Registry::start_at("0.0.0.0:5000", &world.folder, &http, "");
    let folder = world.folder.join("layout");
    layout(&folder, &[("1", &[("", &Image::busybox())])]);
    let words = ["copy", "-q", "--insecure-policy", "--dest-tls-verify=false", "--dest-cert-dir"];
    let client = world.folder.join("client");
    std::fs::create_dir_all(&client).expect("mkdir");
    for (from, to) in [("client.crt", "client.cert"), ("client.key", "client.key")] {
        std::fs::copy(authority.path(from), client.join(to)).expect("copy");
    }
    let from = format!("oci:{}:1", folder.display());
    let to = "docker://127.0.0.1:5000/busybox:1";
    peer("skopeo", &[&words[..], &[&client.to_string_lossy(), &from, to]].concat());
    (world, authority, registry)
}

const PAST: &str = "20200101000000Z";
const RIGHT: &str = "IP:10.9.8.7,IP:127.0.0.1";

/// What `certs.d/HOST:5000` holds.
fn certificates(world: &World, files: &[(&str, String)]) -> PathBuf {
    let folder = world.folder.join("certs.d");
    let own = folder.join(format!("{HOST}:5000"));
    let _ = std::fs::remove_dir_all(&own);
    std::fs::create_dir_all(&own).expect("mkdir");
    for (name, from) in files {
        std::fs::copy(from, own.join(name)).expect("copy");
    }
    folder
}

fn pull(world: &World, name: &str, folder: &Path) -> Done {
    let mut command = world.command(&["pull", name]);
    command.env("CORACLE_CERTS", folder).env("HOME", "/nonexistent");
    command.output().expect("start").into()
}

fn refused(done: &Done, want: &str) {
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.err.contains(want), "{want}: {done:?}");
    assert_eq!(done.err.lines().count(), 1, "{done:?}");
}

#[test]
fn a_private_authority() {
    let (world, authority, registry) = start("right", RIGHT, PAST, "");
    let none = certificates(&world, &[]);
    refused(&pull(&world, NAME, &none), "invalid peer certificate: UnknownIssuer");
    let root = certificates(&world, &[("ca.crt", authority.path("ca.crt"))]);
    let done = pull(&world, NAME, &root);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.out.contains(&format!("Digest: {}", Image::busybox().digest())));
    assert_eq!(world.ok(&["run", "--rm", "--net", "none", NAME, "echo", "hi"]), "hi");
    // This machine's own registries may have any certificate, and none at all.
    assert_eq!(pull(&world, "127.0.0.1:5000/busybox:1", &none).code, 0);
    // A garbled root is named.
    std::fs::write(world.folder.join("bad"), "-----BEGIN CERTIFICATE-----\n!\n").expect("write");
    let bad = world.folder.join("bad").to_string_lossy().into_owned();
    let bad = certificates(&world, &[("ca.crt", bad)]);
    refused(&pull(&world, NAME, &bad), "certs.d/10.9.8.7:5000/ca.crt: ");
    drop(registry);
    world.finish();
}

#[test]
fn names_and_clocks() {
    let (world, authority, mut registry) = start("wrong", "DNS:elsewhere.example", PAST, "");
    let root = certificates(&world, &[("ca.crt", authority.path("ca.crt"))]);
    refused(&pull(&world, NAME, &root), "certificate not valid for name");
    registry.stop();
    authority.sign("future", RIGHT, "20990101000000Z");
    let config = registry.folder.join("config.yml");
    let text = std::fs::read_to_string(&config).expect("read").replace("wrong.", "future.");
    std::fs::write(&config, text).expect("write");
    registry.resume();
    let done = pull(&world, NAME, &root);
    refused(&done, "the certificate is not valid yet: the clock of this machine says 20");
    drop(registry);
    world.finish();
}

#[test]
fn client_certificates() {
    let (world, authority, registry) = start("right", RIGHT, PAST, ", clientcas: [ROOT]");
    let root = ("ca.crt", authority.path("ca.crt"));
    let (certificate, key) = (authority.path("client.crt"), authority.path("client.key"));
    let bare = certificates(&world, std::slice::from_ref(&root));
    assert_eq!(pull(&world, NAME, &bare).code, 1);
    let (certificate, key) = (("client.cert", certificate), ("client.key", key));
    let full = certificates(&world, &[root.clone(), certificate.clone(), key.clone()]);
    let done = pull(&world, NAME, &full);
    assert_eq!(done.code, 0, "{done:?}");
    world.ok(&["rmi", NAME]);
    let other = ("client.key", authority.path("right.key"));
    let mixed = certificates(&world, &[root.clone(), certificate.clone(), other]);
    refused(&pull(&world, NAME, &mixed), "certs.d/10.9.8.7:5000/client.cert: ");
    let half = certificates(&world, &[root, certificate]);
    refused(&pull(&world, NAME, &half), "client.key: No such file");
    drop(registry);
    world.finish();
}

#[test]
fn through_a_proxy_and_not_back_to_http() {
    let (world, authority, registry) = start("right", RIGHT, PAST, "");
    let root = certificates(&world, &[("ca.crt", authority.path("ca.crt"))]);
    let proxy = Server::start("127.0.0.1:3128", |asked, stream| {
        if asked.method != "CONNECT" {
            return reply(stream, "405 Method Not Allowed", "", b"");
        }
        let Ok(mut there) = TcpStream::connect(&asked.target) else { return };
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        let (mut from, mut to) =
            (there.try_clone().expect("dup"), stream.try_clone().expect("dup"));
        let back = std::thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
        let _ = std::io::copy(stream, &mut there);
        let _ = there.shutdown(Shutdown::Write);
        let _ = back.join();
    });
    let run = |no_proxy: &str| -> Done {
        let mut command = world.command(&["pull", NAME]);
        command.env("CORACLE_CERTS", &root).env("HTTPS_PROXY", "http://me:pass@127.0.0.1:3128");
        command.env("NO_PROXY", no_proxy).output().expect("start").into()
    };
    let done = run("");
    assert_eq!(done.code, 0, "{done:?}");
    let asked = proxy.log();
    assert!(!asked.is_empty() && asked.iter().all(|one| one.target == "10.9.8.7:5000"));
    let header = asked[0].header("proxy-authorization");
    assert_eq!(header, Some("Basic bWU6cGFzcw=="), "{asked:?}");
    world.ok(&["rmi", NAME]);
    assert_eq!(run("10.9.0.0/16").code, 0);
    assert_eq!(proxy.log().len(), asked.len());
    drop(registry);
    world.finish();
}

#[test]
fn what_is_said_by_https_is_not_asked_again_by_http() {
    let (world, authority, mut registry) = start("right", RIGHT, PAST, "");
    registry.stop();
    let root = certificates(&world, &[("ca.crt", authority.path("ca.crt"))]);
    let plain = Server::start("10.9.8.7:80", |_, stream| reply(stream, "200 OK", "", b"{}"));
    // openssl's own server says what a file says.
    for (answer, want) in [
        (
            "HTTP/1.1 302 Found\r\nLocation: http://10.9.8.7/x\r\nContent-Length: 0\r\n\r\n",
            "refused",
        ),
        (
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm=\"http://10.9.8.7/t\"\r\n\
             Content-Length: 0\r\n\r\n",
            "refused: it is not reached by https",
        ),
    ] {
        let mut server = std::process::Command::new("openssl")
            .args(["s_server", "-quiet", "-accept", "5000", "-cert", &authority.path("right.crt")])
            .args(["-key", &authority.path("right.key"), "-naccept", "1"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("openssl");
        let mut stdin = server.stdin.take().expect("stdin");
        let mut stdout = server.stdout.take().expect("stdout");
        let answer = answer.to_owned();
        let writer = std::thread::spawn(move || {
            // The request first.
            let _ = stdout.read(&mut [0; 4096]);
            let _ = stdin.write_all(answer.as_bytes());
            std::thread::sleep(std::time::Duration::from_millis(300));
        });
        std::thread::sleep(std::time::Duration::from_millis(200));
        refused(&pull(&world, NAME, &root), want);
        writer.join().expect("writer");
        let _ = server.kill();
        let _ = server.wait();
    }
    assert!(plain.log().is_empty(), "{:?}", plain.log());
    world.finish();
}
