//! OCI referrers by the API of the distribution specification 1.1: a registry of the tests' own has it,
//! docker-registry has not, and `imgstore copy` keeps them on every way between the two.

#![allow(clippy::expect_used, clippy::panic)]

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use support::World;
use support::registry::{
    Asked, INDEX, Image, MANIFEST, Registry, Server, architecture, descriptor, layout, own_network,
    peer, reply, sha256, tar_of,
};

const API: &str = "127.0.0.1:5001";
const OLD: &str = "127.0.0.1:5000";

/// What the registry holds.
#[derive(Default)]
struct Held {
    blobs: BTreeMap<String, Vec<u8>>,
    /// By tag and by digest: kind and text.
    manifests: BTreeMap<String, (String, Vec<u8>)>,
    upload: Vec<u8>,
}

impl Held {
    /// Descriptors of the manifests with this subject.
    fn referrers(&self, digest: &str) -> Vec<Value> {
        let mut found = Vec::new();
        for (name, (kind, text)) in &self.manifests {
            let value: Value = serde_json::from_slice(text).expect("manifest");
            if name.starts_with("sha256:") && value["subject"]["digest"] == json!(digest) {
                found.push(descriptor(kind, text));
            }
        }
        found
    }
}

/// A registry with the API, for one repository and one upload at a time. Its lists have one entry a page.
fn registry_with_api() -> (Server, Arc<Mutex<Held>>) {
    let held: Arc<Mutex<Held>> = Arc::default();
    let shared = held.clone();
    let server = Server::start(API, move |asked, stream| {
        answer(&mut shared.lock().expect("lock"), asked, stream);
    });
    (server, held)
}

fn answer(held: &mut Held, asked: &Asked, stream: &mut TcpStream) {
    let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
    let (place, name) = path.rsplit_once('/').expect("path");
    let missing = |stream: &mut TcpStream| reply(stream, "404 Not Found", "", b"");
    let place = place.rsplit('/').next().unwrap_or_default();
    match (asked.method.as_str(), place) {
        ("POST", _) => {
            held.upload.clear();
            reply(stream, "202 Accepted", "Location: /v2/r/blobs/uploads/1\r\n", b"");
        }
        ("PATCH", _) => {
            held.upload.extend_from_slice(&asked.body);
            reply(stream, "202 Accepted", "Location: /v2/r/blobs/uploads/1\r\n", b"");
        }
        ("PUT", "uploads") => {
            let bytes = std::mem::take(&mut held.upload);
            let digest = sha256(&bytes);
            let wanted = query.rsplit('=').next().unwrap_or_default().replace("%3A", ":");
            assert_eq!(wanted, digest);
            held.blobs.insert(digest, bytes);
            reply(stream, "201 Created", "", b"");
        }
        ("PUT", "manifests") => {
            let kind = asked.header("content-type").unwrap_or_default().to_string();
            let value: Value = serde_json::from_slice(&asked.body).expect("manifest");
            let digest = sha256(&asked.body);
            held.manifests.insert(digest.clone(), (kind.clone(), asked.body.clone()));
            held.manifests.insert(name.to_string(), (kind, asked.body.clone()));
            let subject = value["subject"]["digest"].as_str();
            let said = subject.map_or(String::new(), |digest| format!("OCI-Subject: {digest}\r\n"));
            reply(stream, "201 Created", &said, b"");
        }
        (_, "manifests") => match held.manifests.get(name) {
            Some((kind, text)) => {
                reply(stream, "200 OK", &format!("Content-Type: {kind}\r\n"), text)
            }
            None => missing(stream),
        },
        (_, "referrers") => {
            let list = held.referrers(name);
            let page: usize =
                query.strip_prefix("page=").map_or(0, |text| text.parse().expect("page"));
            let one: Vec<_> = list.get(page).into_iter().collect();
            let body =
                json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": one}).to_string();
            let mut head = format!("Content-Type: {INDEX}\r\n");
            if page + 1 < list.len() {
                head.push_str(&format!("Link: <{path}?page={}>; rel=\"next\"\r\n", page + 1));
            }
            reply(stream, "200 OK", &head, body.as_bytes());
        }
        (method, "blobs") => match held.blobs.get(name) {
            // A HEAD has the length alone.
            Some(blob) if method == "HEAD" => {
                use std::io::Write;
                let head = format!(
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                    blob.len()
                );
                let _ = stream.write_all(head.as_bytes());
            }
            Some(blob) => reply(stream, "200 OK", "", blob),
            None => missing(stream),
        },
        _ => reply(stream, "200 OK", "", b"{}"),
    }
}

