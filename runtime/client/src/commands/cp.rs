//! `cp`: files between a container and this machine.
//!
//! docker's rules: a folder that is there gets the source into it, with `/.` at the source's end what is
//! in the source; a name that is not there becomes the copy's name.

use super::Failure;
use crate::session::Session;
use crate::wire;
use base::flags::{Command, Flag, Matches, Operands};
use base::text::base64;
use base::text::size::human;
use base::{Error, Kind, OnError, Result};
use base_http::api::container::PathStat;
use base_http::{Method, Payload};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

pub(super) static COMMAND: Command = Command {
    name: "cp",
    usage: "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|- | SRC_PATH|- CONTAINER:DEST_PATH",
    about: "Copy files/folders between a container and the local filesystem",
    aliases: &["container cp"],
    flags: &[
        Flag::switch("archive", "Archive mode (copy all uid/gid information)").short(b'a'),
        Flag::switch("follow-link", "Always follow symbol link in SRC_PATH").short(b'L'),
        Flag::switch("quiet", "Suppress progress output during copy").short(b'q'),
    ],
    common: &[],
    operands: Operands::Exactly(2),
    stops: false,
};

/// os.ModeDir of Go.
const FOLDER: u32 = 1 << 31;

pub(super) fn run(session: &Session<'_>, matches: &Matches) -> std::result::Result<u8, Failure> {
    let [source, target] = matches.operands.as_slice() else { return Ok(1) };
    match (in_container(source), in_container(target)) {
        (Some(from), None) => out_of(session, matches, from, target)?,
        (None, Some(to)) => into(session, matches, source, to)?,
        (Some(_), Some(_)) => {
            return Err(Error::bad_input("copying between containers is not supported").into());
        }
        (None, None) => {
            let text = "must specify at least one container source";
            return Err(Error::bad_input(text).into());
        }
    }
    Ok(0)
}

/// A container's name and a path in it. A path of this machine with a colon begins with `/` or `.`.
fn in_container(text: &str) -> Option<(&str, &str)> {
    if text.starts_with(['/', '.']) {
        return None;
    }
    text.split_once(':').filter(|(name, _)| !name.is_empty())
}

/// What lies at a path; None when nothing does.
fn look(session: &Session<'_>, (name, path): (&str, &str)) -> Result<Option<PathStat>> {
    let target = session.target("/containers/", name, "/archive")?.with("path", path);
    let (_, _, head) = match session.begin(Method::Head, &target, Payload::None) {
        Err(error) if error.kind() == Kind::NotFound => {
            // The container, or the path?
            let target = session.target("/containers/", name, "/json")?;
            session.ask(Method::Get, &target, Payload::None)?;
            return Ok(None);
        }
        // An answer to HEAD has no words: GET has them.
        Err(error) => {
            session.begin(Method::Get, &target, Payload::None)?;
            return Err(error);
        }
        Ok(begun) => begun,
    };
    let text = head.headers.get("x-docker-container-path-stat").and_then(base64::decode);
    base::json::parse(&text.unwrap_or_default()).map(Some)
}

fn missing((name, path): (&str, &str)) -> Error {
    Error::not_found(["Could not find the file ", path, " in container ", name].concat())
}

/// A path whose last name is no link any more.
fn followed(
    session: &Session<'_>,
    (name, path): (&str, &str),
) -> Result<(String, Option<PathStat>)> {
    let found = look(session, (name, path))?;
    match found {
        Some(stat) if !stat.link_target.is_empty() => {
            let target = stat.link_target;
            let found = look(session, (name, &target))?;
            Ok((target, found))
        }
        found => Ok((path.to_string(), found)),
    }
}

fn out_of(
    session: &Session<'_>,
    matches: &Matches,
    (name, path): (&str, &str),
    to: &str,
) -> Result<()> {
    let (path, stat) = match matches.on("follow-link") {
        true => followed(session, (name, path))?,
        false => (path.to_string(), look(session, (name, path))?),
    };
    let stat = stat.ok_or_else(|| missing((name, &path)))?;
    let is_folder = stat.mode & FOLDER != 0;
    let place = match to {
        "-" => None,
        to => Some(place_here(Path::new(to), to.ends_with('/'), is_folder, &path)?),
    };
    let target = session.target("/containers/", name, "/archive")?.with("path", &path);
    let (_, mut connection, head) = session.begin(Method::Get, &target, Payload::None)?;
    let mut answer = connection.answer(head);
    let Some((folder, new)) = place else {
        let mut out = Out(session);
        return std::io::copy(&mut answer.body, &mut out).map(drop).on("write", "archive");
    };
    let mut counted = Counted { inner: &mut answer.body, bytes: 0 };
    let keep = matches.on("archive");
    session.connect.extract(&mut counted, &folder, new.as_deref(), keep)?;
    // The rest of the last block, so that an archive that was cut is told.
    let whole = std::io::copy(&mut counted, &mut std::io::sink());
    whole.on("read", "archive")?;
    done(session, matches, counted.bytes, to);
    Ok(())
}

