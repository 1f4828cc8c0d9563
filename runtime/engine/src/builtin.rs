//! The built-in image `hello`: made from this very binary, without network or file.
//!
//! Its one program is the binary under the name `hello`, which greets and shows what it finds
//! inside. The image is imported like any other root file system, as a tar that is made on the
//! way, so a newcomer's first container goes through every layer.

use base::{Error, OnError, Result};
use imgstore::{ImageConfig, ImportOptions, Store};
use std::fs::File;
use std::io::Read;

/// The image's name.
pub(crate) const NAME: &str = "hello";

/// Makes the image in the store.
pub(crate) fn make(store: &Store) -> Result<()> {
    let mut program = File::open("/proc/self/exe").on("open", "/proc/self/exe")?;
    let size = program.metadata().on("stat", "/proc/self/exe")?.len();
    refuse_dynamic(&mut program)?;
    let mut head = Vec::new();
    for folder in ["etc/", "proc/", "sys/", "dev/", "tmp/"] {
        head.extend_from_slice(&header(folder, b'5', 0o755, 0));
    }
    let passwd = b"root:x:0:0:root:/:\n";
    head.extend_from_slice(&header("etc/passwd", b'0', 0o644, passwd.len() as u64));
    head.extend_from_slice(passwd);
    head.resize(head.len().next_multiple_of(512), 0);
    head.extend_from_slice(&header("hello", b'0', 0o755, size));
    // Padding to a block, and the two empty blocks that end a tar.
    let tail = vec![0; (size.next_multiple_of(512) - size) as usize + 1024];
    let mut program = program.take(size);
    let (mut head, mut tail) = (head.as_slice(), tail.as_slice());
    let mut tar = Parts(&mut [&mut head, &mut program, &mut tail]);
    let config = ImageConfig { cmd: Some(vec!["/hello".to_string()]), ..ImageConfig::default() };
    let options = ImportOptions {
        name: Some(format!("{NAME}:latest")),
        config,
        message: "the binary itself".to_string(),
    };
    store.import(&mut tar, options).map(drop)
}

/// One after the other, as one.
struct Parts<'a, 'b>(&'a mut [&'b mut dyn Read]);

impl Read for Parts<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        while let Some(first) = self.0.first_mut() {
            let got = first.read(out)?;
            if got > 0 || out.is_empty() {
                return Ok(got);
            }
            self.0 = &mut std::mem::take(&mut self.0)[1..];
        }
        Ok(0)
    }

    base::shared_reads!();
}

/// Whether the program headers name an interpreter (PT_INTERP of elf(5)): they are at the beginning.
/// Looking for its name would find these very words in the binary.
fn has_interpreter(start: &[u8]) -> bool {
    const PT_INTERP: [u8; 4] = 3_u32.to_ne_bytes();
    // Class 2 is 64 bits: where the headers are, the size of one, and how many.
    let wide = start.get(4) == Some(&2);
    let number = |place: usize| {
        start
            .get(place..place + 2)
            .map_or(0, |two| usize::from(u16::from_ne_bytes([two[0], two[1]])))
    };
    // The offset has more bytes, but lies within the first page.
    let (first, size, count) = if wide {
        (number(0x20), number(0x36), number(0x38))
    } else {
        (number(0x1c), number(0x2a), number(0x2c))
    };
    (0..count).any(|header| {
        let place = first + header * size;
        start.get(place..place + 4) == Some(&PT_INTERP[..])
    })
}

/// A program with an interpreter cannot start alone in an empty root.
fn refuse_dynamic(program: &mut File) -> Result<()> {
    use std::os::unix::fs::FileExt;
    let mut start = [0; 4096];
    let count = program.read_at(&mut start, 0).on("read", "/proc/self/exe")?;
    if has_interpreter(&start[..count]) {
        return Err(Error::unsupported(
            "hello: this binary is linked dynamically; cross/build makes a static one",
        ));
    }
    Ok(())
}

/// A ustar header (POSIX.1-1988): the checksum counts its own eight bytes as spaces.
fn header(name: &str, kind: u8, mode: u32, size: u64) -> [u8; 512] {
    let mut block = [0_u8; 512];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    put(0, name.as_bytes());
    put(100, format!("{mode:07o}").as_bytes());
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{size:011o}").as_bytes());
    put(136, b"00000000000");
    put(148, b"        ");
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interpreter_is_found_in_the_headers_alone() {
        let shell = std::fs::read("/bin/sh").expect("/bin/sh");
        assert!(has_interpreter(&shell[..4096]), "a dynamic program");
        let mut words = vec![0; 4096];
        words[1000..1008].copy_from_slice(b"/ld-musl");
        assert!(!has_interpreter(&words) && !has_interpreter(b""));
        // A header of another type in its place.
        let mut elf = vec![0; 256];
        elf[4] = 2;
        elf[0x20] = 64;
        elf[0x36] = 56;
        elf[0x38] = 1;
        elf[64] = 1;
        assert!(!has_interpreter(&elf));
        elf[64] = 3;
        assert!(has_interpreter(&elf));
    }
}
