//! The names of a layer, each with the number of its node.
//!
//! By folder, so that the sorted lists stay short and a new name moves little.

use crate::layer::path::{is_below, split};
use base::map::Map;

/// All but the root's.
#[derive(Default)]
pub(super) struct Names(Map<Vec<u8>, Map<Vec<u8>, usize>>);

impl Names {
    /// The node of this path.
    pub(super) fn get(&self, path: &[u8]) -> Option<usize> {
        let (folder, name) = split(path);
        self.0.get(folder)?.get(name).copied()
    }

    /// The path is that of this node from now on.
    pub(super) fn insert(&mut self, path: &[u8], number: usize) {
        let (folder, name) = split(path);
        self.0.get_or_default(folder.to_vec()).insert(name.to_vec(), number);
    }

    /// Takes a path away; gives its node.
    pub(super) fn remove(&mut self, path: &[u8]) -> Option<usize> {
        let number = self.get(path)?;
        let (folder, name) = split(path);
        self.0.get_or_default(folder.to_vec()).remove(name);
        Some(number)
    }

    /// Takes what is below a folder away; gives the nodes.
    pub(super) fn remove_below(&mut self, path: &[u8]) -> Vec<usize> {
        let mut gone = Vec::new();
        self.0.retain(|folder, names| {
            let goes = is_below(folder, path);
            if goes {
                gone.extend(names.values());
            }
            !goes
        });
        gone
    }

    /// Paths and nodes, folder by folder.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Vec<u8>, usize)> {
        self.0.iter().flat_map(|(folder, names)| {
            names.iter().map(move |(name, number)| {
                let slash = if folder.is_empty() { &b""[..] } else { b"/" };
                ([folder, slash, name].concat(), *number)
            })
        })
    }
}
