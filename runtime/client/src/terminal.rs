//! The terminal: its size, and raw mode for as long as a value lives.

use rustix::termios::{
    LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr,
};

/// Height and width; None when standard output and input are no terminals, or do not know.
pub(crate) fn size() -> Option<(u16, u16)> {
    let known = |size: rustix::termios::Winsize| (size.ws_row > 0).then_some(size);
    let size = tcgetwinsize(rustix::stdio::stdout()).ok().and_then(known);
    let size = size.or_else(|| tcgetwinsize(rustix::stdio::stdin()).ok().and_then(known))?;
    Some((size.ws_row, size.ws_col))
}

/// The width that help is laid out for.
pub(crate) fn width() -> Option<usize> {
    size().map(|(_, width)| usize::from(width)).filter(|width| *width > 0)
}

/// Whether standard output is a terminal.
pub(crate) fn stdout_is_terminal() -> bool {
    isatty(rustix::stdio::stdout())
}

/// Whether standard input is a terminal.
pub(crate) fn stdin_is_terminal() -> bool {
    isatty(rustix::stdio::stdin())
}

/// Standard input as a terminal in raw mode; dropped, it is as before.
pub(crate) struct Raw(Termios);

impl Raw {
    /// Raw mode; None when standard input is no terminal.
    pub(crate) fn enter() -> Option<Raw> {
        let before = tcgetattr(rustix::stdio::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        // Without the flush a key that was pressed early would be lost; after the output, so that
        // nothing written before is shown by the new rules.
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, &raw).ok()?;
        Some(Raw(before))
    }
}

impl Raw {
    /// What is typed is not shown; the rest is as it was.
    pub(crate) fn silent() -> Option<Raw> {
        let before = tcgetattr(rustix::stdio::stdin()).ok()?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, &silent).ok()?;
        Some(Raw(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, &self.0);
    }
}
