//! JSON as templates see it. A value is its text.

use super::number::Number;
use base::Result;
use base::json::{self, Reader};
use base::map::Map;

/// The text of a member; None when there is no such member.
pub(super) fn member(value: &str, name: &str) -> Result<Option<String>> {
    let mut found = None;
    let mut reader = Reader::new(value.as_bytes());
    if reader.peek() == b'{' {
        reader.members(&mut |reader, member| {
            if member == name {
                found = Some(reader.text_of_value()?.to_string());
                return Ok(());
            }
            reader.skip()
        })?;
    }
    Ok(found)
}

pub(super) fn elements(value: &str) -> Result<Vec<&str>> {
    let mut found = Vec::new();
    let mut reader = Reader::new(value.as_bytes());
    if reader.peek() == b'[' {
        reader.array(&mut |reader| {
            found.push(reader.text_of_value()?);
            Ok(())
        })?;
    }
    Ok(found)
}

/// Sorted by name, as Go prints maps.
pub(super) fn members(value: &str) -> Result<Map<String, &str>> {
    let mut found = Map::default();
    let mut reader = Reader::new(value.as_bytes());
    if reader.peek() == b'{' {
        reader.members(&mut |reader, member| {
            found.insert(member.to_string(), reader.text_of_value()?);
            Ok(())
        })?;
    }
    Ok(found)
}

/// A text as a value.
pub(super) fn of_text(text: &str) -> String {
    json::to_string(&text.to_string())
}

/// Go's notion of truth: nothing that is empty or zero.
pub(super) fn is_true(value: &str) -> bool {
    match value.trim() {
        "" | "null" | "false" | "\"\"" | "0" => false,
        text if text.starts_with(['[', '{']) => !text[1..].trim_start().starts_with([']', '}']),
        text => !Number::parse(text).is_some_and(|number| number.is_zero()),
    }
}

/// How many elements, members or bytes it has.
pub(super) fn length(value: &str) -> Result<usize> {
    Ok(match value.as_bytes().first() {
        Some(b'"') => print(value)?.len(),
        Some(b'{') => members(value)?.len(),
        _ => elements(value)?.len(),
    })
}

/// A value as Go prints it.
pub(super) fn print(value: &str) -> Result<String> {
    Ok(match value.as_bytes().first() {
        Some(b'"') => json::parse(value.as_bytes())?,
        Some(b'[') => {
            let parts: Result<Vec<String>> = elements(value)?.into_iter().map(print).collect();
            ["[", &parts?.join(" "), "]"].concat()
        }
        Some(b'{') => {
            let one = |(name, value): (String, &str)| Ok([&name, ":", &*print(value)?].concat());
            let parts: Result<Vec<String>> = members(value)?.into_iter().map(one).collect();
            ["map[", &parts?.join(" "), "]"].concat()
        }
        Some(b'n') => "<no value>".to_string(),
        _ => value.to_string(),
    })
}
