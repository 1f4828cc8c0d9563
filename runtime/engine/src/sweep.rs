//! What the last boot left in the root folder, put away before the first container of this boot is made:
//! folders that were never finished or never quite removed, names, holds. And what a power cut took
//! although its container is there: names and holds are not synced, for both can be made again from the
//! record.

use crate::{Engine, claim};
use base::digest::Digest;
use base::{OnError, Result};

/// Makes the root folder the run folder's own; the first time in a boot it is swept.
pub(crate) fn claim(engine: &Engine) -> Result<()> {
    claim::claim(engine.folders(), || {
        engine.containers().sweep()?;
        claim::sweep(engine.folders());
        holds(engine)
    })
}

/// Each container holds its image, and nobody else holds one. A hold comes before its container: this is
/// for when nobody makes one.
fn holds(engine: &Engine) -> Result<()> {
    let folder = engine.folders().root.join("holds");
    let mut there: Vec<String> = Vec::new();
    match std::fs::read_dir(&folder) {
        Ok(entries) => {
            let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
            there.extend(names);
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => (),
        Err(error) => return Err(error).on_path("read", &folder),
    }
    for container in engine.containers().list()?.iter().filter(|one| !one.is_temporary()) {
        let image = Digest::parse(&container.record.image)?;
        let name = [&image.hex(), ".", container.id()].concat();
        if let Some(own) = there.iter().position(|other| *other == name) {
            there.swap_remove(own);
            continue;
        }
        if let Err(error) = engine.store()?.hold(&image, container.id(), imgstore::Keep::Root) {
            base::log::warn(error.message());
        }
    }
    for name in there {
        let parts = name.split_once('.').map(|(image, id)| (Digest::from_hex(image), id));
        if let Some((Ok(image), id)) = parts {
            engine.store()?.release(&image, id)?;
        }
    }
    Ok(())
}
