//! From words to values, or to the text that says what is wrong.

use super::{Command, Flag, Flags, Operands, Program, Takes};
use std::ffi::OsString;
use std::io::Write;

/// The program ends here with a text: help that was asked for, or what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// What to print, line ends included.
    pub text: String,
    /// The exit code.
    pub code: u8,
    /// It was asked for: standard output.
    pub stdout: bool,
}

impl Usage {
    pub(super) fn asked(text: String) -> Usage {
        Usage { text, code: 0, stdout: true }
    }

    pub(super) fn wrong(code: u8, text: String) -> Usage {
        Usage { text, code, stdout: false }
    }

    /// Prints it where it belongs. Nobody is told when that fails: a closed pipe wants no more.
    pub fn print(&self) {
        let _ = match self.stdout {
            true => std::io::stdout().write_all(self.text.as_bytes()),
            false => std::io::stderr().write_all(self.text.as_bytes()),
        };
    }
}

/// What a command line said.
pub struct Matches {
    flags: Flags,
    /// The flag, its value; in the order of the command line.
    given: Vec<(&'static Flag, String)>,
    /// What is no flag.
    pub operands: Vec<String>,
    help: bool,
}

impl Matches {
    /// Whether a switch is on; `default` without a word about it.
    pub fn switch(&self, long: &str, default: bool) -> bool {
        self.text(long).map_or(default, |value| value == "true")
    }

    /// Whether a switch, off by default, is on.
    pub fn on(&self, long: &str) -> bool {
        self.switch(long, false)
    }

    /// The last value of a flag.
    pub fn text(&self, long: &str) -> Option<&str> {
        self.list(long).last()
    }

    /// All values of a flag.
    pub fn list(&self, long: &str) -> impl DoubleEndedIterator<Item = &str> {
        self.given
            .iter()
            .filter(move |(flag, _)| flag.long == long)
            .map(|(_, value)| value.as_str())
    }

    /// The last value of a flag that takes a number.
    pub fn number(&self, long: &str) -> Option<i64> {
        self.text(long).and_then(|text| text.parse().ok())
    }

    /// Reads words; `stops` at the first operand or not. The error is one line.
    fn read(
        flags: Flags,
        words: &mut std::vec::IntoIter<String>,
        stops: bool,
    ) -> Result<Matches, String> {
        let mut matches = Matches { flags, given: Vec::new(), operands: Vec::new(), help: false };
        while let Some(word) = words.next() {
            if word == "--" {
                break;
            } else if let Some(long) = word.strip_prefix("--") {
                matches.long(&word, long, words)?;
            } else if word.len() > 1 && word.starts_with('-') {
                matches.shorts(&word[1..], words)?;
            } else {
                matches.operands.push(word);
                if stops {
                    break;
                }
            }
        }
        matches.operands.extend(words);
        Ok(matches)
    }

    fn long(
        &mut self,
        word: &str,
        rest: &str,
        words: &mut dyn Iterator<Item = String>,
    ) -> Result<(), String> {
        let (name, value) = match rest.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (rest, None),
        };
        if name.is_empty() || name.starts_with('-') {
            return Err(["bad flag syntax: ", word].concat());
        }
        let Some(flag) = self.flag(name) else {
            if name == "help" {
                self.help = value != Some("false");
                return Ok(());
            }
            return Err(["unknown flag: --", name].concat());
        };
        let value = match (value, flag.takes) {
            (Some(value), _) => value.to_string(),
            (None, Takes::Switch) => String::from("true"),
            (None, _) => match words.next() {
                Some(value) => value,
                None => return Err(["flag needs an argument: --", name].concat()),
            },
        };
        self.set(flag, value)
    }

    /// The flag of that name, or of that second name.
    fn flag(&self, name: &str) -> Option<&'static Flag> {
        let found = self.flags.all().find(|flag| flag.long == name)?;
        match found.takes {
            Takes::Alias => self.flags.all().find(|flag| flag.long == found.help),
            _ => Some(found),
        }
    }

    fn shorts(
        &mut self,
        mut rest: &str,
        words: &mut dyn Iterator<Item = String>,
    ) -> Result<(), String> {
        while let Some(letter) = rest.chars().next() {
            let after = &rest[letter.len_utf8()..];
            let known = |flag: &&Flag| flag.short != 0 && char::from(flag.short) == letter;
            let Some(flag) = self.flags.all().find(known) else {
                if letter == 'h' {
                    self.help = true;
                    return Ok(());
                }
                let letter = letter.to_string();
                return Err(["unknown shorthand flag: '", &letter, "' in -", rest].concat());
            };
            let switch = flag.takes == Takes::Switch;
            let value = match after.strip_prefix('=').filter(|value| !value.is_empty()) {
                Some(value) => value.to_string(),
                None if switch => {
                    self.set(flag, String::from("true"))?;
                    rest = after;
                    continue;
                }
                None if !after.is_empty() => after.to_string(),
                None => match words.next() {
                    Some(value) => value,
                    None => {
                        let letter = letter.to_string();
                        return Err(["flag needs an argument: '", &letter, "' in -", rest].concat());
                    }
                },
            };
            return self.set(flag, value);
        }
        Ok(())
    }

    fn set(&mut self, flag: &'static Flag, value: String) -> Result<(), String> {
        let parsing = |how: &str, what: &str| {
            Err(["strconv.", how, ": parsing \"", &value, "\": ", what].concat())
        };
        let checked = match flag.takes {
            Takes::Text | Takes::Alias => match flag.check {
                Some(check) => check(&value).map(|()| value.clone()),
                None => Ok(value.clone()),
            },
            Takes::Switch => match value.as_str() {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(String::from("true")),
                "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(String::from("false")),
                _ => parsing("ParseBool", "invalid syntax"),
            },
            Takes::Number => match value.parse::<i64>() {
                Ok(number) => Ok(number.to_string()),
                Err(_) => {
                    let digits = value.strip_prefix(['-', '+']).unwrap_or(&value);
                    let number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
                    parsing(
                        "ParseInt",
                        if number { "value out of range" } else { "invalid syntax" },
                    )
                }
            },
        };
        match checked {
            Ok(value) => {
                // In a table only where `-h` means something else, so that help shows it.
                self.help |= flag.long == "help" && value == "true";
                self.given.push((flag, value));
                Ok(())
            }
            Err(why) => {
                let short = char::from(flag.short).to_string();
                let name = match flag.short {
                    0 => ["--", flag.long].concat(),
                    _ => ["-", &short, ", --", flag.long].concat(),
                };
                Err(["invalid argument \"", &value, "\" for \"", &name, "\" flag: ", &why].concat())
            }
        }
    }
}

