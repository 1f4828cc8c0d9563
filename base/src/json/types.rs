//! How the plain types are read and written. `null` reads as the default of each.

use super::{FromJson, Reader, Slot, ToJson, Writer, bad};
use crate::Result;
use crate::map::Map;

macro_rules! integers {
    ($($ty:ty)*) => {$(
        impl Slot for $ty {
            fn fill(&mut self, r: &mut Reader<'_>) -> Result<()> {
                if !r.null() {
                    let value = r.integer(i128::from(<$ty>::MIN), i128::from(<$ty>::MAX))?;
                    *self = Self::try_from(value).map_err(|_| bad("number out of range"))?;
                }
                Ok(())
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

impl Slot for bool {
    fn fill(&mut self, r: &mut Reader<'_>) -> Result<()> {
        *self = !r.null() && r.boolean()?;
        Ok(())
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

impl Slot for String {
    fn fill(&mut self, r: &mut Reader<'_>) -> Result<()> {
        if !r.null() {
            *self = r.string()?.into_owned();
        }
        Ok(())
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

impl<T: FromJson> Slot for Option<T> {
    fn fill(&mut self, r: &mut Reader<'_>) -> Result<()> {
        if r.null() { Ok(()) } else { self.insert(T::default()).fill(r) }
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

impl<T: FromJson> Slot for Box<T> {
    fn fill(&mut self, r: &mut Reader<'_>) -> Result<()> {
        (**self).fill(r)
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

impl<T: FromJson> Slot for Vec<T> {
    fn fill(&mut self, r: &mut Reader<'_>) -> Result<()> {
        if r.null() {
            return Ok(());
        }
        r.array(&mut |r| {
            self.push(T::default());
            self.last_mut().map_or(Ok(()), |value| value.fill(r))
        })
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

impl<T: FromJson> Slot for Map<String, T> {
    fn fill(&mut self, r: &mut Reader<'_>) -> Result<()> {
        if r.null() {
            return Ok(());
        }
        r.members(&mut |r, name| {
            if self.contains_key(name) {
                return Err(bad("key occurs twice"));
            }
            let mut value = T::default();
            value.fill(r)?;
            self.insert(name.to_owned(), value);
            Ok(())
        })
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
