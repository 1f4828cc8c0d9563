//! The tool `imgstore`: what boot scripts and people use without a daemon.
//!
//! argh reads the command line, after `--name=value` was split into two words. One line on standard
//! error when something fails, and exit code 1; 2 when the command line is wrong.

use crate::image::ImageConfig;
use crate::{ImportOptions, LoadEvent, Options, Removed, Store};
use argh::FromArgs;
use base::folders::Folders;
use base::text::table::Table;
use base::text::{id, size, time};
use base::{Error, OnError, Result, log};
use std::ffi::OsString;
use std::fs::File;
use std::io::{IsTerminal, Read, Write};
use std::path::Path;
use std::process::ExitCode;

/// Keeps images: loads, lists, names, removes them and checks them out.
#[derive(FromArgs)]
struct Arguments {
    /// the folder that is kept (default: /var/lib/coracle)
    #[argh(option)]
    root: Option<String>,
    /// the folder that is gone after a reboot (default: /run/coracle)
    #[argh(option)]
    run: Option<String>,
    #[argh(subcommand)]
    verb: Verb,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum Verb {
    Load(Load),
    Import(Import),
    Images(Images),
    Rmi(Rmi),
    Tag(Tag),
    Checkout(Checkout),
}

/// Loads images from an OCI layout or a `docker save` archive.
#[derive(FromArgs)]
#[argh(subcommand, name = "load")]
struct Load {
    /// a folder or a file (default: standard input)
    #[argh(option, short = 'i')]
    input: Option<String>,
    /// print only errors
    #[argh(switch, short = 'q')]
    quiet: bool,
    /// a folder or a file
    #[argh(positional)]
    path: Option<String>,
}

/// Makes an image of the tar of a root file system.
#[derive(FromArgs)]
#[argh(subcommand, name = "import")]
struct Import {
    /// a message for its history
    #[argh(option, short = 'm', default = "String::new()")]
    message: String,
    /// the command of containers, as words
    #[argh(option)]
    cmd: Option<String>,
    /// a variable of containers: NAME=VALUE
    #[argh(option, short = 'e')]
    env: Vec<String>,
    /// the file, or - for standard input
    #[argh(positional)]
    file: String,
    /// the name of the image
    #[argh(positional)]
    name: Option<String>,
}

/// Lists images.
#[derive(FromArgs)]
#[argh(subcommand, name = "images")]
struct Images {
    /// only ids
    #[argh(switch, short = 'q')]
    quiet: bool,
    /// whole ids
    #[argh(switch)]
    no_trunc: bool,
}

/// Removes images.
#[derive(FromArgs)]
#[argh(subcommand, name = "rmi")]
struct Rmi {
    /// also with several names, or in use
    #[argh(switch, short = 'f')]
    force: bool,
    /// names or ids
    #[argh(positional)]
    images: Vec<String>,
}

/// Gives an image one more name.
#[derive(FromArgs)]
#[argh(subcommand, name = "tag")]
struct Tag {
    /// name or id
    #[argh(positional)]
    image: String,
    /// the new name
    #[argh(positional)]
    name: String,
}

/// Copies the merged tree of an image into a folder.
#[derive(FromArgs)]
#[argh(subcommand, name = "checkout")]
struct Checkout {
    /// name or id
    #[argh(positional)]
    image: String,
    /// a folder that is empty or not there
    #[argh(positional)]
    folder: String,
}

/// The tool, with its arguments without its name.
pub fn main(args: Vec<OsString>) -> ExitCode {
    let mut words = Vec::with_capacity(args.len());
    for arg in args {
        match arg.into_string() {
            Ok(word) => split(word, &mut words),
            Err(arg) => {
                log::warn(format!("imgstore: argument is not UTF-8: {}", arg.to_string_lossy()));
                return ExitCode::from(2);
            }
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let arguments = match Arguments::from_args(&["imgstore"], &words) {
        Ok(arguments) => arguments,
        Err(exit) => {
            let (good, text) = (exit.status.is_ok(), exit.output);
            if good {
                print(&text);
                return ExitCode::SUCCESS;
            }
            let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
            log::warn(format!("imgstore: {line}"));
            return ExitCode::from(2);
        }
    };
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            log::warn(e.message());
            ExitCode::FAILURE
        }
    }
}

/// What `-` becomes: argh takes it for a flag.
const STDIN: &str = "\0-";

/// argh knows only `--name value`.
fn split(word: String, out: &mut Vec<String>) {
    if word == "-" {
        return out.push(STDIN.to_owned());
    }
    if out.iter().any(|word| word == "--") {
        return out.push(word);
    }
    match word.split_once('=') {
        Some((name, value)) if name.starts_with("--") => out.extend([name.into(), value.into()]),
        _ => out.push(word),
    }
}

fn print(text: &str) {
    // Standard output may be closed: then nobody wants to know.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn run(arguments: Arguments) -> Result<()> {
    let path = |text: &Option<String>| text.as_ref().map(|text| Path::new(text).to_owned());
    let folders = Folders::find(path(&arguments.root).as_deref(), path(&arguments.run).as_deref())?;
    let store = Store::open(&folders, Options::default())?;
    match arguments.verb {
        Verb::Load(load) => do_load(&store, &load),
        Verb::Import(import) => do_import(&store, import),
        Verb::Images(images) => list(&store, &images),
        Verb::Rmi(rmi) => remove(&store, &rmi),
        Verb::Tag(tag) => store.tag(&tag.image, &tag.name),
        Verb::Checkout(to) => store.checkout(&to.image, Path::new(&to.folder)),
    }
}

fn do_load(store: &Store, load: &Load) -> Result<()> {
    let mut events = |_: LoadEvent<'_>| ();
    let path = load.input.as_deref().or(load.path.as_deref()).filter(|&path| path != STDIN);
    let loaded = match path {
        Some(path) => store.load_path(Path::new(path), &mut events)?,
        None => {
            let mut input = std::io::stdin().lock();
            if input.is_terminal() {
                return Err(Error::bad_input("requested load from stdin, but stdin is empty"));
            }
            store.load(&mut input, &mut events)?
        }
    };
    if load.quiet {
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

fn do_import(store: &Store, import: Import) -> Result<()> {
    let words = |text: String| text.split_whitespace().map(str::to_owned).collect();
    let config =
        ImageConfig { env: import.env, cmd: import.cmd.map(words), ..ImageConfig::default() };
    let options = ImportOptions { name: import.name, config, message: import.message };
    let id = if import.file == STDIN {
        store.import(&mut std::io::stdin().lock() as &mut dyn Read, options)?
    } else {
        let path = Path::new(&import.file);
        store.import(&mut File::open(path).on_path("open", path)?, options)?
    };
    print(&[&id.to_string(), "\n"].concat());
    Ok(())
}

fn list(store: &Store, options: &Images) -> Result<()> {
    let mut table = Table::new(&["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]);
    let mut ids = String::new();
    let (now, _) = time::now();
    for image in store.list()? {
        let (full, hex) = (image.id.to_string(), image.id.hex());
        let shown = if options.no_trunc { full.as_str() } else { id::short(&hex) };
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
    print(if options.quiet { &ids } else { "" });
    if !options.quiet {
        print(&table.text());
    }
    Ok(())
}

fn remove(store: &Store, options: &Rmi) -> Result<()> {
    if options.images.is_empty() {
        return Err(Error::bad_input("rmi: at least one image is needed"));
    }
    let mut first = Ok(());
    for image in &options.images {
        let removed = match store.remove(image, options.force) {
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
