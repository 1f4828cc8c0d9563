//! The documents of the Engine API, with docker's field names, v1.41 to v1.47.
//!
//! Both sides use the same structs: what the client sends is what the server reads. Rules:
//! * Times are text (RFC 3339) as the API sends them; who needs a number parses it.
//! * A member marked `?` is left out when it is empty; docker's documents do the same where its
//!   clients look at presence.
//! * Members that nobody here reads are skipped, but `HostConfig` keeps them (`rest`), since
//!   `inspect` must show what `create` was given.

pub mod auth;
pub mod container;
pub mod error;
pub mod events;
pub mod exec;
pub mod host_config;
pub mod image;
pub mod progress;
pub mod stats;
pub mod system;
pub mod volume;

pub use container::{
    ContainerConfig, ContainerInspect, ContainerSummary, CreateRequest, CreateResponse,
    WaitResponse,
};
pub use error::ErrorMessage;
pub use exec::{ExecConfig, ExecCreated, ExecInspect, ExecStart};
pub use host_config::{HostConfig, LogConfig};
pub use image::{DeleteResponse, ImageInspect, ImageSummary};
pub use progress::ProgressMessage;
pub use system::{Info, Version};
