//! Wall times: RFC 3339 with nanoseconds as Go prints it, and "2 hours" as docker does.

use crate::{Error, Result};

/// The present wall time, never before the build (a clock that says 1970 is not believed).
#[must_use]
pub fn now() -> (i64, u32) {
    // By the standard library: rustix's reading of the clock is wrong on 32-bit MIPS with musl.
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    let built = option_env!("SOURCE_DATE_EPOCH").and_then(|text| text.parse().ok()).unwrap_or(0);
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if seconds < built { (built, 0) } else { (seconds, now.subsec_nanos()) }
}

/// Days since 1970-01-01 of a date in the Gregorian calendar.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the leap day is the last one.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

fn push(out: &mut String, value: i64, width: usize) {
    let digits = value.to_string();
    out.extend(std::iter::repeat_n('0', width.saturating_sub(digits.len())));
    out.push_str(&digits);
}

/// `2023-11-14T22:13:20.5Z`, in UTC, without trailing zeros.
#[must_use]
pub fn rfc3339(seconds: i64, nanos: u32) -> String {
    // Years 0 to 9999, or the text would not be RFC 3339.
    let seconds = seconds.clamp(-62_167_219_200, 253_402_300_799);
    let (year, month, day) = date_of(seconds.div_euclid(86_400));
    let of_day = seconds.rem_euclid(86_400);
    let mut out = String::with_capacity(30);
    let parts = [
        (year, 4, '-'),
        (month, 2, '-'),
        (day, 2, 'T'),
        (of_day / 3600, 2, ':'),
        (of_day / 60 % 60, 2, ':'),
    ];
    for (value, width, after) in parts {
        push(&mut out, value, width);
        out.push(after);
    }
    push(&mut out, of_day % 60, 2);
    if nanos > 0 {
        out.push('.');
        push(&mut out, i64::from(nanos), 9);
        out.truncate(out.trim_end_matches('0').len());
    }
    out.push('Z');
    out
}

/// Reads RFC 3339 with any number of places and any offset.
pub fn parse(text: &str) -> Result<(i64, u32)> {
    read(text.as_bytes()).ok_or_else(|| Error::bad_input(format!("invalid time: '{text}'")))
}

fn number(text: &[u8], from: usize, width: usize) -> Option<i64> {
    let digits = text.get(from..from + width)?;
    digits.iter().try_fold(0, |sum, c| c.is_ascii_digit().then(|| sum * 10 + i64::from(c - b'0')))
}

fn read(text: &[u8]) -> Option<(i64, u32)> {
    let is = |at: usize, any: &[u8]| text.get(at).is_some_and(|c| any.contains(c));
    let (year, month, day) = (number(text, 0, 4)?, number(text, 5, 2)?, number(text, 8, 2)?);
    let (hour, minute, second) = (number(text, 11, 2)?, number(text, 14, 2)?, number(text, 17, 2)?);
    let marks = is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":");
    let leap = year & 3 == 0 && (year & 15 == 0 || year % 25 != 0);
    let last = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !marks || !(1..=last).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut at = 19;
    let mut nanos = 0;
    if is(at, b".") {
        let mut unit = 100_000_000;
        at += 1;
        while let Some(c) = text.get(at).filter(|c| c.is_ascii_digit()) {
            nanos += u32::from(c - b'0') * unit;
            unit /= 10;
            at += 1;
        }
    }
    let offset = if is(at, b"Zz") {
        at += 1;
        0
    } else {
        let sign = if is(at, b"+") { 1 } else { is(at, b"-").then_some(-1)? };
        let minutes = number(text, at + 1, 2)? * 60 + number(text, at + 4, 2)?;
        is(at + 3, b":").then_some(())?;
        at += 6;
        sign * minutes * 60
    };
    (at == text.len()).then_some(())?;
    Some((days_of(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset, nanos))
}

/// How long `seconds` are, as docker says it: `2 hours`, `About a minute`.
#[must_use]
pub fn ago(seconds: i64) -> String {
    let hours = seconds / 3600;
    let (count, unit) = match seconds {
        ..1 => return "Less than a second".to_owned(),
        1 => return "1 second".to_owned(),
        2..60 => (seconds, "seconds"),
        60..120 => return "About a minute".to_owned(),
        120..3600 => (seconds / 60, "minutes"),
        // Docker rounds hours here, and only here.
        _ if (seconds + 1800) / 3600 == 1 => return "About an hour".to_owned(),
        _ if (seconds + 1800) / 3600 < 48 => ((seconds + 1800) / 3600, "hours"),
        _ if hours < 24 * 7 * 2 => (hours.max(48) / 24, "days"),
        _ if hours < 24 * 30 * 2 => (hours / 24 / 7, "weeks"),
        _ if hours < 24 * 365 * 2 => (hours / 24 / 30, "months"),
        _ => (hours / 24 / 365, "years"),
    };
    let mut text = count.to_string();
    text.push(' ');
    text.push_str(unit);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prints_and_reads() {
        for (seconds, nanos, text) in [
            (0, 0, "1970-01-01T00:00:00Z"),
            (1_700_000_000, 500_000_000, "2023-11-14T22:13:20.5Z"),
            (951_782_400, 1, "2000-02-29T00:00:00.000000001Z"),
            (-1, 0, "1969-12-31T23:59:59Z"),
            (-62_135_596_800, 0, "0001-01-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds, nanos), text);
            assert_eq!(parse(text).unwrap(), (seconds, nanos));
        }
        assert_eq!(parse("2023-11-14T23:13:20.123456789123+01:00").unwrap().0, 1_700_000_000);
        for text in [
            "",
            "2023-11-14",
            "2023-02-29T00:00:00Z",
            "2023-11-14T22:13:20",
            "2023-11-14T22:13:20Zx",
            "2023-13-14T22:13:20Z",
            "x",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_as_docker_says_them() {
        for (seconds, want) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (180, "3 minutes"),
            (3600, "About an hour"),
            (5400, "2 hours"),
            (47 * 3600, "47 hours"),
            (48 * 3600, "2 days"),
            (13 * 86_400, "13 days"),
            (14 * 86_400, "2 weeks"),
            (60 * 86_400, "2 months"),
            (730 * 86_400, "2 years"),
        ] {
            assert_eq!(ago(seconds), want, "{seconds}");
        }
    }

    proptest! {
        #[test]
        fn any_time_survives(seconds in -62_167_219_200i64..=253_402_300_799, nanos in 0u32..1_000_000_000) {
            prop_assert_eq!(parse(&rfc3339(seconds, nanos)).unwrap(), (seconds, nanos));
        }

        #[test]
        fn any_text_is_judged(text in "[0-9TZ:+. -]{0,30}") {
            let _ = parse(&text);
        }
    }
}
