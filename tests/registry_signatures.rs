//! Signatures against a policy file. They are made with openssl, over documents written after cosign's
//! specification. The small set refuses a policy that asks for them.

#![allow(clippy::expect_used, clippy::panic)]

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use support::registry::{
    CONFIG, Image, MANIFEST, Registry, architecture, descriptor, index, layout, own_network, peer,
    sha256, tar_of,
};
use support::{Done, World, binary};

const NAME: &str = "127.0.0.1:5000/signed:1";

/// One request to docker-registry; the value of `Location`.
fn ask(method: &str, target: &str, kind: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect("127.0.0.1:5000").expect("connect");
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {kind}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).expect("write");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read");
    assert!(answer.starts_with("HTTP/1.1 20"), "{method} {target}: {answer}");
    let line = answer.lines().find_map(|line| line.strip_prefix("Location: "));
    line.unwrap_or_default().to_owned()
}

fn put_blob(repository: &str, bytes: &[u8]) {
    let at = ask("POST", &format!("/v2/{repository}/blobs/uploads/"), "x/y", b"");
    let at = at.trim_start_matches("http://x");
    ask("PUT", &format!("{at}&digest={}", sha256(bytes)), "application/octet-stream", bytes);
}

/// A key pair: NAME.key and NAME.pub.
fn key(folder: &Path, name: &str) {
    let path = |end: &str| folder.join(format!("{name}.{end}")).to_string_lossy().into_owned();
    let key = path("key");
    peer("openssl", &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &key]);
    peer("openssl", &["ec", "-in", &key, "-pubout", "-out", &path("pub")]);
}

/// The document that is signed.
fn payload(reference: &str, digest: &str) -> Value {
    json!({
        "critical": {
            "identity": {"docker-reference": reference},
            "image": {"docker-manifest-digest": digest},
            "type": "cosign container image signature",
        },
        "optional": {"creator": "a test"},
    })
}

/// Puts signatures of a digest into the registry: documents, each with the name of its key.
fn sign(folder: &Path, digest: &str, documents: &[(Value, &str)]) {
    let mut layers = Vec::new();
    for (document, key) in documents {
        let text = document.to_string().into_bytes();
        let file = folder.join("payload");
        std::fs::write(&file, &text).expect("write");
        let key = folder.join(format!("{key}.key"));
        let words = ["dgst", "-sha256", "-sign", &key.to_string_lossy(), &file.to_string_lossy()];
        let output = Command::new("openssl").args(words).output().expect("openssl");
        std::fs::write(&file, &output.stdout).expect("write");
        let signature = peer("base64", &["-w0", &file.to_string_lossy()]);
        put_blob("signed", &text);
        let mut layer = descriptor("application/vnd.dev.cosign.simplesigning.v1+json", &text);
        layer["annotations"] = json!({"dev.cosignproject.cosign/signature": signature});
        layers.push(layer);
    }
    let config =
        br#"{"architecture":"","os":"","config":{},"rootfs":{"type":"layers","diff_ids":[]}}"#;
    put_blob("signed", config);
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG, config), "layers": layers,
    });
    let target = format!("/v2/signed/manifests/{}.sig", digest.replace(':', "-"));
    ask("PUT", &target, MANIFEST, manifest.to_string().as_bytes());
}

/// A pull with this policy.
fn pull(world: &World, policy: &Value, name: &str) -> Done {
    under(world, policy, &format!("pull {name}"))
}

/// A command line with this policy.
fn under(world: &World, policy: &Value, words: &str) -> Done {
    let file = world.folder.join("policy.json");
    std::fs::write(&file, policy.to_string()).expect("write");
    let script = format!(
        "mount -t tmpfs etc /etc && mkdir /etc/containers && cp {} /etc/containers/ && exec {} {words}",
        file.display(),
        binary().display()
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]);
    command.env("CORACLE_ROOT", world.root()).env("CORACLE_RUN", world.run_folder());
    command.output().expect("start").into()
}

fn start() -> (World, Registry, Image) {
    own_network();
    let world = World::empty();
    let registry = Registry::start(&world.folder, "", "");
    let image = Image::busybox();
    let folder = world.folder.join("layout");
    layout(&folder, &[("1", &[("", &image)])]);
    registry.push(&folder, "1", "signed:1");
    for name in ["good", "evil"] {
        key(&world.folder, name);
    }
    (world, registry, image)
}

