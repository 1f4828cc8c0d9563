//! One line on standard error, `coracle: text`, written with one call so that lines of several
//! processes do not mix. `debug` is silent until `--debug` turned it on.

use std::sync::atomic::{AtomicBool, Ordering};

static DEBUG: AtomicBool = AtomicBool::new(false);

/// Turns `debug` lines on or off.
pub fn set_debug(on: bool) {
    DEBUG.store(on, Ordering::Relaxed);
}

/// Something that the user should know; nothing failed.
pub fn warn(text: impl AsRef<str>) {
    line(text.as_ref());
}

/// Something that only a developer wants to know.
pub fn debug(text: impl AsRef<str>) {
    if DEBUG.load(Ordering::Relaxed) {
        line(text.as_ref());
    }
}

fn line(text: &str) {
    let mut out = String::with_capacity(text.len() + 10);
    out.push_str("coracle: ");
    // A name from an image must not be able to write a second line or move the cursor.
    out.extend(text.chars().map(|c| if c.is_control() { '?' } else { c }));
    out.push('\n');
    // Standard error may be closed or full: then there is nobody to tell.
    let _ = rustix::io::write(rustix::stdio::stderr(), out.as_bytes());
}
