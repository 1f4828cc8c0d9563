//! What is looked at after a boot: the promises of the design's table of states, one by one.

use super::kills::counts;
use crate::guest::runner::{PATIENCE, run, wait_until};
use crate::reboots::model::{Model, NOTHING, shown};
use crate::reboots::step::KEPT;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const ROOT: &str = "/var/lib/coracle";
const RUN: &str = "/run/coracle";
/// The tests' own image.
const PROBE: &str = "probe:latest";

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    /// How many promises were looked at.
    pub(super) count: usize,
    /// Those that were broken.
    pub(super) broken: Vec<String>,
    /// The containers that run.
    pub(super) running: BTreeSet<String>,
}

impl Found {
    fn promise(&mut self, is_kept: bool, text: impl FnOnce() -> String) {
        self.count += 1;
        if !is_kept {
            self.broken.push(text());
        }
    }
}

/// A container as `ps` shows it.
struct Shown {
    state: String,
    id: String,
}

/// A command's output, or what it said instead.
fn coracle(words: &[&str]) -> Result<String, String> {
    let all: Vec<String> =
        std::iter::once(&"coracle").chain(words).map(ToString::to_string).collect();
    let done = run(&all, false)?;
    match done.code {
        0 => Ok(done.output),
        code => Err(format!("{}: exit code {code}: {}", words.join(" "), done.errors.trim())),
    }
}

/// Looks at everything.
pub(super) fn at(model: &Model) -> Found {
    let mut found = Found::default();
    let shown = containers(model, &mut found);
    for (name, one) in &shown {
        if one.state == "running" {
            found.running.insert(name.clone());
        }
    }
    for (name, one) in &shown {
        by_name(name, &one.id, &mut found);
        if let Some(place) = model.containers.get(name) {
            let file = file_of(name);
            found.promise(place.kept.contains(&file), || {
                format!("{name} has {file:?} in its file, not {:?}", place.kept)
            });
        }
    }
    volumes(model, &mut found);
    images(model, &mut found);
    let clean = coracle(&["imgstore", "fsck", "--deep"]);
    found.promise(clean.is_ok(), || clean.err().unwrap_or_default());
    let mut last = Vec::new();
    let _ = wait_until(PATIENCE, || {
        last = leftovers(&shown);
        if last.is_empty() { Ok(()) } else { Err(String::new()) }
    });
    found.promise(last.is_empty(), || format!("left behind: {}", last.join(", ")));
    found
}

fn containers(model: &Model, found: &mut Found) -> BTreeMap<String, Shown> {
    let format = "{{.Names}} {{.State}} {{.ID}}";
    let text = match coracle(&["ps", "-a", "--no-trunc", "--format", format]) {
        Ok(text) => text,
        Err(error) => {
            found.broken.push(error);
            return BTreeMap::new();
        }
    };
    let mut rows: BTreeMap<String, Shown> = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split(' ').map(str::to_string);
        let mut word = || words.next().unwrap_or_default();
        let (name, state, id) = (word(), word(), word());
        if rows.insert(name.clone(), Shown { state, id }).is_some() {
            found.broken.push(format!("two containers are called {name}"));
        }
    }
    for (name, place) in &model.containers {
        let row = rows.get(name).map(|row| row.state.as_str());
        found.promise(place.states.iter().any(|state| shown(state) == row), || {
            format!("{name} is {row:?}, not one of {:?}", place.states)
        });
        if row.is_some() {
            let format = "{{.HostConfig.RestartPolicy.Name}}";
            let policy = coracle(&["inspect", "--format", format, name]).unwrap_or_default();
            let policy = policy.trim();
            let fits = place.states.iter().flatten().any(|(_, wanted)| wanted == policy);
            found.promise(fits, || format!("{name} has the policy {policy:?}: {:?}", place.states));
        }
    }
    for (name, row) in rows.iter().filter(|(name, _)| !model.containers.contains_key(*name)) {
        found.broken.push(format!("nobody kept {name}, and it is {}", row.state));
    }
    for (one, two) in &model.either {
        found.promise(rows.contains_key(one) || rows.contains_key(two), || {
            format!("renamed from {one} to {two}, and neither is there")
        });
    }
    rows
}

/// It is found by its name, and nobody else gets that.
fn by_name(name: &str, id: &str, found: &mut Found) {
    let by_name = coracle(&["inspect", "--format", "{{.Id}}", name]);
    let fits = by_name.as_ref().is_ok_and(|text| text.trim() == id);
    found.promise(fits, || format!("inspect {name} gives {by_name:?}, not {id}"));
    let taken = coracle(&["create", "--net", "none", "--name", name, "probe", "exit", "0"]);
    let refused = taken.as_ref().is_err_and(|text| text.contains("already in use"));
    found.promise(refused, || format!("another container called {name}: {taken:?}"));
}

