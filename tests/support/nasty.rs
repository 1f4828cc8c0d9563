//! The nasty image: its layers, and the tree that they make. Stores of released versions have it
//! (`releases.rs`), so its tables stay as they are: what is to be added becomes an image of its own.

use base::digest::Digest;
use std::collections::HashMap;
use std::fs::DirEntry;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The layers, lowest first. One line an entry: TYPE MODE OWNER TIME NAME [CONTENT, TARGET or
/// DEVICE] [PAX RECORD…]. Types as ls shows them, h for hard links; a time of D is 1,600,000,000.
const LAYERS: [&str; 4] = [
    include_str!("../nasty/layer-1"),
    include_str!("../nasty/layer-2"),
    "",
    include_str!("../nasty/layer-4"),
];

/// A line of a table without its abbreviations.
fn whole(line: &str) -> String {
    line.replacen(" D ", " 1600000000 ", 1)
        .replace("DDD", &"d".repeat(200))
        .replace("FFF", &"f".repeat(255))
        .replace("TTT", &"t/".repeat(150))
}

fn layer(table: &str, program: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for line in table.lines().filter(|line| !line.is_empty()).map(whole) {
        let words: Vec<&str> = line.splitn(5, ' ').collect();
        let mut texts = words[4];
        let (mut header, mut strings) = (tar::Header::new_gnu(), Vec::new());
        while let Some(rest) = texts.strip_prefix('"') {
            let end = rest.find('"').expect("quote") + 2;
            strings.push(serde_json::from_str::<String>(&texts[..end]).expect("text"));
            texts = texts[end..].trim_start();
        }
        let number = |text: &str| text.parse::<u64>().expect("number");
        let pair = |text: &str| text.split_once(':').map(|(a, b)| (number(a), number(b)));
        let at = ["f", "h", "l", "c", "b", "d", "p"].iter().position(|kind| *kind == words[0]);
        let kind = b'0' + at.expect("type") as u8;
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_mode(u32::from_str_radix(words[1], 8).expect("mode"));
        let (uid, gid) = pair(words[2]).expect("owner");
        header.set_uid(uid);
        header.set_gid(gid);
        header.set_mtime(number(words[3]));
        if let Some((major, minor)) = pair(texts) {
            header.set_device_major(major as u32).expect("major");
            header.set_device_minor(minor as u32).expect("minor");
        }
        let name = strings.remove(0);
        let content = if strings.is_empty() { String::new() } else { strings.remove(0) };
        let link = if matches!(kind, b'1' | b'2') { content.as_str() } else { "" };
        let data = match content.as_str() {
            "BUSYBOX" => program.to_vec(),
            _ if link.is_empty() => content.clone().into_bytes(),
            _ => Vec::new(),
        };
        header.set_size(data.len() as u64);
        // Records are bytes: each character of the table is one.
        let bytes = |text: &str| text.chars().map(|c| c as u8).collect::<Vec<u8>>();
        let mut pax: Vec<(&str, Vec<u8>)> = strings
            .iter()
            .map(|text| text.split_once('=').expect("record"))
            .map(|(key, value)| (key, bytes(value)))
            .collect();
        let fields = &mut header.as_old_mut();
        for (key, text, field) in
            [("path", name.as_str(), &mut fields.name), ("linkpath", link, &mut fields.linkname)]
        {
            let end = text.len().min(100);
            field[..end].copy_from_slice(&text.as_bytes()[..end]);
            if text.len() > 100 || !text.is_ascii() {
                pax.push((key, text.as_bytes().to_vec()));
            }
        }
        if !pax.is_empty() {
            tar.append_pax_extensions(pax.iter().map(|(key, value)| (*key, &value[..])))
                .expect("pax");
        }
        header.set_cksum();
        tar.append(&header, &data[..]).expect("entry");
    }
    tar.into_inner().expect("layer")
}

/// With busybox.
pub fn layers() -> Vec<Vec<u8>> {
    layers_with(&std::fs::read("/bin/busybox").expect("busybox-static is not installed"))
}

/// With something else in its place.
pub fn layers_with(program: &[u8]) -> Vec<Vec<u8>> {
    LAYERS.map(|table| layer(table, program)).to_vec()
}

/// One line a path: TYPE MODE OWNER TIME PATH CONTENT, and `is` for one more name
/// of the same file.
const TREE: &str = include_str!("../nasty/tree");

pub fn expected() -> Vec<String> {
    TREE.lines().filter(|line| !line.is_empty()).map(whole).collect()
}

/// A tree in the form of the table, without what coracle itself puts into a container's root.
pub fn tree(root: &Path) -> Vec<String> {
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

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).expect("gzip");
    out.finish().expect("gzip")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// The files of an archive, by name.
pub type Files = Vec<(String, Vec<u8>)>;

pub fn config(layers: &[Vec<u8>]) -> String {
    let diffs: Vec<String> = layers.iter().map(|l| Digest::of(l).to_string()).collect();
    serde_json::json!({
        "architecture": "amd64", "os": "linux",
        "config": { "Cmd": ["/bin/busybox", "sleep", "60"] },
        "rootfs": { "type": "layers", "diff_ids": diffs },
    })
    .to_string()
}

/// An OCI layout of these layers: compressed in turn by gzip, zstd and not at all.
pub fn oci(layers: &[Vec<u8>]) -> Files {
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
pub fn docker(layers: &[Vec<u8>]) -> Files {
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

pub fn archive(files: &Files) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, data) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(data.len() as u64);
        tar.append_data(&mut header, name, &data[..]).expect("entry");
    }
    tar.into_inner().expect("archive")
}

/// Whether this is the tree of the table.
pub fn compare(what: &str, root: &Path) {
    let (found, wanted) = (tree(root), expected());
    let lacks = wanted.iter().filter(|line| !found.contains(line));
    let has = found.iter().filter(|line| !wanted.contains(line));
    let differ: Vec<String> =
        lacks.map(|line| format!("- {line}")).chain(has.map(|line| format!("+ {line}"))).collect();
    assert!(differ.is_empty(), "{what}:\n{}", differ.join("\n"));
}
