//! A profile of the user's, as Docker and the OCI runtime specification write it.
//!
//! What Docker adds to the OCI's form is understood: `archMap`, and rules with `includes` and
//! `excludes`. As in runc, several tests of the same argument in one rule are alternatives, a call
//! that this CPU does not have is no mistake, and calls newer than all that the profile names fail
//! with ENOSYS when the default refuses.

use super::calls::{ABIS, COUNT, DOCKERS_NAMES, all_names};
use super::policy::{
    ALLOW, Action, Comparison, ENOSYS, EPERM, FLAG_LOG, FLAG_SPEC_ALLOW, KILL_PROCESS, KILL_THREAD,
    LOG, Policy, Rule, TRACE, TRAP, Test, Verdict, fail,
};
use crate::capabilities::{Capabilities, NAMES};
use base::{Error, Result, json, json_object};

/// The largest profile that is read.
const LARGEST: usize = 1 << 20;

json_object! {
    #[derive(Clone, Debug, Default)]
    struct Document {
        "defaultAction" => default_action: String,
        "defaultErrnoRet" => default_errno: Option<u32>,
        "architectures" => architectures: Option<Vec<String>>,
        "archMap" => arch_map: Option<Vec<ArchMap>>,
        "flags" => flags: Option<Vec<String>>,
        "syscalls" => calls: Vec<Entry>,
    }
}

json_object! {
    #[derive(Clone, Debug, Default)]
    struct ArchMap {
        "architecture" => architecture: String,
        "subArchitectures" => others: Vec<String>,
    }
}

json_object! {
    #[derive(Clone, Debug, Default)]
    struct Entry {
        "name" => name: String,
        "names" => names: Vec<String>,
        "action" => action: String,
        "errnoRet" => errno: Option<u32>,
        "args" => arguments: Vec<Argument>,
        "includes" => includes: Condition,
        "excludes" => excludes: Condition,
    }
}

json_object! {
    #[derive(Clone, Debug, Default)]
    struct Argument {
        "index" => index: u32,
        "value" => value: u64,
        "valueTwo" => second: u64,
        "op" => operator: String,
    }
}

json_object! {
    #[derive(Clone, Debug, Default)]
    struct Condition {
        "arches" => arches: Vec<String>,
        "caps" => capabilities: Vec<String>,
        "minKernel" => kernel: String,
    }
}

fn wrong(what: &str, text: &str) -> Error {
    Error::bad_input(["seccomp profile: ", what, " ", text].concat())
}

pub(super) fn policy(text: &str, capabilities: Capabilities) -> Result<Policy> {
    if text.len() > LARGEST {
        return Err(Error::bad_input("seccomp profile: larger than 1 MiB"));
    }
    let document: Document =
        json::parse(text.as_bytes()).map_err(|error| wrong("decoding failed:", error.message()))?;
    let default = action(&document.default_action, document.default_errno)?;
    let architectures = architectures(&document)?;
    let has = |name: &str| architectures.iter().any(|other| other == name);
    let mut policy = Policy {
        flags: flags(document.flags.as_deref())?,
        default,
        newer: match default {
            // What permits today permits what comes.
            ALLOW | LOG => default,
            _ => fail(ENOSYS),
        },
        abis: ABIS
            .iter()
            .enumerate()
            .filter(|(n, abi)| *n == 0 || has(abi.name))
            .map(|(_, abi)| abi)
            .collect(),
        x32: has("SCMP_ARCH_X32"),
        verdicts: vec![Verdict::new()],
        calls: [0; COUNT],
    };
    let mut rules: Vec<Verdict> = vec![Verdict::new(); COUNT];
    for entry in &document.calls {
        let action = action(&entry.action, entry.errno)?;
        let tests = entry.arguments.iter().map(test).collect::<Result<Vec<_>>>()?;
        if !applies(entry, capabilities) {
            continue;
        }
        let alternatives = alternatives(tests);
        for (place, name) in all_names().enumerate() {
            if (name == entry.name || entry.names.iter().any(|other| other == name))
                && let Some(rules) = rules.get_mut(place)
            {
                let more = alternatives.iter().map(|tests| Rule { tests: tests.clone(), action });
                rules.extend(more);
            }
        }
    }
    for (call, rules) in policy.calls.iter_mut().zip(rules) {
        if rules.is_empty() {
            continue;
        }
        let known = policy.verdicts.iter().position(|verdict| *verdict == rules);
        let number = known.unwrap_or(policy.verdicts.len());
        *call = u8::try_from(number)
            .map_err(|_| Error::bad_input("seccomp profile: more than 255 sets of rules"))?;
        if known.is_none() {
            policy.verdicts.push(rules);
        }
    }
    Ok(policy)
}

