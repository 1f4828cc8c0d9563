//! What the registry inside the machines ([`crate::guest::registry`]) serves: a disk with a folder for each
//! kind of thing that is asked for, `manifests`, `blobs` and `tags`.

use crate::disk;
use base::digest::Digest;
use base::{OnError, Result};
use std::path::Path;
use tar::{Builder, EntryType, Header};

/// The type of every manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The repository with the tags 1 and 2: two layers, and one more.
pub const THREE: &str = "three";

/// Bytes that do not pack, from a seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A packed layer with its diff id: files of these lengths in a folder.
fn layer(folder: &str, seed: u64, lengths: &[usize]) -> Result<(Vec<u8>, String)> {
    let mut tar = Builder::new(Vec::new());
    let mut add = |kind, name: &str, mode, data: &[u8]| {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(1_700_000_000);
        header.set_size(data.len() as u64);
        tar.append_data(&mut header, name, data).on("write to tar", name)
    };
    add(EntryType::Directory, &format!("{folder}/"), 0o755, b"")?;
    for (number, length) in lengths.iter().enumerate() {
        let data = noise(seed + number as u64, *length);
        add(EntryType::Regular, &format!("{folder}/file-{number}"), 0o644, &data)?;
    }
    let plain = tar.into_inner().on("finish", "tar")?;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &plain).on("compress", "layer")?;
    Ok((gzip.finish().on("compress", "layer")?, Digest::of(&plain).to_string()))
}

/// The folder that becomes a disk.
struct Folder<'a>(&'a Path);

impl Folder<'_> {
    fn put(&self, kind: &str, name: &str, bytes: &[u8]) -> Result<()> {
        let folder = self.0.join(kind);
        std::fs::create_dir_all(&folder).on_path("mkdir", &folder)?;
        let path = folder.join(name);
        std::fs::write(&path, bytes).on_path("write", &path)
    }

    fn image(&self, tag: &str, machine: &str, layers: &[(Vec<u8>, String)]) -> Result<()> {
        let diffs: Vec<String> = layers.iter().map(|(_, diff)| format!("\"{diff}\"")).collect();
        let config = format!(
            "{{\"architecture\":\"{machine}\",\"os\":\"linux\",\"config\":{{}},\
             \"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[{}]}}}}",
            diffs.join(",")
        );
        let blob = |kind: &str, bytes: &[u8]| -> Result<String> {
            let digest = Digest::of(bytes);
            self.put("blobs", &digest.to_string(), bytes)?;
            Ok(format!(
                "{{\"mediaType\":\"application/vnd.oci.image.{kind}\",\"digest\":\"{digest}\",\
                 \"size\":{}}}",
                bytes.len()
            ))
        };
        let config = blob("config.v1+json", config.as_bytes())?;
        let list = layers.iter().map(|(bytes, _)| blob("layer.v1.tar+gzip", bytes));
        let list = list.collect::<Result<Vec<_>>>()?.join(",");
        let manifest = format!(
            "{{\"schemaVersion\":2,\"mediaType\":\"{MANIFEST}\",\"config\":{config},\
             \"layers\":[{list}]}}"
        );
        self.put("manifests", tag, manifest.as_bytes())?;
        self.put("manifests", &Digest::of(manifest.as_bytes()).to_string(), manifest.as_bytes())
    }
}

fn with_folder(
    path: &Path,
    megabytes: u64,
    fill: &dyn Fn(&Folder<'_>) -> Result<()>,
) -> Result<()> {
    let folder = path.with_extension("hosted");
    let _ = std::fs::remove_dir_all(&folder);
    let made =
        fill(&Folder(&folder)).and_then(|()| disk::of_folder(path, &folder, megabytes << 20));
    let _ = std::fs::remove_dir_all(&folder);
    made
}

/// A disk with the repository [`THREE`].
pub fn three(path: &Path, machine: &str) -> Result<()> {
    with_folder(path, 16, &|folder| fill_three(folder, machine))
}

/// The same in a folder.
pub fn three_in(folder: &Path, machine: &str) -> Result<()> {
    fill_three(&Folder(folder), machine)
}

fn fill_three(folder: &Folder<'_>, machine: &str) -> Result<()> {
    let small = [1_000; 40];
    let layers = [
        layer("a", 1, &[300_000, 5, 70_000])?,
        layer("b", 100, &small)?,
        layer("c", 1000, &[0, 200_000])?,
    ];
    folder.image("1", machine, &layers[..2])?;
    folder.image("2", machine, &layers)?;
    folder.put("tags", "list", b"{\"name\":\"three\",\"tags\":[\"1\",\"2\"]}")
}

/// A disk with an image of 50 MB, `large:1`, that does not pack.
pub fn large(path: &Path, machine: &str) -> Result<()> {
    with_folder(path, 80, &|folder| {
        let layers = [layer("a", 1, &[1 << 20; 25])?, layer("b", 100, &[1 << 20; 25])?];
        folder.image("1", machine, &layers)
    })
}
