//! seccomp: which system calls a container may make, and with which arguments.
//!
//! A [`Policy`](policy::Policy) says for each call what shall happen. It comes from Docker's default
//! profile (`builtin`) or from a document of the user's (`document`), and becomes a program in
//! classic BPF (`compile`): a balanced tree over ranges of call numbers for each of this CPU's ABIs,
//! since a list of comparisons costs the kernel ten times as long to load and each call more to pass.
//! The calls' names and numbers are one readable table, `calls.txt`.

mod builtin;
mod calls;
mod compile;
mod document;
mod policy;
#[cfg(test)]
mod tests;

use crate::capabilities::Capabilities;
use base::Result;
use base::sys::seccomp::Instruction;

/// What a program's filter is made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Seccomp {
    /// No filter.
    Unconfined,
    /// Docker's default profile.
    #[default]
    Builtin,
    /// A profile as Docker and the OCI write it, in JSON.
    Document(String),
}

/// A filter that is ready for the kernel.
#[derive(Debug)]
pub(crate) struct Filter {
    /// SECCOMP_FILTER_FLAG_*.
    pub(crate) flags: u64,
    pub(crate) instructions: Vec<Instruction>,
}

/// The filter of a program that may have these capabilities at most.
pub(crate) fn filter(source: &Seccomp, capabilities: Capabilities) -> Result<Option<Filter>> {
    let policy = match source {
        Seccomp::Unconfined => return Ok(None),
        Seccomp::Builtin => builtin::policy(capabilities),
        Seccomp::Document(text) => document::policy(text, capabilities)?,
    };
    let instructions = compile::compile(&policy)?;
    Ok(Some(Filter { flags: policy.flags, instructions }))
}

/// What is wrong with a document, if anything.
pub fn check(text: &str) -> Result<()> {
    filter(&Seccomp::Document(text.to_string()), Capabilities::default_set()).map(drop)
}