impl Program {
    /// Reads a command line without the program's own name: the flags before the command, the
    /// command, and what was said to it.
    pub fn parse(
        &self,
        args: Vec<OsString>,
        width: usize,
    ) -> Result<(Matches, &'static Command, Matches), Usage> {
        let mut words = Vec::with_capacity(args.len());
        for arg in args {
            match arg.into_string() {
                Ok(word) => words.push(word),
                Err(arg) => {
                    let arg = arg.to_string_lossy();
                    let text = [self.name, ": argument is not UTF-8: ", &*arg, "\n"].concat();
                    return Err(Usage::wrong(125, text));
                }
            }
        }
        let mut words = words.into_iter();
        let mut globals = Matches::read(self.global_flags(), &mut words, true)
            .map_err(|why| self.wrong_flag(why, "[OPTIONS] COMMAND [ARG...]", ""))?;
        if let Some(shell) = globals.text("completion") {
            return Err(match shell {
                "bash" => Usage::asked(self.completion()),
                _ => Usage::wrong(1, [self.name, ": unknown shell: ", shell, "\n"].concat()),
            });
        }
        if globals.on("version") {
            return Err(Usage::asked([self.version, "\n"].concat()));
        }
        if globals.operands.is_empty() || globals.help {
            return Err(Usage::asked(self.help(width)));
        }
        let mut words = std::mem::take(&mut globals.operands).into_iter();
        let first = words.next().unwrap_or_default();
        if first == "help" {
            return Err(self.help_about(&words.collect::<Vec<_>>(), width));
        }
        let command = match self.command(&first) {
            Some(command) => command,
            None => self.in_two_words(&first, &mut words, width)?,
        };
        let matches = Matches::read(command.all_flags(), &mut words, command.stops)
            .map_err(|why| self.wrong_flag(why, command.usage, command.name))?;
        if matches.help {
            return Err(Usage::asked(self.help_of(command, width)));
        }
        self.count(command, matches.operands.len())?;
        Ok((globals, command, matches))
    }

    /// `container run`: the second word decides.
    fn in_two_words(
        &self,
        first: &str,
        words: &mut std::vec::IntoIter<String>,
        width: usize,
    ) -> Result<&'static Command, Usage> {
        let group = |name: &str| name.split_once(' ').is_some_and(|(group, _)| group == first);
        if !self.commands().any(|command| command.names().any(group)) {
            return Err(self.unknown(first, ""));
        }
        let second = words.next().unwrap_or_default();
        if second.is_empty() || second == "--help" || second == "-h" {
            return Err(Usage::asked(self.help_of_group(first, width)));
        }
        let both = [first, " ", &second].concat();
        let found = self.commands().find(|command| command.names().any(|name| name == both));
        found.ok_or_else(|| self.unknown(&both, first))
    }

    fn unknown(&self, what: &str, group: &str) -> Usage {
        let n = self.name;
        let space = if group.is_empty() { "" } else { " " };
        let ask = format!("Run '{n}{space}{group} --help' for more information\n");
        Usage::wrong(1, format!("{n}: unknown command: {n} {what}\n\n{ask}"))
    }

    fn wrong_flag(&self, why: String, usage: &str, command: &str) -> Usage {
        let n = self.name;
        let space = if command.is_empty() { "" } else { " " };
        let ask = format!("Run '{n}{space}{command} --help' for more information\n");
        Usage::wrong(125, format!("{why}\n\nUsage:  {n}{space}{command} {usage}\n\n{ask}"))
    }

    /// Whether so many operands are right.
    fn count(&self, command: &Command, have: usize) -> Result<(), Usage> {
        let plural = |n: usize| {
            [n.to_string().as_str(), " argument", if n == 1 { "" } else { "s" }].concat()
        };
        let wants = match command.operands {
            Operands::None if have > 0 => String::from("accepts no arguments"),
            Operands::Exactly(n) if have != n => ["requires ", &plural(n)].concat(),
            Operands::AtLeast(n) if have < n => ["requires at least ", &plural(n)].concat(),
            Operands::AtMost(n) if have > n => ["requires at most ", &plural(n)].concat(),
            Operands::Between(low, high) if have < low || have > high => {
                ["requires at least ", &low.to_string(), " and at most ", &plural(high)].concat()
            }
            _ => return Ok(()),
        };
        let (n, c, usage) = (self.name, command.name, command.usage);
        let see = if matches!(command.operands, Operands::AtLeast(_)) { "See" } else { "Run" };
        let ask = format!("{see} '{n} {c} --help' for more information\n");
        let text = format!("{n}: '{n} {c}' {wants}\n\nUsage:  {n} {c} {usage}\n\n{ask}");
        Err(Usage::wrong(1, text))
    }
}
