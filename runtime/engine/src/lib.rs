//! The daemon's inside, in Docker's words: Server (routes), Engine, Jobs; and what a container's
//! life needs: records, run configuration, execdriver, monitor.
//!
//! A request becomes a plain value of [`jobs`], the job does it with the engine; neither sees the
//! other's world. The same server speaks to a client in its own process ([`local`]) and to sockets
//! ([`daemon`]).

#![forbid(unsafe_code)]

mod builtin;
mod changes;
mod children;
mod claim;
mod container;
mod daemon;
mod engine;
mod events;
mod execdriver;
mod given;
mod health;
mod idmaps;
mod in_place;
mod jobs;
mod labels;
mod local;
mod monitor;
mod namespaces;
mod resources;
mod runconfig;
mod security;
mod selinux;
mod server;
mod sweep;
mod tree;
mod volume;

pub use claim::check as check_run_folder;
pub use daemon::Daemon;
pub use engine::Engine;
pub use in_place::{Begun, InPlace};
pub use local::{Finish, MainLoop};
pub use monitor::{monitor_main, worker_main};
pub use server::{STACK, serve};

/// The newest version of the Engine API that the server speaks.
pub const API_VERSION: &str = "1.47";
/// The oldest.
pub const MIN_API_VERSION: &str = "1.24";
