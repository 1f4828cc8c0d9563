//! Whether a text is in another one.

/// What `str::contains` tells, for short texts: that one has 600 bytes, and again for each crate.
#[inline(never)]
#[must_use]
pub fn contains(text: &str, part: &str) -> bool {
    let part = part.as_bytes();
    part.is_empty() || text.as_bytes().windows(part.len()).any(|here| here == part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tells_what_the_standard_library_tells(text in "[ab]{0,8}", part in "[ab]{0,4}") {
            prop_assert_eq!(contains(&text, &part), text.contains(&part));
        }
    }
}