/// The folder of this machine that gets the copy, and the copy's name there if it has another one.
fn place_here(
    to: &Path,
    slash: bool,
    is_folder: bool,
    source: &str,
) -> Result<(PathBuf, Option<String>)> {
    let contents = is_folder && (source.ends_with("/.") || source == ".");
    let last = || to.file_name().map(|name| name.to_string_lossy().into_owned());
    let above = || {
        let above = to.parent().filter(|path| !path.as_os_str().is_empty());
        above.unwrap_or(Path::new(".")).to_path_buf()
    };
    match std::fs::metadata(to) {
        Ok(found) if found.is_dir() => Ok((to.to_path_buf(), contents.then(String::new))),
        Ok(_) if is_folder => Err(Error::bad_input("cannot copy directory")),
        Ok(_) => Ok((above(), last())),
        Err(_) if slash && !is_folder => Err(Error::bad_input("no such directory")),
        Err(_) if !above().is_dir() => Err(Error::bad_input(
            ["invalid output path: directory \"", &above().to_string_lossy(), "\" does not exist"]
                .concat(),
        )),
        Err(_) => Ok((above(), last())),
    }
}

fn into(
    session: &Session<'_>,
    matches: &Matches,
    source: &str,
    (name, path): (&str, &str),
) -> Result<()> {
    let (path, found) = followed(session, (name, path))?;
    let to = [name, ":", &path].concat();
    let in_folder = found.as_ref().is_some_and(|stat| stat.mode & FOLDER != 0);
    if source == "-" {
        if !in_folder {
            let text = ["destination \"", &to, "\" must be a directory"].concat();
            return Err(Error::bad_input(text));
        }
        return send(session, matches, (name, &path), &mut base::read::Stdin).map(drop);
    }
    let local = Path::new(source);
    let whole = source.ends_with('/') || source.ends_with("/.") || source == ".";
    let stat = match matches.on("follow-link") || whole {
        true => std::fs::metadata(local),
        false => std::fs::symlink_metadata(local),
    };
    let is_folder = stat.on_path("stat", local)?.is_dir();
    let local = match matches.on("follow-link") {
        true => local.canonicalize().on_path("resolve", local)?,
        false => local.to_path_buf(),
    };
    let contents = is_folder && (source.ends_with("/.") || source == ".");
    let (above, last) = path.trim_end_matches('/').rsplit_once('/').unwrap_or(("", &path));
    let above = if above.is_empty() { "/" } else { above };
    let (folder, new) = match &found {
        Some(_) if in_folder && contents => (path.as_str(), String::new()),
        Some(_) if in_folder => {
            let own = Path::new(source).file_name();
            let own = own.or(local.file_name()).unwrap_or_default();
            (path.as_str(), own.to_string_lossy().into_owned())
        }
        Some(_) if is_folder => return Err(Error::bad_input("cannot copy directory")),
        None if path.ends_with('/') && !is_folder => {
            return Err(Error::bad_input("no such directory"));
        }
        _ => (above, last.to_string()),
    };
    let (read, write) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).on("pipe", "archive")?;
    let connect = session.connect;
    let bytes = std::thread::scope(|scope| {
        let packing = scope.spawn(move || {
            let mut out = std::io::BufWriter::new(std::fs::File::from(write));
            connect.pack(&local, &new, &mut out)
        });
        let mut archive = std::fs::File::from(read);
        let sent = send(session, matches, (name, folder), &mut archive);
        // Nobody reads any more: the packer, if it still writes, is told so.
        drop(archive);
        let packed = packing.join().unwrap_or_else(|_| Err(Error::other("pack: it panicked")));
        // Who refused the archive has made the packer fail.
        sent.and_then(|bytes| packed.map(|()| bytes))
    })?;
    done(session, matches, bytes, &to);
    Ok(())
}

/// Sends an archive; gives how many bytes it had.
fn send(
    session: &Session<'_>,
    matches: &Matches,
    (name, folder): (&str, &str),
    archive: &mut dyn Read,
) -> Result<u64> {
    let target = session.target("/containers/", name, "/archive")?.with("path", folder);
    let target =
        target.with("noOverwriteDirNonDir", "true").with_flag("copyUIDGID", matches.on("archive"));
    let mut counted = Counted { inner: archive, bytes: 0 };
    let payload = Payload::Stream("application/x-tar", &mut counted);
    let (_, mut connection, head) = session.begin(Method::Put, &target, payload)?;
    connection.answer(head).check().map_err(|error| session.said(error))?;
    Ok(counted.bytes)
}

fn done(session: &Session<'_>, matches: &Matches, bytes: u64, to: &str) {
    if !matches.on("quiet") {
        session.tell(&["Successfully copied ", &human(bytes), " to ", to].concat());
    }
}

/// A reader that counts.
struct Counted<'a> {
    inner: &'a mut dyn Read,
    bytes: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.bytes += count as u64;
        Ok(count)
    }

    base::shared_reads!();
}

/// Standard output, with an ear for signals.
struct Out<'a, 'b>(&'a Session<'b>);

impl Write for Out<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        wire::write_all(&self.0.signals, rustix::stdio::stdout(), bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::in_container;

    #[test]
    fn paths_of_containers() {
        assert_eq!(in_container("web:/etc"), Some(("web", "/etc")));
        assert_eq!(in_container("web:"), Some(("web", "")));
        for local in ["/a:b", "./web:/etc", "file", "-", ":x"] {
            assert_eq!(in_container(local), None, "{local}");
        }
    }
}
