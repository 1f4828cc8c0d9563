//! `fsck`: whether the store is what it should be.
//!
//! Without more it looks at the structure: every name, image and layer has its documents, these say
//! what their names say, and what one needs of another is there. With `deep`, every byte of every layer
//! is read ([`crate::layer::verify`]). What is broken is marked: its `record` is renamed to `broken`, so
//! that nothing finds it any more, and so are the images that need it. A load or a pull that brings
//! the same content replaces it, and what needed it is whole again.

mod bases;

use crate::bases::{IMAGES, LAYERS};
use crate::image::{ImageRecord, LayerRecord, read_record, record_is_whole};
use crate::layer::file_digest;
use crate::layer::verify::verify;
use crate::reference::Reference;
use crate::store::Store;
use base::digest::Digest;
use base::files::{self, Lock};
use base::map::Map;
use base::text::id;
use base::{Error, Kind, OnError, Result, paths};
use std::path::Path;

/// The name of a record that is no longer one.
pub(crate) const BROKEN: &str = "broken";

/// How `fsck` goes about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fsck {
    /// Contents too.
    pub deep: bool,
    /// What is broken is removed.
    pub repair: bool,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// One line: what, and where.
    pub text: String,
    /// It was removed.
    pub repaired: bool,
}

/// The outcome of `fsck`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Everything that was found.
    pub problems: Vec<Problem>,
    /// How many images and layers were looked at.
    pub images: usize,
    /// Layers.
    pub layers: usize,
}

struct Run<'a> {
    store: &'a Store,
    how: Fsck,
    found: Checked,
    /// Layers that are whole, by the name of their folder.
    whole: Map<String, ()>,
}

impl Store {
    /// Looks for what is broken, marks it, and removes it if that is wanted.
    pub fn fsck(&self, how: Fsck) -> Result<Checked> {
        let (found, whole) = (Checked::default(), Map::new());
        let mut run = Run { store: self, how, found, whole };
        run.base_layers()?;
        for name in folders(&self.folder("layers"))? {
            run.layer(&name)?;
        }
        run.base_images()?;
        for name in folders(&self.folder("images"))? {
            run.image(&name)?;
        }
        for name in folders(&self.folder("names"))? {
            run.name(&name)?;
        }
        run.base_names()?;
        Ok(run.found)
    }

    /// The record of an image, also of one that is broken.
    pub(crate) fn any_record(&self, id: &Digest) -> Result<ImageRecord> {
        match self.record(id) {
            Err(e) if e.kind() == Kind::NotFound => self.own_record(id),
            other => other,
        }
    }

    /// The same, in the writable store alone.
    pub(crate) fn own_record(&self, id: &Digest) -> Result<ImageRecord> {
        let folder = self.folder("images").join(id.hex());
        match read_record(&folder.join("record")) {
            Err(e) if e.kind() == Kind::NotFound => read_record(&folder.join(BROKEN)),
            other => other,
        }
    }

    /// Makes images whole again that wait for layers which have just come.
    pub(crate) fn heal(&self) -> Result<()> {
        let images = self.folder("images");
        let has = |layer: &String| self.has(LAYERS, layer).unwrap_or(false);
        self.heal_hidden(&has)?;
        let mut healed = false;
        for name in folders(&images)? {
            let folder = images.join(&name);
            if !files::exists(&folder.join(BROKEN)) || files::exists(&folder.join("record")) {
                continue;
            }
            if image_problem(&folder, &name, BROKEN, &has)?.is_none() {
                paths::rename(&folder.join(BROKEN), &folder.join("record"))
                    .on_path("write", &folder)?;
                healed = true;
            }
        }
        if healed { files::sync_folder(&images) } else { Ok(()) }
    }
}

/// Everything in a folder that is not being written.
pub(crate) fn folders(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).on_path("read", folder)? {
        let name = entry.on_path("read", folder)?.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    files::read_capped(path, 4 << 20)
}

/// What an error says of what was read: but nothing if the system only lacked something for a moment.
fn damage(e: Error) -> Result<String> {
    match e.kind() {
        Kind::Moment => Err(e),
        _ => Ok(e.message().to_owned()),
    }
}

