//! Help texts, laid out as docker lays out its own: flags sorted by name, the explanations in one
//! column, wrapped at the terminal's width (80 where there is none).
//!
//! The wrapping is that of the library under docker's client: a line may be five columns longer
//! rather than leave a last short word alone, and a column narrower than 24 moves below its flag.

use super::{Command, Flag, Flags, Program, Takes, Usage};

/// Columns to which a too narrow explanation is indented.
const NARROW: usize = 16;

impl Program {
    /// The text of `--help`.
    pub fn help(&self, width: usize) -> String {
        let mut out = ["Usage:  ", self.name, " [OPTIONS] COMMAND\n\n", self.about, "\n"].concat();
        for (title, commands) in self.groups {
            push(&mut out, &["\n", title, ":\n"]);
            let names = commands.iter().map(|command| (command.name, command.about));
            listing(&mut out, names);
        }
        out.push_str("\nGlobal Options:\n");
        flags(&mut out, self.global_flags(), width);
        let n = self.name;
        push(&mut out, &["\nRun '", n, " COMMAND --help' for more information on a command.\n"]);
        out
    }

    /// The text of `COMMAND --help`.
    pub fn help_of(&self, command: &Command, width: usize) -> String {
        let n = self.name;
        let mut out =
            ["Usage:  ", n, " ", command.name, " ", command.usage, "\n\n", command.about, "\n"]
                .concat();
        if !command.aliases.is_empty() {
            out.push_str("\nAliases:\n  ");
            for alias in command.aliases {
                push(&mut out, &[n, " ", alias, ", "]);
            }
            push(&mut out, &[n, " ", command.name, "\n"]);
        }
        if command.all_flags().all().next().is_some() {
            out.push_str("\nOptions:\n");
            flags(&mut out, command.all_flags(), width);
        }
        out
    }

    /// The text of `container --help`.
    pub(super) fn help_of_group(&self, group: &str, _width: usize) -> String {
        let n = self.name;
        let mut out = ["Usage:  ", n, " ", group, " COMMAND\n\nCommands:\n"].concat();
        let second = |alias: &'static str| match alias.split_once(' ') {
            Some((first, second)) if first == group => Some(second),
            _ => None,
        };
        let found =
            self.commands().filter_map(|c| c.names().find_map(second).map(|name| (name, c.about)));
        listing(&mut out, found);
        push(
            &mut out,
            &["\nRun '", n, " ", group, " COMMAND --help' for more information on a command.\n"],
        );
        out
    }

    /// `help`, `help --man`, `help COMMAND`.
    pub(super) fn help_about(&self, words: &[String], width: usize) -> Usage {
        match words.first().map(String::as_str) {
            None | Some("--help") => Usage::asked(self.help(width)),
            Some("--man") => Usage::asked(self.man()),
            Some(name) => match self.command(name) {
                Some(command) => Usage::asked(self.help_of(command, width)),
                None => Usage::wrong(1, ["unknown help topic: ", name, "\n"].concat()),
            },
        }
    }
}

fn push(out: &mut String, parts: &[&str]) {
    parts.iter().for_each(|part| out.push_str(part));
}

fn spaces(out: &mut String, n: usize) {
    out.extend(std::iter::repeat_n(' ', n));
}

/// Names and what they do, in two columns.
fn listing<'a>(out: &mut String, rows: impl Iterator<Item = (&'a str, &'a str)>) {
    for (name, about) in rows {
        push(out, &["  ", name]);
        spaces(out, 12_usize.saturating_sub(name.len()).max(1));
        push(out, &[about, "\n"]);
    }
}

/// `  -e, --env list`
fn left(flag: &Flag) -> String {
    let short = char::from(flag.short).to_string();
    let mut out = match flag.short {
        0 => String::from("      --"),
        _ => ["  -", &short, ", --"].concat(),
    };
    out.push_str(flag.long);
    if !flag.value().is_empty() {
        push(&mut out, &[" ", flag.value()]);
    }
    out
}

/// Flags in two columns.
fn flags(out: &mut String, flags: Flags, width: usize) {
    let flags = flags.shown();
    let column = flags.iter().map(|&flag| left(flag).len()).max().unwrap_or(0) + 3;
    for flag in flags {
        let left = left(flag);
        out.push_str(&left);
        spaces(out, column - left.len());
        wrap(out, column, width.saturating_sub(1), flag.help);
        out.push('\n');
    }
}

/// Appends text that begins at `column`, broken so that it stays within `width`.
fn wrap(out: &mut String, column: usize, width: usize, text: &str) {
    const LEAST: usize = 24;
    const SLOP: usize = 5;
    let mut column = column;
    if width.saturating_sub(column) < LEAST {
        column = NARROW;
        out.push('\n');
        spaces(out, column);
    }
    let room = width.saturating_sub(column);
    let mut rest = text;
    loop {
        let (line, next) = match room < LEAST {
            true => (rest, ""),
            false => cut(room - SLOP, SLOP, rest),
        };
        for (i, part) in line.split('\n').enumerate() {
            if i > 0 {
                out.push('\n');
                spaces(out, column);
            }
            out.push_str(part);
        }
        if next.is_empty() {
            return;
        }
        rest = next;
        out.push('\n');
        spaces(out, column);
    }
}

/// The first line of a text, and the rest.
fn cut(room: usize, slop: usize, text: &str) -> (&str, &str) {
    let Some(head) = text.get(..room).filter(|_| room + slop <= text.len()) else {
        return (text, "");
    };
    match (head.rfind([' ', '\t', '\n']), head.rfind('\n')) {
        (None | Some(0), _) => (text, ""),
        (Some(_), Some(end @ 1..)) => (&text[..end], &text[end + 1..]),
        (Some(at), _) => (&text[..at], &text[at + 1..]),
    }
}

/// Whether a flag wants a value.
pub(super) fn wants_value(flag: &Flag) -> bool {
    flag.takes != Takes::Switch
}
