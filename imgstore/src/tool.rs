//! The tool `imgstore`: what boot scripts and people use without a daemon.
//!
//! One line on standard error when something fails, and exit code 1; 2 when the command line is
//! wrong.

mod table;

use crate::image::ImageConfig;
use crate::reference::Reference;
use crate::registry;
use crate::{Bake, Form, Fsck, ImportOptions, LoadEvent, Options, Removed, Store};
use base::flags::Matches;
use base::folders::Folders;
use base::read::Stdin;
use base::text::table::Table;
use base::text::{id, size, time};
use base::{Error, OnError, Result, files, log};
use std::ffi::OsString;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use table::PROGRAM;

/// What stands for standard input.
const STDIN: &str = "-";

/// The tool, with its arguments without its name.
pub fn main(args: Vec<OsString>) -> ExitCode {
    let (globals, command, matches) = match PROGRAM.parse(args, 80) {
        Ok(parsed) => parsed,
        Err(usage) => {
            usage.print();
            return if usage.stdout { ExitCode::SUCCESS } else { ExitCode::from(2) };
        }
    };
    match run(&globals, command.name, &matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            log::warn(e.message());
            ExitCode::FAILURE
        }
    }
}

fn print(text: &str) {
    // Standard output may be closed: then nobody wants to know.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn run(globals: &Matches, command: &str, matches: &Matches) -> Result<()> {
    let mut folders =
        Folders::find(globals.text("root").map(Path::new), globals.text("run").map(Path::new))?;
    if globals.list("base-store").next().is_some() {
        folders.set_base_stores(globals.list("base-store").map(PathBuf::from))?;
    }
    if ["load", "import"].contains(&command)
        && let Some(size) = matches.text("max-window")
    {
        folders.settings.max_window = size.to_owned();
    }
    let repair = command == "fsck" && matches.on("repair");
    let store = match Store::open(&folders, Options::default()) {
        Err(e) if repair && Store::repair_format(&folders).is_ok() => {
            print(&[e.message(), ": repaired\n"].concat());
            Store::open(&folders, Options::default())?
        }
        other => other?,
    };
    // Counted by the parser.
    let operand = |number: usize| matches.operands.get(number).map(String::as_str);
    let pair = || (operand(0).unwrap_or_default(), operand(1).unwrap_or_default());
    match command {
        "load" => load(&store, matches.text("input").or(operand(0)), matches.on("quiet")),
        "import" => import(&store, matches, pair().0, operand(1)),
        "df" => usage(&store),
        "fsck" => fsck(&store, Fsck { deep: matches.on("deep"), repair }),
        "gc" => collect(&store),
        "images" => list(&store, matches.on("quiet"), matches.on("no-trunc")),
        "rmi" => remove(&store, &matches.operands, matches.on("force")),
        "bake" => bake(&store, matches),
        "save" => save(&store, matches),
        "tag" => store.tag(pair().0, pair().1),
        "copy" => copy(&folders, &store, pair(), matches.on("quiet")),
        _ if matches.on("read-only") => store.checkout_read_only(pair().0, Path::new(pair().1)),
        _ => store.checkout(pair().0, Path::new(pair().1)),
    }
}

fn usage(store: &Store) -> Result<()> {
    let usage = store.usage()?;
    let mut table = Table::new(&["TYPE", "TOTAL", "IN USE", "SIZE", "RECLAIMABLE"]);
    let number = |number: u64| number.to_string();
    let (bytes, free) = (size::human(usage.bytes), size::human(usage.reclaimable));
    table.row(vec!["Images".into(), number(usage.images), number(usage.held), bytes, free]);
    let garbage = size::human(usage.garbage);
    let row = ["Layers", &number(usage.layers), "", "", &garbage].map(str::to_owned);
    table.row(row.to_vec());
    print(&table.text());
    Ok(())
}