/// Why an image's folder is not that of a whole image.
pub(crate) fn image_problem(
    folder: &Path,
    name: &str,
    record: &str,
    has: &dyn Fn(&String) -> bool,
) -> Result<Option<String>> {
    let wrong = |what: &str| Ok(Some(what.to_owned()));
    let path = folder.join(record);
    let record: ImageRecord = match read_record(&path) {
        Ok(record) => record,
        Err(e) => return damage(e).map(Some),
    };
    if !record_is_whole(&path)? {
        return wrong("its record was changed");
    }
    if record.id.hex() != name {
        return wrong("its record is another image's");
    }
    match read(&folder.join("config")) {
        Ok(text) if Digest::of(&text) == record.id => {}
        Ok(_) => return wrong("its configuration was changed"),
        Err(e) => return damage(e).map(Some),
    }
    if record.manifest != Digest::default() {
        match read(&folder.join("manifest")) {
            Ok(text) if Digest::of(&text) == record.manifest => {}
            Ok(_) => return wrong("its manifest was changed"),
            Err(e) => return damage(e).map(Some),
        }
    }
    for layer in record.stack().iter().chain(&record.layers) {
        if !has(layer) {
            return wrong(&format!("layer {} is missing or broken", id::short(layer)));
        }
    }
    Ok(None)
}

impl Run<'_> {
    fn tell(&mut self, text: String, repaired: bool) {
        self.found.problems.push(Problem { text, repaired });
    }

    fn layer(&mut self, name: &str) -> Result<()> {
        let folder = self.store.folder("layers").join(name);
        if !id::is_full(name) {
            self.tell(format!("{}: does not belong there", folder.display()), false);
            return Ok(());
        }
        let shared = match Lock::shared(&folder) {
            Ok(lock) => lock,
            Err(e) if e.kind() == Kind::NotFound => return Ok(()),
            // Not a folder: what needs it finds it missing.
            Err(e) if std::fs::symlink_metadata(&folder).is_ok_and(|file| !file.is_dir()) => {
                self.tell(e.message().to_owned(), false);
                return Ok(());
            }
            Err(e) => return Err(e),
        };
        // Half removed, or marked before: not there for anybody.
        if !files::is_there(&folder.join("record"))? {
            let marked = files::is_there(&folder.join(BROKEN))?;
            drop(shared);
            if marked {
                let gone = !self.is_in_use(name)? && self.remove(&folder)?;
                self.tell(format!("layer {name}: broken"), gone);
            }
            return Ok(());
        }
        self.found.layers += 1;
        let mut problems = self.problems(&folder, name)?;
        if !problems.is_empty() {
            // A disk may fail to read something once: a second look.
            problems = self.problems(&folder, name)?;
        }
        drop(shared);
        if problems.is_empty() {
            self.whole.insert(name.to_owned(), ());
            return Ok(());
        }
        self.mark(&folder)?;
        let gone = !self.is_in_use(name)? && self.remove(&folder)?;
        for problem in problems {
            self.tell(format!("layer {name}: {problem}"), gone);
        }
        Ok(())
    }

    /// What is wrong with a layer.
    fn problems(&self, folder: &Path, name: &str) -> Result<Vec<String>> {
        let mut problems = structure(folder, name)?;
        if problems.is_empty() && self.how.deep {
            let record: LayerRecord = read_record(&folder.join("record"))?;
            problems = verify(folder, &record.diff, self.store.style())?;
            let listed = record.files;
            if listed != Digest::default() && file_digest(&folder.join("files"))? != listed {
                problems.push("files: its content differs".to_owned());
            }
            let blob = folder.join("blob");
            if files::exists(&blob) && file_digest(&blob)? != record.blob {
                problems.push("blob: its content differs".to_owned());
            }
        }
        Ok(problems)
    }

    fn image(&mut self, name: &str) -> Result<()> {
        let folder = self.store.folder("images").join(name);
        if !id::is_full(name) {
            self.tell(format!("{}: does not belong there", folder.display()), false);
            return Ok(());
        }
        let there = |file: &str| files::is_there(&folder.join(file));
        let record = if there("record")? { "record" } else { BROKEN };
        if !there(record)? {
            return Ok(());
        }
        self.found.images += 1;
        let has = |layer: &String| self.whole.contains_key(layer);
        let mut problem = image_problem(&folder, name, record, &has)?;
        if problem.is_some() {
            problem = image_problem(&folder, name, record, &has)?;
        }
        let Some(problem) = problem else {
            // Marked, and whole again: what it needs has come.
            if record == BROKEN {
                let _store = Lock::shared(&self.store.root)?;
                self.store.forget_index()?;
                self.store.heal()?;
            }
            return Ok(());
        };
        if record == "record" {
            self.mark(&folder)?;
        }
        // It may be a copy of what is broken.
        self.store.drop_merged(name)?;
        // One that only lacks layers waits for them: its configuration need not come again.
        let waits = problem.starts_with("layer ");
        let gone = if waits { self.how.repair } else { self.remove(&folder)? };
        self.tell(format!("image {name}: {problem}"), gone);
        Ok(())
    }

    fn name(&mut self, name: &str) -> Result<()> {
        let path = self.store.folder("names").join(name);
        let problem = match (Reference::from_file_name(name), self.store.name_file(name)) {
            (None, _) => "not a name".to_owned(),
            (_, Err(e)) if e.kind() == Kind::BadInput => e.message().to_owned(),
            (_, Err(e)) => return Err(e),
            (_, Ok(Some(id))) => {
                let folder = self.store.folder("images").join(id.hex());
                if self.store.has(IMAGES, &id.hex())? || files::is_there(&folder.join(BROKEN))? {
                    return Ok(());
                }
                format!("its image {} is not there", id.hex())
            }
            (_, Ok(None)) => return Ok(()),
        };
        let gone = self.how.repair;
        if gone {
            let _alone = Lock::exclusive(&self.store.root)?;
            self.store.forget_index()?;
            files::remove_tree(&path)?;
            files::sync_folder(&self.store.folder("names"))?;
        }
        self.tell(format!("name {}: {problem}", name.replace('+', "/")), gone);
        Ok(())
    }

    /// From now on nobody finds it. On a medium that cannot be written it is only told.
    fn mark(&self, folder: &Path) -> Result<()> {
        let _alone = match Lock::exclusive(&self.store.root) {
            Err(e) if e.kind() == Kind::ReadOnly => return Ok(()),
            other => other?,
        };
        self.store.forget_index()?;
        match paths::rename(&folder.join("record"), &folder.join(BROKEN)) {
            Ok(()) => files::sync_folder(folder),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::ROFS) => Ok(()),
            Err(e) => Err(e).on_path("mark as broken", folder),
        }
    }

    /// Whether a container stands on this layer: then even its broken tree is of use.
    fn is_in_use(&self, layer: &str) -> Result<bool> {
        let layer = layer.to_owned();
        let needs = |hex: &String| {
            let record = Digest::from_hex(hex).and_then(|id| self.store.any_record(&id));
            record.is_ok_and(|record| record.stack().contains(&layer))
        };
        Ok(self.store.held_images()?.keys().any(needs))
    }

    /// Removes it if that is wanted and nobody uses it; says whether.
    fn remove(&self, folder: &Path) -> Result<bool> {
        if !self.how.repair {
            return Ok(false);
        }
        let _alone = Lock::exclusive(&self.store.root)?;
        self.store.forget_index()?;
        match Lock::try_exclusive(folder) {
            Ok(Some(_held)) => files::remove_tree(folder).map(|()| true),
            Ok(None) => Ok(false),
            Err(e) if e.kind() == Kind::NotFound => Ok(true),
            Err(e) => Err(e),
        }
    }
}

