//! Base stores are only looked at. What is damaged there is hidden in the writable store, so that a
//! load or a pull brings it there.

use super::{Run, image_problem};
use crate::bases::{IMAGES, LAYERS, NAMES};
use crate::graph::{list_names, read_name};
use crate::reference::Reference;
use base::text::id;
use base::{Kind, Result};
use std::path::Path;

impl Run<'_> {
    /// The layers of all base stores.
    pub(super) fn base_layers(&mut self) -> Result<()> {
        for root in self.store.base_stores() {
            for name in list_names(&root.join(LAYERS))? {
                if !id::is_full(&name) || self.store.is_hidden(LAYERS, &name)? {
                    continue;
                }
                self.found.layers += 1;
                let problems = self.problems(&root.join(LAYERS).join(&name), &name)?;
                if problems.is_empty() {
                    self.whole.insert(name, ());
                    continue;
                }
                self.hide(LAYERS, &name)?;
                for problem in problems {
                    self.tell_base(root, &format!("layer {name}: {problem}"));
                }
            }
        }
        Ok(())
    }

    /// Their images, once it is known which layers are whole.
    pub(super) fn base_images(&mut self) -> Result<()> {
        for root in self.store.base_stores() {
            for name in list_names(&root.join(IMAGES))? {
                if !id::is_full(&name) || self.store.is_hidden(IMAGES, &name)? {
                    continue;
                }
                self.found.images += 1;
                let has = |layer: &String| self.whole.contains_key(layer);
                let folder = root.join(IMAGES).join(&name);
                if let Some(problem) = image_problem(&folder, &name, "record", &has)? {
                    self.hide(IMAGES, &name)?;
                    self.tell_base(root, &format!("image {name}: {problem}"));
                }
            }
        }
        Ok(())
    }

    /// Their names. One that leads nowhere is hidden as `rmi` would hide it.
    pub(super) fn base_names(&mut self) -> Result<()> {
        for root in self.store.base_stores() {
            for name in list_names(&root.join(NAMES))? {
                if self.store.is_hidden(NAMES, &name)? {
                    continue;
                }
                let problem = match (
                    Reference::from_file_name(&name),
                    read_name(&root.join(NAMES).join(&name)),
                ) {
                    (None, _) => "not a name".to_owned(),
                    (_, Err(e)) if e.kind() == Kind::BadInput => e.message().to_owned(),
                    (_, Err(e)) => return Err(e),
                    (_, Ok(Some(id))) if !root.join(IMAGES).join(id.hex()).is_dir() => {
                        format!("its image {} is not there", id.hex())
                    }
                    (_, Ok(_)) => continue,
                };
                self.hide(NAMES, &name)?;
                self.tell_base(root, &format!("name {}: {problem}", name.replace('+', "/")));
            }
        }
        Ok(())
    }

    fn hide(&self, kind: &str, name: &str) -> Result<()> {
        match self.store.hide_broken(kind, name) {
            // Where nothing can be written it is only told.
            Err(e) if e.kind() == Kind::ReadOnly => Ok(()),
            other => other,
        }
    }

    fn tell_base(&mut self, root: &Path, text: &str) {
        let repaired = self.how.repair;
        self.tell(format!("base store {}: {text}", root.display()), repaired);
    }
}
