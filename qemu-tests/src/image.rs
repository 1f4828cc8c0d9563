//! The image of the tests' containers, `probe`: one static program and two users; as an archive of
//! `docker save` and as an OCI layout. Made anew for each CPU, with fixed times.

use base::digest::Digest;
use base::{OnError, Result};
use tar::{Builder, EntryType, Header};

const TIME: u64 = 1_700_000_000;

/// The name under which the archives carry the image.
pub const NAME: &str = "probe";

struct Tar(Builder<Vec<u8>>);

impl Tar {
    fn new() -> Tar {
        Tar(Builder::new(Vec::new()))
    }

    fn add(&mut self, kind: EntryType, name: &str, mode: u32, data: &[u8]) -> Result<()> {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(TIME);
        header.set_size(data.len() as u64);
        self.0.append_data(&mut header, name, data).on("write to tar", name)
    }

    fn finish(self) -> Result<Vec<u8>> {
        self.0.into_inner().on("finish", "tar")
    }
}

/// The tree as one layer.
fn layer(probe: &[u8]) -> Result<Vec<u8>> {
    let mut tar = Tar::new();
    for (folder, mode) in [("bin/", 0o755), ("etc/", 0o755), ("tmp/", 0o1777), ("srv/", 0o755)] {
        tar.add(EntryType::Directory, folder, mode, b"")?;
    }
    tar.add(EntryType::Regular, "bin/probe", 0o755, probe)?;
    tar.add(EntryType::Regular, "etc/plain", 0o644, b"not a program\n")?;
    let users = b"root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/srv:/bin/sh\n";
    tar.add(EntryType::Regular, "etc/passwd", 0o644, users)?;
    tar.add(EntryType::Regular, "etc/group", 0o644, b"root:x:0:\nlog:x:4:web\n")?;
    tar.finish()
}

/// The archives.
pub struct Archives {
    /// As `docker save` makes it.
    pub docker: Vec<u8>,
    /// An OCI layout in a tar, its layer compressed.
    pub oci: Vec<u8>,
}

/// Makes both. `machine` is the image specification's word for the CPU.
pub fn archives(probe: &[u8], machine: &str) -> Result<Archives> {
    let layer = layer(probe)?;
    let diff_id = Digest::of(&layer).hex();
    let config = format!(
        "{{\"architecture\":\"{machine}\",\"os\":\"linux\",\"config\":{{\"Env\":[\"PATH=/bin\"],\
         \"Entrypoint\":[\"probe\"],\"Cmd\":[\"say\",\"hello\"]}},\
         \"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[\"sha256:{diff_id}\"]}}}}"
    );
    Ok(Archives { docker: docker(&layer, &config)?, oci: oci(&layer, &config)? })
}

fn docker(layer: &[u8], config: &str) -> Result<Vec<u8>> {
    let name = format!("{}.json", Digest::of(config.as_bytes()).hex());
    let manifest = format!(
        "[{{\"Config\":\"{name}\",\"RepoTags\":[\"{NAME}:latest\"],\"Layers\":[\"a/layer.tar\"]}}]"
    );
    let mut tar = Tar::new();
    tar.add(EntryType::Directory, "a/", 0o755, b"")?;
    tar.add(EntryType::Regular, "a/layer.tar", 0o644, layer)?;
    tar.add(EntryType::Regular, &name, 0o644, config.as_bytes())?;
    tar.add(EntryType::Regular, "manifest.json", 0o644, manifest.as_bytes())?;
    tar.finish()
}

fn oci(layer: &[u8], config: &str) -> Result<Vec<u8>> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, layer).on("compress", "layer")?;
    let layer = gzip.finish().on("compress", "layer")?;
    let mut tar = Tar::new();
    for folder in ["blobs/", "blobs/sha256/"] {
        tar.add(EntryType::Directory, folder, 0o755, b"")?;
    }
    tar.add(EntryType::Regular, "oci-layout", 0o644, b"{\"imageLayoutVersion\":\"1.0.0\"}")?;
    let mut blob = |kind: &str, bytes: &[u8]| -> Result<String> {
        let digest = Digest::of(bytes).hex();
        tar.add(EntryType::Regular, &format!("blobs/sha256/{digest}"), 0o644, bytes)?;
        Ok(format!(
            "\"mediaType\":\"application/vnd.oci.image.{kind}\",\"digest\":\"sha256:{digest}\",\
             \"size\":{}",
            bytes.len()
        ))
    };
    let config = blob("config.v1+json", config.as_bytes())?;
    let layer = blob("layer.v1.tar+gzip", &layer)?;
    let manifest = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\
         \"config\":{{{config}}},\"layers\":[{{{layer}}}]}}"
    );
    let manifest = blob("manifest.v1+json", manifest.as_bytes())?;
    let index = format!(
        "{{\"schemaVersion\":2,\"manifests\":[{{{manifest},\"annotations\":\
         {{\"org.opencontainers.image.ref.name\":\"latest\",\
         \"io.containerd.image.name\":\"docker.io/library/{NAME}:latest\"}}}}]}}"
    );
    tar.add(EntryType::Regular, "index.json", 0o644, index.as_bytes())?;
    tar.finish()
}
