//! Nasty layers, and the tree that they make: the table below was computed by hand from the OCI
//! image specification, and every way to that tree must give exactly it.

#![allow(clippy::expect_used)]

mod support;

use base::digest::Digest;
use std::collections::HashMap;
use std::fs::DirEntry;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{Done, World, binary, feed};

/// A layer in the making.
struct Layer(tar::Builder<Vec<u8>>);

/// What most entries do without.
#[derive(Default)]
struct More<'a> {
    owner: (u64, u64),
    time: u64,
    link: &'a str,
    device: (u32, u32),
    pax: &'a [(&'a str, &'a [u8])],
}

impl Layer {
    fn new() -> Layer {
        Layer(tar::Builder::new(Vec::new()))
    }

    fn entry(mut self, kind: u8, name: &str, mode: u32, data: &[u8], more: &More<'_>) -> Layer {
        let mut pax = more.pax.to_vec();
        if name.len() > 100 || !name.is_ascii() {
            pax.push(("path", name.as_bytes()));
        }
        if more.link.len() > 100 || !more.link.is_ascii() {
            pax.push(("linkpath", more.link.as_bytes()));
        }
        if !pax.is_empty() {
            self.0.append_pax_extensions(pax.iter().copied()).expect("pax");
        }
        let mut header = tar::Header::new_gnu();
        let (name_end, link_end) = (name.len().min(100), more.link.len().min(100));
        header.as_old_mut().name[..name_end].copy_from_slice(&name.as_bytes()[..name_end]);
        let link = &more.link.as_bytes()[..link_end];
        header.as_old_mut().linkname[..link_end].copy_from_slice(link);
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_mode(mode);
        header.set_uid(more.owner.0);
        header.set_gid(more.owner.1);
        header.set_mtime(if more.time == 0 { 1_600_000_000 } else { more.time });
        header.set_size(data.len() as u64);
        if kind == b'3' || kind == b'4' {
            header.set_device_major(more.device.0).expect("major");
            header.set_device_minor(more.device.1).expect("minor");
        }
        header.set_cksum();
        self.0.append(&header, data).expect("entry");
        self
    }

    fn file(self, name: &str, data: &str) -> Layer {
        self.entry(b'0', name, 0o644, data.as_bytes(), &More::default())
    }

    fn folder(self, name: &str, mode: u32) -> Layer {
        self.entry(b'5', name, mode, b"", &More::default())
    }

    fn link(self, kind: u8, name: &str, link: &str) -> Layer {
        self.entry(kind, name, 0o777, b"", &More { link, ..More::default() })
    }

    fn done(self) -> Vec<u8> {
        self.0.into_inner().expect("layer")
    }
}

fn long_name() -> String {
    format!("long/{}/{}", "d".repeat(200), "f".repeat(255))
}

