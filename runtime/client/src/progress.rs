//! The stream that pull, load and import answer with: a JSON document a line.
//!
//! On a terminal each layer has a line of its own that is written again; elsewhere only the steps
//! are printed, without bars. The status of such an answer is sent before the job can fail, so an
//! error is a document too, and it is this function's error.

use crate::session::Session;
use base::{Error, Result};
use base_http::Response;
use base_http::api::ProgressMessage;
use rustix::termios::isatty;
use std::io::Read;
use std::os::fd::BorrowedFd;

/// The longest line.
const LINE_CAP: usize = 1024 * 1024;

/// Reads the stream to its end and shows it on `to`; `tell` sees each document first and says
/// whether to show it.
pub(crate) fn show(
    session: &Session<'_>,
    response: &mut Response<'_>,
    to: BorrowedFd<'_>,
    tell: &mut dyn FnMut(&ProgressMessage) -> bool,
) -> Result<()> {
    let mut screen = Screen { terminal: isatty(to), ids: Vec::new() };
    let mut line = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let n = response.body.read(&mut piece).map_err(|e| Error::os("read", &"answer", e))?;
        for part in piece[..n].split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part);
            if line.len() > LINE_CAP {
                return Err(Error::other("read answer: line too long"));
            }
            if part.ends_with(b"\n") {
                document(session, &line, to, tell, &mut screen)?;
                line.clear();
            }
        }
        if n == 0 {
            return document(session, &line, to, tell, &mut screen);
        }
    }
}

fn document(
    session: &Session<'_>,
    line: &[u8],
    to: BorrowedFd<'_>,
    tell: &mut dyn FnMut(&ProgressMessage) -> bool,
    screen: &mut Screen,
) -> Result<()> {
    if line.trim_ascii().is_empty() {
        return Ok(());
    }
    let message: ProgressMessage = base::json::parse(line)?;
    if let Some(detail) = message.error_detail.as_ref().filter(|d| !d.message.is_empty()) {
        return Err(Error::other(detail.message.clone()));
    }
    if !message.error.is_empty() {
        return Err(Error::other(message.error));
    }
    if tell(&message) {
        let text = screen.text(&message);
        crate::wire::write_all(&session.signals, to, text.as_bytes())
            .map_err(|error| Error::os("write", &"progress", error))?;
    }
    Ok(())
}

/// What was printed so far.
struct Screen {
    terminal: bool,
    /// Each has a line of its own, the last one at the bottom.
    ids: Vec<String>,
}

impl Screen {
    /// What to print for a document.
    fn text(&mut self, message: &ProgressMessage) -> String {
        if !message.stream.is_empty() {
            return clean(&message.stream);
        }
        let bar = bar(message);
        if !self.terminal {
            // A bar that moves is nothing for a file.
            let moving = message.progress_detail.as_ref().is_some_and(|d| d.current > 0);
            return if moving { String::new() } else { with_id(message, "") + "\n" };
        }
        if message.id.is_empty() {
            self.ids.clear();
            return clean(&message.status) + "\n";
        }
        match self.ids.iter().position(|id| *id == message.id) {
            Some(at) => {
                let up = (self.ids.len() - at).to_string();
                let text = with_id(message, &bar);
                ["\x1b[", &up, "A\r\x1b[2K", &text, "\x1b[", &up, "B\r"].concat()
            }
            None => {
                self.ids.push(message.id.clone());
                with_id(message, &bar) + "\n"
            }
        }
    }
}

fn with_id(message: &ProgressMessage, bar: &str) -> String {
    let id = clean(&message.id);
    let colon = if id.is_empty() { "" } else { ": " };
    let space = if bar.is_empty() { "" } else { " " };
    [&id, colon, &clean(&message.status), space, bar].concat()
}

fn bar(message: &ProgressMessage) -> String {
    let Some(detail) = message.progress_detail.as_ref().filter(|d| d.current > 0) else {
        return String::new();
    };
    let human = |bytes: i64| base::text::size::human(bytes.max(0) as u64);
    if detail.total <= 0 {
        return human(detail.current);
    }
    let done = (detail.current.min(detail.total) as u128 * 50 / detail.total as u128) as usize;
    let (full, rest) = ("=".repeat(done), " ".repeat(50 - done));
    ["[", &full, ">", &rest, "]  ", &human(detail.current), "/", &human(detail.total)].concat()
}

/// Text of the server without what could move the cursor.
fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str, status: &str, current: i64, total: i64) -> ProgressMessage {
        ProgressMessage {
            id: id.into(),
            status: status.into(),
            progress_detail: Some(base_http::api::progress::ProgressDetail { current, total }),
            ..ProgressMessage::default()
        }
    }

    #[test]
    fn a_file_gets_steps_and_a_terminal_gets_bars() {
        let mut file = Screen { terminal: false, ids: Vec::new() };
        assert_eq!(file.text(&message("a", "Pulling", 0, 0)), "a: Pulling\n");
        assert_eq!(file.text(&message("a", "Downloading", 5, 10)), "");
        let mut terminal = Screen { terminal: true, ids: Vec::new() };
        assert_eq!(terminal.text(&message("a", "Waiting", 0, 0)), "a: Waiting\n");
        assert_eq!(terminal.text(&message("b", "Waiting", 0, 0)), "b: Waiting\n");
        let half = "=".repeat(25) + ">" + &" ".repeat(25);
        assert_eq!(
            terminal.text(&message("a", "Down", 500, 1000)),
            format!("\x1b[2A\r\x1b[2Ka: Down [{half}]  500B/1kB\x1b[2B\r")
        );
        assert_eq!(clean("a\x1b[2Jb"), "a[2Jb");
    }
}
