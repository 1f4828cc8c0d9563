//! Images that are made to break out.

use super::{Done, World, busybox_tar, feed, nasty};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tar::EntryType;

/// An image `bad` that is `bb` with these members over it: kind, path, content or link's target.
pub fn image(world: &World, members: &[(EntryType, &str, &[u8])]) {
    let done = feed(&mut world.command(&["import", "-", "bad"]), &layer(members));
    assert_eq!(done.code, 0, "{done:?}");
}

/// A folder of the host's that no image may reach, also as text.
pub fn outside(world: &World) -> (PathBuf, String) {
    let folder = world.folder.join("outside");
    std::fs::create_dir_all(&folder).expect("mkdir");
    let path = folder.to_string_lossy().into_owned();
    (folder, path)
}

/// Its layer.
pub fn layer(members: &[(EntryType, &str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut tar = tar::Builder::new(&mut bytes);
    let busybox = busybox_tar();
    let mut archive = tar::Archive::new(busybox.as_slice());
    for entry in archive.entries().expect("entries") {
        let mut entry = entry.expect("entry");
        let path = entry.path().expect("path").to_string_lossy().into_owned();
        if members.iter().any(|(_, name, _)| path.trim_end_matches('/') == *name) {
            continue;
        }
        let mut header = entry.header().clone();
        let mut data = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut data).expect("read");
        match header.link_name().expect("link").map(|link| link.into_owned()) {
            Some(link) => tar.append_link(&mut header, &path, link).expect("tar"),
            None => tar.append_data(&mut header, &path, data.as_slice()).expect("tar"),
        }
    }
    for (kind, path, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o755);
        if *kind == EntryType::Symlink {
            header.set_size(0);
            let target = String::from_utf8_lossy(content).into_owned();
            tar.append_link(&mut header, path, target).expect("tar");
        } else {
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, path, *content).expect("tar");
        }
    }
    tar.finish().expect("tar");
    drop(tar);
    bytes
}

/// The same with a configuration: what the image says of itself.
pub fn saying(world: &World, config: serde_json::Value, members: &[(EntryType, &str, &[u8])]) {
    let mut files = nasty::docker(&[layer(members)]);
    for (name, data) in files.iter_mut().filter(|(name, _)| name.ends_with(".json")) {
        let mut json: serde_json::Value = serde_json::from_slice(data).expect("JSON");
        match name.as_str() {
            "config.json" => json["config"] = config.clone(),
            _ => json[0]["RepoTags"] = serde_json::json!(["bad"]),
        }
        *data = json.to_string().into_bytes();
    }
    let done = feed(&mut world.command(&["load"]), &nasty::archive(&files));
    assert_eq!(done.code, 0, "{done:?}");
}

/// `run --rm bad` with flags and a command, which must end soon. That it hangs is the caller's failure.
#[track_caller]
pub fn run(world: &World, flags: &[&str], command: &[&str]) -> Done {
    let words = [&["run", "--rm", "--net", "none"], flags, &["bad"], command].concat();
    let plain = world.command(&words);
    let mut limited = Command::new("timeout");
    limited.args(["-s", "KILL", "20"]).arg(plain.get_program()).args(plain.get_args());
    super::same_environment(&plain, &mut limited);
    let done: Done = limited.stdin(Stdio::null()).output().expect("timeout").into();
    // timeout(1) ends as what it has killed.
    assert!(![137, -9].contains(&done.code), "it hangs: {words:?}");
    done
}
