//! `--format`: Go's templates, as far as people use them, on the text of a JSON document.
//!
//! [`template`] reads them, [`evaluate`] gives their text, [`value`] knows JSON. Fields (`.A.B`), variables,
//! `if`, `else if`, `range`, `with`, `:=`, pipes, and the functions `json len join split index upper lower
//! title truncate print println printf eq ne lt le gt ge and or not`. A field that is not there is an
//! error, as with docker. Upper and lower case are those of ASCII: the tables of all others would be 22 kB.

mod evaluate;
mod number;
mod template;
mod value;

pub(crate) use template::Template;

use base::Result;
use base::json;
use base::map::Map;
use base::text::table::Table;

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

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"{"Id":"ab","State":{"Running":true,"Pid":7},"Names":["x","y z"],
        "Labels":{"b":"2","a.b":"1"},"None":null,
        "Mounts":[{"Source":"/a","RW":true},{"Source":"/b","RW":false}],"Empty":[]}"#;

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
            ("{{index .Mounts 0 \"Source\"}}", "/a"),
            ("{{(index .Mounts 1).Source}}", "/b"),
            ("{{upper .Id}}{{.None}}", "AB<no value>"),
            ("{{.Id | upper | printf \"<%s>\"}}", "<AB>"),
            ("{{printf \"%s=%d %v %q%%\" .Id .State.Pid .Names .Id}}", "ab=7 [x y z] \"ab\"%"),
            ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
            ("{{if .Empty}}a{{else if eq .Id \"ab\" \"c\"}}b{{else}}c{{end}}", "b"),
            ("{{if and .Id (not .Empty) (gt .State.Pid 6)}}yes{{end}}", "yes"),
            ("{{if or .Empty .None (ne .Id \"ab\")}}yes{{else}}no{{end}}", "no"),
            ("{{range .Mounts}}{{.Source}} {{end}}", "/a /b "),
            ("{{range $i, $m := .Mounts}}{{$i}}{{$m.RW}}{{$.Id}};{{end}}", "0trueab;1falseab;"),
            ("{{range $k, $v := .Labels}}{{$k}}={{$v}},{{end}}", "a.b=1,b=2,"),
            ("{{range .Empty}}x{{else}}none{{end}}", "none"),
            ("{{with .State}}{{.Pid}}{{end}}{{with .Empty}}x{{end}}", "7"),
            ("{{$x := .Id}}{{$x}}{{println $x}}", "abab\n"),
            ("a {{- .Id -}} b", "aabb"),
            ("{{/* nothing */}}{{split \"a:b\" \":\"}}{{title .Id}}{{truncate .Id 1}}", "[a b]Aba"),
        ] {
            let got = Template::parse(template).and_then(|t| t.apply(DOCUMENT)).expect(template);
            assert_eq!(got, want, "{template}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for template in [
            "{{",
            "{{.Id",
            "{{range .Names}}",
            "{{end}}",
            "{{else}}",
            "{{.A..B}}",
            "{{}}",
            "{{nope .Id}}",
            "{{if}}a{{end}}",
            "{{(.Id}}",
            "{{.Id)}}",
            "{{\"open}}",
            "{{if .Id}}a{{else}}b{{else}}c{{end}}",
        ] {
            assert!(Template::parse(template).is_err(), "{template}");
        }
        let deep = "{{if .Id}}".repeat(100) + &"{{end}}".repeat(100);
        assert!(Template::parse(&deep).is_err());
        let deep = ["{{", &"(".repeat(100), ".Id", &")".repeat(100), "}}"].concat();
        assert!(Template::parse(&deep).is_err());
        for (template, want) in [
            ("{{.State.Nope}}", ".State.Nope}}: no such field"),
            ("{{$y}}", "undefined variable"),
            ("{{join .Names}}", "wrong number of arguments"),
            ("{{index .Names 7}}", "out of range"),
        ] {
            let template = Template::parse(template).expect(template);
            let error = template.apply(DOCUMENT).expect_err(want);
            assert!(error.message().contains(want), "{error:?}");
        }
    }
}