/// Those that calls may come by, beside this CPU's own.
fn architectures(document: &Document) -> Result<Vec<String>> {
    let map = document.arch_map.as_deref().unwrap_or_default();
    match &document.architectures {
        Some(list) if !list.is_empty() => {
            if !map.is_empty() {
                return Err(Error::bad_input(
                    "seccomp profile: both 'architectures' and 'archMap' are set, use one of them",
                ));
            }
            Ok(list.clone())
        }
        _ => {
            let own = map.iter().find(|entry| entry.architecture == ABIS[0].name);
            Ok(own.map(|entry| entry.others.clone()).unwrap_or_default())
        }
    }
}

fn flags(names: Option<&[String]>) -> Result<u64> {
    let Some(names) = names else { return Ok(FLAG_SPEC_ALLOW) };
    let mut flags = 0;
    for name in names {
        flags |= match name.as_str() {
            // All threads: the program has one when the filter is loaded.
            "SECCOMP_FILTER_FLAG_TSYNC" => 0,
            "SECCOMP_FILTER_FLAG_LOG" => FLAG_LOG,
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => FLAG_SPEC_ALLOW,
            other => return Err(wrong("unknown flag", other)),
        };
    }
    Ok(flags)
}

fn action(name: &str, errno: Option<u32>) -> Result<Action> {
    let errno = match errno {
        None => EPERM,
        // MAX_ERRNO of linux/err.h.
        Some(errno) if errno <= 4095 => errno as u16,
        Some(errno) => return Err(wrong("errnoRet out of range:", &errno.to_string())),
    };
    Ok(match name {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => KILL_THREAD,
        "SCMP_ACT_KILL_PROCESS" => KILL_PROCESS,
        "SCMP_ACT_TRAP" => TRAP,
        "SCMP_ACT_ERRNO" => fail(errno),
        "SCMP_ACT_TRACE" => TRACE | u32::from(errno),
        "SCMP_ACT_LOG" => LOG,
        "SCMP_ACT_ALLOW" => ALLOW,
        "SCMP_ACT_NOTIFY" => {
            return Err(Error::unsupported(
                "seccomp profile: SCMP_ACT_NOTIFY is not supported: nobody would answer",
            ));
        }
        other => return Err(wrong("unknown action", other)),
    })
}

fn test(argument: &Argument) -> Result<Test> {
    if argument.index > 5 {
        return Err(wrong("no argument has the index", &argument.index.to_string()));
    }
    let mut value = argument.value;
    let comparison = match argument.operator.as_str() {
        "SCMP_CMP_NE" => Comparison::NotEqual,
        "SCMP_CMP_LT" => Comparison::Less,
        "SCMP_CMP_LE" => Comparison::LessOrEqual,
        "SCMP_CMP_EQ" => Comparison::Equal,
        "SCMP_CMP_GE" => Comparison::GreaterOrEqual,
        "SCMP_CMP_GT" => Comparison::Greater,
        "SCMP_CMP_MASKED_EQ" => {
            value = argument.second;
            Comparison::MaskedEqual(argument.value)
        }
        other => return Err(wrong("unknown operator", other)),
    };
    Ok(Test { argument: argument.index as u8, comparison, value, word: false })
}

/// All tests together; each for itself when one argument has several.
fn alternatives(tests: Vec<Test>) -> Vec<Vec<Test>> {
    let repeated = tests.iter().enumerate().any(|(place, test)| {
        tests.iter().skip(place + 1).any(|other| other.argument == test.argument)
    });
    if repeated { tests.into_iter().map(|test| vec![test]).collect() } else { vec![tests] }
}

fn applies(entry: &Entry, capabilities: Capabilities) -> bool {
    let here = |name: &String| DOCKERS_NAMES.contains(&name.as_str());
    let has = |name: &String| {
        let name = name.strip_prefix("CAP_").unwrap_or(name);
        let number = NAMES.iter().position(|known| *known == name);
        number.is_some_and(|number| capabilities.0 & (1 << number) != 0)
    };
    let (includes, excludes) = (&entry.includes, &entry.excludes);
    (includes.arches.is_empty() || includes.arches.iter().any(here))
        && includes.capabilities.iter().all(has)
        && (includes.kernel.is_empty() || kernel_is_at_least(&includes.kernel))
        && !excludes.arches.iter().any(here)
        && !excludes.capabilities.iter().any(has)
        && (excludes.kernel.is_empty() || !kernel_is_at_least(&excludes.kernel))
}

fn kernel_is_at_least(wanted: &str) -> bool {
    let name = rustix::system::uname();
    version(&name.release().to_string_lossy()) >= version(wanted)
}

/// The first two numbers of a version.
fn version(text: &str) -> (u32, u32) {
    let mut numbers =
        text.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}