fn layers() -> Vec<Vec<u8>> {
    let busybox = std::fs::read("/bin/busybox").expect("busybox-static is not installed");
    let none = More::default();
    let owned = |uid, gid| More { owner: (uid, gid), ..More::default() };
    let long = long_name();
    let long_target = "t/".repeat(150);
    let first = Layer::new()
        .folder("bin/", 0o755)
        .entry(b'0', "bin/busybox", 0o755, &busybox, &none)
        .entry(b'5', "a/", 0o750, b"", &More { time: 1_000_000_001, ..owned(5, 6) })
        .file("a/file", "one")
        .link(b'1', "a/hard", "a/file")
        .file("a/gone", "x")
        .folder("a/gonedir", 0o755)
        .file("a/gonedir/x", "x")
        .folder("op/", 0o755)
        .file("op/old", "old")
        .folder("op/sub/", 0o755)
        .file("op/sub/old", "old")
        .file("f2f", "old")
        .file("f2d", "old")
        .file("f2l", "old")
        .folder("d2d/", 0o700)
        .file("d2d/kept", "kept")
        .folder("d2f/", 0o755)
        .file("d2f/x", "x")
        .folder("d2l/", 0o755)
        .file("d2l/x", "x")
        .link(b'2', "l2l", "a")
        .link(b'2', "l2f", "a/file")
        .link(b'2', "l2d", "a")
        .folder("back/", 0o755)
        .file("back/old", "old")
        .file("f3", "old")
        .folder("d3/", 0o755)
        .file("d3/old", "old")
        .folder("op4/", 0o755)
        .file("op4/old", "old")
        .entry(b'5', "imp/", 0o711, b"", &owned(7, 8))
        .entry(
            b'0',
            "x",
            0o600,
            b"attributes",
            &More {
                pax: &[("SCHILY.xattr.user.one", b"1\n=2"), ("SCHILY.xattr.user.two", b"\xff\x01")],
                ..owned(9, 9)
            },
        )
        .entry(b'0', "suid", 0o4755, b"s", &owned(1, 2))
        .entry(b'0', "sgid", 0o2711, b"s", &owned(1, 2))
        .folder("sgids/", 0o2775)
        .folder("sticky/", 0o1777)
        .folder("closed/", 0o000)
        .entry(b'0', "closed/file", 0o000, b"hidden", &none)
        .entry(b'6', "fifo", 0o622, b"", &none)
        .entry(b'3', "null", 0o666, b"", &More { device: (1, 3), ..More::default() })
        .entry(b'4', "loop", 0o660, b"", &More { device: (7, 300), ..owned(0, 6) })
        .link(b'1', "null2", "null")
        .link(b'2', "dangling", "/no/such/../thing")
        .link(b'1', "symhard", "dangling")
        .entry(b'2', "longlink", 0o777, b"", &More { link: &long_target, ..More::default() })
        .folder("long/", 0o755)
        .folder(&long[..206], 0o755)
        .file(&long, "long")
        .link(b'1', "toolong", &long)
        .folder("ü/", 0o755)
        .file("ü/名前 🐚", "utf-8")
        .file("new\nline", "n")
        .file(" sp\\ace*", "s")
        .entry(
            b'0',
            "nano",
            0o644,
            b"n",
            &More { pax: &[("mtime", b"1700000000.123456789")], ..none },
        )
        .entry(b'0', "past", 0o644, b"p", &More { pax: &[("mtime", b"-7.25")], ..none })
        .entry(b'0', "future", 0o644, b"f", &More { time: 5_000_000_000, ..none })
        .entry(b'0', "big-gnu", 0o644, b"b", &owned(3_000_000, 4_000_000_000))
        .entry(
            b'0',
            "big-pax",
            0o644,
            b"b",
            &More { pax: &[("uid", b"3000001"), ("gid", b"2097153")], ..none },
        )
        .file("empty", "")
        .done();
    let second = Layer::new()
        .entry(b'5', "a", 0o700, b"", &More { time: 2_000_000_000, ..owned(50, 60) })
        .file("a/.wh.gone", "")
        .file("a/.wh.gonedir", "")
        .folder("op/", 0o711)
        .file("op/.wh..wh..opq", "")
        .file("op/new", "new")
        .file("f2f", "newer")
        .folder("f2d/", 0o755)
        .file("f2d/y", "y")
        .link(b'2', "f2l", "a")
        .folder("d2d/", 0o750)
        .file("d2d/more", "more")
        .file("d2f", "new")
        .link(b'2', "d2l", "/a")
        .link(b'2', "l2l", "b")
        .file("l2f", "new")
        .folder("l2d/", 0o755)
        .file("l2d/z", "z")
        .link(b'1', "x-lower", "x")
        .file(".wh.nothing", "")
        .file(".wh.back", "")
        .file(".what", "no whiteout")
        .done();
    let empty = Layer::new().done();
    let fourth = Layer::new()
        .file("a/gone", "again")
        .folder("back/", 0o755)
        .file("back/new", "new")
        .file("f3", "new")
        .file(".wh.f3", "")
        .file(".wh.d3", "")
        .folder("d3/", 0o755)
        .file("d3/new", "new")
        .folder("op4/", 0o755)
        .file("op4/new", "new")
        .file("op4/.wh..wh..opq", "")
        .file("imp/deep/file", "deep")
        .done();
    vec![first, second, empty, fourth]
}

