//! How the plain types are read and written. `null` reads as the default of each.

use super::{FromJson, Reader, ToJson, Writer, bad};
use crate::Result;
use crate::map::Map;

macro_rules! integers {
    ($($ty:ty)*) => {$(
        impl FromJson for $ty {
            fn from_json(r: &mut Reader<'_>) -> Result<Self> {
                if r.null() {
                    return Ok(0);
                }
                let value = r.integer(i128::from(<$ty>::MIN), i128::from(<$ty>::MAX))?;
                Self::try_from(value).map_err(|_| bad("number out of range"))
            }
        }
        impl ToJson for $ty {
            #[allow(unused_comparisons)]
            fn to_json(&self, w: &mut Writer) {
                w.integer(*self < 0, i128::from(*self).unsigned_abs() as u64);
            }
            fn is_empty(&self) -> bool {
                *self == 0
            }
        }
    )*};
}
integers!(i32 i64 u16 u32 u64);

impl FromJson for bool {
    fn from_json(r: &mut Reader<'_>) -> Result<Self> {
        if r.null() { Ok(false) } else { r.boolean() }
    }
}

impl ToJson for bool {
    fn to_json(&self, w: &mut Writer) {
        w.raw(if *self { "true" } else { "false" });
    }
    fn is_empty(&self) -> bool {
        !*self
    }
}

impl FromJson for f64 {
    fn from_json(r: &mut Reader<'_>) -> Result<Self> {
        if r.null() {
            return Ok(0.0);
        }
        let value = r.number()?.parse::<Self>().map_err(|_| bad("expected number"))?;
        if value.is_finite() { Ok(value) } else { Err(bad("number out of range")) }
    }
}

impl ToJson for f64 {
    fn to_json(&self, w: &mut Writer) {
        if self.is_finite() { w.raw(&self.to_string()) } else { w.raw("null") }
    }
    fn is_empty(&self) -> bool {
        *self == 0.0
    }
}

impl FromJson for String {
    fn from_json(r: &mut Reader<'_>) -> Result<Self> {
        if r.null() { Ok(Self::new()) } else { Ok(r.string()?.into_owned()) }
    }
}

impl ToJson for String {
    fn to_json(&self, w: &mut Writer) {
        w.string(self);
    }
    fn is_empty(&self) -> bool {
        Self::is_empty(self)
    }
}

impl ToJson for str {
    fn to_json(&self, w: &mut Writer) {
        w.string(self);
    }
    fn is_empty(&self) -> bool {
        Self::is_empty(self)
    }
}

impl<T: FromJson> FromJson for Option<T> {
    fn from_json(r: &mut Reader<'_>) -> Result<Self> {
        if r.null() { Ok(None) } else { T::from_json(r).map(Some) }
    }
}

impl<T: ToJson> ToJson for Option<T> {
    fn to_json(&self, w: &mut Writer) {
        match self {
            Some(value) => value.to_json(w),
            None => w.raw("null"),
        }
    }
    fn is_empty(&self) -> bool {
        self.is_none()
    }
}

impl<T: FromJson> FromJson for Box<T> {
    fn from_json(r: &mut Reader<'_>) -> Result<Self> {
        T::from_json(r).map(Self::new)
    }
}

impl<T: ToJson> ToJson for Box<T> {
    fn to_json(&self, w: &mut Writer) {
        (**self).to_json(w);
    }
    fn is_empty(&self) -> bool {
        (**self).is_empty()
    }
}

impl<T: FromJson> FromJson for Vec<T> {
    fn from_json(r: &mut Reader<'_>) -> Result<Self> {
        let mut values = Self::new();
        if !r.null() {
            r.array(&mut |r| {
                values.push(T::from_json(r)?);
                Ok(())
            })?;
        }
        Ok(values)
    }
}

impl<T: ToJson> ToJson for Vec<T> {
    fn to_json(&self, w: &mut Writer) {
        w.array(self.len(), &mut |w, at| self[at].to_json(w));
    }
    fn is_empty(&self) -> bool {
        Self::is_empty(self)
    }
}

impl<T: FromJson> FromJson for Map<String, T> {
    fn from_json(r: &mut Reader<'_>) -> Result<Self> {
        let mut map = Self::new();
        if !r.null() {
            r.members(&mut |r, name| {
                if map.contains_key(name) {
                    return Err(bad("key occurs twice"));
                }
                map.insert(name.to_owned(), T::from_json(r)?);
                Ok(())
            })?;
        }
        Ok(map)
    }
}

impl<T: ToJson> ToJson for Map<String, T> {
    fn to_json(&self, w: &mut Writer) {
        w.begin_object();
        for (name, value) in self.iter() {
            w.member(name);
            value.to_json(w);
        }
        w.end_object();
    }
    fn is_empty(&self) -> bool {
        Self::is_empty(self)
    }
}
