//! A test's file `session`: command lines and what they must give, as they would look in a
//! terminal. The same list on every kernel.
//!
//! ```text
//! # a comment
//! needs memory             what the kernel must have; where it lacks it, the test is skipped
//! $ coracle run bb say hi  a command: words as a shell splits them, without its other powers
//! hi                       its output, line by line; `*` is any text, `...` any number of lines
//! ! not found              a text that its standard error must contain
//! ? 127                    its exit code, unless 0
//! ~ coracle logs web       the same as `$`, but tried again, for a minute, until it is right
//! ```

/// A whole test.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// Names of features of the kernel.
    pub needs: Vec<String>,
    /// The commands in their order.
    pub steps: Vec<Step>,
}

/// One command.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Its line in the file.
    pub line: usize,
    /// Its words.
    pub words: Vec<String>,
    /// Tried again until it is right.
    pub again: bool,
    /// Lines of standard output.
    pub output: Vec<String>,
    /// Texts in standard error.
    pub errors: Vec<String>,
    /// The exit code.
    pub code: i32,
}

impl Session {
    /// Reads a session; an error names the line.
    pub fn parse(text: &str) -> Result<Session, String> {
        let mut session = Session::default();
        for (number, line) in text.lines().enumerate() {
            let line_number = number + 1;
            let wrong = |what: &str| Err(format!("line {line_number}: {what}: {line}"));
            if let Some(command) = line.strip_prefix("$ ").or_else(|| line.strip_prefix("~ ")) {
                let Some(words) = split(command) else { return wrong("an open quote") };
                if words.is_empty() {
                    return wrong("no command");
                }
                let again = line.starts_with('~');
                session.steps.push(Step { line: line_number, words, again, ..Step::default() });
                continue;
            }
            if line.starts_with("# ") || line == "#" {
                continue;
            }
            let Some(step) = session.steps.last_mut() else {
                match line.strip_prefix("needs ") {
                    Some(names) => {
                        session.needs.extend(names.split_whitespace().map(str::to_string));
                    }
                    None if line.is_empty() => (),
                    None => return wrong("output before the first command"),
                }
                continue;
            };
            if let Some(code) = line.strip_prefix("? ") {
                match code.trim().parse() {
                    Ok(code) => step.code = code,
                    Err(_) => return wrong("no exit code"),
                }
            } else if let Some(text) = line.strip_prefix("! ") {
                step.errors.push(text.to_string());
            } else {
                step.output.push(line.to_string());
            }
        }
        if session.steps.is_empty() { Err("no command".to_string()) } else { Ok(session) }
    }
}

impl Step {
    /// Is this what the command must give? If not, why.
    pub fn check(&self, code: i32, output: &str, errors: &str) -> Result<(), String> {
        if code != self.code {
            // What a tool says of itself, before any advice.
            let said = errors.lines().find(|line| line.contains(": "));
            let said = said.or(errors.lines().next_back()).unwrap_or("nothing on standard error");
            return Err(format!("exit code {code}, not {}: {said}", self.code));
        }
        let lines: Vec<&str> = output.lines().collect();
        if !fits_lines(&self.output, &lines) {
            return Err(format!("output {lines:?}, not {:?}", self.output));
        }
        for text in &self.errors {
            if !errors.contains(text) {
                return Err(format!("{text:?} is not in standard error {:?}", errors.trim_end()));
            }
        }
        Ok(())
    }
}

/// Words: blanks part them, unless in '…' or "…".
fn split(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in line.chars() {
        match quote {
            Some(open) if open == letter => quote = None,
            Some(_) => word.get_or_insert_default().push(letter),
            None if letter == '\'' || letter == '"' => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            None if letter == ' ' => words.extend(word.take()),
            None => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

fn fits_lines(wanted: &[String], lines: &[&str]) -> bool {
    match wanted.split_first() {
        None => lines.is_empty(),
        Some((first, rest)) if first == "..." => {
            (0..=lines.len()).any(|skipped| fits_lines(rest, &lines[skipped..]))
        }
        Some((first, rest)) => lines
            .split_first()
            .is_some_and(|(line, lines)| fits(first, line) && fits_lines(rest, lines)),
    }
}

/// `*` is any text.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            text.char_indices()
                .map(|(place, _)| place)
                .chain([text.len()])
                .any(|place| fits(rest, &text[place..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]
    use super::*;

    const TEXT: &str =
        "# about\nneeds memory pids\n\n$ say 'a b' \"\"\na b\n...\nend*\n! bad\n? 3\n~ x\n";

    #[test]
    fn a_session_is_read() {
        let session = Session::parse(TEXT).expect("parse");
        assert_eq!(session.needs, ["memory", "pids"]);
        let [first, second] = &session.steps[..] else { panic!("two steps: {session:?}") };
        assert_eq!(first.words, ["say", "a b", ""]);
        assert_eq!((first.line, first.code, first.again), (4, 3, false));
        assert_eq!(first.errors, ["bad"]);
        assert!(second.again && second.output.is_empty());
        for (wrong, line) in [("x\n$ y", "line 1"), ("$ 'x", "line 1"), ("$ x\n? y", "line 2")] {
            assert!(Session::parse(wrong).expect_err(wrong).starts_with(line), "{wrong}");
        }
        assert!(Session::parse("").is_err());
    }

    #[test]
    fn what_differs_is_said() {
        let session = Session::parse(TEXT).expect("parse");
        let step = &session.steps[0];
        assert_eq!(step.check(3, "a b\n1\n2\nend.\n", "so bad!\n"), Ok(()));
        assert_eq!(step.check(3, "a b\nend\n", "bad"), Ok(()));
        assert!(step.check(0, "a b\nend\n", "bad").is_err());
        assert!(step.check(3, "a b\n", "bad").is_err());
        assert!(step.check(3, "a b\nend\nmore\n", "bad").is_err());
        assert!(step.check(3, "a b\nend\n", "good").is_err());
        assert!(fits("a*c*", "abcc") && !fits("a*c", "abd") && fits("*", ""));
    }
}