/// One line a path: TYPE MODE OWNER TIME PATH CONTENT; D is the time of entries that name none.
fn expected() -> Vec<String> {
    let table = r#"
f 644 0:0 D " sp\\ace*" "s"
f 644 0:0 D ".what" "no whiteout"
d 700 50:60 2000000000 "a"
f 644 0:0 D "a/file" "one"
f 644 0:0 D "a/gone" "again"
f 644 0:0 D "a/hard" is "a/file"
d 755 0:0 D "back"
f 644 0:0 D "back/new" "new"
f 644 3000000:4000000000 D "big-gnu" "b"
f 644 3000001:2097153 D "big-pax" "b"
d 755 0:0 D "bin"
f 755 0:0 D "bin/busybox" BUSYBOX
d 0 0:0 D "closed"
f 0 0:0 D "closed/file" "hidden"
d 750 0:0 D "d2d"
f 644 0:0 D "d2d/kept" "kept"
f 644 0:0 D "d2d/more" "more"
f 644 0:0 D "d2f" "new"
l 777 0:0 D "d2l" "/a"
d 755 0:0 D "d3"
f 644 0:0 D "d3/new" "new"
l 777 0:0 D "dangling" "/no/such/../thing"
f 644 0:0 D "empty" ""
d 755 0:0 D "f2d"
f 644 0:0 D "f2d/y" "y"
f 644 0:0 D "f2f" "newer"
l 777 0:0 D "f2l" "a"
f 644 0:0 D "f3" "new"
p 622 0:0 D "fifo"
f 644 0:0 5000000000 "future" "f"
d 711 7:8 D "imp"
d 755 0:0 0 "imp/deep"
f 644 0:0 D "imp/deep/file" "deep"
d 755 0:0 D "l2d"
f 644 0:0 D "l2d/z" "z"
f 644 0:0 D "l2f" "new"
l 777 0:0 D "l2l" "b"
d 755 0:0 D "long"
d 755 0:0 D "long/D"
f 644 0:0 D "long/D/F" "long"
l 777 0:0 D "longlink" "T"
b 660 0:6 D "loop" 7:300
f 644 0:0 1700000000.123456789 "nano" "n"
f 644 0:0 D "new\nline" "n"
c 666 0:0 D "null" 1:3
c 666 0:0 D "null2" is "null"
d 711 0:0 D "op"
f 644 0:0 D "op/new" "new"
d 755 0:0 D "op4"
f 644 0:0 D "op4/new" "new"
f 644 0:0 -8.750000000 "past" "p"
f 2711 1:2 D "sgid" "s"
d 2775 0:0 D "sgids"
d 1777 0:0 D "sticky"
f 4755 1:2 D "suid" "s"
l 777 0:0 D "symhard" is "dangling"
f 644 0:0 D "toolong" is "long/D/F"
f 600 9:9 D "x" "attributes" user.one="1\n=2" user.two="\xff\x01"
f 600 9:9 D "x-lower" is "x"
d 755 0:0 D "ü"
f 644 0:0 D "ü/名前 🐚" "utf-8"
"#;
    let (d, f, t) = ("d".repeat(200), "f".repeat(255), "t/".repeat(150));
    let line = |line: &str| {
        line.replacen(" D ", " 1600000000 ", 1)
            .replace("long/D/F", &format!("long/{d}/{f}"))
            .replace("long/D", &format!("long/{d}"))
            .replace("\"T\"", &format!("{t:?}"))
    };
    table.lines().filter(|line| !line.is_empty()).map(line).collect()
}

/// A tree in the form of the table, without what coracle itself puts into a container's root.
fn tree(root: &Path) -> Vec<String> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(root).expect("read folder").flatten() {
        if !["proc", "sys", "dev", "etc"].iter().any(|own| entry.file_name() == *own) {
            walk(entry, &mut paths);
        }
    }
    paths.sort_by_cached_key(|path| path.as_os_str().to_owned());
    let mut seen = HashMap::new();
    paths.iter().map(|path| line(root, path, &mut seen)).collect()
}

fn walk(entry: DirEntry, paths: &mut Vec<PathBuf>) {
    if entry.file_type().expect("type").is_dir() {
        for inner in std::fs::read_dir(entry.path()).expect("read folder").flatten() {
            walk(inner, paths);
        }
    }
    paths.push(entry.path());
}

