//! `-e` and `--env-file`: NAME=VALUE lines, and names whose value this process has.
//!
//! docker's rules. In a file: white space before a line is dropped, `#` begins a comment, empty
//! lines are nothing, a name alone takes its value from here or is dropped, a value is kept as it
//! stands, quotes included. On the command line a name alone that is not set here is sent as it
//! is: it takes the variable away.

use base::{Error, OnError, Result};
use std::path::Path;

/// The most that a file may hold.
const CAP: u64 = 1024 * 1024;

/// Looks a variable up.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// This process's environment.
pub(crate) fn ours(name: &str) -> Option<String> {
    // A name with `=` or NUL would panic in std; the callers let no `=` through.
    if name.is_empty() || name.contains(['=', '\0']) { None } else { std::env::var(name).ok() }
}

/// What is wrong with a value of `-e`.
pub(crate) fn check(text: &str) -> std::result::Result<(), String> {
    match text.is_empty() || text.starts_with('=') {
        true => Err(["invalid environment variable: ", text].concat()),
        false => Ok(()),
    }
}

/// One value of `-e`.
pub(crate) fn given(text: &str, lookup: Lookup<'_>) -> String {
    match text.contains('=') {
        true => text.to_string(),
        false => match lookup(text) {
            Some(value) => [text, "=", &value].concat(),
            None => text.to_string(),
        },
    }
}

/// The lines of a file.
pub(crate) fn read(path: &str) -> Result<String> {
    let mut bytes = Vec::new();
    let mut file = std::fs::File::open(path).on_path("open", Path::new(path))?;
    base::read::at_most(&mut file, CAP + 1, &mut bytes).on_path("read", Path::new(path))?;
    if bytes.len() as u64 > CAP {
        return Err(Error::bad_input(["read ", path, ": larger than 1 MiB"].concat()));
    }
    String::from_utf8(bytes)
        .map_err(|_| Error::bad_input(["invalid env file (", path, "): it is not UTF-8"].concat()))
}

/// Appends what a file says.
pub(crate) fn parse(
    path: &str,
    text: &str,
    lookup: Lookup<'_>,
    out: &mut Vec<String>,
) -> Result<()> {
    let wrong = |what: &[&str]| {
        Error::bad_input(["invalid env file (", path, "): "].concat() + &what.concat())
    };
    for line in text.strip_prefix('\u{feff}').unwrap_or(text).lines() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let name = line.split('=').next().unwrap_or(line);
        if name.is_empty() {
            return Err(wrong(&["no variable name on line '", line, "'"]));
        }
        if name.contains([' ', '\t']) {
            return Err(wrong(&["variable '", name, "' contains whitespaces"]));
        }
        match line.len() > name.len() {
            true => out.push(line.to_string()),
            false => out.extend(lookup(name).map(|value| [name, "=", &value].concat())),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_flags() {
        let lookup = |name: &str| (name == "HOME").then(|| "/home/x".to_string());
        let mut out = Vec::new();
        let text = "\u{feff}A=1\n\n  # no\n  B= \"two\" \r\nHOME\nNOT_SET\nC=\nD=a=b\n";
        parse("f", text, &lookup, &mut out).unwrap();
        assert_eq!(out, ["A=1", "B= \"two\" ", "HOME=/home/x", "C=", "D=a=b"]);
        for (text, why) in [
            ("a b=1", "invalid env file (f): variable 'a b' contains whitespaces"),
            ("=1", "invalid env file (f): no variable name on line '=1'"),
        ] {
            assert_eq!(parse("f", text, &lookup, &mut Vec::new()).unwrap_err().message(), why);
        }
        assert_eq!(given("HOME", &lookup), "HOME=/home/x");
        assert_eq!(given("NOT_SET", &lookup), "NOT_SET");
        assert_eq!(given("HOME=", &lookup), "HOME=");
        assert!(check("").is_err() && check("=x").is_err() && check("x").is_ok());
    }
}
