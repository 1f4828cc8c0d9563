//! Values of single flags: what is wrong with one, and what it says.

use base::text::{duration, size};
use base::{Error, Result};
use base_http::api::host_config::{DeviceMapping, RestartPolicy, Ulimit};

/// What is wrong with a size.
pub(crate) fn check_size(text: &str) -> std::result::Result<(), String> {
    size::parse(text).map(|_| ()).map_err(|error| error.message().to_string())
}

/// The same, or no limit.
pub(crate) fn check_swap(text: &str) -> std::result::Result<(), String> {
    if text == "-1" { Ok(()) } else { check_size(text) }
}

/// What is wrong with a number of processors.
pub(crate) fn check_cpus(text: &str) -> std::result::Result<(), String> {
    match nano_cpus(text) {
        Some(_) => Ok(()),
        None => Err(["failed to parse ", text, " as a rational number"].concat()),
    }
}

/// `1.5` in billionths.
pub(crate) fn nano_cpus(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|letter| letter.is_ascii_digit());
    if (whole.is_empty() && part.is_empty()) || part.len() > 9 || !digits(whole) || !digits(part) {
        return None;
    }
    let mut nano = if whole.is_empty() { 0 } else { whole.parse::<i64>().ok()? };
    let digits = part.bytes().map(|digit| i64::from(digit - b'0'));
    for digit in digits.chain(std::iter::repeat(0)).take(9) {
        nano = nano.checked_mul(10)?.checked_add(digit)?;
    }
    Some(nano)
}

/// What is wrong with a restart policy. Which names there are, the server knows.
pub(crate) fn check_restart(text: &str) -> std::result::Result<(), String> {
    match text.split_once(':') {
        Some((_, count)) if count.parse::<u32>().is_err() => {
            Err("invalid restart policy format: maximum retry count must be an integer".into())
        }
        _ => Ok(()),
    }
}

/// `always`, `on-failure:3`.
pub(crate) fn restart(text: &str) -> RestartPolicy {
    let (name, count) = text.split_once(':').unwrap_or((text, "0"));
    RestartPolicy { name: name.to_string(), maximum_retry_count: count.parse().unwrap_or(0) }
}

/// What is wrong with a span of time.
pub(crate) fn check_duration(text: &str) -> std::result::Result<(), String> {
    duration::parse(text).map(|_| ()).map_err(|error| error.message().to_string())
}

/// What is wrong with a stream's name.
pub(crate) fn check_stream(text: &str) -> std::result::Result<(), String> {
    match ["stdin", "stdout", "stderr"].iter().any(|name| text.eq_ignore_ascii_case(name)) {
        true => Ok(()),
        false => Err("valid streams are STDIN, STDOUT and STDERR".to_string()),
    }
}

/// What is wrong with a label.
pub(crate) fn check_label(text: &str) -> std::result::Result<(), String> {
    match text.is_empty() || text.starts_with('=') {
        true => Err(["invalid label '", text, "': empty name"].concat()),
        false => Ok(()),
    }
}

/// `NAME=VALUE` or `NAME`.
pub(crate) fn pair(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (name.to_string(), value.to_string())
}

/// `/dev/sda:10mb`.
pub(super) fn device_and_number(
    text: &str,
    parse: &dyn Fn(&str) -> Option<u64>,
) -> Result<(String, u64)> {
    let Some((path, number)) = text.split_once(':') else {
        return Err(Error::bad_input(["bad format: ", text].concat()));
    };
    if !path.starts_with("/dev/") {
        return Err(Error::bad_input(["bad format for device path: ", text].concat()));
    }
    match parse(number) {
        Some(number) => Ok((path.to_string(), number)),
        None => Err(Error::bad_input(
            [
                "invalid rate for device: ",
                text,
                ". The correct format is <device-path>:<number>[<unit>]",
            ]
            .concat(),
        )),
    }
}

/// `HOST[:INSIDE[:PERMISSIONS]]`; a last part of r, w and m alone is the permissions.
pub(super) fn device(text: &str) -> Result<DeviceMapping> {
    let parts: Vec<&str> = text.split(':').collect();
    let is_mode =
        |part: &str| !part.is_empty() && part.bytes().all(|letter| b"rwm".contains(&letter));
    let (on_host, inside, permissions) = match parts[..] {
        [host] => (host, host, "rwm"),
        [host, mode] if is_mode(mode) => (host, host, mode),
        [host, inside] => (host, inside, "rwm"),
        [host, inside, mode] => (host, inside, mode),
        _ => ("", "", ""),
    };
    if on_host.is_empty() {
        return Err(Error::bad_input(["invalid device specification: ", text].concat()));
    }
    let [on_host, inside, permissions] = [on_host, inside, permissions].map(String::from);
    Ok(DeviceMapping { on_host, inside, permissions })
}

/// `NAME=SOFT[:HARD]`.
pub(super) fn ulimit(text: &str) -> Result<Ulimit> {
    let wrong = || Error::bad_input(["invalid ulimit argument: ", text].concat());
    let (name, values) = text.split_once('=').ok_or_else(wrong)?;
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    let number = |text: &str| match text {
        "unlimited" => Ok(-1),
        text => text.parse().map_err(|_| wrong()),
    };
    Ok(Ulimit { name: name.to_string(), soft: number(soft)?, hard: number(hard)? })
}
