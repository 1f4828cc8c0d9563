//! Hostile and damaged archives: each one clear line, and nothing left behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;
use common::{Layout, Scratch, Tar, blob, config, docker, gzip, import, is_root, load, oci};
use std::io::Read;
use std::path::Path;

/// Imports it; the error must say `want`, and nothing may be left.
fn refused(name: &str, tar: &[u8], want: &str) {
    let scratch = Scratch::new();
    let store = scratch.store();
    std::fs::write(scratch.path.join("victim"), "safe").unwrap();
    for (form, bytes) in [("plain", tar.to_vec()), ("gzip", gzip(tar))] {
        let e = import(&store, &bytes, "x").expect_err(name);
        assert!(e.message().contains(want) && !e.message().contains('\n'), "{name} {form}: {e}");
        scratch.assert_empty();
    }
    assert_eq!(std::fs::read_to_string(scratch.path.join("victim")).unwrap(), "safe");
}

#[test]
fn names_that_lead_out() {
    for name in ["../victim", "a/../../victim", "..", "/etc/victim", "//victim"] {
        refused(
            name,
            &Tar::new().file(name, "x").done(),
            if name.starts_with('/') { "absolute" } else { "'..'" },
        );
    }
    refused("link up", &Tar::new().link("a", "../victim").done(), "'..'");
    refused("link abs", &Tar::new().link("a", "/etc/passwd").done(), "absolute");
    let pax = Tar::new().pax(&[("path", b"../victim".as_slice())]).file("ok", "x").done();
    refused("pax", &pax, "'..'");
    refused("root", &Tar::new().file("./", "x").done(), "");
    refused("whiteout of ..", &Tar::new().file(".wh...", "").done(), "whiteout of nothing");
    refused("below whiteout", &Tar::new().file("a/.wh.b/c", "").done(), "below a whiteout");
}

/// CVE-2014-6407, CVE-2014-9356.
#[test]
fn writing_through_links() {
    for target in ["../..", "/", "d", "."] {
        let tar = Tar::new().folder("d/").symlink("l", target);
        refused("file", &tar.file("l/victim", "x").done(), "passes through");
        let tar = Tar::new().folder("d/").symlink("l", target);
        refused("folder", &tar.folder("l/victim").done(), "passes through");
        let tar = Tar::new().folder("d/").symlink("l", target);
        refused("deep", &tar.file("l/a/b", "x").done(), "passes through");
        let tar = Tar::new().folder("d/").symlink("l", target);
        refused("whiteout", &tar.file("l/.wh.victim", "").done(), "passes through");
        let tar = Tar::new().file("d/f", "x").symlink("l", target);
        refused("hard link", &tar.link("h", "l/f").done(), "hard link");
    }
    refused("file as folder", &Tar::new().file("f", "").file("f/x", "").done(), "passes through");
    // The link itself is replaced, not what it leads to.
    let scratch = Scratch::new();
    let store = scratch.store();
    let victim = scratch.path.join("victim");
    std::fs::write(&victim, "safe").unwrap();
    let tar = Tar::new().symlink("l", victim.to_str().unwrap()).file("l", "x");
    import(&store, &tar.done(), "x").unwrap();
    assert_eq!(std::fs::read_to_string(victim).unwrap(), "safe");
}

#[test]
fn special_entries() {
    let device = Tar::new().raw("dev", b'3', "", b"", |h| {
        h.set_device_major(0).unwrap();
        h.set_device_minor(0).unwrap();
    });
    refused("whiteout device", &device.done(), "0:0");
    for name in ["trusted.overlay.opaque", "user.overlay.opaque", "trusted.x"] {
        let key = format!("SCHILY.xattr.{name}");
        let tar = Tar::new().pax(&[(key.as_str(), b"y".as_slice())]).file("f", "");
        refused(name, &tar.done(), "not allowed");
    }
    refused("sparse", &Tar::new().raw("f", b'S', "", b"", |_| ()).done(), "sparse");
    refused("unknown", &Tar::new().raw("f", b'Q', "", b"", |_| ()).done(), "unknown type");
    refused("content", &Tar::new().raw("d/", b'5', "", b"x", |_| ()).done(), "content where");
    refused("link to whiteout", &Tar::new().file(".wh.a", "").link("b", "a").done(), "hard link");
    refused("link to folder", &Tar::new().folder("a/").link("b", "a").done(), "hard link");
    refused("link to itself", &Tar::new().link("b", "b").done(), "itself");
    refused(
        "link replaces its target",
        &Tar::new().folder("a/").file("a/f", "").link("a", "a/f").done(),
        "replaces",
    );
    if is_root() {
        // Labels belong to the host: dropped, not refused.
        let scratch = Scratch::new();
        let tar =
            Tar::new().pax(&[("SCHILY.xattr.security.selinux", b"x".as_slice())]).file("f", "");
        import(&scratch.store(), &tar.done(), "x").unwrap();
    }
}

