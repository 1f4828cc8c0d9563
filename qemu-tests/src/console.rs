//! What a machine's console said: the only source of results. QEMU's exit code is 0 in a panic too.

use std::collections::BTreeSet;

/// What lines of the protocol begin with; the kernel may have printed before it on the same line.
pub const MARK: &str = "coracle-test: ";

/// How one test went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it must be; how long it took.
    Passed(String),
    /// Why not.
    Failed(String),
    /// What the kernel lacks.
    Skipped(String),
}

/// What was read from a console.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Console {
    /// The kernel's own release text.
    pub release: Option<String>,
    /// Tests and how they went.
    pub results: Vec<(String, Verdict)>,
    /// Remarks of PID 1.
    pub notes: Vec<String>,
    /// The number of tests that PID 1 has run, once it is through.
    pub end: Option<usize>,
    /// Why PID 1 gave up.
    error: Option<String>,
    /// The kernel's last words.
    panic: Option<String>,
    last: String,
}

/// Why QEMU ended or was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By itself.
    Itself,
    /// The hard limit, in seconds.
    Deadline(u64),
    /// As it was to be: the power went.
    Cut,
}

impl Console {
    /// Reads one line.
    pub fn line(&mut self, line: &str) {
        let line = line.trim_end();
        if let Some((_, text)) = line.split_once("Kernel panic - not syncing: ") {
            self.panic.get_or_insert_with(|| text.to_string());
        }
        let Some((_, text)) = line.split_once(MARK) else {
            if !line.is_empty() {
                self.last = line.to_string();
            }
            return;
        };
        let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
        let (verdict, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let reason = reason.to_string();
        match (name, verdict) {
            ("start", release) => self.release = Some(release.to_string()),
            ("end", count) => self.end = count.parse().ok(),
            ("note", _) => self.notes.push(rest.to_string()),
            ("error", _) => self.error = Some(rest.to_string()),
            (_, "ok") => self.results.push((name.to_string(), Verdict::Passed(reason))),
            (_, "failed") => self.results.push((name.to_string(), Verdict::Failed(reason))),
            (_, "skipped") => self.results.push((name.to_string(), Verdict::Skipped(reason))),
            _ => self.notes.push(text.to_string()),
        }
    }

    /// Everything that was asked for has been told.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.end.is_some()
    }

    /// One verdict for each wanted test. What the machine did not tell has failed, with what is
    /// known of the reason.
    #[must_use]
    pub fn verdicts(&self, wanted: &[String], ending: Ending) -> Vec<(String, Verdict)> {
        let mut told = BTreeSet::new();
        let mut verdicts: Vec<(String, Verdict)> = self
            .results
            .iter()
            .filter(|(name, _)| wanted.contains(name) && told.insert(name.clone()))
            .cloned()
            .collect();
        let reason = self.why_incomplete(ending);
        for name in wanted {
            if !told.contains(name) {
                verdicts.push((name.clone(), Verdict::Failed(reason.clone())));
            }
        }
        verdicts
    }

    /// What kept the machine from telling everything.
    #[must_use]
    pub fn why_incomplete(&self, ending: Ending) -> String {
        let last = if self.last.is_empty() { "nothing" } else { &self.last };
        match (&self.panic, &self.error, ending) {
            (Some(panic), ..) => format!("kernel panic: {panic}"),
            (_, Some(error), _) => format!("PID 1 gave up: {error}"),
            (_, _, Ending::Deadline(seconds)) if self.release.is_none() => {
                format!("did not boot within {seconds} s; last on the console: {last}")
            }
            (_, _, Ending::Deadline(seconds)) => {
                format!("no end within {seconds} s; last on the console: {last}")
            }
            (_, _, Ending::Itself) if self.release.is_none() => {
                format!("did not boot: QEMU ended; last on the console: {last}")
            }
            (_, _, Ending::Cut) => "the power went before it was told".to_string(),
            (..) if self.is_complete() => "the machine did not name this test".to_string(),
            (..) => format!("the machine reset or powered off too early; last: {last}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Console {
        let mut console = Console::default();
        text.lines().for_each(|line| console.line(line));
        console
    }

    #[test]
    fn results_are_read_and_what_was_not_told_has_failed() {
        let console = read(
            "[0.1] booting\r\ncoracle-test: start 6.1.0\r\ncoracle-test: a ok 0.1 s\r\n\
             [2.0] noise coracle-test: b failed line 3: no\r\ncoracle-test: c skipped this kernel\r\n",
        );
        assert_eq!(console.release.as_deref(), Some("6.1.0"));
        let wanted = ["a", "b", "c", "d"].map(String::from);
        let verdicts = console.verdicts(&wanted, Ending::Deadline(9));
        assert_eq!(verdicts[0], ("a".into(), Verdict::Passed("0.1 s".into())));
        assert_eq!(verdicts[1], ("b".into(), Verdict::Failed("line 3: no".into())));
        assert_eq!(verdicts[2], ("c".into(), Verdict::Skipped("this kernel".into())));
        let Verdict::Failed(reason) = &verdicts[3].1 else { panic!("{verdicts:?}") };
        assert!(reason.starts_with("no end within 9 s"), "{reason}");
    }

    #[test]
    fn every_way_to_end_has_its_reason() {
        let start = "coracle-test: start 6.1\n";
        for (text, ending, want) in [
            (
                "SeaBIOS",
                Ending::Deadline(5),
                "did not boot within 5 s; last on the console: SeaBIOS",
            ),
            ("", Ending::Itself, "did not boot: QEMU ended; last on the console: nothing"),
            (
                "[1] Kernel panic - not syncing: VFS: no root",
                Ending::Itself,
                "kernel panic: VFS: no root",
            ),
            (start, Ending::Itself, "the machine reset or powered off too early; last: nothing"),
        ] {
            assert_eq!(read(text).why_incomplete(ending), want);
        }
        let error = read("coracle-test: start 6.1\ncoracle-test: error mount /proc: no");
        assert_eq!(error.why_incomplete(Ending::Itself), "PID 1 gave up: mount /proc: no");
    }
}
