//! The multi-call binary. argv[0], or the first word after `coracle`, picks an applet; everything
//! else is the client.
#![forbid(unsafe_code)]

mod applets;
mod connect;
mod daemon;
mod hello;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    // As in the build that is shipped: there a library that finds no memory ends the process at once.
    #[cfg(debug_assertions)]
    if std::env::var_os("CORACLE_FAIL_ALLOCATION").is_some() {
        std::panic::set_hook(Box::new(|_| std::process::abort()));
    }
    let words: Vec<OsString> = std::env::args_os().collect();
    let name = words.first().map(|word| Path::new(word).file_name().unwrap_or_default().to_owned());
    if let Some(applet) = applets::find(&name.unwrap_or_default()) {
        return applet(words);
    }
    if let Some(applet) = words.get(1).and_then(|word| applets::find(word)) {
        return applet(words.into_iter().skip(1).collect());
    }
    connect::main(words)
}
