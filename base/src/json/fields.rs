//! The macro that makes a struct with its table of member names.
//!
//! A struct costs a table, a row of pointers to its fields for reading and one for writing; the
//! loops are in the reader and the writer, once.

use super::Reader;
use crate::Result;

/// The name of a member, and whether it is left out when empty.
pub struct Member {
    /// As it stands in the text.
    pub name: &'static str,
    /// Not written when empty.
    pub omit: bool,
}

/// A field that a value can be read into.
pub trait Slot {
    /// Reads one value into the field.
    fn fill(&mut self, r: &mut Reader<'_>) -> Result<()>;
}

/// A struct with JSON names: `"Id" => pub id: String,`; `"Names" ? => …` is left out of the text
/// when empty; a last `..rest: Rest` keeps members that the struct does not name. The struct must
/// derive `Default`, which is what missing members are.
#[macro_export]
macro_rules! json_object {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($body:tt)* }) => {
        $crate::json_object! { @next [$(#[$meta])* $vis struct $name] [] $($body)* }
    };
    (@next [$($head:tt)*] [$($done:tt)*]
        $(#[$meta:meta])* $key:literal ? => $vis:vis $field:ident : $ty:ty $(, $($more:tt)*)?) => {
        $crate::json_object! { @next [$($head)*]
            [$($done)* {[$(#[$meta])*] [$vis] $key true $field $ty}] $($($more)*)? }
    };
    (@next [$($head:tt)*] [$($done:tt)*]
        $(#[$meta:meta])* $key:literal => $vis:vis $field:ident : $ty:ty $(, $($more:tt)*)?) => {
        $crate::json_object! { @next [$($head)*]
            [$($done)* {[$(#[$meta])*] [$vis] $key false $field $ty}] $($($more)*)? }
    };
    (@next [$($head:tt)*] [$($done:tt)*]
        $(#[$meta:meta])* .. $vis:vis $field:ident : $ty:ty $(,)?) => {
        $crate::json_object! { @make [$($head)*] [$($done)*] [{[$(#[$meta])*] [$vis] $field $ty}] }
    };
    (@next [$($head:tt)*] [$($done:tt)*]) => {
        $crate::json_object! { @make [$($head)*] [$($done)*] [] }
    };
    (@make [$(#[$meta:meta])* $vis:vis struct $name:ident]
        [$({[$($fmeta:tt)*] [$($fvis:tt)*] $key:literal $omit:literal $field:ident $ty:ty})*]
        [$({[$($rmeta:tt)*] [$($rvis:tt)*] $rest:ident $rty:ty})?]) => {
        $(#[$meta])* $vis struct $name {
            $($($fmeta)* $($fvis)* $field: $ty,)*
            $($($rmeta)* $($rvis)* $rest: $rty,)?
        }
        const _: () = {
            static TABLE: &[$crate::json::Member] =
                &[$($crate::json::Member { name: $key, omit: $omit },)*];
            impl $crate::json::FromJson for $name {
                fn from_json(r: &mut $crate::json::Reader<'_>) -> $crate::Result<Self> {
                    let mut value = Self::default();
                    let rest: Option<&mut $crate::json::Rest> = None;
                    $(let _ = rest; let rest = Some(&mut value.$rest);)?
                    r.object(TABLE, &mut [$(&mut value.$field,)*], rest)?;
                    Ok(value)
                }
            }
            impl $crate::json::ToJson for $name {
                fn to_json(&self, w: &mut $crate::json::Writer) {
                    let rest: Option<&$crate::json::Rest> = None;
                    $(let _ = rest; let rest = Some(&self.$rest);)?
                    w.object(TABLE, &[$(&self.$field,)*], rest);
                }
            }
        };
    };
}
