//! One step of the story that runs before the power goes: a command, as a line on the console names it
//! and as it is typed.

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `create` of a container: its name and restart policy.
    Create,
    /// `run -d`: the same.
    Run,
    /// `start` of one.
    Start,
    /// `stop` of one.
    Stop,
    /// `rm -f` of one.
    Remove,
    /// `rename`: its name, the new one.
    Rename,
    /// A synced write into the container's own files: its name, the text.
    Keep,
    /// `volume create`.
    VolumeCreate,
    /// `volume rm`.
    VolumeRemove,
    /// A synced write into a volume, by a `run --rm` in the foreground: its name, the text.
    VolumeKeep,
    /// `tag` of the tests' image: the new name.
    Tag,
    /// `rmi`.
    Untag,
    /// `commit`: a container, the image's name.
    Commit,
    /// `run --rm` in the foreground, under this name.
    Once,
    /// `run --rm -d`, which goes on until the power goes, under this name.
    OnceDetached,
}

/// The first word of a line.
const WORDS: [(Kind, &str); 15] = [
    (Kind::Create, "create"),
    (Kind::Run, "run"),
    (Kind::Start, "start"),
    (Kind::Stop, "stop"),
    (Kind::Remove, "rm"),
    (Kind::Rename, "rename"),
    (Kind::Keep, "keep"),
    (Kind::VolumeCreate, "volume-create"),
    (Kind::VolumeRemove, "volume-rm"),
    (Kind::VolumeKeep, "volume-keep"),
    (Kind::Tag, "tag"),
    (Kind::Untag, "rmi"),
    (Kind::Commit, "commit"),
    (Kind::Once, "once"),
    (Kind::OnceDetached, "once-detached"),
];

/// The file that is written in containers and volumes.
pub const KEPT: &str = "kept";

/// A step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What.
    pub kind: Kind,
    /// With which container, volume or image.
    pub name: String,
    /// A policy, a text, another name.
    pub other: String,
}

impl Step {
    /// Reads a line.
    #[must_use]
    pub fn parse(line: &str) -> Option<Step> {
        let mut words = line.split_whitespace();
        let word = words.next()?;
        let kind = WORDS.iter().find(|(_, other)| *other == word)?.0;
        let name = words.next()?.to_string();
        Some(Step { kind, name, other: words.next().unwrap_or("").to_string() })
    }

    /// The line.
    #[must_use]
    pub fn text(&self) -> String {
        let word = WORDS.iter().find(|(kind, _)| *kind == self.kind).map_or("", |(_, word)| word);
        [word, &self.name, &self.other].join(" ").trim_end().to_string()
    }

    /// What is typed.
    #[must_use]
    pub fn command(&self) -> Vec<String> {
        let (name, other) = (self.name.as_str(), self.other.as_str());
        let volume = format!("{name}:/data");
        let path = match self.kind {
            Kind::VolumeKeep => format!("/data/{KEPT}"),
            _ => format!("/srv/{KEPT}"),
        };
        let lives = ["probe", "trap", "0"];
        let words: Vec<&str> = match self.kind {
            Kind::Create | Kind::Run => {
                let begin: &[&str] =
                    if self.kind == Kind::Run { &["run", "-d"] } else { &["create"] };
                let flags = ["--net", "none", "--restart", other, "--name", name];
                [begin, &flags, &lives].concat()
            }
            Kind::Start => vec!["start", name],
            Kind::Stop => vec!["stop", "-t", "1", name],
            Kind::Remove => vec!["rm", "-f", name],
            Kind::Rename => vec!["rename", name, other],
            Kind::Keep => vec!["exec", name, "/bin/probe", "keep", &path, other],
            Kind::VolumeCreate => vec!["volume", "create", name],
            Kind::VolumeRemove => vec!["volume", "rm", name],
            Kind::VolumeKeep => {
                let flags = ["run", "--rm", "--net", "none", "-v", &volume];
                [&flags[..], &["probe", "keep", &path, other]].concat()
            }
            Kind::Tag => vec!["imgstore", "tag", "probe", name],
            Kind::Untag => vec!["rmi", name],
            Kind::Commit => vec!["commit", name, other],
            Kind::Once => {
                let flags = ["run", "--rm", "--net", "none", "--name", name];
                [&flags[..], &["-v", "/anonymous", "probe", "write", &path, "x"]].concat()
            }
            Kind::OnceDetached => {
                let flags = ["run", "--rm", "-d", "--net", "none", "--name", name];
                [&flags[..], &["-v", "/anonymous"], &lives].concat()
            }
        };
        words.into_iter().map(str::to_string).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        for (_, word) in WORDS {
            let line = format!("{word} a b");
            let step = Step::parse(&line).expect("parse");
            assert_eq!(step.text(), line);
            assert!(step.command().iter().any(|word| word == "a" || word == "a:/data"), "{line}");
        }
        assert_eq!(Step::parse("rm a").expect("parse").text(), "rm a");
        assert!(Step::parse("no a").is_none() && Step::parse("rm").is_none());
    }
}
