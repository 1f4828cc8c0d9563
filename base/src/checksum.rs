//! A checksum file beside a file, as on a USB stick: `X.tar.sha256`, in the form of sha256sum.

use crate::digest::{Digest, Sha256};
use crate::{Error, Kind, OnError, Result, files};
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

/// What a checksum file says of a name: a line `HEX  NAME` or `HEX *NAME`, or a digest alone.
fn digest_of(text: &str, name: &str) -> Option<Digest> {
    for line in text.lines() {
        // sha256sum marks lines whose names have escapes.
        let (marked, line) = (line.starts_with('\\'), line.trim_start_matches('\\').trim_end());
        let (hex, rest) = line.split_once(' ').unwrap_or((line, ""));
        let listed = rest.strip_prefix([' ', '*']).unwrap_or(rest);
        let listed = match marked {
            true => listed.replace("\\n", "\n").replace("\\\\", "\\"),
            false => listed.to_owned(),
        };
        let last = listed.rsplit('/').next().unwrap_or_default();
        if (listed.is_empty() || last == name)
            && let Ok(digest) = Digest::from_hex(&hex.to_ascii_lowercase())
        {
            return Some(digest);
        }
    }
    None
}

/// Reads a regular file that has a checksum file beside it, and compares. The file is at its
/// beginning again afterwards.
pub fn verify(path: &Path, mut file: &File) -> Result<()> {
    if !file.metadata().on_path("stat", path)?.is_file() {
        return Ok(());
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".sha256");
    let beside = Path::new(&beside);
    let text = match files::read_capped(beside, 1 << 20) {
        Err(e) if e.kind() == Kind::NotFound => return Ok(()),
        other => other?,
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Some(want) = digest_of(&String::from_utf8_lossy(&text), &name) else {
        let text = format!("{}: it has no checksum of {name}", beside.display());
        return Err(Error::bad_input(text));
    };
    let mut hash = Sha256::new();
    let mut block = vec![0; 64 << 10];
    loop {
        match file.read(&mut block) {
            Ok(0) => break,
            Ok(n) => hash.update(&block[..n]),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e).on_path("read", path),
        }
    }
    file.rewind().on_path("read", path)?;
    let got = hash.finish().hex();
    if got != want.hex() {
        let text =
            format!("{}: its checksum is {got}, not that of {}", path.display(), beside.display());
        return Err(Error::bad_input(text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_sha256sum() {
        let hex = Digest::of(b"x").hex();
        let other = Digest::of(b"y").hex();
        for text in [
            format!("{hex}  a b.tar\n"),
            format!("{hex} *a b.tar"),
            format!("{other}  c.tar\r\n{hex}  ./dir/a b.tar\r\n"),
            format!("{hex}\n"),
            format!("{}  a b.tar", hex.to_uppercase()),
        ] {
            assert_eq!(digest_of(&text, "a b.tar"), Some(Digest::of(b"x")), "{text}");
        }
        assert_eq!(digest_of(&format!("\\{hex}  a\\nb\\\\c\n"), "a\nb\\c"), Some(Digest::of(b"x")));
        for text in ["", "x", &format!("{hex}  other.tar"), &format!("{hex}0  a b.tar")] {
            assert_eq!(digest_of(text, "a b.tar"), None, "{text}");
        }
    }

    #[test]
    fn compared_where_there_is_one() {
        let dir = files::tests::scratch("checksum");
        let path = dir.join("a.tar");
        std::fs::write(&path, "content").unwrap();
        let check = || verify(&path, &File::open(&path).unwrap());
        check().unwrap();
        let beside = dir.join("a.tar.sha256");
        std::fs::write(&beside, format!("{}  a.tar\n", Digest::of(b"content").hex())).unwrap();
        check().unwrap();
        std::fs::write(&path, "Content").unwrap();
        assert!(check().unwrap_err().message().starts_with(&path.display().to_string()));
        std::fs::write(&beside, "nothing\n").unwrap();
        assert!(check().unwrap_err().message().contains("no checksum of a.tar"));
        std::fs::remove_dir_all(dir).unwrap();
    }
}
