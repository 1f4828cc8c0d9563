//! What is allowed and what is refused by a setting or a file beside the archive: windows of zstd,
//! checksums, old drivers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;
use common::{Scratch, Tar, gzip, import, oci};
use imgstore::{Options, Store};

/// One raw block in a frame of zstd that asks for this window (its logarithm).
fn zstd(bytes: &[u8], window: u8) -> Vec<u8> {
    let mut out = vec![0x28, 0xb5, 0x2f, 0xfd, 0, (window - 10) << 3];
    let header = (bytes.len() as u32) << 3 | 1;
    out.extend_from_slice(&header.to_le_bytes()[..3]);
    out.extend_from_slice(bytes);
    out
}

#[test]
fn windows_of_zstd() {
    let tar = Tar::new().file("f", "content").done();
    let open = |scratch: &Scratch, text: &str| {
        let mut folders = scratch.folders();
        folders.settings.max_window = text.to_owned();
        Store::open(&folders, Options::default())
    };
    for (window, setting, fits) in
        [(23, "", true), (24, "", false), (24, "16m", true), (25, "16m", false), (20, "1m", true)]
    {
        let scratch = Scratch::new();
        let store = open(&scratch, setting).unwrap();
        match import(&store, &zstd(&tar, window), "x") {
            Ok(_) => assert!(fits, "{window} {setting}"),
            Err(e) => {
                assert!(!fits && e.message().contains("(max-window)"), "{window} {setting}: {e}");
                scratch.assert_empty();
            }
        }
    }
    let scratch = Scratch::new();
    for wrong in ["x", "2g", "-1"] {
        assert!(open(&scratch, wrong).unwrap_err().message().contains("max-window"), "{wrong}");
    }
}

#[test]
fn a_checksum_beside_the_archive() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let tar = oci(&[Tar::new().file("f", "content").done()], "x:1").tar();
    for (name, bytes) in [("a.tar", tar.clone()), ("b.tar.gz", gzip(&tar))] {
        let path = scratch.path.join(name);
        let beside = scratch.path.join(format!("{name}.sha256"));
        std::fs::write(&path, &bytes).unwrap();
        let line = |bytes: &[u8]| format!("{}  {name}\n", base::digest::Digest::of(bytes).hex());
        std::fs::write(&beside, line(b"something else")).unwrap();
        let error = store.load_path(&path, &mut |_| ()).unwrap_err();
        assert!(error.message().contains("its checksum is"), "{error}");
        scratch.assert_empty();
        std::fs::write(&beside, line(&bytes)).unwrap();
        store.load_path(&path, &mut |_| ()).unwrap();
        store.remove("x:1", false).unwrap();
    }
}

#[test]
fn old_drivers_say_what_replaces_them() {
    let scratch = Scratch::new();
    for name in ["aufs", "devicemapper"] {
        let options = Options { driver: Some(name.to_owned()), ..Options::default() };
        let store = Store::open(&scratch.folders(), options).unwrap();
        let error = store.driver().err().unwrap();
        let text = error.message();
        assert!(text.contains(name) && text.contains("overlay") && text.contains("vfs"), "{text}");
        assert!(!text.contains('\n'));
    }
}

/// Descriptors that run out are no damage: `fsck` fails, marks nothing, and is clean afterwards.
#[test]
fn fsck_without_descriptors_marks_nothing() {
    const CHILD: &str = "IMGSTORE_TEST_FSCK";
    let check = imgstore::Fsck { deep: true, repair: true };
    if let Some(root) = std::env::var_os(CHILD) {
        let folders = base::folders::Folders {
            root: root.clone().into(),
            run: std::path::Path::new(&root).join("run"),
            is_named: true,
            ..Default::default()
        };
        let store = Store::open(&folders, Options::default()).unwrap();
        let used = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
        for more in 0..16 {
            use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
            let maximum = getrlimit(Resource::Nofile).maximum;
            let limit = |current| setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
            limit(Some(used - 1 + more));
            let found = store.fsck(check);
            limit(Some(512));
            match found {
                Ok(found) => assert_eq!(found.problems, [], "{more}"),
                Err(e) => {
                    assert_eq!(e.kind(), base::Kind::Moment, "{more}: {e}");
                    println!("FAILED {more}");
                }
            }
        }
        return;
    }
    let scratch = Scratch::new();
    let layer = Tar::new().folder("a/").folder("a/b/").file("a/b/f", "x").file("g", "y").done();
    common::load(&scratch.store(), &oci(&[layer], "x:1").tar()).unwrap();
    let done = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "fsck_without_descriptors_marks_nothing",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(CHILD, scratch.path.join("root"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{text}{}", String::from_utf8_lossy(&done.stderr));
    // It did run out, at several places.
    assert!(text.matches("FAILED").count() >= 5, "{text}");
    assert_eq!(scratch.store().fsck(check).unwrap().problems, []);
    assert!(scratch.store().find("x:1").is_ok());
}
