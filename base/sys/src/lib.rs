//! All `unsafe` code of the house, behind safe functions with names from the kernel.
//!
//! Every other crate forbids `unsafe`. What `rustix` already offers safely is not repeated here;
//! this crate holds the rest: the clone of a container's first process and the walk of its plan
//! ([`plan`], [`act`], [`clone`]), eBPF for devices ([`bpf`]), signals ([`signal`]), descriptors
//! passed over sockets ([`pass`]), attributes of mounts ([`mount`]), processes that we start ourselves ([`spawn`]) or watch ([`process`]).
//!
//! The rule: an `unsafe` block is a few lines, and the line above it names the invariant.

// Flags of mount(2) and the like have other widths on 32-bit CPUs: casts that are needless on one
// are needed on the other.
#![allow(clippy::unnecessary_cast)]

pub mod act;
pub mod bpf;
pub mod btrfs;
pub mod clock;
pub mod clone;
mod heap;
pub mod loopback;
#[cfg(all(target_env = "musl", target_arch = "mips"))]
mod mips;
pub mod mount;
pub mod pass;
pub mod plan;
pub mod process;
pub mod quota;
pub mod resolve;
pub mod seccomp;
pub mod signal;
pub mod spawn;
mod syscall;
#[cfg(target_env = "musl")]
mod thread_name;

pub use rustix::io::Errno;
