//! What `fuzz/` feeds of the store: the pure functions that meet the bytes of archives first. None may panic,
//! and what is accepted must mean the same however it comes. Those of registries are in
//! [`registry::fuzzing`](crate::registry::fuzzing).

use crate::archive::documents::{self, Saved};
use crate::image::ImageDocument;
use crate::layer::entry::Entry;
use crate::layer::headers::Part;
use crate::layer::parser::{Parser, Sink};
use crate::layer::{filelist, pax};
use base::digest::Digest;
use base::json::{self, FromJson, ToJson};
use base::{Error, Result};

/// What a tar was taken for.
#[derive(Default, PartialEq, Debug)]
struct Seen {
    entries: Vec<(Entry, u64)>,
    bytes: u64,
}

impl Sink for Seen {
    fn frame(&mut self, _: Part, bytes: &[u8]) -> Result<()> {
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn entry(&mut self, entry: Entry) -> Result<()> {
        self.entries.push((entry, 0));
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes += bytes.len() as u64;
        let (_, length) = self.entries.last_mut().ok_or_else(|| Error::other("no entry"))?;
        *length += bytes.len() as u64;
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        let (entry, length) = self.entries.last().ok_or_else(|| Error::other("no entry"))?;
        assert_eq!(entry.size, *length, "content of another length than its header says");
        Ok(())
    }
}

fn seen(bytes: &[u8], piece: usize) -> Result<Seen> {
    let (mut parser, mut seen) = (Parser::new(), Seen::default());
    for piece in bytes.chunks(piece) {
        parser.feed(piece, &mut seen)?;
    }
    parser.finish(false)?;
    Ok(seen)
}

/// A layer's tar: the same in one piece and in small ones, and every byte told once.
pub fn tar(bytes: &[u8]) {
    let whole = seen(bytes, bytes.len().max(1));
    let pieces = seen(bytes, 97);
    assert_eq!(whole.is_ok(), pieces.is_ok());
    if let (Ok(whole), Ok(pieces)) = (whole, pieces) {
        assert_eq!(whole.bytes, bytes.len() as u64);
        assert_eq!(whole, pieces);
    }
}

/// The records of an extended header; the first byte says whether it is for all entries.
pub fn pax(bytes: &[u8]) {
    if let Some((global, text)) = bytes.split_first() {
        let _ = pax::parse(text, global % 2 == 1);
    }
}

/// What was read and written once stays as it is. Not at the first time: an empty object may be left out.
fn round<T: FromJson + ToJson>(bytes: &[u8]) {
    if let Ok(value) = json::parse::<T>(bytes) {
        let text = json::to_string(&value);
        // A cap on depth or length may lie between the two forms.
        let again = json::parse::<T>(text.as_bytes()).ok().map(|value| json::to_string(&value));
        assert!(again.as_ref() == Some(&text) || text.len() > bytes.len(), "{text}");
    }
}

/// The configuration of an image.
pub fn config(bytes: &[u8]) {
    round::<ImageDocument>(bytes);
}

/// docker's `manifest.json`, and the index of a layout.
pub fn index(bytes: &[u8]) {
    round::<Vec<Saved>>(bytes);
    if let Ok(document) = documents::parse(bytes, "") {
        let list: Vec<_> = document.manifests.iter().flatten().collect();
        let chosen = documents::choose(&list);
        assert!(chosen.is_none_or(|chosen| list.contains(&chosen)));
    }
}

/// Digests.
pub fn digest(bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    if let Ok(digest) = Digest::parse(text) {
        assert_eq!(digest.to_string(), text);
    }
}

/// A line of a layer's list of files, which lies on a disk that may rot.
pub fn files(bytes: &[u8]) {
    filelist::judge(bytes);
}

#[cfg(test)]
pub(crate) mod tests {
    /// What is fuzzed: its name, which is that of its seeds' folder, and the function.
    pub(crate) type Target = (&'static str, fn(&[u8]));

    /// Feeds each seed, and its beginnings: all of them, or of a long one some five hundred.
    pub(crate) fn replay(targets: &[Target]) {
        for (name, target) in targets {
            let folder = format!("{}/../fuzz/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
            let mut count = 0;
            for entry in std::fs::read_dir(&folder).unwrap() {
                let seed = std::fs::read(entry.unwrap().path()).unwrap();
                let step = if seed.len() < 4096 { 1 } else { seed.len() / 500 + 1 };
                (0..=seed.len()).step_by(step).for_each(|end| target(&seed[..end]));
                target(&seed);
                count += 1;
            }
            assert!(count > 0, "{folder} is empty");
        }
    }

    #[test]
    fn the_corpus_is_judged() {
        replay(&[
            ("tar", super::tar),
            ("pax", super::pax),
            ("config", super::config),
            ("index", super::index),
            ("digest", super::digest),
            ("files", super::files),
        ]);
    }
}
