//! The programs in this binary, by name.

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

/// A program: its words are its own name and its arguments.
pub(crate) type Applet = fn(Vec<OsString>) -> ExitCode;

const APPLETS: [(&str, Applet); 6] = [
    ("coracle-job", engine::worker_main),
    ("coracle-monitor", engine::monitor_main),
    ("daemon", crate::daemon::main),
    ("dockerd", crate::daemon::main),
    ("hello", crate::hello::main),
    ("imgstore", |words| imgstore::main(words.into_iter().skip(1).collect())),
];

/// The program of this name; None for the client.
pub(crate) fn find(name: &OsStr) -> Option<Applet> {
    APPLETS.iter().find(|(known, _)| name == *known).map(|(_, applet)| *applet)
}