fn line(root: &Path, path: &Path, seen: &mut HashMap<(u64, u64), String>) -> String {
    let meta = std::fs::symlink_metadata(path).expect("stat");
    let kind = match meta.file_type() {
        kind if kind.is_dir() => 'd',
        kind if kind.is_symlink() => 'l',
        kind if kind.is_fifo() => 'p',
        kind if kind.is_char_device() => 'c',
        kind if kind.is_block_device() => 'b',
        _ => 'f',
    };
    let name = format!("{:?}", path.strip_prefix(root).expect("prefix").to_str().expect("UTF-8"));
    let time = match meta.mtime_nsec() {
        0 => meta.mtime().to_string(),
        nanos => format!("{}.{nanos:09}", meta.mtime()),
    };
    let (mode, uid, gid) = (meta.mode() & 0o7777, meta.uid(), meta.gid());
    let head = format!("{kind} {mode:o} {uid}:{gid} {time} {name}");
    if kind != 'd' && meta.nlink() > 1 {
        if let Some(first) = seen.get(&(meta.dev(), meta.ino())) {
            return format!("{head} is {first}");
        }
        seen.insert((meta.dev(), meta.ino()), name);
    }
    let device = (rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()));
    let mut line = match kind {
        'f' => match std::fs::read(path).expect("read") {
            data if data.len() < 100 => format!("{head} {:?}", String::from_utf8_lossy(&data)),
            data if data == std::fs::read("/bin/busybox").expect("read") => head + " BUSYBOX",
            data => format!("{head} {} bytes", data.len()),
        },
        'l' => format!("{head} {:?}", std::fs::read_link(path).expect("readlink")),
        'c' | 'b' => format!("{head} {}:{}", device.0, device.1),
        _ => head,
    };
    let mut names = [0; 4096];
    let length = rustix::fs::llistxattr(path, &mut names[..]).expect("llistxattr");
    let mut names: Vec<&[u8]> = names[..length].split(|byte| *byte == 0).collect();
    names.sort_unstable();
    for name in names.into_iter().filter(|name| !name.is_empty()) {
        let name = std::ffi::OsStr::from_bytes(name);
        let mut value = [0; 4096];
        let length = rustix::fs::lgetxattr(path, name, &mut value[..]).expect("lgetxattr");
        let value = value[..length].escape_ascii();
        line.push_str(&format!(" {}=\"{value}\"", name.to_string_lossy()));
    }
    line
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).expect("gzip");
    out.finish().expect("gzip")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// The files of an archive, by name.
type Files = Vec<(String, Vec<u8>)>;

fn config(layers: &[Vec<u8>]) -> String {
    let diffs: Vec<String> = layers.iter().map(|l| Digest::of(l).to_string()).collect();
    serde_json::json!({
        "architecture": "amd64", "os": "linux",
        "config": { "Cmd": ["/bin/busybox", "sleep", "60"] },
        "rootfs": { "type": "layers", "diff_ids": diffs },
    })
    .to_string()
}

