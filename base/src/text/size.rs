//! Sizes as docker reads and prints them: `64m` is read in powers of 1024, `12.3MB` printed in
//! powers of 1000. Whole numbers only, no floating point.

use crate::{Error, Result};

/// Reads `64m`, `1.5g`, `10kb`, `7` (bytes), `2GiB`.
pub fn parse(text: &str) -> Result<u64> {
    let wrong = || Error::bad_input(format!("invalid size: '{text}'"));
    let number = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(number);
    let suffix = suffix.strip_prefix(' ').unwrap_or(suffix).to_ascii_lowercase();
    let shift = match suffix.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        "p" | "pb" | "pib" => 50,
        _ => return Err(wrong()),
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || part.is_empty() || part.len() > 18 {
        return Err(wrong());
    }
    let whole: u128 = whole.parse().map_err(|_| wrong())?;
    let scale = 10u128.pow(part.len() as u32);
    let part: u128 = part.parse().map_err(|_| wrong())?;
    let bytes = whole.checked_mul(1 << shift).ok_or_else(wrong)? + ((part << shift) / scale);
    match u64::try_from(bytes) {
        // What does not fit the API's signed numbers is not a size.
        Ok(bytes) if bytes <= i64::MAX as u64 => Ok(bytes),
        _ => Err(wrong()),
    }
}

/// Up to four digits and a binary unit, as `docker stats` prints: `1.5MiB`, `12KiB`.
#[must_use]
pub fn binary(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut unit = 0;
    while unit + 1 < UNITS.len() && bytes >> (10 * (unit + 1)) > 0 {
        unit += 1;
    }
    let scale = 1_u128 << (10 * unit);
    // Go's %.4g: as many places as are left of four digits, without zeros at the end.
    let places = match u128::from(bytes) / scale {
        1000.. => 0,
        100.. => 1,
        10.. => 2,
        _ => 3,
    };
    let tens = 10_u128.pow(places);
    let rounded = (u128::from(bytes) * tens + scale / 2) / scale;
    let mut text = (rounded / tens).to_string();
    if places > 0 && !rounded.is_multiple_of(tens) {
        let part = (rounded % tens).to_string();
        text.push('.');
        text.extend(std::iter::repeat_n('0', places as usize - part.len()));
        text.push_str(part.trim_end_matches('0'));
    }
    text.push_str(UNITS[unit]);
    text
}

/// Three digits and a unit, as `docker images` prints: `12.3MB`, `999B`, `1GB`.
#[must_use]
pub fn human(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let mut unit = 0;
    let mut scale = 1u64;
    while unit + 1 < UNITS.len() && bytes / scale >= 1000 {
        scale *= 1000;
        unit += 1;
    }
    loop {
        // In hundredths, rounded to as many places as three digits leave.
        let hundredths = u128::from(bytes) * 100;
        let scale_wide = u128::from(scale);
        let step = match bytes / scale {
            100.. => 100,
            10.. => 10,
            _ => 1,
        };
        let rounded = (hundredths + scale_wide * step / 2) / (scale_wide * step) * step;
        if rounded >= 100_000 && unit + 1 < UNITS.len() {
            scale *= 1000;
            unit += 1;
            continue;
        }
        let mut text = (rounded / 100).to_string();
        let part = (rounded % 100) as u8;
        if unit > 0 && part > 0 {
            text.push('.');
            text.push(char::from(b'0' + part / 10));
            if !part.is_multiple_of(10) && rounded < 1000 {
                text.push(char::from(b'0' + part % 10));
            }
        }
        text.push_str(UNITS[unit]);
        return text;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_docker_reads() {
        for (text, want) in [
            ("7", 7),
            ("64m", 64 << 20),
            ("64M", 64 << 20),
            ("1.5g", 3 << 29),
            ("10kb", 10 << 10),
            ("2GiB", 2 << 30),
            ("1 t", 1 << 40),
            ("0", 0),
        ] {
            assert_eq!(parse(text).unwrap(), want, "{text}");
        }
        for text in ["", "m", "-1", "1x", "1..5m", ".5m", "1.m", "99999999t", "1mm", "é", "9e9"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn prints_as_docker_stats_does() {
        for (bytes, want) in [
            (0, "0B"),
            (1023, "1023B"),
            (1536, "1.5KiB"),
            (1_060_000, "1.011MiB"),
            (64 << 20, "64MiB"),
            (24_681_242_624, "22.99GiB"),
        ] {
            assert_eq!(binary(bytes), want);
        }
    }

    #[test]
    fn prints_as_docker_images_does() {
        for (bytes, want) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1kB"),
            (1234, "1.23kB"),
            (12_345_678, "12.3MB"),
            (203_456_789, "203MB"),
            (1_999_999_999, "2GB"),
            (999_999, "1MB"),
            (1_050_000, "1.05MB"),
            (99_950_000, "100MB"),
            (u64::MAX, "18.4EB"),
        ] {
            assert_eq!(human(bytes), want, "{bytes}");
        }
    }
}
