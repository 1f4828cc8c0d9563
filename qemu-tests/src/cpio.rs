//! The kernel's initramfs format: cpio "newc" (Documentation/driver-api/early-userspace).
//!
//! Everything belongs to root and has no time, so that the same files give the same bytes.

use base::Result;

const FOLDER: u32 = 0o040_755;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_777;
const CHARACTERS: u32 = 0o020_000;
const TRAILER: &str = "TRAILER!!!";

/// An archive in the making.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    inode: u32,
}

impl Archive {
    fn add(&mut self, name: &str, mode: u32, device: (u32, u32), data: &[u8]) {
        self.inode += 1;
        let links = if mode & 0o170_000 == 0o040_000 { 2 } else { 1 };
        let size = data.len() as u32;
        let (major, minor) = device;
        let name_size = name.len() as u32 + 1;
        // inode, mode, uid, gid, links, time, size, device (2), special device (2), name, check.
        let fields = [self.inode, mode, 0, 0, links, 0, size, 0, 0, major, minor, name_size, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(data);
        self.pad();
    }

    fn pad(&mut self) {
        while !self.bytes.len().is_multiple_of(4) {
            self.bytes.push(0);
        }
    }

    /// A folder. Its parent must have been added before.
    pub fn folder(&mut self, name: &str) {
        self.add(name, FOLDER, (0, 0), b"");
    }

    /// A file.
    pub fn file(&mut self, name: &str, mode: u32, data: &[u8]) {
        self.add(name, FILE | mode, (0, 0), data);
    }

    /// A symbolic link.
    pub fn link(&mut self, name: &str, target: &str) {
        self.add(name, LINK, (0, 0), target.as_bytes());
    }

    /// A character device.
    pub fn device(&mut self, name: &str, mode: u32, major: u32, minor: u32) {
        self.add(name, CHARACTERS | mode, (major, minor), b"");
    }

    /// The archive, compressed by gzip, which every kernel's initramfs code knows.
    pub fn finish(mut self) -> Result<Vec<u8>> {
        use base::OnError;
        self.add(TRAILER, 0, (0, 0), b"");
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gzip, &self.bytes).on("compress", "initramfs")?;
        gzip.finish().on("compress", "initramfs")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]
    use super::*;
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};

    #[test]
    fn cpio_reads_what_was_written() {
        let mut archive = Archive::default();
        archive.folder("a");
        archive.file("a/file", 0o755, b"text");
        archive.link("link", "a/file");
        archive.device("null", 0o666, 1, 3);
        let packed = archive.finish().expect("finish");
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut bytes).expect("gunzip");
        // The fixed part of an entry, by the format's text.
        assert_eq!(&bytes[..6], b"070701");
        assert_eq!(bytes.len() % 4, 0);
        let Ok(mut child) =
            Command::new("cpio").arg("-itv").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
        else {
            // Without the tool only the above is checked; every boot checks it again.
            println!("skipped: cpio is not installed");
            return;
        };
        child.stdin.take().expect("stdin").write_all(&bytes).expect("write");
        let output = child.wait_with_output().expect("wait");
        let text = String::from_utf8_lossy(&output.stdout);
        let names: Vec<&str> =
            text.lines().filter_map(|line| line.split(' ').next_back()).collect();
        assert_eq!(names, ["a", "a/file", "a/file", "null"], "{text}");
        assert!(text.contains("-rwxr-xr-x") && text.contains("crw-rw-rw-"), "{text}");
        assert!(text.contains("link -> a/file"), "{text}");
    }
}
