//! Coracle's binaries on real kernels, in virtual machines of QEMU.
//!
//! The host's side downloads kernels ([`apt`], [`kernels`]), builds what they boot with
//! ([`initramfs`], [`cpio`], [`modules`], [`image`]), runs machines with a hard limit ([`machine`],
//! [`job`]) and believes nothing but their consoles ([`console`], [`summary`]). The side inside is
//! [`guest`]; what a test is, both know ([`session`]). Kernels that no package offers any more are
//! imitated by refusing what they did not know ([`older`], [`older_jobs`]); what a power cut leaves of a disk is made
//! from a recording of its writes ([`power_cut`]);
//! kills at random instants with the power off in between are a story of many boots ([`reboots`]).

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod apt;
pub mod console;
pub mod controls;
pub mod cpio;
pub mod cut_down;
pub mod disk;
mod fitted;
pub mod fuller;
pub mod guest;
pub mod hardware;
pub mod host_tests;
pub mod hosted;
pub mod image;
pub mod initramfs;
pub mod job;
pub mod kernels;
pub mod least_memory;
pub mod machine;
pub mod modules;
pub mod older;
pub mod older_jobs;
pub mod power_cut;
pub mod random;
pub mod reboots;
pub mod session;
pub mod summary;
mod tool;
