//! Spelling and layout, compared with what docker's client 28.2.2 prints.

use super::*;
use std::ffi::OsString;

const fn list(long: &'static str, help: &'static str) -> Flag {
    Flag::text(long, "list", help)
}

fn size(text: &str) -> Result<(), String> {
    match text.ends_with('m') {
        true => Ok(()),
        false => Err(["invalid size: '", text, "'"].concat()),
    }
}

static RUN: Command = Command {
    name: "run",
    usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    about: "Create and run a new container from an image",
    aliases: &["container run"],
    flags: &[
        list("add-host", "Add a custom host-to-IP mapping (host:ip)"),
        Flag::text(
            "cgroupns",
            "string",
            "Cgroup namespace to use (host|private)\n'host':    Run the container in the Docker \
             host's cgroup namespace\n'private': Run the container in its own private cgroup \
             namespace\n'':        Use the cgroup namespace as configured by the\n           \
             default-cgroupns-mode option on the daemon (default)",
        ),
        Flag::switch("detach", "Run container in background and print container ID").short(b'd'),
        list("env", "Set environment variables").short(b'e'),
        Flag::text(
            "health-start-interval",
            "duration",
            "Time between running the check during the start period (ms|s|m|h) (default 0s)",
        ),
        Flag::switch("help", "Print usage"),
        Flag::switch("interactive", "Keep STDIN open even if not attached").short(b'i'),
        Flag::text("network", "network", "Connect a container to a network"),
        Flag::alias("net", "network"),
        Flag::number("pids-limit", "Tune container pids limit (set -1 for unlimited)"),
        Flag::text(
            "pull",
            "string",
            "Pull image before running (\"always\", \"missing\", \"never\") (default \"missing\")",
        ),
        Flag::switch(
            "rm",
            "Automatically remove the container and its associated anonymous volumes when it exits",
        ),
    ],
    common: &[
        Flag::text("memory", "bytes", "Memory limit").short(b'm').checked(size),
        Flag::switch("tty", "Allocate a pseudo-TTY").short(b't'),
    ],
    operands: Operands::AtLeast(1),
    stops: true,
};

static RM: Command = Command {
    name: "rm",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Remove one or more containers",
    aliases: &["container rm", "container remove"],
    flags: &[Flag::switch("force", "Force the removal of a running container (uses SIGKILL)")
        .short(b'f')],
    common: &[],
    operands: Operands::AtLeast(1),
    stops: false,
};

static PROGRAM: Program = Program {
    name: "docker",
    about: "A self-sufficient runtime for containers",
    version: "docker 1",
    globals: &[
        Flag::text("completion", "string", "Print a completion script"),
        Flag::text("host", "list", "Daemon socket to connect to").short(b'H'),
        Flag::switch("version", "Print version information and quit").short(b'v'),
    ],
    common: &[],
    groups: &[("Commands", &[&RUN, &RM])],
};

fn parse(line: &str) -> Result<(Matches, &'static Command, Matches), Usage> {
    let words = line.split(' ').filter(|word| !word.is_empty());
    PROGRAM.parse(words.map(|word| OsString::from(word.replace('_', " "))).collect(), 80)
}

/// Flags and operands in one line.
fn said(matches: &Matches) -> String {
    let mut out = String::new();
    for (index, value) in &matches_given(matches) {
        out += &format!("{index}={value} ");
    }
    out + "| " + &matches.operands.join(" ")
}

fn matches_given(matches: &Matches) -> Vec<(&'static str, String)> {
    RUN.all_flags()
        .shown()
        .into_iter()
        .flat_map(|flag| matches.list(flag.long).map(|v| (flag.long, v.to_string())))
        .collect()
}

