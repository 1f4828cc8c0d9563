//! `--format`: the part of Go's templates that people use, on the text of a JSON document.
//!
//! `{{.A.B}}`, `{{json .A}}`, `{{len .A}}`, `{{join .A ","}}`, `{{index .A "key"}}`, `{{upper .A}}`,
//! `{{lower .A}}`. No loops, no conditions. A field that is not there is an error, as with docker.

use base::json::{self, Reader};
use base::map::Map;
use base::text::table::Table;
use base::{Error, Result};

/// A document of these fields.
pub(crate) fn document<const N: usize>(fields: [(&str, String); N]) -> String {
    let fields: Map<String, String> =
        fields.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
    json::to_string(&fields)
}

/// The text of a list of documents: a line for each; with `table ` before the template, columns with
/// a head.
pub(crate) fn list(documents: Vec<String>, format: &str) -> Result<String> {
    let format = format.replace("\\t", "\t").replace("\\n", "\n");
    let (table, format) = match format.strip_prefix("table ") {
        Some(format) => (true, format),
        None => (false, if format == "json" { "{{json .}}" } else { &format }),
    };
    let template = Template::parse(format)?;
    let rows: Result<Vec<String>> =
        documents.iter().map(|document| template.apply(document)).collect();
    let rows = rows?;
    if !table {
        return Ok(rows.iter().map(|row| [row, "\n"].concat()).collect());
    }
    let titles: Vec<String> =
        template.names().iter().map(|name| name.to_ascii_uppercase()).collect();
    let mut table = Table::new(&titles.iter().map(String::as_str).collect::<Vec<_>>());
    for row in rows {
        table.row(row.split('\t').map(str::to_string).collect());
    }
    Ok(table.text())
}

/// A template, read.
pub(crate) struct Template(Vec<Piece>);

enum Piece {
    Text(String),
    Action { function: Function, path: Vec<String>, argument: String },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Function {
    Print,
    Json,
    Length,
    Join,
    Index,
    Upper,
    Lower,
}

const FUNCTIONS: [(&str, Function); 6] = [
    ("json", Function::Json),
    ("len", Function::Length),
    ("join", Function::Join),
    ("index", Function::Index),
    ("upper", Function::Upper),
    ("lower", Function::Lower),
];

fn wrong(action: &str, why: &str) -> Error {
    Error::bad_input(["template parsing error: {{", action, "}}: ", why].concat())
}

impl Template {
    pub(crate) fn parse(text: &str) -> Result<Template> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            pieces.push(Piece::Text(before.to_string()));
            let (inside, behind) =
                after.split_once("}}").ok_or_else(|| wrong(after, "it is not closed"))?;
            pieces.push(action(inside.trim_matches('-').trim())?);
            rest = behind;
        }
        pieces.push(Piece::Text(rest.to_string()));
        Ok(Template(pieces))
    }

    /// The paths' last names, for a table's head.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for piece in &self.0 {
            if let Piece::Action { path, .. } = piece {
                names.extend(path.last().map(String::as_str));
            }
        }
        names
    }

    /// The text for one document.
    pub(crate) fn apply(&self, document: &str) -> Result<String> {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Action { function, path, argument } => {
                    let value = find(document, path)?;
                    out.push_str(&act(*function, value, argument)?);
                }
            }
        }
        Ok(out)
    }
}

fn action(text: &str) -> Result<Piece> {
    let words = words(text);
    let known = words.first().and_then(|first| FUNCTIONS.iter().find(|(name, _)| name == first));
    let (function, operands) = match known {
        Some((_, function)) => (*function, &words[1..]),
        None => (Function::Print, &words[..]),
    };
    let path = match operands.first().and_then(|path| path.strip_prefix('.')) {
        Some("") => Vec::new(),
        Some(path) => path.split('.').map(str::to_string).collect(),
        None => {
            return Err(wrong(text, "only fields, json, len, join, index, upper, lower are known"));
        }
    };
    let takes = usize::from(matches!(function, Function::Join | Function::Index));
    if operands.len() != 1 + takes || path.iter().any(String::is_empty) {
        return Err(wrong(text, "it makes no sense"));
    }
    let argument = operands.get(1).cloned().unwrap_or_default();
    Ok(Piece::Action { function, path, argument })
}

