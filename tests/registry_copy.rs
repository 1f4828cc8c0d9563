//! `imgstore copy`: images from place to place as they are, with what refers to them.

#![allow(clippy::expect_used, clippy::panic)]

use serde_json::json;
use std::path::Path;
use support::World;
use support::registry::{
    CONFIG, Image, MANIFEST, Registry, architecture, descriptor, index, layout, noise, own_network,
    peer, sha256, tar_of,
};

fn raw(name: &str) -> String {
    let name = format!("docker://{name}");
    peer("skopeo", &["inspect", "--tls-verify=false", "--raw", &name])
}

/// An image that refers to another: a manifest with a subject, or cosign's tag.
fn referrer(folder: &Path, tag: &str, to: &[u8], text: &str) -> Vec<u8> {
    let mut image = Image::new(&[tar_of("about", text.as_bytes())], architecture());
    let mut value: serde_json::Value = serde_json::from_slice(&image.manifest).expect("JSON");
    value["subject"] = descriptor(MANIFEST, to);
    image.manifest = value.to_string().into_bytes();
    layout(folder, &[(tag, &[("", &image)])]);
    image.manifest
}

#[test]
fn registries_and_layouts() {
    own_network();
    let world = World::empty();
    let registry = Registry::start(&world.folder, "", "");
    let own =
        Image::new(&[support::busybox_tar(), tar_of("n", &noise(1, 2_500_000))], architecture());
    let other = Image::new(&[tar_of("other", b"cpu")], "s390x");
    let platform = format!("linux/{}", architecture());
    let images: [(&str, &Image); 2] = [(&platform, &own), ("linux/s390x", &other)];
    let first = world.folder.join("first");
    layout(&first, &[("1", &images)]);
    let digest = sha256(&index(&images));
    let copy = |from: &str, to: &str| world.ok(&["imgstore", "copy", from, to]);
    // A layout to a registry, there to another repository, and back to a layout.
    let from = format!("oci:{}:1", first.display());
    assert_eq!(copy(&from, "docker://127.0.0.1:5000/a/x:1"), digest);
    assert_eq!(sha256(raw("127.0.0.1:5000/a/x:1").as_bytes()), digest);
    // Signatures and the like: cosign's tags, and OCI's in place of the API.
    let signature = referrer(&world.folder.join("s"), "s", &index(&images), "signed");
    let tag = digest.replace(':', "-");
    registry.push(&world.folder.join("s"), "s", &format!("a/x:{tag}.sig"));
    let parts = referrer(&world.folder.join("p"), "p", &index(&images), "parts");
    let standin = json!({
        "schemaVersion": 2, "mediaType": support::registry::INDEX,
        "manifests": [descriptor(MANIFEST, &parts)],
    });
    assert!(String::from_utf8_lossy(&parts).contains(CONFIG));
    let folder = world.folder.join("p");
    let bytes = standin.to_string().into_bytes();
    let hex = sha256(&bytes)[7..].to_owned();
    std::fs::write(folder.join("blobs/sha256").join(hex), &bytes).expect("write");
    let mut entry = descriptor(support::registry::INDEX, &bytes);
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": "r"});
    let list = json!({"schemaVersion": 2, "manifests": [entry]});
    std::fs::write(folder.join("index.json"), list.to_string()).expect("write");
    copy(&format!("oci:{}:r", folder.display()), &format!("docker://127.0.0.1:5000/a/x:{tag}"));

    let uploads = registry.count("PATCH");
    assert_eq!(copy("docker://127.0.0.1:5000/a/x:1", "docker://127.0.0.1:5000/b:2"), digest);
    assert_eq!(registry.count("PATCH"), uploads, "all blobs were mounted");
    assert_eq!(sha256(raw("127.0.0.1:5000/b:2").as_bytes()), digest);
    assert_eq!(raw(&format!("127.0.0.1:5000/b:{tag}.sig")).as_bytes(), signature);
    assert_eq!(raw(&format!("127.0.0.1:5000/b:{tag}")).as_bytes(), bytes);
    assert_eq!(raw(&format!("127.0.0.1:5000/b@{}", sha256(&parts))).as_bytes(), parts);

    let last = world.folder.join("last");
    let to = format!("oci:{}:3", last.display());
    assert_eq!(copy("docker://127.0.0.1:5000/b:2", &to), digest);
    for name in std::fs::read_dir(first.join("blobs/sha256")).expect("read").flatten() {
        let there = std::fs::read(last.join("blobs/sha256").join(name.file_name())).expect("there");
        assert_eq!(there, std::fs::read(name.path()).expect("read"));
    }
    peer("skopeo", &["inspect", "--raw", &to]);
    // Again: nothing is fetched but manifests.
    let blobs = registry.count("/blobs/");
    copy("docker://127.0.0.1:5000/b:2", &to);
    assert_eq!(registry.count("/blobs/"), blobs);
    drop(registry);
    world.finish();
}

#[test]
fn with_the_store_and_with_lies() {
    own_network();
    let world = World::empty();
    let registry = Registry::start(&world.folder, "", "");
    let image = Image::busybox();
    let folder = world.folder.join("layout");
    layout(&folder, &[("1", &[("", &image)])]);
    let from = format!("oci:{}:1", folder.display());
    world.ok(&["imgstore", "copy", &from, "bb:1"]);
    world.ok(&["imgstore", "copy", "-q", "bb:1", "docker://127.0.0.1:5000/bb:1"]);
    world.ok(&["imgstore", "copy", "-q", "docker://127.0.0.1:5000/bb:1", "again:1"]);
    let id = |name: &str| world.ok(&["inspect", "--format", "{{.Id}}", name]);
    assert_eq!((id("bb:1"), id("again:1")), (image.id(), image.id()));
    // A blob that is not what its name says is not copied.
    let hex = sha256(&image.layers[0])[7..].to_owned();
    let path = folder.join("blobs/sha256").join(hex);
    let mut bytes = image.layers[0].clone();
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).expect("write");
    let back = format!("oci:{}:1", world.folder.join("back").display());
    for to in ["docker://127.0.0.1:5000/lies:1", &back] {
        let done = world.coracle(&["imgstore", "copy", &from, to]);
        assert!(done.code == 1 && done.err.contains("has digest sha256:"), "{to}: {done:?}");
    }
    assert_eq!(world.coracle(&["pull", "127.0.0.1:5000/lies:1"]).code, 1);
    let left = std::fs::read_dir(world.folder.join("back/blobs/sha256")).expect("read");
    assert!(left.flatten().all(|entry| !entry.file_name().to_string_lossy().starts_with('.')));
    drop(registry);
    world.finish();
}
