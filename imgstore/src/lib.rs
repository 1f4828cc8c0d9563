//! The keeper of images. It knows nothing of processes, containers or networks.
//!
//! [`Store::open`] gives a store; [`Store::load`], [`Store::load_path`] and [`Store::import`] put
//! images in; [`Store::save`] takes them out again; [`Store::find`] and [`Store::list`] look;
//! [`Store::remove`] and [`Store::tag`] change names; [`Store::checkout`] copies a merged tree out;
//! [`Store::driver`] gives containers a root.
//! `README.md` has the format on disk.
#![forbid(unsafe_code)]

mod archive;
mod bake;
mod bases;
mod checkout;
mod commit;
mod container;
mod fsck;
pub mod fuzzing;
mod gc;
mod graph;
pub mod graphdriver;
mod image;
mod layer;
pub mod reference;
pub mod registry;
mod save;
mod store;
mod tool;

pub use archive::{ImportOptions, LoadEvent, Loaded};
pub use bake::Bake;
pub use container::{CommitOptions, Container};
pub use fsck::{Checked, Fsck, Problem};
pub use gc::{Collected, Usage};
pub use graph::{Keep, Removed};
pub use image::{Image, ImageConfig, ImageSummary, architecture};
pub use layer::changes::{Change, ChangeKind, Own};
pub use layer::extract::{Extract, extract};
pub use layer::pack::Packer;
pub use layer::whiteout::Marks;
pub use save::Form;
pub use store::{Options, Store};
pub use tool::main;
