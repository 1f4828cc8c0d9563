//! `kill`: a signal for a container's first process.

use crate::Engine;
use crate::container::{Status, Wish};
use base::signals::NAMES;
use base::{Error, Result};
use rustix::process::Signal;

/// Sends a signal.
pub(crate) struct Kill {
    pub(crate) container: String,
    /// A name, with or without SIG, or a number; empty for KILL.
    pub(crate) signal: String,
}

impl Kill {
    pub(crate) fn run(self, engine: &Engine) -> Result<()> {
        let signal = match self.signal.as_str() {
            "" => Signal::KILL,
            text => signal(text)?,
        };
        let container = engine.containers().find(&self.container)?;
        let state = container.state();
        // What does not run is not stopped by this either.
        if signal == Signal::KILL && (state.status == Status::Running || state.restarting) {
            container.set_wish(Wish::Stopped)?;
        }
        state.signal(container.id(), signal)?;
        engine.tell(&container, "kill", &[("signal", &signal.as_raw().to_string())]);
        if signal == Signal::KILL {
            // The version 1 freezer holds it even then.
            let _ = super::stop::thaw(&container);
        }
        Ok(())
    }
}

/// The signal that a text means.
pub(super) fn signal(text: &str) -> Result<Signal> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let by_name = NAMES.iter().find(|(_, known)| *known == name).map(|(signal, _)| *signal);
    let by_number = || Signal::from_named_raw(text.parse().ok()?);
    by_name.or_else(by_number).ok_or_else(|| Error::bad_input(format!("invalid signal: {text}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for text in ["KILL", "SIGKILL", "sigkill", "9"] {
            assert_eq!(signal(text).expect(text), Signal::KILL);
        }
        for text in ["", "SIG", "KILLER", "0", "-9", "999"] {
            assert!(signal(text).is_err(), "{text:?}");
        }
    }
}