/// A policy that wants this key for the repository, and lets nothing else in.
fn wants(world: &World, key: &str, identity: &Value) -> Value {
    let path = world.folder.join(format!("{key}.pub"));
    let mut entry = json!({"type": "sigstoreSigned", "keyPath": path});
    if !identity.is_null() {
        entry["signedIdentity"] = identity.clone();
    }
    json!({
        "default": [{"type": "reject"}],
        "transports": {"docker": {"127.0.0.1:5000/signed": [entry]}},
    })
}

/// The layout of `imgstore copy`, and tars of it: what to load.
fn archives(world: &World) -> [String; 3] {
    let folder = world.folder.join("copied");
    let place = folder.display().to_string();
    let _ = std::fs::remove_dir_all(&folder);
    let from = format!("docker://{NAME}");
    world.ok(&["imgstore", "copy", &from, &format!("oci:{place}:1")]);
    let index = folder.join("index.json");
    let text = std::fs::read_to_string(&index).expect("index");
    let mut document: Value = serde_json::from_str(&text).expect("index");
    for entry in document["manifests"].as_array_mut().expect("manifests") {
        let name = &mut entry["annotations"]["org.opencontainers.image.ref.name"];
        if *name == json!("1") {
            *name = json!(NAME);
        }
    }
    std::fs::write(&index, document.to_string()).expect("write");
    let (tar, packed) = (format!("{place}.tar"), format!("{place}.tar.gz"));
    peer("tar", &["-C", &place, "-cf", &tar, "."]);
    peer("tar", &["-C", &place, "-czf", &packed, "."]);
    [format!("imgstore load {place}"), format!("load -i {tar}"), format!("load <{packed}")]
}

/// Nothing of a refused image is to be seen.
fn refused(world: &World, done: &Done, why: &str) {
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.err.contains(why), "{why}: {done:?}");
    assert_eq!(done.err.lines().count(), 1, "{done:?}");
    assert_eq!(world.ok(&["images", "-q"]), "");
    for folder in ["layers", "images", "names", "work"] {
        let count = std::fs::read_dir(world.root().join(folder)).expect("read").count();
        assert_eq!(count, 0, "{folder}: {done:?}");
    }
}

/// Whether the binary under test verifies signatures.
fn has_signatures() -> bool {
    !binary().to_string_lossy().contains("/small/")
}

#[test]
fn only_what_is_signed_by_the_right_key_comes_in() {
    let (world, registry, image) = start();
    let digest = image.digest();
    let policy = wants(&world, "good", &json!({"type": "matchRepository"}));
    if !has_signatures() {
        refused(&world, &pull(&world, &policy, NAME), "the policy asks for signatures");
        drop(registry);
        return world.finish();
    }
    let repository = "127.0.0.1:5000/signed";
    let right = payload(repository, &digest);
    refused(&world, &pull(&world, &policy, NAME), "no signature is there");
    let mut kind = right.clone();
    kind["critical"]["type"] = json!("something else");
    let mut more = right.clone();
    more["critical"]["but"] = json!("not really");
    for (what, documents, why) in [
        ("another key", vec![(right.clone(), "evil")], "no signature is by the key"),
        ("another digest", vec![(payload(repository, &sha256(b"x")), "good")], "another image"),
        (
            "another repository",
            vec![(payload("127.0.0.1:5000/s", &digest), "good")],
            "another name",
        ),
        ("another kind", vec![(kind, "good")], "of a kind that is not known"),
        ("a critical member", vec![(more, "good")], "of a kind that is not known"),
    ] {
        sign(&world.folder, &digest, &documents);
        let done = pull(&world, &policy, NAME);
        assert_eq!(done.code, 1, "{what}");
        refused(&world, &done, why);
    }
    // One good one among others is enough.
    let list = [(right.clone(), "evil"), (json!({}), "good"), (right.clone(), "good")];
    sign(&world.folder, &digest, &list);
    let done = pull(&world, &policy, NAME);
    assert_eq!(done.code, 0, "{done:?}");
    world.ok(&["rmi", NAME]);
    // The name: exactly the tag, unless the policy or a digest in the name says otherwise.
    let exact = wants(&world, "good", &Value::Null);
    refused(&world, &pull(&world, &exact, NAME), "signed under another name");
    let by_digest = format!("{repository}@{digest}");
    assert_eq!(pull(&world, &exact, &by_digest).code, 0);
    world.ok(&["rmi", &by_digest]);
    sign(&world.folder, &digest, &[(payload(NAME, &digest), "good")]);
    assert_eq!(pull(&world, &exact, NAME).code, 0);
    // A tag that moves to what nobody signed.
    world.ok(&["rmi", NAME]);
    let folder = world.folder.join("moved");
    layout(&folder, &[("1", &[("", &Image::new(&[tar_of("evil", b"x")], architecture()))])]);
    registry.push(&folder, "1", "signed:1");
    refused(&world, &pull(&world, &exact, NAME), "no signature is there");
    drop(registry);
    world.finish();
}

