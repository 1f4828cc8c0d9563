//! Text for people and for the API: sizes, times, tables, ids, names. Pure functions.

pub mod base64;
pub mod duration;
pub mod hex;
pub mod id;
pub mod moment;
pub mod name;
pub mod part;
pub mod path;
pub mod percent;
pub mod quote;
pub mod size;
pub mod table;
pub mod time;
