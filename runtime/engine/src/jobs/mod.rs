//! Jobs: the units of work, in Docker's names, one file each (or one for a few that are a line).
//!
//! A job is a plain value that a route or a worker makes; `run` does it with the engine. It never
//! sees a request or a command line.

mod archive;
mod commit;
mod create;
mod events;
mod exec;
mod image;
mod inspect;
mod kill;
mod list;
mod logs;
mod pause;
mod prune;
mod registry;
mod remove;
mod rename;
mod restart;
mod restore;
mod start;
mod stats;
mod stop;
mod system;
mod top;
mod update;
mod usage;
mod volume;
pub(crate) mod wait;

pub(crate) use archive::Archive;
pub(crate) use commit::{Changes, Commit, Export};
pub(crate) use create::{Create, Made};
pub(crate) use events::Events;
pub(crate) use exec::{ExecCreate, Execs};
pub(crate) use image::{Images, Import, InspectImage, Load, RemoveImage, Save};
pub(crate) use inspect::Inspect;
pub(crate) use kill::Kill;
pub(crate) use list::List;
pub(crate) use logs::Logs;
pub(crate) use pause::Pause;
pub(crate) use prune::Prune;
pub(crate) use registry::{Auth, Pull, Push, Search, Tags};
pub(crate) use remove::Remove;
pub(crate) use rename::Rename;
pub(crate) use restart::Restart;
pub(crate) use restore::Restore;
pub(crate) use start::{Attach, Resize, Start};
pub(crate) use stats::Stats;
pub(crate) use stop::Stop;
pub(crate) use system::{info, version};
pub(crate) use top::Top;
pub(crate) use update::Update;
pub(crate) use usage::{ImagePrune, SystemDf};
pub(crate) use volume::{VolumeCreate, VolumeInspect, VolumeList, VolumePrune, VolumeRemove};
pub(crate) use wait::{Condition, Wait};
