//! Values that are kept as text: [`Raw`], the members that a struct does not name ([`Rest`]), and
//! Go's empty struct.

use super::{FromJson, Reader, Slot, ToJson, Writer, bad};
use crate::Result;

/// Any value, kept as its text. Empty text stands for `null`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Raw(String);

impl Raw {
    /// The text of a value that is written here.
    pub fn of(value: &dyn ToJson) -> Self {
        Self(super::to_string(value))
    }

    /// The text; `null` when there is none.
    #[must_use]
    pub fn text(&self) -> &str {
        if self.0.is_empty() { "null" } else { &self.0 }
    }

    /// Reads the text as a type.
    pub fn parse<T: FromJson>(&self) -> Result<T> {
        super::parse(self.text().as_bytes())
    }
}

impl Slot for Raw {
    fn fill(&mut self, r: &mut Reader<'_>) -> Result<()> {
        self.0 = r.text_of_value()?.to_owned();
        Ok(())
    }
}

impl ToJson for Raw {
    fn to_json(&self, w: &mut Writer) {
        w.raw(self.text());
    }
    fn is_empty(&self) -> bool {
        matches!(self.0.as_str(), "" | "null" | "{}" | "[]")
    }
}

/// Go's `struct{}`: always `{}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Empty;

impl Slot for Empty {
    fn fill(&mut self, r: &mut Reader<'_>) -> Result<()> {
        r.skip()
    }
}

impl ToJson for Empty {
    fn to_json(&self, w: &mut Writer) {
        w.raw("{}");
    }
}

/// Members that the struct does not name, kept in their order and written back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rest(Vec<(String, Raw)>);

impl Rest {
    /// The value of a member.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Raw> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, raw)| raw)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self, name: &str, r: &mut Reader<'_>) -> Result<()> {
        // The look for a twin is quadratic, so the number is limited; no honest record comes near.
        if self.0.len() >= 1024 {
            return Err(bad("too many members"));
        }
        if self.get(name).is_some() {
            return Err(bad("key occurs twice"));
        }
        let mut raw = Raw::default();
        raw.fill(r)?;
        self.0.push((name.to_owned(), raw));
        Ok(())
    }

    pub(super) fn write(&self, w: &mut Writer) {
        for (name, raw) in &self.0 {
            w.member(name);
            w.raw(raw.text());
        }
    }
}
