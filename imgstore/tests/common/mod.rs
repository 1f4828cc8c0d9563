//! Small archives made in memory, and a store in a scratch folder.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use base::digest::Digest;
use base::folders::Folders;
use imgstore::{ImportOptions, Loaded, Options, Store};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) struct Scratch {
    pub(crate) path: PathBuf,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("imgstore-test-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        base::files::remove_tree(&path).unwrap();
        std::fs::create_dir_all(&path).unwrap();
        Self { path }
    }

    pub(crate) fn folders(&self) -> Folders {
        Folders {
            root: self.path.join("root"),
            run: self.path.join("run"),
            // The folder for temporary files may lie in RAM.
            is_named: true,
            ..Folders::default()
        }
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.folders(), Options::default()).unwrap()
    }

    /// Nothing is visible and nothing is left aside.
    pub(crate) fn assert_empty(&self) {
        for name in ["names", "images", "layers", "work", "uppers", "holds"] {
            let folder = self.path.join("root").join(name);
            let left: Vec<_> = std::fs::read_dir(folder).unwrap().flatten().collect();
            assert!(left.is_empty(), "{name}: {left:?}");
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = base::files::remove_tree(&self.path);
    }
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A tar in the making.
pub(crate) struct Tar(pub(crate) tar::Builder<Vec<u8>>);

impl Tar {
    pub(crate) fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    /// Any header, also names that the crate itself would refuse.
    pub(crate) fn raw(
        mut self,
        name: &str,
        kind: u8,
        link: &str,
        data: &[u8],
        change: impl Fn(&mut tar::Header),
    ) -> Self {
        let mut h = tar::Header::new_ustar();
        h.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        h.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        h.set_entry_type(tar::EntryType::new(kind));
        h.set_mode(if kind == b'5' { 0o755 } else { 0o644 });
        h.set_mtime(1_700_000_000);
        h.set_uid(u64::from(rustix::process::geteuid().as_raw()));
        h.set_gid(u64::from(rustix::process::getegid().as_raw()));
        h.set_size(data.len() as u64);
        change(&mut h);
        h.set_cksum();
        self.0.append(&h, data).unwrap();
        self
    }

    pub(crate) fn file(self, name: &str, data: &str) -> Self {
        self.raw(name, b'0', "", data.as_bytes(), |_| ())
    }

    pub(crate) fn folder(self, name: &str) -> Self {
        self.raw(name, b'5', "", b"", |_| ())
    }

    pub(crate) fn symlink(self, name: &str, to: &str) -> Self {
        self.raw(name, b'2', to, b"", |_| ())
    }

    pub(crate) fn link(self, name: &str, to: &str) -> Self {
        self.raw(name, b'1', to, b"", |_| ())
    }

    pub(crate) fn pax(mut self, records: &[(&str, &[u8])]) -> Self {
        self.0.append_pax_extensions(records.iter().copied()).unwrap();
        self
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// The blobs of an image: its index and everything it names.
pub(crate) struct Layout {
    pub(crate) files: Vec<(String, Vec<u8>)>,
}

pub(crate) fn blob(bytes: &[u8]) -> (String, String, Vec<u8>) {
    let digest = Digest::of(bytes);
    (digest.to_string(), format!("blobs/sha256/{}", digest.hex()), bytes.to_vec())
}

pub(crate) fn config(layers: &[Vec<u8>]) -> String {
    let diffs: Vec<String> = layers.iter().map(|l| format!("\"{}\"", Digest::of(l))).collect();
    format!(
        r#"{{"created":"2023-11-14T22:13:20Z","architecture":"amd64","os":"linux","config":{{"Cmd":["sh"],"Env":["A=b"],"New":1}},"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
        diffs.join(",")
    )
}

/// An OCI layout of these layers, named `name` in its index.
pub(crate) fn oci(layers: &[Vec<u8>], name: &str) -> Layout {
    let mut files = vec![("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec())];
    let mut descriptors = Vec::new();
    for layer in layers {
        let (digest, path, bytes) = blob(&gzip(layer));
        descriptors.push(format!(
            r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"{digest}","size":{}}}"#,
            bytes.len()
        ));
        if !files.iter().any(|(p, _)| *p == path) {
            files.push((path, bytes));
        }
    }
    let (config_digest, path, bytes) = blob(config(layers).as_bytes());
    let size = bytes.len();
    files.push((path, bytes));
    let manifest = format!(
        r#"{{"schemaVersion":2,"config":{{"digest":"{config_digest}","size":{size}}},"layers":[{}]}}"#,
        descriptors.join(",")
    );
    let (digest, path, bytes) = blob(manifest.as_bytes());
    let size = bytes.len();
    files.push((path, bytes));
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"digest":"{digest}","size":{size},"annotations":{{"org.opencontainers.image.ref.name":"{name}"}}}}]}}"#
    );
    files.push(("index.json".to_owned(), index.into_bytes()));
    Layout { files }
}

/// A `docker save` archive in its oldest form: `ID/layer.tar`, a layer that comes again as a link.
pub(crate) fn docker(layers: &[Vec<u8>], name: &str) -> Layout {
    let mut files = Vec::new();
    let config = config(layers);
    let mut names = Vec::new();
    for (at, layer) in layers.iter().enumerate() {
        let path = format!("{at:064x}/layer.tar");
        names.push(format!("\"{path}\""));
        files.push((format!("{at:064x}/VERSION"), b"1.0".to_vec()));
        files.push((path, layer.clone()));
    }
    let config_name = format!("{}.json", Digest::of(config.as_bytes()).hex());
    let manifest = format!(
        r#"[{{"Config":"{config_name}","RepoTags":["{name}"],"Layers":[{}]}}]"#,
        names.join(",")
    );
    files.push((config_name, config.into_bytes()));
    files.push(("manifest.json".to_owned(), manifest.into_bytes()));
    Layout { files }
}

impl Layout {
    pub(crate) fn tar(&self) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, bytes) in &self.files {
            let mut h = tar::Header::new_gnu();
            h.set_size(bytes.len() as u64);
            h.set_mode(0o644);
            builder.append_data(&mut h, path, bytes.as_slice()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    pub(crate) fn write(&self, folder: &Path) {
        for (path, bytes) in &self.files {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
}

pub(crate) fn load(store: &Store, bytes: &[u8]) -> base::Result<Vec<Loaded>> {
    store.load(&mut &bytes[..], &mut |_| ())
}

pub(crate) fn import(store: &Store, bytes: &[u8], name: &str) -> base::Result<Digest> {
    let options = ImportOptions { name: Some(name.to_owned()), ..ImportOptions::default() };
    store.import(&mut &bytes[..], options)
}

/// What is in a tree: path, type and mode, content or target.
pub(crate) fn tree(root: &Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    let mut lines = Vec::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = std::fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let mode = meta.mode() & 0o7777;
            lines.push(if meta.is_dir() {
                waiting.push(path);
                format!("{name}/ {mode:o}")
            } else if meta.is_symlink() {
                format!("{name} -> {}", std::fs::read_link(&path).unwrap().display())
            } else if meta.is_file() {
                let text = std::fs::read(&path).unwrap();
                format!("{name} {mode:o} {}", String::from_utf8_lossy(&text))
            } else {
                format!("{name} special {:x}", meta.rdev())
            });
        }
    }
    lines.sort();
    lines
}

/// The merged tree of an image, by both ways that copy it.
pub(crate) fn checkout(scratch: &Scratch, store: &Store, image: &str) -> Vec<String> {
    let to = scratch.path.join("out");
    base::files::remove_tree(&to).unwrap();
    store.checkout(image, &to).unwrap();
    tree(&to)
}