/// Words, those in quotes without them.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let quoted = rest.strip_prefix('"').and_then(|inside| inside.split_once('"'));
        let (word, behind) = match quoted {
            Some(split) => split,
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word.to_string());
        rest = behind.trim_start();
    }
    words
}

/// The text of the value at a path.
fn find<'a>(document: &'a str, path: &[String]) -> Result<&'a str> {
    let mut value = document;
    for name in path {
        let mut found = None;
        let mut reader = Reader::new(value.as_bytes());
        if reader.peek() == b'{' {
            reader.members(&mut |reader, member| {
                if member == name {
                    found = Some(reader.text_of_value()?);
                    return Ok(());
                }
                reader.skip()
            })?;
        }
        value = found.ok_or_else(|| wrong(&[".", &path.join(".")].concat(), "no such field"))?;
    }
    Ok(value)
}

fn elements(value: &str) -> Result<Vec<&str>> {
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
fn members(value: &str) -> Result<Map<String, &str>> {
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

fn act(function: Function, value: &str, argument: &str) -> Result<String> {
    Ok(match function {
        Function::Json => value.to_string(),
        Function::Print => print(value)?,
        Function::Upper => print(value)?.to_ascii_uppercase(),
        Function::Lower => print(value)?.to_ascii_lowercase(),
        Function::Length => match value.as_bytes().first() {
            Some(b'"') => print(value)?.len(),
            Some(b'{') => members(value)?.len(),
            _ => elements(value)?.len(),
        }
        .to_string(),
        Function::Join => {
            let parts: Result<Vec<String>> = elements(value)?.into_iter().map(print).collect();
            parts?.join(argument)
        }
        Function::Index => {
            let found = match argument.parse::<usize>() {
                Ok(number) if value.starts_with('[') => elements(value)?.get(number).copied(),
                _ => members(value)?.get(argument).copied(),
            };
            found.map_or(Ok(String::new()), print)?
        }
    })
}

/// A value as Go prints it.
fn print(value: &str) -> Result<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"{"Id":"ab","State":{"Running":true,"Pid":7},"Names":["x","y z"],
        "Labels":{"b":"2","a.b":"1"},"None":null}"#;

    #[test]
    fn the_used_part_of_gos_templates() {
        for (template, want) in [
            ("plain", "plain"),
            ("{{.Id}}:{{ .State.Pid }}", "ab:7"),
            ("{{.State.Running}}", "true"),
            ("{{.Names}} {{.State}}", "[x y z] map[Pid:7 Running:true]"),
            ("{{json .Names}}", r#"["x","y z"]"#),
            ("{{len .Names}}{{len .Labels}}{{len .Id}}", "222"),
            ("{{join .Names \", \"}}", "x, y z"),
            ("{{index .Labels \"a.b\"}}{{index .Names 1}}", "1y z"),
            ("{{upper .Id}}{{.None}}", "AB<no value>"),
        ] {
            let got = Template::parse(template).and_then(|t| t.apply(DOCUMENT)).expect(template);
            assert_eq!(got, want, "{template}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for template in ["{{", "{{.Id", "{{range .Names}}", "{{join .Names}}", "{{.A..B}}", "{{}}"]
        {
            assert!(Template::parse(template).is_err(), "{template}");
        }
        let template = Template::parse("{{.State.Nope}}").expect("template");
        let error = template.apply(DOCUMENT).expect_err("no field");
        assert!(error.message().contains(".State.Nope}}: no such field"), "{error:?}");
    }
}
