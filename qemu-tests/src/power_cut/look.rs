//! Looks at the image store of one state: `imgstore fsck --deep` must find nothing, the names that were
//! acknowledged are there, or those of the step that was under way; a file that was baked is that of the last
//! step or the one before, whole: never half. Then a load must succeed, and after `gc` nothing may be left
//! that nobody needs.
//!
//! It is done on the host or inside a machine, by the same program.

use super::story::Story;
use base::{Error, OnError, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// `imgstore`, and what a state is compared with.
pub struct Tool<'a> {
    /// `coracle`.
    pub binary: &'a Path,
    /// Its folder in RAM.
    pub run: PathBuf,
    /// The tests' image, as `docker save` makes it.
    pub archive: PathBuf,
    /// What each baking step of a story gives, by its number.
    pub baked: Vec<(usize, Vec<u8>)>,
}

impl<'a> Tool<'a> {
    /// Before anything was baked.
    #[must_use]
    pub fn new(binary: &'a Path, run: PathBuf, archive: PathBuf) -> Tool<'a> {
        Tool { binary, run, archive, baked: Vec::new() }
    }

    fn say(&self, root: &Path, words: &[&str]) -> std::result::Result<String, String> {
        let mut command = Command::new(self.binary);
        command.arg("imgstore").arg("--root").arg(root).arg("--run").arg(&self.run).args(words);
        let out = command.output().map_err(|error| format!("imgstore: {error}"))?;
        let text = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).trim().to_string();
        if out.status.success() { Ok(text) } else { Err(format!("{}: {text}", words.join(" "))) }
    }

    /// Bakes here what the story bakes: the same images give the same bytes.
    pub fn bake(&mut self, story: &Story, folder: &Path) -> Result<()> {
        let (root, file) = (folder.join("root"), folder.join("baked"));
        let archive = self.archive.display().to_string();
        let out = file.display().to_string();
        let say = |words: &[&str]| self.say(&root, words).map_err(Error::other);
        say(&["load", "-q", &archive])?;
        say(&["tag", "probe", "one:1"])?;
        let mut baked = Vec::new();
        for (number, image) in story.baking() {
            say(&["bake", image, "-o", &out])?;
            baked.push((number, std::fs::read(&file).on_path("read", &file)?));
        }
        self.baked = baked;
        std::fs::remove_dir_all(folder).on_path("remove", folder)
    }

    /// Whether the baked file is what the last step acknowledged made, or the next one.
    fn look_at_baked(&self, root: &Path, step: usize) -> std::result::Result<(), String> {
        let file = root.join("base.tar");
        let found = match std::fs::read(&file) {
            Ok(found) => Some(found),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(format!("{}: {error}", file.display())),
        };
        // Promise N is made when all steps below N are done; then comes step N.
        let before = self.baked.iter().rfind(|(number, _)| *number < step);
        let under_way = self.baked.iter().find(|(number, _)| *number == step);
        let is = |wanted: Option<&(usize, Vec<u8>)>| found.as_ref() == wanted.map(|(_, tar)| tar);
        if is(before) || under_way.is_some() && is(under_way) {
            return Ok(());
        }
        let size = found.map(|tar| tar.len());
        Err(format!("after step {step} the baked file is another one: {size:?} bytes"))
    }

    /// Looks at one state.
    pub fn look(
        &self,
        story: &Story,
        root: &Path,
        promised: Option<u64>,
    ) -> std::result::Result<(), String> {
        let step = promised.unwrap_or(0) as usize;
        if root.join("format").exists() {
            self.say(root, &["fsck", "--deep"])?;
            let text = self.say(root, &["images"])?;
            let mut names: Vec<String> = Vec::new();
            for line in text.lines().skip(1) {
                let mut words = line.split_whitespace();
                let (name, tag) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
                if name != "<none>" {
                    names.push(format!("{name}:{tag}"));
                }
            }
            names.sort();
            let fits = |step: usize| story.names.get(step).is_some_and(|wanted| names == *wanted);
            if !fits(step) && !fits(step + 1) {
                return Err(format!("after step {step} there are {names:?}"));
            }
        } else if step > 0 {
            return Err(format!("after step {step} there is no store"));
        }
        if story.baking().next().is_some() {
            self.look_at_baked(root, step)?;
        }
        let archive = self.archive.display().to_string();
        self.say(root, &["load", "-q", &archive])?;
        self.say(root, &["gc"])?;
        self.say(root, &["fsck", "--deep"])?;
        let usage = self.say(root, &["df"])?;
        let layers = usage.lines().find(|line| line.starts_with("Layers")).unwrap_or("");
        if !layers.ends_with(" 0B") {
            return Err(format!("space is lost: {layers}"));
        }
        for name in ["layers", "work"] {
            for entry in std::fs::read_dir(root.join(name)).into_iter().flatten().flatten() {
                if name == "work" || !entry.path().join("record").exists() {
                    return Err(format!("left behind: {}", entry.path().display()));
                }
            }
        }
        Ok(())
    }
}
