//! Moments as docker's client takes them: a date, seconds since 1970, or how long ago.

use super::{duration, time};
use crate::{Error, Result};

const NANOS: i64 = 1_000_000_000;

/// Seconds and nanoseconds since 1970. Dates without an offset are UTC: a device has no time zones.
pub fn parse(text: &str, now: (i64, u32)) -> Result<(i64, u32)> {
    if let Ok(ago) = duration::parse(text) {
        let nanos = i64::from(now.1) - ago % NANOS;
        let (seconds, nanos) =
            (now.0 - ago / NANOS + nanos.div_euclid(NANOS), nanos.rem_euclid(NANOS));
        return Ok((seconds, nanos as u32));
    }
    let (seconds, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|letter| letter.is_ascii_digit());
    if !seconds.is_empty() && part.len() <= 9 && digits(seconds) && digits(part) {
        let nanos = format!("{part:0<9}").parse().unwrap_or(0);
        let seconds = seconds.parse().map_err(|_| wrong(text))?;
        return Ok((seconds, nanos));
    }
    // What a date leaves out is its beginning.
    const FULL: &str = "0000-01-01T00:00:00Z";
    let whole = match text.len() {
        10 | 13 | 16 => [text, &FULL[text.len()..]].concat(),
        19 => [text, "Z"].concat(),
        _ => text.to_string(),
    };
    time::parse(&whole).map_err(|_| wrong(text))
}

fn wrong(text: &str) -> Error {
    Error::bad_input(["failed to parse value as time or duration: \"", text, "\""].concat())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn all_forms() {
        let now = (1_700_000_000, 500_000_000);
        for (text, want) in [
            ("10s", Some((1_699_999_990, 500_000_000))),
            ("0.7s", Some((1_699_999_999, 800_000_000))),
            ("1m30s", Some((1_699_999_910, 500_000_000))),
            ("1700000000", Some((1_700_000_000, 0))),
            ("1700000000.25", Some((1_700_000_000, 250_000_000))),
            ("2023-11-14T22:13:20Z", Some((1_700_000_000, 0))),
            ("2023-11-14T22:13:20", Some((1_700_000_000, 0))),
            ("2023-11-14T22:13", Some((1_699_999_980, 0))),
            ("2023-11-14", Some((1_699_920_000, 0))),
            ("2023-11-14T23:13:20+01:00", Some((1_700_000_000, 0))),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(parse(text, now).ok(), want, "{text:?}");
        }
    }
}