/// An OCI layout of these layers: compressed in turn by gzip, zstd and not at all.
fn oci(layers: &[Vec<u8>]) -> Files {
    let mut files = Files::new();
    let mut add = |kind: &str, data: Vec<u8>| {
        let digest = Digest::of(&data);
        let kind = format!("application/vnd.oci.image.{kind}");
        let json = serde_json::json!({
            "mediaType": kind, "digest": digest.to_string(), "size": data.len(),
        });
        files.push((format!("blobs/sha256/{}", digest.hex()), data));
        json
    };
    let config = add("config.v1+json", config(layers).into_bytes());
    let descriptors: Vec<_> = layers
        .iter()
        .enumerate()
        .map(|(at, layer)| match at % 3 {
            0 => add("layer.v1.tar+gzip", gzip(layer)),
            1 => add("layer.v1.tar+zstd", zstd(layer)),
            _ => add("layer.v1.tar", layer.clone()),
        })
        .collect();
    let manifest =
        serde_json::json!({ "schemaVersion": 2, "config": config, "layers": descriptors });
    let mut manifest = add("manifest.v1+json", manifest.to_string().into_bytes());
    // A whole name in the index, as docker writes it: it holds without a file's name too.
    manifest["annotations"] = serde_json::json!({ "io.containerd.image.name": "nasty:oci" });
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [manifest] });
    files.push(("index.json".into(), index.to_string().into_bytes()));
    files.push(("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()));
    files
}

/// What `docker save` wrote before it wrote OCI layouts.
fn docker(layers: &[Vec<u8>]) -> Files {
    let mut files = Files::new();
    for (at, layer) in layers.iter().enumerate() {
        files.push((format!("{at:064x}/VERSION"), b"1.0".to_vec()));
        files.push((format!("{at:064x}/layer.tar"), layer.clone()));
    }
    let names: Vec<_> = (0..layers.len()).map(|at| format!("{at:064x}/layer.tar")).collect();
    let manifest = serde_json::json!([
        { "Config": "config.json", "RepoTags": ["nasty:docker"], "Layers": names }
    ]);
    files.push(("config.json".into(), config(layers).into_bytes()));
    files.push(("manifest.json".into(), manifest.to_string().into_bytes()));
    files
}

fn archive(files: &Files) -> Vec<u8> {
    let mut out = Layer::new();
    for (name, data) in files {
        out = out.entry(b'0', name, 0o644, data, &More::default());
    }
    out.done()
}

fn imgstore(world: &World, driver: &str, words: &[&str]) -> Done {
    let mut command = Command::new(binary());
    command.arg0("imgstore").args(words).env("CORACLE_DRIVER", driver);
    command.env("CORACLE_ROOT", world.root()).env("CORACLE_RUN", world.run_folder());
    command.output().expect("imgstore").into()
}

fn compare(what: &str, root: &Path) {
    let (found, wanted) = (tree(root), expected());
    let lacks = wanted.iter().filter(|line| !found.contains(line));
    let has = found.iter().filter(|line| !wanted.contains(line));
    let differ: Vec<String> =
        lacks.map(|line| format!("- {line}")).chain(has.map(|line| format!("+ {line}"))).collect();
    assert!(differ.is_empty(), "{what}:\n{}", differ.join("\n"));
}

/// The tree as `checkout` copies it and as a container sees it, with both drivers.
fn check(world: &World, image: &str) {
    for driver in ["overlay", "vfs"] {
        let what = format!("{image}, {driver}");
        let out = world.folder.join("out");
        let done = imgstore(world, driver, &["checkout", image, out.to_str().expect("path")]);
        assert_eq!(done.code, 0, "{what}: {done:?}");
        compare(&format!("{what}, checkout"), &out);
        std::fs::remove_dir_all(&out).expect("remove");
        world.ok(&["--driver", driver, "run", "-d", "--net", "none", "--name", "tree", image]);
        let text = world.ok(&["inspect", "tree"]);
        let json: serde_json::Value = serde_json::from_str(&text).expect("inspect");
        let root = format!("/proc/{}/root/", json[0]["State"]["Pid"]);
        compare(&format!("{what}, container"), Path::new(&root));
        world.ok(&["rm", "-f", "tree"]);
    }
}

#[test]
fn an_oci_layout_on_standard_input() {
    let world = World::empty();
    let done = feed(&mut world.command(&["load"]), &archive(&oci(&layers())));
    assert_eq!((done.code, done.out.as_str()), (0, "Loaded image: nasty:oci\n"), "{done:?}");
    check(&world, "nasty:oci");
    world.finish();
}

#[test]
fn an_oci_layout_in_a_folder() {
    let world = World::empty();
    let folder = world.folder.join("layout");
    for (name, data) in oci(&layers()) {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("parent")).expect("mkdir");
        std::fs::write(path, data).expect("write");
    }
    let done = imgstore(&world, "vfs", &["load", folder.to_str().expect("path")]);
    assert_eq!((done.code, done.out.as_str()), (0, "Loaded image: nasty:oci\n"), "{done:?}");
    check(&world, "nasty:oci");
    world.finish();
}

#[test]
fn a_docker_archive_on_standard_input() {
    let world = World::empty();
    let done = feed(&mut world.command(&["load"]), &archive(&docker(&layers())));
    assert_eq!((done.code, done.out.as_str()), (0, "Loaded image: nasty:docker\n"), "{done:?}");
    check(&world, "nasty:docker");
    world.finish();
}