#[test]
fn an_index_is_signed_for_all_its_images() {
    let (world, registry, image) = start();
    if !has_signatures() {
        drop(registry);
        return world.finish();
    }
    let platform = format!("linux/{}", architecture());
    let list: [(&str, &Image); 1] = [(&platform, &image)];
    let folder = world.folder.join("index");
    layout(&folder, &[("2", &list)]);
    registry.push(&folder, "2", "signed:2");
    let digest = sha256(&index(&list));
    let policy = wants(&world, "good", &json!({"type": "matchRepository"}));
    let name = "127.0.0.1:5000/signed:2";
    refused(&world, &pull(&world, &policy, name), "no signature is there");
    sign(&world.folder, &digest, &[(payload("127.0.0.1:5000/signed", &digest), "good")]);
    assert_eq!(pull(&world, &policy, name).code, 0);
    drop(registry);
    world.finish();
}

#[test]
fn archives_are_judged_without_a_network() {
    let (world, registry, image) = start();
    let digest = image.digest();
    let exact = wants(&world, "good", &Value::Null);
    let free = json!({"default": [{"type": "insecureAcceptAnything"}]});
    if !has_signatures() {
        let commands = archives(&world);
        drop(registry);
        for words in &commands {
            refused(&world, &under(&world, &exact, words), "the policy asks for signatures");
        }
        return world.finish();
    }
    let unsigned = archives(&world);
    for words in &unsigned {
        refused(&world, &under(&world, &exact, words), "no signature is there");
        assert_eq!(under(&world, &free, words).code, 0, "{words}");
        world.ok(&["rmi", NAME]);
    }
    sign(&world.folder, &digest, &[(payload(NAME, &digest), "evil")]);
    for words in &archives(&world) {
        refused(&world, &under(&world, &exact, words), "no signature is by the key");
    }
    sign(&world.folder, &digest, &[(payload(NAME, &digest), "good")]);
    let signed = archives(&world);
    drop(registry);
    let other = wants(&world, "good", &json!({"type": "exactReference", "dockerReference": "a:1"}));
    for words in &signed {
        refused(&world, &under(&world, &other, words), "signed under another name");
        let done = under(&world, &exact, words);
        assert_eq!(done.code, 0, "{words}: {done:?}");
        assert_eq!(world.ok(&["images", "-q"]).lines().count(), 1);
        world.ok(&["rmi", NAME]);
    }
    // The same image under a name that the signature does not have.
    let index = world.folder.join("copied/index.json");
    let text = std::fs::read_to_string(&index).expect("index");
    std::fs::write(&index, text.replace(NAME, "127.0.0.1:5000/signed:2")).expect("write");
    refused(&world, &under(&world, &exact, &signed[0]), "signed under another name");
    // Without a name nothing but `default` can count.
    std::fs::write(&index, text.replace(NAME, "")).expect("write");
    let place = world.folder.join("copied").display().to_string();
    peer("tar", &["-C", &place, "-czf", &format!("{place}.tar.gz"), "."]);
    refused(&world, &under(&world, &exact, &signed[2]), "an image without a name: ");
    world.finish();
}

#[test]
fn policies() {
    let (world, registry, _) = start();
    let anything = json!([{"type": "insecureAcceptAnything"}]);
    let reject = json!([{"type": "reject"}]);
    refused(&world, &pull(&world, &json!({"default": reject}), NAME), "lets nothing in");
    // What cannot be understood lets nothing in either.
    let gpg = json!([{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/x"}]);
    refused(&world, &pull(&world, &json!({"default": gpg}), NAME), "\"signedBy\" is not known");
    refused(&world, &pull(&world, &json!({}), NAME), "/etc/containers/policy.json: ");
    let lost = json!([{"type": "sigstoreSigned", "keyPath": "/nonexistent"}]);
    refused(&world, &pull(&world, &json!({"default": lost}), NAME), "/nonexistent: No such file");
    let mixed = json!({
        "default": reject, "transports": {"docker": {"127.0.0.1:5000": anything}},
    });
    assert_eq!(pull(&world, &mixed, NAME).code, 0);
    drop(registry);
    world.finish();
}