/// What is wrong with a layer at first sight.
fn structure(folder: &Path, name: &str) -> Result<Vec<String>> {
    let path = folder.join("record");
    let record: LayerRecord = match read_record(&path) {
        Ok(record) => record,
        Err(e) => return Ok(vec![damage(e)?]),
    };
    let one = |problem: &str| Ok(vec![problem.to_owned()]);
    if !record_is_whole(&path)? {
        return one("its record was changed");
    }
    let own = if record.chain == Digest::default() { record.diff } else { record.chain };
    if own.hex() != name {
        return one("its record is another layer's");
    }
    let whole = |file: &str| {
        let path = folder.join(file);
        let folder = file == "tree";
        match std::fs::symlink_metadata(&path).on_path("open", &path) {
            Ok(found) if folder && found.is_dir() => Ok(None),
            Ok(found) if found.is_file() && (found.len() > 0 || file == "files") => Ok(None),
            Ok(_) => Ok(Some(format!("{}: empty", path.display()))),
            Err(e) if folder && e.kind() == Kind::NotFound => {
                Ok(Some("its tree is not there".into()))
            }
            Err(e) => damage(e).map(Some),
        }
    };
    let found = ["tree", "files", "headers"].map(whole);
    let mut problems = Vec::new();
    for problem in found {
        problems.extend(problem?);
    }
    Ok(problems)
}
