//! Bytes as lower-case hexadecimal digits.

/// Two digits a byte.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for &byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Fills `out` from exactly twice as many lower-case digits.
pub fn decode(text: &[u8], out: &mut [u8]) -> Option<()> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    if text.len() != out.len() * 2 {
        return None;
    }
    for (pair, byte) in text.chunks_exact(2).zip(out) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn both_ways() {
        assert_eq!(super::encode(&[0, 0xab, 0xff]), "00abff");
        let mut out = [0; 2];
        assert_eq!(super::decode(b"0aff", &mut out), Some(()));
        assert_eq!(out, [10, 255]);
        for text in ["0aF0", "0af", "0affa", "0g00"] {
            assert_eq!(super::decode(text.as_bytes(), &mut out), None, "{text}");
        }
    }
}
