//! SHA-256 digests, in the one form that images use: `sha256:` and 64 lower-case digits.
//!
//! The text is parsed strictly, since digests become file names. Hashing looks at the CPU when it
//! is first used (8 µs on some virtual machines), so nothing on the path of `run` hashes.

use crate::json::{Reader, Slot, ToJson, Writer};
use crate::text::hex;
use crate::{Error, Result};
use sha2::Digest as _;
use std::fmt;
use std::io::{self, Read, Write};

/// A SHA-256 digest.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Reads `sha256:<64 lower-case digits>`, nothing else.
    pub fn parse(text: &str) -> Result<Self> {
        match text.strip_prefix("sha256:") {
            Some(digits) => Self::from_hex(digits),
            None => Err(Error::bad_input(format!("invalid digest: '{}'", shorten(text)))),
        }
    }

    /// Reads the 64 digits alone.
    pub fn from_hex(text: &str) -> Result<Self> {
        let mut bytes = [0; 32];
        match hex::decode(text.as_bytes(), &mut bytes) {
            Some(()) => Ok(Self(bytes)),
            None => Err(Error::bad_input(format!("invalid digest: '{}'", shorten(text)))),
        }
    }

    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(bytes);
        hash.finish()
    }

    /// The 64 digits.
    #[must_use]
    pub fn hex(&self) -> String {
        hex::encode(&self.0)
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(80).filter(|c| !c.is_control()).collect()
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        f.write_str(&self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Slot for Digest {
    fn fill(&mut self, r: &mut Reader<'_>) -> Result<()> {
        if !r.null() {
            *self = Self::parse(&r.string()?)?;
        }
        Ok(())
    }
}

impl ToJson for Digest {
    fn to_json(&self, w: &mut Writer) {
        w.string(&self.to_string());
    }
    fn is_empty(&self) -> bool {
        self.0 == [0; 32]
    }
}

/// A running SHA-256.
#[derive(Clone)]
pub struct Sha256(sha2::Sha256);

impl Sha256 {
    /// Of nothing so far.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "a running hash has no natural default")]
    pub fn new() -> Self {
        Self(sha2::Sha256::new())
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything added.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

/// Passes reads or writes on, and hashes and counts what goes through.
pub struct Tee<T> {
    /// The other side.
    pub inner: T,
    /// The hash so far.
    pub hash: Sha256,
    /// How many bytes went through.
    pub count: u64,
}

impl<T> Tee<T> {
    /// Around this reader or writer.
    pub fn new(inner: T) -> Self {
        Self { inner, hash: Sha256::new(), count: 0 }
    }
}

impl<T: Read> Read for Tee<T> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(out)?;
        self.hash.update(&out[..n]);
        self.count += n as u64;
        Ok(n)
    }
}

impl<T: Write> Write for Tee<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hash.update(&bytes[..n]);
        self.count += n as u64;
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn hashes() {
        assert_eq!(Digest::of(b"abc").to_string(), ABC);
        let mut tee = Tee::new(&b"abc"[..]);
        io::copy(&mut tee, &mut io::sink()).unwrap();
        assert_eq!((tee.hash.finish().to_string().as_str(), tee.count), (ABC, 3));
    }

    #[test]
    fn parses_strictly() {
        assert_eq!(Digest::parse(ABC).unwrap().to_string(), ABC);
        for text in [
            "",
            "sha256:",
            "sha256:../../../../etc/passwd",
            &ABC.to_uppercase(),
            &ABC[7..],
            &ABC[..70],
            &format!("{ABC}0"),
            "sha512:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ] {
            assert!(Digest::parse(text).is_err(), "{text}");
        }
    }
}
