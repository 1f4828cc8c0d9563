//! Makes a container: a process with namespaces, a cgroup and a root of its own.
//!
//! The work goes in three steps. **Root**: the merged root becomes a detached mount, so that a
//! kill leaves nothing mounted ([`root`]). **Plan**: on that root's descriptor, ordinary code
//! resolves users, folders and mount points, and writes down what is to be done (`plan`).
//! **Act**: the cloned child walks the plan with raw system calls (base/sys). While the child
//! makes its network namespace, which is the dearest one, the parent makes the mounts.
//!
//! This crate knows nothing of images or networks: the engine says in a [`Spec`] what it wants.

#![forbid(unsafe_code)]

mod aside;
pub mod capabilities;
pub mod cgroup;
mod copy_up;
pub mod devices;
mod exec;
mod kept_root;
mod mapped;
mod mounts;
mod places;
mod plan;
mod prepare;
mod relabel;
mod root;
pub mod seccomp;
pub mod self_exe;
mod spec;
mod start;
pub mod subordinate;
pub mod users;

pub use exec::{Exec, exec};
pub use kept_root::KeptRoot;
pub use root::{OpenRoot, label_option};
pub use spec::{
    Bind, FileSystem, Namespace, Namespaces, Program, Propagation, ResourceLimit, RootSource,
    SharedMemory, Spec, Stdio, UserNamespace,
};
pub use start::{Started, start};