/// RUSTSEC-2025-0111: the size of the PAX header wins, so that no entry is hidden from anybody.
#[test]
fn pax_sizes_win() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let inner = Tar::new().file("hidden", "x").done();
    let length = inner.len().to_string();
    let mut tar = Tar::new().pax(&[("size", length.as_bytes())]);
    let mut h = tar::Header::new_ustar();
    h.set_path("outer").unwrap();
    h.set_size(0);
    h.set_mode(0o644);
    h.set_uid(u64::from(rustix::process::geteuid().as_raw()));
    h.set_gid(u64::from(rustix::process::getegid().as_raw()));
    h.set_cksum();
    tar.0.append(&h, &inner[..]).unwrap();
    import(&store, &tar.done(), "x").unwrap();
    let tree = common::checkout(&scratch, &store, "x");
    assert_eq!(tree.len(), 1);
    assert!(tree[0].starts_with("outer 644"));
}

#[test]
fn truncated_anywhere() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let layer = Tar::new().folder("d/").file("d/f", &"x".repeat(3000)).file("g", "y").done();
    for bytes in [layer.clone(), gzip(&layer)] {
        // The last zero block is only filling.
        let enough = if bytes.starts_with(&[0x1f]) { bytes.len() } else { bytes.len() - 1023 };
        for cut in (0..enough).step_by(97).chain([enough - 1]) {
            assert!(import(&store, &bytes[..cut], "x").is_err(), "{cut} of {}", bytes.len());
            scratch.assert_empty();
        }
    }
    for archive in [oci(std::slice::from_ref(&layer), "x:1").tar(), docker(&[layer], "x:1").tar()] {
        for cut in (0..archive.len() - 1024).step_by(509) {
            assert!(load(&store, &archive[..cut]).is_err(), "{cut} of {}", archive.len());
            scratch.assert_empty();
        }
    }
}

#[test]
fn flipped_bits() {
    let layer = Tar::new().folder("d/").file("d/f", &"some text ".repeat(300)).done();
    let layout = oci(std::slice::from_ref(&layer), "x:1");
    for (at, (path, bytes)) in layout.files.iter().enumerate() {
        if !path.starts_with("blobs/") {
            continue;
        }
        for bit in (0..bytes.len() * 8).step_by(bytes.len() * 8 / 40 + 1) {
            let scratch = Scratch::new();
            let mut files = layout.files.clone();
            files[at].1[bit / 8] ^= 1 << (bit % 8);
            let broken = Layout { files };
            assert!(load(&scratch.store(), &broken.tar()).is_err(), "{path} bit {bit}");
            let folder = scratch.path.join("layout");
            broken.write(&folder);
            assert!(scratch.store().load_path(&folder, &mut |_| ()).is_err(), "{path} bit {bit}");
            scratch.assert_empty();
        }
    }
    let packed = gzip(&layer);
    let scratch = Scratch::new();
    let store = scratch.store();
    // Behind the header, whose time and name no checksum covers.
    for bit in (10 * 8..packed.len() * 8).step_by(13) {
        let mut broken = packed.clone();
        broken[bit / 8] ^= 1 << (bit % 8);
        // Some bits say the same in two ways.
        let mut same = Vec::new();
        let mut decoder = flate2::read::GzDecoder::new(broken.as_slice());
        if decoder.read_to_end(&mut same).is_ok() && same == layer {
            continue;
        }
        assert!(import(&store, &broken, "x").is_err(), "bit {bit}");
        scratch.assert_empty();
    }
}

