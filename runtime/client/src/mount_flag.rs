//! `--mount KEY=VALUE,…`: docker's long form of a mount.

use base::text::size;
use base::{Error, Result};
use base_http::api::volume::{BindOptions, Mount, TmpfsOptions, VolumeDriver, VolumeOptions};

fn wrong(text: &str, why: &[&str]) -> Error {
    let why = why.concat();
    Error::bad_input(["invalid argument \"", text, "\" for \"--mount\" flag: ", &why].concat())
}

/// Reads one.
pub(crate) fn parse(text: &str) -> Result<Mount> {
    let mut mount = Mount { kind: "volume".to_string(), ..Mount::default() };
    let mut bind = BindOptions::default();
    let mut volume = VolumeOptions::default();
    let mut driver = VolumeDriver::default();
    let mut tmpfs = TmpfsOptions::default();
    // What of these was given, for docker's complaint about the wrong kind.
    let mut given = [false; 3];
    for field in fields(text) {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_ascii_lowercase(), Some(value)),
            None => (field.to_ascii_lowercase(), None),
        };
        let on = || match value.unwrap_or("true") {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            other => Err(wrong(text, &["invalid value for ", &key, ": ", other])),
        };
        for (number, kind) in ["bind-", "volume-", "tmpfs-"].iter().enumerate() {
            given[number] |= key.starts_with(kind);
        }
        match (key.as_str(), value) {
            ("readonly" | "ro", _) => mount.read_only = on()?,
            ("volume-nocopy", _) => volume.no_copy = on()?,
            ("bind-nonrecursive", _) => bind.non_recursive = on()?,
            (_, None) => {
                return Err(wrong(
                    text,
                    &["invalid field '", &field, "' must be a key=value pair"],
                ));
            }
            ("type", Some(value)) => mount.kind = value.to_ascii_lowercase(),
            ("source" | "src", Some(value)) => mount.source = value.to_string(),
            ("target" | "dst" | "destination", Some(value)) => mount.target = value.to_string(),
            ("bind-propagation", Some(value)) => bind.propagation = value.to_ascii_lowercase(),
            ("bind-recursive", Some("enabled" | "writable" | "readonly")) => (),
            ("bind-recursive", Some("disabled")) => bind.non_recursive = true,
            ("consistency", Some(_)) => (),
            ("volume-driver", Some(value)) => driver.name = value.to_string(),
            ("volume-label", Some(value)) => {
                let (name, value) = value.split_once('=').unwrap_or((value, ""));
                volume.labels.insert(name.to_string(), value.to_string());
            }
            ("volume-opt", Some(value)) => {
                let (name, value) = value.split_once('=').unwrap_or((value, ""));
                driver.options.insert(name.to_string(), value.to_string());
            }
            ("tmpfs-size", Some(value)) => {
                tmpfs.size = size::parse(value)
                    .map_err(|_| wrong(text, &["invalid value for tmpfs-size: ", value]))?
                    as i64;
            }
            ("tmpfs-mode", Some(value)) => {
                tmpfs.mode = i64::from_str_radix(value, 8)
                    .map_err(|_| wrong(text, &["invalid value for tmpfs-mode: ", value]))?;
            }
            _ => return Err(wrong(text, &["unexpected key '", &key, "' in '", &field, "'"])),
        }
    }
    if mount.kind.is_empty() {
        return Err(wrong(text, &["type is required"]));
    }
    if mount.target.is_empty() {
        return Err(wrong(text, &["target is required"]));
    }
    for (given, kind) in given.into_iter().zip(["bind", "volume", "tmpfs"]) {
        if given && mount.kind != kind {
            let why = ["cannot mix '", kind, "-*' options with mount type '", &mount.kind, "'"];
            return Err(wrong(text, &why));
        }
    }
    if driver != VolumeDriver::default() {
        volume.driver = Some(driver);
    }
    mount.bind = (bind != BindOptions::default()).then_some(bind);
    mount.volume = (volume != VolumeOptions::default()).then_some(volume);
    mount.tmpfs = (tmpfs != TmpfsOptions::default()).then_some(tmpfs);
    Ok(mount)
}

/// Comma-separated values with docker's quotes: `"volume-opt=o=a,b"` is one field.
fn fields(text: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match (letter, fields.last_mut()) {
            ('"', Some(field)) if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            ('"', _) => quoted = !quoted,
            (',', _) if !quoted => fields.push(String::new()),
            (letter, Some(field)) => field.push(letter),
            (_, None) => (),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_long_form() {
        let mount =
            parse("type=bind,source=/a,target=/b,readonly,bind-propagation=rslave").unwrap();
        assert_eq!((mount.source.as_str(), mount.target.as_str()), ("/a", "/b"));
        assert!(mount.read_only && mount.bind.unwrap().propagation == "rslave");
        let mount = parse("src=v,dst=/b,\"volume-opt=o=a,b\",volume-opt=type=nfs").unwrap();
        let driver = mount.volume.unwrap().driver.unwrap();
        assert_eq!(driver.options.get("o").map(String::as_str), Some("a,b"));
        let mount = parse("type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1770").unwrap();
        let tmpfs = mount.tmpfs.unwrap();
        assert_eq!((tmpfs.size, tmpfs.mode), (1 << 20, 0o1770));
        for (text, want) in [
            ("type=bind,source=/a", "target is required"),
            ("target=/a,x=y", "unexpected key 'x'"),
            ("target=/a,source", "must be a key=value pair"),
            ("type=bind,target=/a,tmpfs-size=1m", "cannot mix 'tmpfs-*' options"),
            ("target=/a,readonly=maybe", "invalid value for readonly"),
            ("type=tmpfs,target=/a,tmpfs-mode=9", "invalid value for tmpfs-mode"),
        ] {
            let error = parse(text).expect_err(want);
            assert!(error.message().contains(want), "{}", error.message());
        }
    }
}
