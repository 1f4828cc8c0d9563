//! For which machine an image is: `OS[/CPU[/VARIANT]]`, and which of an index fits best.

use crate::archive::documents::{Descriptor, Platform};
use crate::image::architecture;
use base::{Error, Result};

/// This machine.
pub(crate) fn own() -> Platform {
    let (name, variant) = architecture();
    Platform { os: "linux".into(), architecture: name.into(), variant: variant.into() }
}

/// Reads `--platform`.
pub(crate) fn parse(text: &str) -> Result<Platform> {
    let wrong = || Error::bad_input(format!("\"{text}\" is an invalid platform"));
    let lower = text.to_ascii_lowercase();
    let mut words = lower.split('/');
    let mut first = words.next().unwrap_or_default();
    let mut cpu = words.next();
    if cpu.is_none() && first != "linux" {
        // A CPU alone.
        cpu = Some(std::mem::replace(&mut first, "linux"));
    }
    let variant = words.next();
    let good = |word: &str| {
        !word.is_empty() && word.bytes().all(|c| c.is_ascii_alphanumeric() || b"_.-".contains(&c))
    };
    let all = [Some(first), cpu, variant];
    if words.next().is_some() || !all.into_iter().flatten().all(good) {
        return Err(wrong());
    }
    let own = own();
    let (cpu, given) = match cpu {
        None => (own.architecture.as_str(), own.variant.as_str()),
        Some("x86_64" | "x86-64") => ("amd64", ""),
        Some("i386" | "i686") => ("386", ""),
        Some("aarch64") => ("arm64", ""),
        Some("armhf") => ("arm", "v7"),
        Some("armel") => ("arm", "v6"),
        Some(other) => (other, ""),
    };
    let variant = match (cpu, variant.unwrap_or(given)) {
        ("arm64", "" | "8" | "v8") => "v8",
        ("arm", "") => "v7",
        ("arm", "5") => "v5",
        ("arm", "6") => "v6",
        ("arm", "7") => "v7",
        (_, other) => other,
    };
    Ok(Platform { os: first.into(), architecture: cpu.into(), variant: variant.into() })
}

/// How well an image for `offered` runs on `wanted`; 0: not at all.
pub(crate) fn fits(wanted: &Platform, offered: &Platform) -> u8 {
    if offered.os != wanted.os || offered.architecture != wanted.architecture {
        return 0;
    }
    let plain = |variant: &str| match (wanted.architecture.as_str(), variant) {
        ("arm64", "") => String::from("v8"),
        (_, other) => other.to_owned(),
    };
    let (has, wants) = (plain(&offered.variant), plain(&wanted.variant));
    match (has.as_str(), wants.as_str()) {
        (has, wants) if has == wants => 200,
        ("", _) => 100,
        // An older ARM runs on a newer one: the newest of them.
        (has, wants) if has < wants && has.starts_with('v') => {
            1 + has.trim_start_matches('v').parse::<u8>().unwrap_or(0).min(90)
        }
        _ => 0,
    }
}

/// The best of an index; the first of equals.
pub(crate) fn choose<'a>(list: &'a [Descriptor], wanted: &Platform) -> Option<&'a Descriptor> {
    let rank = |d: &&Descriptor| match &d.platform {
        _ if d.annotations.contains_key("vnd.docker.reference.type") => 0,
        Some(platform) => fits(wanted, platform),
        // Nobody says what it is for.
        None => u8::from(list.len() == 1),
    };
    list.iter().rev().max_by_key(rank).filter(|d| rank(d) > 0)
}

/// `linux/arm/v7`.
pub(crate) fn shown(platform: &Platform) -> String {
    let slash = if platform.variant.is_empty() { "" } else { "/" };
    [&platform.os, "/", &platform.architecture, slash, &platform.variant].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(size: u64, text: &str) -> Descriptor {
        let platform = parse(text).unwrap();
        let variant = text.split('/').nth(2).unwrap_or_default().into();
        let platform = Some(Platform { variant, ..platform });
        Descriptor { size, platform, ..Descriptor::default() }
    }

    #[test]
    fn the_best_of_an_index() {
        let list = [
            entry(1, "linux/amd64"),
            entry(2, "linux/arm/v5"),
            entry(3, "linux/arm/v6"),
            entry(4, "linux/arm64/v8"),
            entry(5, "windows/amd64"),
            entry(6, "linux/arm/v6"),
        ];
        for (wanted, size) in [
            ("linux/amd64", Some(1)),
            ("amd64", Some(1)),
            ("x86_64", Some(1)),
            ("linux/arm/v7", Some(3)),
            ("linux/arm/v6", Some(3)),
            ("linux/arm/v5", Some(2)),
            ("arm", Some(3)),
            ("linux/arm64", Some(4)),
            ("windows/amd64", Some(5)),
            ("linux/s390x", None),
        ] {
            let wanted = parse(wanted).unwrap();
            assert_eq!(choose(&list, &wanted).map(|d| d.size), size, "{wanted:?}");
        }
        for text in ["", "/", "linux/", "a/b/c/d", "linux/arm v7", "linux/\u{e9}"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
