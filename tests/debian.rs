//! Real input: a Debian root file system by debootstrap, imported, and what people run in it.

#![allow(clippy::expect_used)]

use std::path::Path;
use std::process::{Command, Stdio};
use support::World;

/// The root file system that tests/run has made: here is no network to make it with.
fn debian() -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/debian");
    assert!(folder.join("done").exists(), "no Debian root file system: tests/run makes it");
    folder.join("root")
}

#[test]
fn debian_is_imported_and_its_programs_run() {
    let world = World::empty();
    let mut tar = Command::new("tar")
        .arg("-C")
        .arg(debian())
        .args(["--exclude=./dev/*", "--exclude=./var/cache/apt/archives/*.deb", "-c", "."])
        .stdout(Stdio::piped())
        .spawn()
        .expect("tar");
    let mut import = world.command(&["import", "-", "debian"]);
    import.stdin(tar.stdout.take().expect("stdout"));
    assert!(import.status().expect("import").success());
    assert!(tar.wait().expect("wait").success());
    let run = |words: &[&str]| {
        let words = [&["run", "--rm", "--net", "none", "debian"], words].concat();
        world.coracle(&words)
    };
    let packages = run(&["dpkg", "-l"]);
    assert_eq!(packages.code, 0, "{packages:?}");
    assert!(packages.out.lines().filter(|line| line.starts_with("ii ")).count() > 50);
    let perl = run(&["perl", "-e", "print 1"]);
    assert_eq!((perl.code, perl.out.as_str()), (0, "1"), "{perl:?}");
    let apt = run(&["apt-get", "--version"]);
    assert!(apt.code == 0 && apt.out.starts_with("apt 2."), "{apt:?}");
    // More memory than allowed.
    let greedy = world.coracle(&[
        "run",
        "--rm",
        "--net",
        "none",
        "--memory",
        "64m",
        "debian",
        "perl",
        "-e",
        "my $x = 'x' x 200_000_000; print length $x",
    ]);
    assert_eq!(greedy.code, 137, "{greedy:?}");
    let mut terminal = support::Terminal::start(
        &world,
        &format!("{} run -it --rm --net none debian bash", support::binary().display()),
    );
    terminal.expect("# ").send("echo $0 $((6*7))\n").expect("bash 42").expect("# ");
    terminal.send("exit 4\n");
    assert_eq!(terminal.end(), 4);
    world.finish();
}