/// A manifest that refers to another.
fn referrer(to: &[u8], text: &str) -> Image {
    let mut image = Image::new(&[tar_of("about", text.as_bytes())], architecture());
    let mut value: Value = serde_json::from_slice(&image.manifest).expect("JSON");
    value["subject"] = descriptor(MANIFEST, to);
    image.manifest = value.to_string().into_bytes();
    image
}

#[test]
fn referrers_are_kept_between_registries_with_and_without_the_api() {
    own_network();
    let world = World::empty();
    let old = Registry::start(&world.folder, "", "");
    let (server, held) = registry_with_api();
    let image = Image::busybox();
    let about = [referrer(&image.manifest, "signed"), referrer(&image.manifest, "parts")];
    // And what refers to what refers.
    let more = referrer(&about[0].manifest, "signed twice");
    let copy = |from: &str, to: &str| world.ok(&["imgstore", "copy", from, to]);
    for (number, image) in [&image, &about[0], &about[1], &more].into_iter().enumerate() {
        let folder = world.folder.join(format!("l{number}"));
        let tag = format!("t{number}");
        layout(&folder, &[(&tag, &[("", image)])]);
        copy(&format!("oci:{}:{tag}", folder.display()), &format!("docker://{API}/r:{tag}"));
    }
    let digests: Vec<String> = about.iter().chain([&more]).map(Image::digest).collect();
    assert_eq!(held.lock().expect("lock").referrers(&image.digest()).len(), 2);

    // To a registry without the API: the tags that stand in for it name them all.
    copy(&format!("docker://{API}/r:t0"), &format!("docker://{OLD}/kept:1"));
    let listed = |of: &str| {
        let tag = of.replace(':', "-");
        let name = format!("docker://{OLD}/kept:{tag}");
        let text = peer("skopeo", &["inspect", "--tls-verify=false", "--raw", &name]);
        let value: Value = serde_json::from_str(&text).expect("index");
        let list = value["manifests"].as_array().expect("manifests").clone();
        let mut list: Vec<String> =
            list.iter().map(|one| one["digest"].as_str().expect("digest").to_string()).collect();
        list.sort();
        list
    };
    let mut both = digests[..2].to_vec();
    both.sort();
    assert_eq!(listed(&image.digest()), both);
    assert_eq!(listed(&digests[0]), digests[2..]);
    for digest in &digests {
        let name = format!("docker://{OLD}/kept@{digest}");
        let text = peer("skopeo", &["inspect", "--tls-verify=false", "--raw", &name]);
        assert_eq!(sha256(text.as_bytes()), *digest);
    }

    // Back to one with it, which is empty: it knows them by their subjects.
    *held.lock().expect("lock") = Held::default();
    copy(&format!("docker://{OLD}/kept:1"), &format!("docker://{API}/r:back"));
    {
        let held = held.lock().expect("lock");
        let mut found: Vec<_> = held.referrers(&image.digest());
        found.sort_by_key(|one| one["digest"].to_string());
        let found: Vec<_> = found.iter().filter_map(|one| one["digest"].as_str()).collect();
        assert_eq!(found, both);
        assert_eq!(held.referrers(&digests[0]).len(), 1);
        assert!(held.blobs.len() > 4, "their contents too: {}", held.blobs.len());
    }
    // And between two repositories of that kind, no stand-in is left behind.
    let before = held.lock().expect("lock").manifests.len();
    copy(&format!("docker://{API}/r:back"), &format!("docker://{API}/r:again"));
    assert_eq!(held.lock().expect("lock").manifests.len(), before + 1);
    assert!(server.log().iter().any(|asked| asked.target.contains("?page=1")), "one page only");
    drop(old);
    world.finish();
}
