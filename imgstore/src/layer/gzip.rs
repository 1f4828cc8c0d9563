//! gzip's frame around deflate (RFC 1952, section 2.3).
//!
//! Ours and not zlib's, because of the CRC: where a digest says whether the content is right, it
//! would cost a tenth of the time of decompressing, for nothing.

use super::content::{Blob, broken};
use base::{OnError, Result};
use flate2::{Crc, Decompress, FlushDecompress, Status};

/// Flags of the header.
const FHCRC: u8 = 2;
const FEXTRA: u8 = 4;
const FNAME: u8 = 8;
const FCOMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;

/// One member; a file may have several.
pub(super) struct Member {
    state: Decompress,
    begun: bool,
    /// None where nobody asks for it.
    crc: Option<Crc>,
}

/// What a step gave.
pub(super) struct Step {
    /// So many bytes are in the output.
    pub(super) made: usize,
    /// The member is over, and was whole.
    pub(super) ended: bool,
}

impl Member {
    /// Nothing of it has been read yet, the header included.
    pub(super) fn new(check: bool) -> Self {
        Self { state: Decompress::new(false), begun: false, crc: check.then(Crc::new) }
    }

    /// Without the CRC, for somebody else checks the content.
    pub(super) fn unchecked(&mut self) {
        self.crc = None;
    }

    /// Whether the CRC is checked.
    pub(super) fn checks(&self) -> bool {
        self.crc.is_some()
    }

    /// Decompresses some bytes: none only where the input gave too few for one.
    pub(super) fn step(&mut self, blob: &mut Blob<'_>, out: &mut [u8]) -> Result<Step> {
        if !self.begun {
            header(blob)?;
            self.begun = true;
        }
        need(blob, 1)?;
        let (before_in, before_out) = (self.state.total_in(), self.state.total_out());
        let status = self.state.decompress(blob.rest(), out, FlushDecompress::None);
        let status = status.map_err(|_| broken("damaged gzip data"))?;
        blob.used((self.state.total_in() - before_in) as usize);
        let made = (self.state.total_out() - before_out) as usize;
        if let Some(crc) = &mut self.crc {
            crc.update(&out[..made]);
        }
        let ended = status == Status::StreamEnd;
        if ended {
            self.trailer(blob)?;
        }
        Ok(Step { made, ended })
    }

    fn trailer(&self, blob: &mut Blob<'_>) -> Result<()> {
        let [a, b, c, d, length @ ..] = array::<8>(blob)?;
        let wrong =
            self.crc.as_ref().is_some_and(|crc| crc.sum() != u32::from_le_bytes([a, b, c, d]));
        // The length is that modulo 2^32.
        if wrong || u32::from_le_bytes(length) != self.state.total_out() as u32 {
            return Err(broken("damaged gzip data"));
        }
        Ok(())
    }
}

fn need(blob: &mut Blob<'_>, bytes: usize) -> Result<()> {
    blob.fill(bytes).on("read", "the archive")?;
    if blob.rest().len() < bytes {
        return Err(broken("unexpected end of the gzip data"));
    }
    Ok(())
}

fn array<const N: usize>(blob: &mut Blob<'_>) -> Result<[u8; N]> {
    need(blob, N)?;
    let mut bytes = [0; N];
    bytes.copy_from_slice(&blob.rest()[..N]);
    blob.used(N);
    Ok(bytes)
}

fn header(blob: &mut Blob<'_>) -> Result<()> {
    let [magic1, magic2, method, flags, ..] = array::<10>(blob)?;
    if [magic1, magic2, method] != [0x1f, 0x8b, 8] || flags & RESERVED != 0 {
        return Err(broken("damaged gzip data"));
    }
    if flags & FEXTRA != 0 {
        for _ in 0..u16::from_le_bytes(array(blob)?) {
            array::<1>(blob)?;
        }
    }
    for flag in [FNAME, FCOMMENT] {
        while flags & flag != 0 && array::<1>(blob)? != [0] {}
    }
    if flags & FHCRC != 0 {
        array::<2>(blob)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::content::Content;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::{Read, Write};

    const TEXT: &[u8] = b"what is in it, in it, in it";

    fn packed() -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(TEXT).expect("write");
        encoder.finish().expect("finish")
    }

    fn read(mut bytes: &[u8], has_digest: bool) -> Result<Vec<u8>, String> {
        let mut content = Content::new(&mut bytes).expect("new");
        if has_digest {
            content.has_digest();
        }
        let mut out = Vec::new();
        content.read_to_end(&mut out).map(|_| out).map_err(|e| e.to_string())
    }

    #[test]
    fn every_field_of_a_header_is_passed_over() {
        let plain = packed();
        let mut full = plain[..10].to_vec();
        full[3] = super::FEXTRA | super::FNAME | super::FCOMMENT | super::FHCRC;
        full.extend([3, 0, 1, 0, 2]);
        full.extend(b"a name\0\0");
        full.extend([9, 9]);
        full.extend(&plain[10..]);
        assert_eq!(read(&full, false).expect("whole"), TEXT);
        // Each start of it, and two members one after the other.
        for end in 2..full.len() {
            assert!(read(&full[..end], true).is_err(), "{end} bytes");
        }
        assert_eq!(read(&[full.clone(), full].concat(), false).expect("both"), TEXT.repeat(2));
    }

    #[test]
    fn what_the_frame_says_is_checked() {
        let good = packed();
        let changed = |at: usize| {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            bytes
        };
        let crc = changed(good.len() - 8);
        assert!(read(&crc, false).expect_err("CRC").contains("damaged gzip data"));
        assert_eq!(read(&crc, true).expect("a digest says it"), TEXT);
        for at in [2, good.len() - 1] {
            assert!(read(&changed(at), true).is_err(), "byte {at}");
        }
        let mut reserved = good.clone();
        reserved[3] = 0x80;
        assert!(read(&reserved, true).is_err());
    }
}