#[test]
fn wrong_digests_and_confused_documents() {
    let layer = Tar::new().file("f", "x").done();
    let other = Tar::new().file("f", "y").done();
    let replace = |layout: Layout, from: &str, to: &str| {
        let files = layout.files.into_iter().map(|(path, bytes)| {
            let text = String::from_utf8(bytes.clone());
            (path, text.map_or(bytes, |text| text.replace(from, to).into_bytes()))
        });
        Layout { files: files.collect() }
    };
    // The layer is another one than its diff id says, though the blob is right.
    let mut lying = docker(std::slice::from_ref(&layer), "x:1");
    for (path, bytes) in &mut lying.files {
        if path.ends_with("layer.tar") {
            bytes.clone_from(&other);
        }
    }
    // The configuration is not what its name says.
    let mut renamed = docker(std::slice::from_ref(&layer), "x:1");
    for (path, bytes) in &mut renamed.files {
        if path.ends_with(".json") && path.len() > 60 {
            *bytes = config(std::slice::from_ref(&other)).into_bytes();
        }
    }
    let (layer_digest, path, _) = blob(&gzip(&layer));
    let mut absent = oci(std::slice::from_ref(&layer), "x:1");
    absent.files.retain(|(name, _)| *name != path);
    let two = oci(&[layer.clone(), other], "x:1");
    let fewer = replace(
        two,
        &format!(",\"{}\"", base::digest::Digest::of(&Tar::new().file("f", "y").done())),
        "",
    );
    for (what, layout, want) in [
        ("layer", lying, "has digest"),
        ("configuration", renamed, "configuration sha256:"),
        ("absent", absent, "is not in it"),
        ("fewer layers", fewer, "digest"),
        (
            "traversal",
            replace(
                docker(std::slice::from_ref(&layer), "x:1"),
                "/layer.tar\"]",
                "/../../../etc/passwd\"]",
            ),
            "'..'",
        ),
        (
            "wrong name",
            replace(docker(std::slice::from_ref(&layer), "x:1"), "x:1", "../x:1"),
            "invalid reference",
        ),
        (
            "digest path",
            replace(
                oci(std::slice::from_ref(&layer), "x:1"),
                &layer_digest,
                "sha256:../../../../etc/passwd",
            ),
            "digest",
        ),
        (
            "index twice",
            replace(
                oci(std::slice::from_ref(&layer), "x:1"),
                "\"schemaVersion\":2,\"manifests\"",
                "\"schemaVersion\":2,\"layers\":[],\"manifests\"",
            ),
            "also an index",
        ),
        ("windows", replace(docker(std::slice::from_ref(&layer), "x:1"), "linux", "windows"), ""),
        ("json", Layout { files: vec![("manifest.json".into(), b"[{".to_vec())] }, "manifest.json"),
        ("nothing", Layout { files: vec![("a".into(), b"x".to_vec())] }, "neither"),
        (
            "twice",
            Layout { files: vec![("a".into(), b"{}".to_vec()), ("./a".into(), b"{}".to_vec())] },
            "twice",
        ),
    ] {
        let scratch = Scratch::new();
        let store = scratch.store();
        let e = load(&store, &layout.tar()).expect_err(what);
        assert!(e.message().contains(want), "{what}: {e}");
        scratch.assert_empty();
        let file = scratch.path.join("a.tar");
        std::fs::write(&file, layout.tar()).unwrap();
        let e = store.load_path(&file, &mut |_| ()).expect_err(what);
        assert!(e.message().contains(want), "{what}: {e}");
        scratch.assert_empty();
    }
    assert!(Path::new("/etc/passwd").exists());
}

/// CVE-2017-14992: what unpacks without end stops at the disk's end, in constant memory.
#[test]
fn bombs() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let huge = Tar::new().raw("f", b'0', "", b"", |h| h.set_size(1 << 50)).done();
    let e = import(&store, &gzip(&huge), "x").unwrap_err();
    assert!(e.message().contains("more room than the disk has"), "{e}");
    let meta = Tar::new().raw("f", b'x', "", b"", |h| h.set_size(1 << 30)).done();
    assert!(import(&store, &meta, "x").unwrap_err().message().contains("1 MiB"));
    let deep = "d/".repeat(300);
    let tar = Tar::new().pax(&[("path", deep.as_bytes())]).folder("x");
    assert!(import(&store, &tar.done(), "x").unwrap_err().message().contains("too deep"));
    scratch.assert_empty();
}
