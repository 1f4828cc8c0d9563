//! The same archives read by GNU tar, by Python and by us give the same trees.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;
use common::{Scratch, checkout, import, tree};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

fn make_tree(root: &Path) {
    let long = root.join("n".repeat(120)).join("m".repeat(130));
    for folder in ["plain", "plain/deep/er", "closed"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    std::fs::create_dir_all(&long).unwrap();
    for (name, size) in
        [("empty", 0), ("one", 1), ("block", 512), ("more", 513), ("large", 200_001)]
    {
        std::fs::write(root.join("plain").join(name), "x".repeat(size)).unwrap();
    }
    std::fs::write(long.join("f".repeat(200)), "long").unwrap();
    std::fs::write(root.join("é中😀 \\ \"q'"), "name").unwrap();
    std::fs::write(root.join("line\nfeed"), "name").unwrap();
    std::fs::hard_link(root.join("plain/one"), root.join("zlink")).unwrap();
    std::fs::hard_link(root.join("plain/one"), long.join("link")).unwrap();
    symlink("../nowhere", root.join("plain/symlink")).unwrap();
    symlink("t".repeat(300), root.join("plain/longlink")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        root.join("fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o640),
        0,
    )
    .unwrap();
    for (name, mode) in
        [("closed", 0o2750), ("plain/one", 0o4751), ("plain/more", 0o444), ("fifo", 0o640)]
    {
        std::fs::set_permissions(root.join(name), PermissionsExt::from_mode(mode)).unwrap();
    }
}

fn ours(scratch: &Scratch, archive: &Path, what: &str, want: &[String]) {
    let store = scratch.store();
    let bytes = std::fs::read(archive).unwrap();
    import(&store, &bytes, "x").unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(checkout(scratch, &store, "x"), want, "{what}");
}

#[test]
fn archives_of_gnu_tar() {
    let scratch = Scratch::new();
    let root = scratch.path.join("tree");
    std::fs::create_dir(&root).unwrap();
    make_tree(&root);
    let archive = scratch.path.join("a.tar");
    for flags in [
        &["--format=gnu"][..],
        &["--format=pax"],
        &["--format=pax", "--pax-option=delete=atime"],
        &["--format=gnu", "-b", "1"],
        &["--format=pax", "-b", "200"],
    ] {
        let run = Command::new("tar")
            .arg("-C")
            .arg(&root)
            .args(flags)
            .arg("-cf")
            .arg(&archive)
            .arg(".")
            .status();
        assert!(run.unwrap().success());
        ours(&scratch, &archive, &flags.join(" "), &tree(&root));
    }
}

#[test]
fn archives_of_python() {
    let scratch = Scratch::new();
    let root = scratch.path.join("tree");
    std::fs::create_dir(&root).unwrap();
    make_tree(&root);
    let archive = scratch.path.join("a.tar");
    for format in ["GNU_FORMAT", "PAX_FORMAT"] {
        let script = format!(
            "import tarfile,sys\nwith tarfile.open(sys.argv[2],'w',format=tarfile.{format}) as t: t.add(sys.argv[1],'.')"
        );
        let run = Command::new("python3").args(["-c", &script]).arg(&root).arg(&archive).status();
        assert!(run.unwrap().success());
        ours(&scratch, &archive, format, &tree(&root));
    }
}
