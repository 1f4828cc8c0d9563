//! Identifiers: 64 hexadecimal digits from the kernel's random numbers; 12 of them for people.

use super::hex;
use crate::{OnError, Result};
use rustix::rand::{GetRandomFlags, getrandom};

/// Fills a buffer with random bytes, without waiting for entropy at early boot.
pub fn random(out: &mut [u8]) -> Result<()> {
    let mut done = 0;
    let mut flags = GetRandomFlags::INSECURE;
    while done < out.len() {
        match getrandom(&mut out[done..], flags) {
            Ok(n) => done += n,
            Err(rustix::io::Errno::INTR) => {}
            // Before Linux 5.6 the pool that never waits is the device.
            Err(rustix::io::Errno::INVAL) if !flags.is_empty() => {
                flags = GetRandomFlags::empty();
                use std::io::Read;
                if std::fs::File::open("/dev/urandom").and_then(|mut f| f.read_exact(out)).is_ok() {
                    return Ok(());
                }
            }
            Err(e) => return Err(e).on("read", "random numbers"),
        }
    }
    Ok(())
}

/// A new identifier.
pub fn new() -> Result<String> {
    let mut bytes = [0; 32];
    // Never all digits in the short form: a host name of digits alone confuses programs.
    loop {
        random(&mut bytes)?;
        let id = hex::encode(&bytes);
        if id[..12].bytes().any(|c| c.is_ascii_alphabetic()) {
            return Ok(id);
        }
    }
}

/// Whether this is a whole identifier.
#[must_use]
pub fn is_full(text: &str) -> bool {
    text.len() == 64 && is_prefix(text)
}

/// Whether this can be the beginning of an identifier.
#[must_use]
pub fn is_prefix(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

/// The first 12 digits.
#[must_use]
pub fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_full_and_differ() {
        let (a, b) = (new().unwrap(), new().unwrap());
        assert!(is_full(&a) && is_full(&b) && a != b);
        assert!(a.starts_with(short(&a)) && short(&a).len() == 12);
        assert!(!is_full(short(&a)) && is_prefix(short(&a)) && !is_prefix("") && !is_prefix("xyz"));
    }
}
