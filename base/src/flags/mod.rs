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

/// What a flag takes.
#[derive(Clone, Copy)]
pub enum Takes {
    /// Nothing, or `=true` and `=false`.
    Switch,
    /// Any text.
    Text,
    /// A whole number.
    Number,
    /// Text that this function finds nothing wrong with; else it says what.
    Checked(fn(&str) -> Result<(), String>),
}

/// One flag.
#[derive(Clone, Copy)]
pub struct Flag {
    /// Its name after `--`.
    pub long: &'static str,
    /// Its letter after `-`; 0 for none.
    pub short: u8,
    /// A second name that help does not show.
    pub alias: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// The word for its value in help; empty for a switch.
    pub value: &'static str,
    /// What help shows as its default; empty for none.
    pub default: &'static str,
    /// What it does.
    pub help: &'static str,
}

impl Flag {
    /// A switch.
    pub const fn switch(long: &'static str, help: &'static str) -> Flag {
        Flag { long, short: 0, alias: "", takes: Takes::Switch, value: "", default: "", help }
    }

    /// A flag with a text; `value` is its word in help.
    pub const fn text(long: &'static str, value: &'static str, help: &'static str) -> Flag {
        Flag { takes: Takes::Text, value, ..Flag::switch(long, help) }
    }

    /// A flag with a whole number.
    pub const fn number(long: &'static str, help: &'static str) -> Flag {
        Flag { takes: Takes::Number, value: "int", ..Flag::switch(long, help) }
    }

    /// A letter for it.
    pub const fn short(self, short: u8) -> Flag {
        Flag { short, ..self }
    }

    /// A second name.
    pub const fn alias(self, alias: &'static str) -> Flag {
        Flag { alias, ..self }
    }

    /// The default that help shows.
    pub const fn default(self, default: &'static str) -> Flag {
        Flag { default, ..self }
    }

    /// What is wrong with a value.
    pub const fn checked(self, check: fn(&str) -> Result<(), String>) -> Flag {
        Flag { takes: Takes::Checked(check), ..self }
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
    /// Sorted by name.
    pub flags: &'static [Flag],
    /// How many operands.
    pub operands: Operands,
    /// The first operand ends the flags.
    pub stops: bool,
}

impl Command {
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
    /// Flags before the command, sorted by name.
    pub globals: &'static [Flag],
    /// Commands in groups, each with its heading.
    pub groups: &'static [(&'static str, &'static [&'static Command])],
}

impl Program {
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