/// The text in a container's own file.
fn file_of(name: &str) -> String {
    let to = "/tmp/kept";
    let _ = std::fs::remove_file(to);
    match coracle(&["cp", &format!("{name}:/srv/{KEPT}"), to]) {
        Ok(_) => std::fs::read_to_string(to).unwrap_or_else(|error| error.to_string()),
        // docker's words for what is not there.
        Err(error) if error.contains("Could not find the file") => NOTHING.to_string(),
        Err(error) => error,
    }
}

fn volumes(model: &Model, found: &mut Found) {
    let list = coracle(&["volume", "ls", "-q"]);
    found.promise(list.is_ok(), || list.clone().err().unwrap_or_default());
    let list = list.unwrap_or_default();
    for (name, place) in &model.volumes {
        let there = list.lines().any(|line| line == name);
        found.promise(place.states.contains(&there), || {
            format!("volume {name} there: {there}, not {:?}", place.states)
        });
        if there {
            let path = format!("{ROOT}/volumes/{name}/_data/{KEPT}");
            let text = match std::fs::read_to_string(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => NOTHING.to_string(),
                text => text.unwrap_or_else(|error| error.to_string()),
            };
            found.promise(place.kept.contains(&text), || {
                format!("volume {name} has {text:?} in its file, not {:?}", place.kept)
            });
        }
    }
    for name in list.lines().filter(|name| !model.volumes.contains_key(*name)) {
        found.broken.push(format!("nobody kept the volume {name}"));
    }
}

fn images(model: &Model, found: &mut Found) {
    let list = image_names();
    found.promise(list.is_ok(), || list.clone().err().unwrap_or_default());
    let list = list.unwrap_or_default();
    for (name, states) in &model.images {
        let there = list.contains(name);
        found.promise(states.contains(&there), || {
            format!("image {name} there: {there}, not {states:?}")
        });
    }
    let others = |name: &&String| !model.images.contains_key(*name) && *name != PROBE;
    for name in list.iter().filter(others) {
        found.broken.push(format!("nobody named the image {name}"));
    }
}

/// All names of images; one that lost its name to another has none.
pub(super) fn image_names() -> Result<Vec<String>, String> {
    let text = coracle(&["images"])?;
    let name = |line: &str| {
        let mut words = line.split_whitespace();
        let (name, tag) = (words.next()?, words.next()?);
        (name != "<none>").then(|| format!("{name}:{tag}"))
    };
    Ok(text.lines().skip(1).filter_map(name).collect())
}

fn names(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// What belongs to nobody.
fn leftovers(shown: &BTreeMap<String, Shown>) -> Vec<String> {
    let ids: BTreeSet<&str> = shown.values().map(|row| row.id.as_str()).collect();
    let running: BTreeSet<&str> =
        shown.values().filter(|row| row.state == "running").map(|row| row.id.as_str()).collect();
    let mut left = Vec::new();
    let mut check = |folder: &str, fits: &dyn Fn(&str) -> bool| {
        let others = names(folder).into_iter().filter(|name| !fits(name));
        left.extend(others.map(|name| format!("{folder}/{name}")));
    };
    check(&format!("{ROOT}/containers"), &|name| ids.contains(name));
    check(&format!("{RUN}/containers"), &|name| ids.contains(name));
    check(&format!("{ROOT}/uppers"), &|name| ids.contains(name));
    check(&format!("{ROOT}/container-names"), &|name| shown.contains_key(name));
    check(&format!("{RUN}/container-names"), &|_| false);
    check(&format!("{ROOT}/volumes"), &|name| !name.starts_with('.'));
    check(ROOT, &|name| !name.starts_with('.'));
    for folder in [ROOT, RUN] {
        check(&format!("{folder}/holds"), &|name| {
            name.split_once('.').is_some_and(|(_, id)| ids.contains(id))
        });
    }
    let groups = "/sys/fs/cgroup/coracle";
    check(groups, &|name| running.contains(name) || !Path::new(groups).join(name).is_dir());
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    let ours = places
        .filter(|place| place.contains("coracle") && *place != ROOT)
        .filter(|place| !place.starts_with("/run/coracle/exe/"));
    left.extend(ours.map(|place| format!("mount {place}")));
    let (monitors, workers) = counts();
    if monitors != running.len() || workers > 0 {
        left.push(format!("{monitors} monitors of {} and {workers} workers", running.len()));
    }
    left
}

/// After everything was removed.
pub(super) fn nothing_is_left() -> Vec<String> {
    let mut left = Vec::new();
    let _ = wait_until(PATIENCE, || {
        left = leftovers(&BTreeMap::new());
        for folder in ["layers", "work", "images", "names"] {
            let more = names(&format!("{ROOT}/{folder}"));
            left.extend(more.into_iter().map(|name| format!("{folder}/{name}")));
        }
        if left.is_empty() { Ok(()) } else { Err(String::new()) }
    });
    left
}
