//! Spans of time as Go writes them: `1h30m`, `1.5s`, `300ms`.

use crate::{Error, Result};

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Nanoseconds, 292 years at most.
pub fn parse(text: &str) -> Result<i64> {
    read(text).ok_or_else(|| Error::bad_input(["invalid duration \"", text, "\""].concat()))
}

fn read(text: &str) -> Option<i64> {
    let (minus, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut sum: u64 = 0;
    while !rest.is_empty() {
        let digits =
            |text: &str| text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
        let (whole, after) = rest.split_at(digits(rest));
        let (part, after) = match after.strip_prefix('.') {
            Some(after) => after.split_at(digits(after)),
            None => ("", after),
        };
        if whole.is_empty() && part.is_empty() {
            return None;
        }
        let end = after.find(|letter: char| letter.is_ascii_digit() || letter == '.');
        let (name, after) = after.split_at(end.unwrap_or(after.len()));
        let (_, unit) = UNITS.iter().find(|(unit, _)| *unit == name)?;
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        sum = sum.checked_add(whole.checked_mul(*unit)?)?;
        let mut scale = *unit;
        for digit in part.bytes() {
            scale /= 10;
            sum = sum.checked_add(u64::from(digit - b'0') * scale)?;
        }
        rest = after;
    }
    let sum = i64::try_from(sum).ok()?;
    Some(if minus { -sum } else { sum })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn as_go_reads_them() {
        for (text, want) in [
            ("0", Some(0)),
            ("1h30m", Some(5_400_000_000_000)),
            ("1.5s", Some(1_500_000_000)),
            ("300ms", Some(300_000_000)),
            (".5m", Some(30_000_000_000)),
            ("-2s", Some(-2_000_000_000)),
            ("1µs", Some(1_000)),
            ("", None),
            ("5", None),
            ("s", None),
            ("1x", None),
            ("1s2", None),
            ("99999999h", None),
        ] {
            assert_eq!(parse(text).ok(), want, "{text:?}");
        }
    }
}
