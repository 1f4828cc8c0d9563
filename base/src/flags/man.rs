//! The manual page, in roff, from the tables: one page, a section for each command.

use super::{Flags, Program};

impl Program {
    /// The whole page.
    pub fn man(&self) -> String {
        let mut page = Page(String::new());
        let upper = self.name.to_ascii_uppercase();
        page.line(&[".TH ", &upper, " 1"]);
        page.line(&[".SH NAME"]);
        page.line(&[self.name, " \\- ", self.about]);
        page.line(&[".SH SYNOPSIS"]);
        page.line(&[".B ", self.name]);
        page.text("[OPTIONS] COMMAND [ARG...]");
        page.line(&[".SH OPTIONS"]);
        page.flags(self.global_flags());
        page.line(&[".SH COMMANDS"]);
        for command in self.commands() {
            page.line(&[".SS ", command.name]);
            page.line(&[".B ", self.name, " ", command.name]);
            page.text(command.usage);
            page.line(&[".PP"]);
            page.text(&[command.about, "."].concat());
            if !command.aliases.is_empty() {
                page.line(&[".PP"]);
                page.text(&["Also: ", &command.aliases.join(", "), "."].concat());
            }
            page.flags(command.all_flags());
        }
        page.0
    }
}

struct Page(String);

impl Page {
    /// A line of roff.
    fn line(&mut self, parts: &[&str]) {
        parts.iter().for_each(|part| self.0.push_str(part));
        self.0.push('\n');
    }

    /// A line of text, in which nothing is a request or an escape.
    fn text(&mut self, text: &str) {
        for line in text.split('\n') {
            if line.starts_with(['.', '\'']) {
                self.0.push_str("\\&");
            }
            for c in line.chars() {
                match c {
                    '\\' => self.0.push_str("\\e"),
                    '-' => self.0.push_str("\\-"),
                    c => self.0.push(c),
                }
            }
            self.0.push('\n');
        }
    }

    fn flags(&mut self, flags: Flags) {
        for flag in flags.shown() {
            self.line(&[".TP"]);
            let mut name = String::new();
            if flag.short != 0 {
                name.push('-');
                name.push(char::from(flag.short));
                name.push_str(", ");
            }
            let equals = if flag.value().is_empty() { "" } else { "=" };
            self.text(&[&name, "--", flag.long, equals, flag.value()].concat());
            self.text(flag.help);
        }
    }
}