fn fsck(store: &Store, how: Fsck) -> Result<()> {
    let found = store.fsck(how)?;
    for problem in &found.problems {
        let end = if problem.repaired { ": removed\n" } else { "\n" };
        print(&[&problem.text, end].concat());
    }
    let left = found.problems.iter().filter(|problem| !problem.repaired).count();
    if left > 0 {
        return Err(Error::other(format!("{left} problems")));
    }
    print(&format!("{} images, {} layers: clean\n", found.images, found.layers));
    Ok(())
}

fn collect(store: &Store) -> Result<()> {
    let done = store.gc()?;
    for layer in &done.layers {
        print(&["Deleted: sha256:", layer, "\n"].concat());
    }
    print(&["Total reclaimed space: ", &size::human(done.bytes), "\n"].concat());
    Ok(())
}

/// Who the user is for a registry.
fn who(registry: &str) -> Result<registry::Credentials> {
    match base_http::credentials::Credentials::find()? {
        Some(file) => file.of(registry),
        None => Ok(registry::Credentials::default()),
    }
}

fn copy(folders: &Folders, store: &Store, (from, to): (&str, &str), quiet: bool) -> Result<()> {
    use registry::{Client, Place};
    let settings = &folders.settings;
    let client = |name: &str| -> Result<Client> {
        let name = Reference::parse(name)?;
        let server = name.server().map_or("docker.io", |(server, _)| server);
        Client::new(settings, who(server)?)
    };
    let mut events = |progress: registry::Progress<'_>| {
        if !quiet && progress.total == 0 && !progress.status.is_empty() {
            let colon = if progress.id.is_empty() { "" } else { ": " };
            print(&[progress.id, colon, progress.status, "\n"].concat());
        }
        Ok(())
    };
    match (Place::parse(from), Place::parse(to)) {
        (Some(a), Some(b)) => {
            let digest = registry::copy(settings, &who, &a, &b)?;
            if !quiet {
                print(&[&digest.to_string(), "\n"].concat());
            }
            Ok(())
        }
        (Some(Place::Registry(name)), None) => {
            let pull = registry::Pull { name: name.clone(), ..registry::Pull::default() };
            client(&name)?.pull(store, &pull, &mut events)?;
            store.tag(&name, to)
        }
        (None, Some(Place::Registry(name))) => {
            store.tag(from, &name)?;
            client(&name)?.push(store, &name, false, &mut events)
        }
        (Some(Place::Layout(folder, _)), None) => {
            let loaded = store.load_path(&folder, &mut |_| ())?;
            match loaded.as_slice() {
                [one] => store.tag(&one.id.to_string(), to),
                _ => Err(Error::bad_input("copy: there is more than one image: load them")),
            }
        }
        (None, Some(Place::Layout(folder, _))) => store.save_folder(&[from.to_owned()], &folder),
        (None, None) => store.tag(from, to),
    }
}

fn load(store: &Store, path: Option<&str>, quiet: bool) -> Result<()> {
    let mut events = |_: LoadEvent<'_>| ();
    let path = path.filter(|&path| path != STDIN);
    let loaded = match path {
        Some(path) => store.load_path(Path::new(path), &mut events)?,
        None => {
            if std::io::stdin().is_terminal() {
                return Err(Error::bad_input("requested load from stdin, but stdin is empty"));
            }
            store.load(&mut Stdin, &mut events)?
        }
    };
    if quiet {
        return Ok(());
    }
    let mut text = String::new();
    for image in loaded {
        for name in &image.names {
            text.push_str(&["Loaded image: ", name, "\n"].concat());
        }
        if image.names.is_empty() {
            text.push_str(&["Loaded image ID: ", &image.id.to_string(), "\n"].concat());
        }
    }
    print(&text);
    Ok(())
}

