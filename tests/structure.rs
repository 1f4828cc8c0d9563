//! The shape of the house, read from `cargo metadata` and the sources: who imports whom, where
//! `unsafe` may be, under which licences the dependencies are, and that each hostile test has its weakened
//! build.

#![allow(clippy::expect_used, clippy::panic)]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn metadata(more: &[&str]) -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(more)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo metadata");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn list<'a>(value: &'a Value, key: &str) -> &'a Vec<Value> {
    value[key].as_array().expect(key)
}

#[test]
fn the_arrows_are_those_of_the_design() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("base-sys", &[][..]),
        ("base", &["base-sys"][..]),
        ("base-http", &["base"][..]),
        ("imgstore", &["base", "base-http"][..]),
        ("libcontainer", &["base", "base-sys"][..]),
        ("client", &["base", "base-http"][..]),
        ("engine", &["base", "base-http", "base-sys", "imgstore", "libcontainer"][..]),
        ("qemu-tests", &["base"][..]),
        ("support", &["base"][..]),
        ("coracle", &["base", "client", "engine", "imgstore", "libcontainer", "support"][..]),
    ]);
    let metadata = metadata(&["--no-deps"]);
    let packages = list(&metadata, "packages");
    assert_eq!(packages.len(), allowed.len(), "a new crate needs its row here");
    for package in packages {
        let name = package["name"].as_str().expect("name");
        let may = allowed.get(name).unwrap_or_else(|| panic!("{name} needs its row here"));
        for dependency in list(package, "dependencies") {
            let other = dependency["name"].as_str().expect("name");
            let ours = allowed.contains_key(other);
            assert!(!ours || may.contains(&other), "{name} may not use {other}");
            let shipped = dependency["kind"].is_null();
            assert!(!shipped || other != "support", "{name} ships what is for tests");
        }
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("read").flatten() {
        let path = entry.path();
        let skipped = ["target", "dist", ".git"].iter().any(|name| path.ends_with(name));
        if path.is_dir() && !skipped {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn unsafe_code_is_in_base_sys_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    sources(root, &mut found);
    assert!(found.len() > 50, "the sources were not found");
    let (word, attribute) = (["un", "safe"].concat(), "unsafe_code");
    for path in &found {
        let text = std::fs::read_to_string(path).expect("read");
        let name = path.strip_prefix(root).expect("prefix");
        let mut reason = false;
        for (number, line) in text.lines().enumerate() {
            let code = line.trim();
            if code.starts_with("//") {
                reason |= code.contains("SAFETY:");
                continue;
            }
            let is_unsafe = code
                .replace(attribute, "")
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .any(|token| token == word)
                && !code.contains('"');
            let place = format!("{}:{}", name.display(), number + 1);
            assert!(!is_unsafe || name.starts_with("base/sys"), "{place}: {code}");
            // One reason may cover a statement of a few lines.
            assert!(!is_unsafe || reason, "{place}: no SAFETY line above");
            reason &= !code.ends_with(';') && !code.ends_with('}') || is_unsafe;
        }
    }
    for package in list(&metadata(&["--no-deps"]), "packages") {
        let name = package["name"].as_str().expect("name");
        for target in list(package, "targets") {
            let kind = target["kind"][0].as_str().expect("kind");
            if name == "base-sys" || !["lib", "bin"].contains(&kind) {
                continue;
            }
            let path = target["src_path"].as_str().expect("path");
            let text = std::fs::read_to_string(path).expect("read");
            assert!(text.contains("#![forbid(unsafe_code)]"), "{path} does not forbid it");
        }
    }
}

#[test]
fn licences_are_permissive() {
    const GOOD: [&str; 10] = [
        "Apache-2.0",
        "MIT",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "Zlib",
        "0BSD",
        "Unlicense",
        "Unicode-3.0",
        "CC0-1.0",
    ];
    let metadata = metadata(&[]);
    let packages = list(&metadata, "packages");
    assert!(packages.len() > 10);
    for package in packages {
        let name = &package["name"];
        let licence = package["license"].as_str().unwrap_or_else(|| panic!("{name}: no licence"));
        // One of the alternatives, each part of it.
        let good = licence.replace('/', " OR ").split(" OR ").any(|choice| {
            choice.trim_matches(['(', ')', ' ']).split(" AND ").all(|part| {
                GOOD.iter().any(|good| part.trim_matches(['(', ')', ' ']).starts_with(good))
            })
        });
        assert!(good, "{name}: {licence}");
    }
}

/// `PROGRAM NAME` of each test in these programs.
fn tests(folder: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder).expect("read").flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let Some(program) = file.strip_suffix(".rs") else { continue };
        let text = std::fs::read_to_string(entry.path()).expect("read");
        for (marker, line) in text.lines().zip(text.lines().skip(1)) {
            let name = line.strip_prefix("fn ").and_then(|rest| rest.split_once('('));
            if let ("#[test]", Some((name, _))) = (marker, name) {
                names.insert(format!("{program} {name}"));
            }
        }
    }
    names
}

#[test]
fn hostile_tests_have_their_weakened_builds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut named = BTreeSet::new();
    for entry in std::fs::read_dir(folder.join("weakened")).expect("read").flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let before = match file.as_str() {
            "none" => "",
            name if name.ends_with(".diff") => "test: ",
            _ => continue,
        };
        let text = std::fs::read_to_string(entry.path()).expect("read");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let lines = lines.filter_map(|line| line.strip_prefix(before)?.split_once(": "));
        let found = named.len();
        named.extend(lines.map(|(test, _)| test.to_string()));
        assert!(named.len() > found || !before.is_empty(), "{file} names nothing");
    }
    let tests = tests(&folder);
    let gone: Vec<_> = named.iter().filter(|name| !tests.contains(*name)).collect();
    assert!(gone.is_empty(), "tests/weakened names what is no test: {gone:?}");
    let lacking: Vec<_> =
        tests.iter().filter(|name| name.starts_with("escape") && !named.contains(*name)).collect();
    assert!(
        lacking.is_empty(),
        "without a weakened build, and not in tests/weakened/none: {lacking:?}"
    );
}
