//! The macro that makes a struct with its table of member names.
//!
//! A struct costs a table and two functions that tell where its fields are; the loops are in the
//! reader and the writer, once.

use super::{Reader, Rest, ToJson};
use crate::Result;

/// A member of a struct: its name, with `?` before it when it is left out of the text when empty.
/// One text, since there are hundreds of them.
#[derive(Clone, Copy)]
pub struct Member(pub &'static str);

impl Member {
    /// As it stands in the text, and whether it is left out when empty.
    pub(super) fn name(self) -> (&'static str, bool) {
        match self.0.as_bytes().first() {
            Some(b'?') => (&self.0[1..], true),
            _ => (self.0, false),
        }
    }
}

/// What a value can be read into.
pub trait Slot {
    /// Reads one value into this, which is the default until now; `null` leaves it so.
    fn fill(&mut self, r: &mut Reader<'_>) -> Result<()>;
}

/// A struct as the reader and the writer see it.
pub trait Object {
    /// Its members, in the order of the text.
    fn table(&self) -> &'static [Member];
    /// The field of this number, for reading.
    fn slot(&mut self, at: usize) -> Option<&mut dyn Slot>;
    /// The same, for writing.
    fn value(&self, at: usize) -> Option<&dyn ToJson>;
    /// Where members go that it does not name.
    fn rest_mut(&mut self) -> Option<&mut Rest> {
        None
    }
    /// The same, for writing.
    fn rest(&self) -> Option<&Rest> {
        None
    }
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
            [$($done)* {[$(#[$meta])*] [$vis] (concat!("?", $key)) $field $ty}] $($($more)*)? }
    };
    (@next [$($head:tt)*] [$($done:tt)*]
        $(#[$meta:meta])* $key:literal => $vis:vis $field:ident : $ty:ty $(, $($more:tt)*)?) => {
        $crate::json_object! { @next [$($head)*]
            [$($done)* {[$(#[$meta])*] [$vis] ($key) $field $ty}] $($($more)*)? }
    };
    (@next [$($head:tt)*] [$($done:tt)*]
        $(#[$meta:meta])* .. $vis:vis $field:ident : $ty:ty $(,)?) => {
        $crate::json_object! { @make [$($head)*] [$($done)*] [{[$(#[$meta])*] [$vis] $field $ty}] }
    };
    (@next [$($head:tt)*] [$($done:tt)*]) => {
        $crate::json_object! { @make [$($head)*] [$($done)*] [] }
    };
    (@make [$(#[$meta:meta])* $vis:vis struct $name:ident]
        [$({[$($fmeta:tt)*] [$($fvis:tt)*] ($key:expr) $field:ident $ty:ty})*]
        [$({[$($rmeta:tt)*] [$($rvis:tt)*] $rest:ident $rty:ty})?]) => {
        $(#[$meta])* $vis struct $name {
            $($($fmeta)* $($fvis)* $field: $ty,)*
            $($($rmeta)* $($rvis)* $rest: $rty,)?
        }
        const _: () = {
            static TABLE: &[$crate::json::Member] =
                &[$($crate::json::Member($key),)*];
            #[allow(non_camel_case_types)]
            enum At { $($field),* }
            impl $crate::json::Object for $name {
                fn table(&self) -> &'static [$crate::json::Member] {
                    TABLE
                }
                fn slot(&mut self, at: usize) -> Option<&mut dyn $crate::json::Slot> {
                    match at {
                        $(at if at == At::$field as usize => Some(&mut self.$field),)*
                        _ => None,
                    }
                }
                fn value(&self, at: usize) -> Option<&dyn $crate::json::ToJson> {
                    match at {
                        $(at if at == At::$field as usize => Some(&self.$field),)*
                        _ => None,
                    }
                }
                $(fn rest_mut(&mut self) -> Option<&mut $crate::json::Rest> {
                    Some(&mut self.$rest)
                }
                fn rest(&self) -> Option<&$crate::json::Rest> {
                    Some(&self.$rest)
                })?
            }
            impl $crate::json::Slot for $name {
                fn fill(&mut self, r: &mut $crate::json::Reader<'_>) -> $crate::Result<()> {
                    r.object(self)
                }
            }
            impl $crate::json::ToJson for $name {
                fn to_json(&self, w: &mut $crate::json::Writer) {
                    w.object(self);
                }
            }
        };
    };
}