fn import(store: &Store, matches: &Matches, file: &str, name: Option<&str>) -> Result<()> {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    let config = ImageConfig {
        env: matches.list("env").map(str::to_owned).collect(),
        cmd: matches.text("cmd").map(words),
        ..ImageConfig::default()
    };
    let message = matches.text("message").unwrap_or_default().to_owned();
    let options = ImportOptions { name: name.map(str::to_owned), config, message };
    let id = if file == STDIN {
        store.import(&mut Stdin, options)?
    } else {
        let path = Path::new(file);
        store.import(&mut File::open(path).on_path("open", path)?, options)?
    };
    print(&[&id.to_string(), "\n"].concat());
    Ok(())
}

fn bake(store: &Store, matches: &Matches) -> Result<()> {
    let bake = Bake {
        images: matches.operands.clone(),
        from: matches.text("from").map(PathBuf::from),
        platform: matches.text("platform").unwrap_or_default().to_owned(),
        epoch: crate::bake::epoch()?,
    };
    write_out(matches, &mut |out| store.bake(&bake, out))
}

fn save(store: &Store, matches: &Matches) -> Result<()> {
    let output = matches.text("output").map(Path::new);
    let form = match matches.text("format").unwrap_or("docker-archive") {
        "docker-archive" => Form::Docker,
        "oci-archive" => Form::Oci,
        "oci-layout" => match output {
            Some(folder) => return store.save_folder(&matches.operands, folder),
            None => return Err(Error::bad_input("save: an oci-layout needs a folder: --output")),
        },
        other => {
            let shown: String = other.chars().filter(|c| !c.is_control()).collect();
            return Err(Error::bad_input(format!("save: unknown format '{shown}'")));
        }
    };
    write_out(matches, &mut |out| store.save(&matches.operands, form, out))
}

/// To the file of `--output`, else to standard output.
fn write_out(matches: &Matches, write: &mut dyn FnMut(&mut dyn Write) -> Result<()>) -> Result<()> {
    if let Some(path) = matches.text("output") {
        return files::write_aside_then_rename(Path::new(path), &mut |file| write(file));
    }
    let stdout = std::io::stdout();
    if stdout.is_terminal() {
        let text = "cowardly refusing to save to a terminal. Use the -o flag or redirect";
        return Err(Error::bad_input(text));
    }
    write(&mut File::from(own_stdout()?))
}

/// Standard output without Rust's buffer.
fn own_stdout() -> Result<std::os::fd::OwnedFd> {
    rustix::io::dup(rustix::stdio::stdout()).on("write", "standard output")
}

fn list(store: &Store, quiet: bool, no_trunc: bool) -> Result<()> {
    let mut table = Table::new(&["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]);
    let mut ids = String::new();
    let (now, _) = time::now();
    for image in store.list()? {
        let (full, hex) = (image.id.to_string(), image.id.hex());
        let shown = if no_trunc { full.as_str() } else { id::short(&hex) };
        ids.push_str(shown);
        ids.push('\n');
        let created = [&time::ago(now.saturating_sub(image.created)), " ago"].concat();
        let none = vec!["<none>:<none>".to_owned()];
        for name in if image.names.is_empty() { &none } else { &image.names } {
            let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "<none>"));
            let cells = [repository, tag, shown, &created, &size::human(image.size)];
            table.row(cells.map(str::to_owned).to_vec());
        }
    }
    print(if quiet { &ids } else { "" });
    if !quiet {
        print(&table.text());
    }
    Ok(())
}

fn remove(store: &Store, images: &[String], force: bool) -> Result<()> {
    let mut first = Ok(());
    for image in images {
        let removed = match store.remove(image, force) {
            Ok(removed) => removed,
            Err(e) => {
                if first.is_err() {
                    log::warn(e.message());
                } else {
                    first = Err(e);
                }
                continue;
            }
        };
        for step in removed {
            print(&match step {
                Removed::Untagged(name) => ["Untagged: ", &name, "\n"].concat(),
                Removed::Deleted(id) => ["Deleted: ", &id.to_string(), "\n"].concat(),
            });
        }
    }
    first
}
