//! What is done to the image store while its disk is recorded, and which names there must be after each step.

use std::fmt::Write as _;

/// What is done; the number of a step is what is promised after it. And the names after each step; before
/// the first promise there may be none.
#[derive(Clone, Copy)]
pub struct Story {
    /// What rows and machines call it.
    pub name: &'static str,
    /// Commands; the first is the load of the tests' image, which was done before.
    pub steps: &'static [&'static str],
    /// Sorted.
    pub names: &'static [&'static [&'static str]],
}

/// Everything that needs no network.
pub const LOCAL: Story = Story { name: "store", steps: &STEPS, names: &NAMES };
/// From a registry inside the machine.
pub const PULLS: Story = Story { name: "pulls", steps: &PULL_STEPS, names: &PULL_NAMES };

/// The words before a step that bakes.
const BAKE: &str = "coracle imgstore bake ";

const PULL_STEPS: [&str; 7] = [
    "",
    "probe with-registry /dev/vdb coracle pull -q 127.0.0.1:5000/three:1",
    "coracle imgstore rmi 127.0.0.1:5000/three:1",
    "probe with-registry /dev/vdb coracle pull -q 127.0.0.1:5000/three:2",
    "coracle imgstore rmi -f probe",
    "coracle imgstore gc",
    "probe with-registry /dev/vdb coracle pull -q -a 127.0.0.1:5000/three",
];

const PULL_NAMES: [&[&str]; 8] = [
    &[],
    &["probe:latest"],
    &["127.0.0.1:5000/three:1", "probe:latest"],
    &["probe:latest"],
    &["127.0.0.1:5000/three:2", "probe:latest"],
    &["127.0.0.1:5000/three:2"],
    &["127.0.0.1:5000/three:2"],
    &["127.0.0.1:5000/three:1", "127.0.0.1:5000/three:2"],
];

const STEPS: [&str; 12] = [
    "",
    "coracle imgstore tag probe one:1",
    "coracle imgstore bake probe -o /var/lib/coracle/base.tar",
    // Over it, and other bytes.
    "coracle imgstore bake one:1 -o /var/lib/coracle/base.tar",
    "coracle imgstore import /images/probe.tar second",
    "coracle imgstore rmi one:1",
    "coracle imgstore rmi second",
    "coracle commit kept third:1",
    "coracle imgstore rmi -f probe",
    "coracle imgstore gc",
    "coracle imgstore import /images/probe-oci.tar fourth",
    "coracle imgstore rmi third:1",
];

const NAMES: [&[&str]; 13] = [
    &[],
    &["probe:latest"],
    &["one:1", "probe:latest"],
    &["one:1", "probe:latest"],
    &["one:1", "probe:latest"],
    &["one:1", "probe:latest", "second:latest"],
    &["probe:latest", "second:latest"],
    &["probe:latest"],
    &["probe:latest", "third:1"],
    &["third:1"],
    &["third:1"],
    &["fourth:latest", "third:1"],
    &["fourth:latest"],
];

/// By its name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Story> {
    [&LOCAL, &PULLS].into_iter().find(|story| story.name == name)
}

impl Story {
    /// The steps that bake: their numbers and images.
    pub fn baking(&self) -> impl Iterator<Item = (usize, &'static str)> {
        self.steps.iter().enumerate().filter_map(|(number, step)| {
            Some((number, step.strip_prefix(BAKE)?.split(' ').next()?))
        })
    }

    /// As the session of a machine, with a mark after each step.
    #[must_use]
    pub fn session(&self, with_sync: bool) -> String {
        let prefix = if with_sync { "" } else { "probe nosync " };
        let mut text = String::new();
        for (number, step) in self.steps.iter().enumerate() {
            if step.starts_with("coracle commit") {
                let _ = writeln!(
                    text,
                    "$ {prefix}coracle create --net none --name kept probe write /srv/f x\n*"
                );
                let _ = writeln!(text, "$ {prefix}coracle start -a kept");
            }
            if !step.is_empty() {
                let _ = writeln!(text, "$ {prefix}{step}\n...");
            }
            if step.starts_with("coracle commit") {
                let _ = writeln!(text, "$ {prefix}coracle rm kept\n*");
            }
            let _ = writeln!(text, "$ probe mark {}", number + 1);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_has_its_names() {
        for story in [LOCAL, PULLS] {
            assert_eq!(story.names.len(), story.steps.len() + 1);
            let text = story.session(false);
            assert_eq!(text.matches("probe mark").count(), story.steps.len());
            assert!(crate::session::Session::parse(&text).is_ok(), "{text}");
            assert!(named(story.name).is_some());
        }
        assert_eq!(LOCAL.baking().collect::<Vec<_>>(), [(2, "probe"), (3, "one:1")]);
    }
}
