//! Command lines, spelled as docker's: tables of commands and flags, and what is read with them.
//!
//! The tables are constants; parsing, help, the manual page and the completion all come from them,
//! so that a flag is written once. The spelling: `--x=y`, `--x y`, `--switch`, `--switch=false`,
//! `-e y`, `-ey`, `-e=y`, `-it` (switches bundled, the last may take a value), repeated flags,
//! `--` ends flags. A command whose operands are a command of their own (`run IMAGE CMD -x`) stops
//! at the first operand; the others take flags anywhere. Error texts and layout are those of
//! docker's client 28.

mod completion;
mod help;
mod man;
mod parse;

pub use parse::{Matches, Usage};

/// Says what is wrong with a value.
pub type Check = fn(&str) -> Result<(), String>;

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Takes {
    /// Nothing, or `=true` and `=false`.
    Switch,
    /// Any text.
    Text,
    /// A whole number.
    Number,
    /// It is another name of the flag in [`Flag::help`], which help does not show.
    Alias,
}

/// The words for values in help, as docker's.
const VALUES: [&str; 12] = [
    "", "bytes", "decimal", "duration", "filter", "int", "list", "map", "mount", "network",
    "string", "ulimit",
];

/// One flag. The tables have hundreds of them: what is the same in many is kept once.
#[derive(Clone, Copy)]
pub struct Flag {
    /// Its name after `--`.
    pub long: &'static str,
    /// What it does, and its default.
    pub help: &'static str,
    /// What is wrong with a value.
    pub check: Option<Check>,
    /// What it takes.
    pub takes: Takes,
    /// Its letter after `-`; 0 for none.
    pub short: u8,
    value: u8,
}

impl Flag {
    /// A switch.
    pub const fn switch(long: &'static str, help: &'static str) -> Flag {
        Flag { long, help, check: None, takes: Takes::Switch, short: 0, value: 0 }
    }

    /// A flag with a text; `value` is its word in help, one of docker's.
    pub const fn text(long: &'static str, value: &str, help: &'static str) -> Flag {
        Flag { takes: Takes::Text, value: number_of(value), ..Flag::switch(long, help) }
    }

    /// A flag with a whole number.
    pub const fn number(long: &'static str, help: &'static str) -> Flag {
        Flag { takes: Takes::Number, value: number_of("int"), ..Flag::switch(long, help) }
    }

    /// A second name, that help does not show, of the flag `of`.
    pub const fn alias(long: &'static str, of: &'static str) -> Flag {
        Flag { takes: Takes::Alias, ..Flag::switch(long, of) }
    }

    /// A letter for it.
    pub const fn short(self, short: u8) -> Flag {
        Flag { short, ..self }
    }

    /// What is wrong with a value.
    pub const fn checked(self, check: Check) -> Flag {
        Flag { check: Some(check), ..self }
    }

    /// The word for its value in help; empty for a switch.
    pub fn value(&self) -> &'static str {
        VALUES.get(usize::from(self.value)).copied().unwrap_or_default()
    }
}

/// The place of a word in [`VALUES`]. Tables are constants: one that is not there fails the build.
const fn number_of(value: &str) -> u8 {
    let mut number = 0;
    while !same(VALUES[number].as_bytes(), value.as_bytes()) {
        number += 1;
    }
    number as u8
}

const fn same(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

/// The flags of a command: its own, and those that it has in common with another.
#[derive(Clone, Copy)]
pub struct Flags {
    own: &'static [Flag],
    common: &'static [Flag],
}

impl Flags {
    /// All, in no order.
    fn all(self) -> impl Iterator<Item = &'static Flag> {
        self.own.iter().chain(self.common)
    }

    /// Those that help shows, sorted by name.
    fn shown(self) -> Vec<&'static Flag> {
        let mut all: Vec<_> = self.all().filter(|flag| flag.takes != Takes::Alias).collect();
        all.sort_unstable_by_key(|flag| flag.long);
        all
    }
}

/// How many operands a command takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operands {
    /// None.
    None,
    /// So many.
    Exactly(usize),
    /// So many or more.
    AtLeast(usize),
    /// So many or fewer.
    AtMost(usize),
    /// From so many to so many.
    Between(usize, usize),
}

/// One command.
pub struct Command {
    /// Its name.
    pub name: &'static str,
    /// What follows the name in a line of use.
    pub usage: &'static str,
    /// One line of what it does.
    pub about: &'static str,
    /// Its spellings in two words, e.g. `container run`.
    pub aliases: &'static [&'static str],
    /// Its flags.
    pub flags: &'static [Flag],
    /// Those that it has in common with another command.
    pub common: &'static [Flag],
    /// How many operands.
    pub operands: Operands,
    /// The first operand ends the flags.
    pub stops: bool,
}

impl Command {
    fn all_flags(&self) -> Flags {
        Flags { own: self.flags, common: self.common }
    }

    /// Its name and its aliases.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

/// A program made of commands.
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// One line of what it is.
    pub about: &'static str,
    /// The line that `--version` prints.
    pub version: &'static str,
    /// Flags before the command.
    pub globals: &'static [Flag],
    /// Those of them that it has in common with another program.
    pub common: &'static [Flag],
    /// Commands in groups, each with its heading.
    pub groups: &'static [(&'static str, &'static [&'static Command])],
}

impl Program {
    fn global_flags(&self) -> Flags {
        Flags { own: self.globals, common: self.common }
    }

    /// All commands.
    pub fn commands(&self) -> impl Iterator<Item = &'static Command> + use<> {
        let groups = self.groups;
        groups.iter().flat_map(|(_, commands)| commands.iter().copied())
    }

    /// The command of that name.
    pub fn command(&self, name: &str) -> Option<&'static Command> {
        self.commands().find(|command| command.name == name)
    }
}

#[cfg(test)]
mod tests;
