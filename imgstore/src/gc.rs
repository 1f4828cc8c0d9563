//! `gc` and `df`: what nobody needs goes, and how much there is of everything.
//!
//! A layer stays as long as an image lists it, whole or broken, or somebody holds its lock: a load or a
//! pull on its way. Layers that a cut pull left are kept until here, so that the next one needs less.

use crate::bases::{IMAGES, LAYERS};
use crate::fsck::{BROKEN, folders};
use crate::image::{ImageRecord, LayerRecord, read_record};
use crate::reference::Reference;
use crate::store::{Store, sweep};
use base::digest::Digest;
use base::files::{self, Lock};
use base::map::Map;
use base::{Kind, Result, paths};
use std::path::PathBuf;

/// What `gc` removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Layers, by the name of their folder.
    pub layers: Vec<String>,
    /// Half images, names and holds of images that are gone, half-written files.
    pub others: usize,
    /// Bytes of the files of these layers.
    pub bytes: u64,
}

/// How much there is of everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Images.
    pub images: u64,
    /// Images that a container holds.
    pub held: u64,
    /// Layers.
    pub layers: u64,
    /// Bytes of all files of all layers, each layer once.
    pub bytes: u64,
    /// Bytes of layers that no held image needs.
    pub reclaimable: u64,
    /// Bytes of layers that no image needs: what `gc` would free.
    pub garbage: u64,
}

impl Store {
    /// Removes what nobody needs.
    pub fn gc(&self) -> Result<Collected> {
        sweep(&self.folder("work"))?;
        let mut done = Collected::default();
        let _alone = Lock::exclusive(&self.root)?;
        self.forget_index()?;
        let mut needed = Map::new();
        let images = self.folder("images");
        for name in folders(&images)? {
            let folder = images.join(&name);
            match Digest::from_hex(&name).and_then(|id| self.own_record(&id)) {
                Ok(record) => needed.extend(record.stack().iter().map(|layer| (layer.clone(), ()))),
                Err(e) if e.kind() == Kind::NotFound => {
                    files::remove_tree(&folder)?;
                    done.others += 1;
                }
                // What cannot be read may need anything.
                Err(e) => return Err(e.context("gc")),
            }
        }
        self.needed_by_bases(&mut needed).map_err(|e| e.context("gc"))?;
        let layers = self.folder("layers");
        for name in folders(&layers)?.into_iter().filter(|name| !needed.contains_key(name)) {
            let folder = layers.join(&name);
            let Ok(Some(_held)) = Lock::try_exclusive(&folder) else {
                continue;
            };
            done.bytes += self.layer_size(&name);
            let _ = paths::unlink(&folder.join("record"));
            files::remove_tree(&folder)?;
            done.layers.push(name);
        }
        let gone = |id: &Digest| -> Result<bool> {
            let broken = images.join(id.hex()).join(BROKEN);
            Ok(!self.has(IMAGES, &id.hex())? && !files::is_there(&broken)?)
        };
        for image in self.merged_images()? {
            if Digest::from_hex(&image).is_ok_and(|id| gone(&id).unwrap_or(false)) {
                self.drop_merged(&image)?;
                done.others += 1;
            }
        }
        for folder in [self.folder("names"), self.folder("holds"), self.run.join("holds")] {
            let Ok(entries) = std::fs::read_dir(&folder) else {
                continue;
            };
            for entry in entries.flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let dead = if name.starts_with('.') {
                    // Whoever writes names holds the store's lock.
                    folder.ends_with("names")
                } else if folder.ends_with("names") {
                    match (Reference::from_file_name(&name), self.name_file(&name)) {
                        (Some(_), Ok(Some(id))) => gone(&id)?,
                        _ => false,
                    }
                } else {
                    match Digest::from_hex(name.split('.').next().unwrap_or_default()) {
                        Ok(id) => gone(&id)?,
                        Err(_) => false,
                    }
                };
                if dead {
                    files::remove_tree(&entry.path())?;
                    done.others += 1;
                }
            }
        }
        Ok(done)
    }

    fn layer_size(&self, name: &str) -> u64 {
        let record = |folder: PathBuf| read_record(&folder.join("record"));
        self.place(LAYERS, name).and_then(record).map_or(0, |record: LayerRecord| record.size)
    }

    /// Bytes of each image, by its id, that are in layers of other images, too.
    pub fn shared_sizes(&self) -> Result<Map<String, u64>> {
        let records = self.records()?;
        let mut users: Map<String, u32> = Map::new();
        for record in &records {
            for layer in record.stack() {
                *users.get_or_default(layer.clone()) += 1;
            }
        }
        let shared = |layer: &&String| users.get(*layer).is_some_and(|&users| users > 1);
        let size = |record: &ImageRecord| {
            record.stack().iter().filter(shared).map(|layer| self.layer_size(layer)).sum()
        };
        Ok(records.iter().map(|record| (record.id.to_string(), size(record))).collect())
    }

    /// How much there is of everything.
    pub fn usage(&self) -> Result<Usage> {
        let mut usage = Usage::default();
        // Whether an image needs the layer, and whether one that is held does.
        let mut needed: Map<String, bool> = Map::new();
        let holds = self.held_images()?;
        for record in self.records()? {
            let held = holds.contains_key(&record.id.hex());
            usage.images += 1;
            usage.held += u64::from(held);
            for layer in record.stack() {
                *needed.get_or_default(layer.clone()) |= held;
            }
        }
        for name in folders(&self.folder("layers"))? {
            let size = self.layer_size(&name);
            usage.layers += 1;
            usage.bytes += size;
            match needed.get(&name) {
                Some(true) => {}
                Some(false) => usage.reclaimable += size,
                None => {
                    usage.reclaimable += size;
                    usage.garbage += size;
                }
            }
        }
        Ok(usage)
    }
}