#[test]
fn spelling() {
    for (line, want) in [
        ("run x", "| x"),
        ("run -it x", "interactive=true tty=true | x"),
        ("run -itd x -d", "detach=true interactive=true tty=true | x -d"),
        ("run -eA=B x", "env=A=B | x"),
        ("run -e A=B -e=C=D --env E --env=F= x", "env=A=B env=C=D env=E env=F= | x"),
        ("run -ite A x", "env=A interactive=true tty=true | x"),
        ("run -iteA x", "env=A interactive=true tty=true | x"),
        ("run -e= x", "env== | x"),
        ("run --rm=false x --rm", "rm=false | x --rm"),
        ("run --rm=T -t=0 x", "rm=true tty=false | x"),
        ("run --net host x", "network=host | x"),
        ("run -m 64m x sh -c -- echo", "memory=64m | x sh -c -- echo"),
        ("run -- -x y", "| -x y"),
        ("run - x", "| - x"),
        ("run --pids-limit -1 x", "pids-limit=-1 | x"),
        ("run -e -i x", "env=-i | x"),
        ("run --env -- x", "env=-- | x"),
        ("container run -d x", "detach=true | x"),
        ("-H unix:///x run x", "| x"),
        ("-Hunix:///x run x", "| x"),
    ] {
        match parse(line) {
            Ok((_, command, matches)) => {
                assert_eq!((command.name, said(&matches).as_str()), ("run", want), "{line}");
            }
            Err(usage) => panic!("{line}: {usage:?}"),
        }
    }
    let (globals, command, matches) = parse("-H a --host=b rm x -f y -- -f").ok().unwrap();
    assert_eq!(globals.list("host").collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(globals.text("host"), Some("b"));
    assert_eq!((command.name, matches.on("force")), ("rm", true));
    assert_eq!(matches.operands, ["x", "y", "-f"]);
}

#[test]
fn what_is_wrong_is_said_as_docker_says_it() {
    let tail = "\n\nUsage:  docker run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\n\
                Run 'docker run --help' for more information\n";
    for (line, why) in [
        ("run --badflag x", "unknown flag: --badflag"),
        ("run --badflag=1 x", "unknown flag: --badflag"),
        ("run -xi x", "unknown shorthand flag: 'x' in -xi"),
        ("run -ix x", "unknown shorthand flag: 'x' in -x"),
        (
            "run --rm=foo x",
            "invalid argument \"foo\" for \"--rm\" flag: strconv.ParseBool: parsing \"foo\": invalid syntax",
        ),
        (
            "run --pids-limit x y",
            "invalid argument \"x\" for \"--pids-limit\" flag: strconv.ParseInt: parsing \"x\": invalid syntax",
        ),
        (
            "run --pids-limit 99999999999999999999 y",
            "invalid argument \"99999999999999999999\" for \"--pids-limit\" flag: strconv.ParseInt: parsing \"99999999999999999999\": value out of range",
        ),
        ("run -m x y", "invalid argument \"x\" for \"-m, --memory\" flag: invalid size: 'x'"),
        ("run --env", "flag needs an argument: --env"),
        ("run -e", "flag needs an argument: 'e' in -e"),
        ("run -ie", "flag needs an argument: 'e' in -e"),
        ("run --=x y", "bad flag syntax: --=x"),
        ("run ---x y", "bad flag syntax: ---x"),
        ("run -=x y", "unknown shorthand flag: '=' in -=x"),
        ("run -ü y", "unknown shorthand flag: 'ü' in -ü"),
    ] {
        let usage = parse(line).err().unwrap();
        assert_eq!(usage.text, format!("{why}{tail}"), "{line}");
        assert_eq!((usage.code, usage.stdout), (125, false), "{line}");
    }
    let usage = parse("run").err().unwrap();
    let see = tail.replace("Run '", "See '");
    assert_eq!(usage.text, format!("docker: 'docker run' requires at least 1 argument{see}"));
    assert_eq!(usage.code, 1);
    let usage = parse("foo").err().unwrap();
    assert_eq!(
        usage.text,
        "docker: unknown command: docker foo\n\nRun 'docker --help' for more information\n"
    );
    let usage = parse("container foo").err().unwrap();
    assert_eq!(
        usage.text,
        "docker: unknown command: docker container foo\n\nRun 'docker container --help' for more information\n"
    );
    assert_eq!(
        parse("--foo run x").err().unwrap().text,
        "unknown flag: --foo\n\nUsage:  docker [OPTIONS] COMMAND [ARG...]\n\nRun 'docker --help' for more information\n"
    );
}

#[test]
fn help_is_laid_out_as_dockers() {
    // From `docker run --help` without a terminal; the column is that of our widest flag.
    let want = "\
Usage:  docker run [OPTIONS] IMAGE [COMMAND] [ARG...]

Create and run a new container from an image

Aliases:
  docker container run, docker run

Options:
      --add-host list                    Add a custom host-to-IP mapping
                                         (host:ip)
      --cgroupns string                  Cgroup namespace to use
                                         (host|private)
                                         'host':    Run the container in
                                         the Docker host's cgroup
                                         namespace
                                         'private': Run the container in
                                         its own private cgroup namespace
                                         '':        Use the cgroup
                                         namespace as configured by the
                                                    default-cgroupns-mode
                                         option on the daemon (default)
  -d, --detach                           Run container in background and
                                         print container ID
  -e, --env list                         Set environment variables
      --health-start-interval duration   Time between running the check
                                         during the start period
                                         (ms|s|m|h) (default 0s)
      --help                             Print usage
  -i, --interactive                      Keep STDIN open even if not attached
  -m, --memory bytes                     Memory limit
      --network network                  Connect a container to a network
      --pids-limit int                   Tune container pids limit (set
                                         -1 for unlimited)
      --pull string                      Pull image before running
                                         (\"always\", \"missing\", \"never\")
                                         (default \"missing\")
      --rm                               Automatically remove the
                                         container and its associated
                                         anonymous volumes when it exits
  -t, --tty                              Allocate a pseudo-TTY
";
    let usage = parse("run --help").err().unwrap();
    assert_eq!(usage.text, want);
    assert_eq!((usage.code, usage.stdout), (0, true));
    assert_eq!(parse("help run").err().unwrap().text, want);
    assert_eq!(parse("run -i --help x").err().unwrap().text, want);
    // Any width works, and no word is lost.
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for width in 0..200 {
        let args = vec![OsString::from("run"), OsString::from("--help")];
        let got = PROGRAM.parse(args, width).err().unwrap().text;
        assert_eq!(words(&got), words(want), "{width}");
    }
}

#[test]
fn man_page_and_completion_name_every_flag() {
    let man = parse("help --man").err().unwrap().text;
    let script = parse("--completion bash").err().unwrap().text;
    let named = RUN.flags.iter().chain(RUN.common).chain(RM.flags);
    for flag in named.filter(|flag| flag.takes != Takes::Alias) {
        assert!(man.contains(&format!("\\-\\-{}", flag.long.replace('-', "\\-"))), "{}", flag.long);
        assert!(
            script.contains(&format!("--{} ", flag.long))
                || script.contains(&format!("--{}'", flag.long))
        );
    }
    assert!(man.lines().all(|line| !line.starts_with('\'')));
    assert_eq!(parse("--version").err().unwrap().text, "docker 1\n");
}
