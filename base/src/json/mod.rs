//! JSON by a pull reader straight into structs, and a writer.
//!
//! There is no tree: a hostile document of 4 MB cannot become 400 MB. Members that a struct does
//! not name are skipped without allocation. `null` means the default everywhere. Nesting is
//! limited to [`DEPTH`]. A key that occurs twice is refused wherever its value would be kept
//! (structs, maps, the rest). Errors say where: `HostConfig.Memory at offset 41: expected number`.
//!
//! Structs come from [`json_object!`](crate::json_object): a table of names and the places of the
//! fields, so that a type costs little code.

mod fields;
mod raw;
mod reader;
mod types;
mod writer;

pub use fields::{Member, Object, Slot};
pub use raw::{Empty, Raw, Rest};
pub use reader::{DEPTH, Reader};
pub use writer::Writer;

use crate::{Error, Result};

/// A type that can be read from JSON, into its default: nothing is moved from place to place.
pub trait FromJson: Slot + Default {}

impl<T: Slot + Default> FromJson for T {}

/// A type that can be written as JSON.
pub trait ToJson {
    /// Writes the value.
    fn to_json(&self, w: &mut Writer);
    /// Whether a member marked `?` is left out of the text.
    fn is_empty(&self) -> bool {
        false
    }
}

/// Reads one document; nothing but white space may follow it.
pub fn parse<T: FromJson>(text: &[u8]) -> Result<T> {
    let mut value = T::default();
    fill(text, &mut value)?;
    Ok(value)
}

fn fill(text: &[u8], value: &mut dyn Slot) -> Result<()> {
    let mut reader = Reader::new(text);
    value.fill(&mut reader).and_then(|()| reader.end()).map_err(|e| reader.locate(&e))
}

/// The text of a value.
pub fn to_string(value: &dyn ToJson) -> String {
    let mut w = Writer::new();
    value.to_json(&mut w);
    w.finish()
}

pub(crate) fn bad(message: &str) -> Error {
    Error::bad_input(message)
}

#[cfg(test)]
mod tests;
