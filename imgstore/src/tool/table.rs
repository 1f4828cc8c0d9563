//! The commands of the tool and their flags.

use base::flags::{Command, Flag, Operands, Program};

static BAKE: Command = Command {
    name: "bake",
    usage: "[OPTIONS] [IMAGE...]",
    about: "Write images as the tar of a read-only base store, for sqfstar, mkfs.erofs or tar",
    aliases: &[],
    flags: &[
        Flag::text("from", "string", "Take them from an archive or a layout (default: all in it)"),
        Flag::text("output", "string", "The file (default: standard output)").short(b'o'),
        Flag::text("platform", "string", "For another machine: OS/CPU[/VARIANT], with --from"),
    ],
    common: &[],
    operands: Operands::AtLeast(0),
    stops: false,
};

static COPY: Command = Command {
    name: "copy",
    usage: "SRC DST",
    about: "Copy an image as it is: docker://NAME, oci:FOLDER[:TAG], or a NAME in the store",
    aliases: &[],
    flags: &[Flag::switch("quiet", "Print only errors").short(b'q')],
    common: &[],
    operands: Operands::Exactly(2),
    stops: false,
};

static DF: Command = Command {
    name: "df",
    usage: "",
    about: "Show how much there is of everything, and what could be freed",
    aliases: &[],
    flags: &[],
    common: &[],
    operands: Operands::None,
    stops: false,
};

static FSCK: Command = Command {
    name: "fsck",
    usage: "[OPTIONS]",
    about: "Look for what is broken, and mark it so that nothing uses it",
    aliases: &[],
    flags: &[
        Flag::switch("deep", "Read every byte of every layer"),
        Flag::switch("repair", "Remove what is broken: a load or a pull brings it back"),
    ],
    common: &[],
    operands: Operands::None,
    stops: false,
};

static GC: Command = Command {
    name: "gc",
    usage: "",
    about: "Remove layers that no image needs, and what was left half done",
    aliases: &[],
    flags: &[],
    common: &[],
    operands: Operands::None,
    stops: false,
};

static LOAD: Command = Command {
    name: "load",
    usage: "[OPTIONS] [PATH]",
    about: "Load images from an OCI layout or a docker save archive (default: standard input)",
    aliases: &[],
    flags: &[
        Flag::text("input", "string", "A folder or a file").short(b'i'),
        Flag::text("max-window", "bytes", "Memory that zstd may ask for (default 8m)"),
        Flag::switch("quiet", "Print only errors").short(b'q'),
    ],
    common: &[],
    operands: Operands::AtMost(1),
    stops: false,
};

static IMPORT: Command = Command {
    name: "import",
    usage: "[OPTIONS] FILE|- [NAME]",
    about: "Make an image of the tar of a root file system",
    aliases: &[],
    flags: &[
        Flag::text("cmd", "string", "The command of containers, as words"),
        Flag::text("env", "list", "A variable of containers: NAME=VALUE").short(b'e'),
        Flag::text("max-window", "bytes", "Memory that zstd may ask for (default 8m)"),
        Flag::text("message", "string", "A message for its history").short(b'm'),
    ],
    common: &[],
    operands: Operands::Between(1, 2),
    stops: false,
};

static IMAGES: Command = Command {
    name: "images",
    usage: "[OPTIONS]",
    about: "List images",
    aliases: &[],
    flags: &[Flag::switch("no-trunc", "Whole ids"), Flag::switch("quiet", "Only ids").short(b'q')],
    common: &[],
    operands: Operands::None,
    stops: false,
};

static RMI: Command = Command {
    name: "rmi",
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Remove images",
    aliases: &[],
    flags: &[Flag::switch("force", "Also with several names, or in use").short(b'f')],
    common: &[],
    operands: Operands::AtLeast(1),
    stops: false,
};

static SAVE: Command = Command {
    name: "save",
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Write images to an archive (default: standard output) or an OCI layout in a folder",
    aliases: &[],
    flags: &[
        Flag::text(
            "format",
            "string",
            "docker-archive, oci-archive or oci-layout (a folder) (default \"docker-archive\")",
        ),
        Flag::text("output", "string", "The file or folder").short(b'o'),
    ],
    common: &[],
    operands: Operands::AtLeast(1),
    stops: false,
};

static TAG: Command = Command {
    name: "tag",
    usage: "IMAGE NAME",
    about: "Give an image one more name",
    aliases: &[],
    flags: &[],
    common: &[],
    operands: Operands::Exactly(2),
    stops: false,
};

static CHECKOUT: Command = Command {
    name: "checkout",
    usage: "[OPTIONS] IMAGE FOLDER",
    about: "Copy the merged tree of an image into a folder that is empty or not there",
    aliases: &[],
    flags: &[Flag::switch(
        "read-only",
        "Hard links to the store's files: nothing may write to them",
    )],
    common: &[],
    operands: Operands::Exactly(2),
    stops: false,
};

pub(super) static PROGRAM: Program = Program {
    name: "imgstore",
    about: "Keeps images: loads, lists, names, removes them and checks them out",
    version: concat!("imgstore version ", env!("CARGO_PKG_VERSION")),
    globals: &[
        Flag::text("base-store", "list", "A read-only store below it (more: again)"),
        Flag::text("root", "string", "The folder that is kept (default \"/var/lib/coracle\")"),
        Flag::text(
            "run",
            "string",
            "The folder that is gone after a reboot (default \"/run/coracle\")",
        ),
        Flag::switch("version", "Print version information and quit").short(b'v'),
    ],
    common: &[],
    groups: &[(
        "Commands",
        &[&BAKE, &CHECKOUT, &COPY, &DF, &FSCK, &GC, &IMAGES, &IMPORT, &LOAD, &RMI, &SAVE, &TAG],
    )],
};
