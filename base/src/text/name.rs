//! Names for containers that were given none: an adjective and the surname of a seafarer,
//! engineer or discoverer.

use super::id;
use crate::Result;

const ADJECTIVES: &[&str] = &[
    "able", "airy", "alert", "amber", "ample", "bold", "brave", "breezy", "bright", "brisk",
    "calm", "candid", "clear", "cosy", "crisp", "deft", "eager", "early", "even", "fair", "fleet",
    "fond", "free", "fresh", "gentle", "glad", "golden", "grand", "handy", "hardy", "honest",
    "keen", "kind", "light", "lively", "loyal", "lucky", "mellow", "merry", "mild", "neat",
    "nimble", "noble", "patient", "plain", "plucky", "prime", "proud", "quick", "quiet", "ready",
    "roving", "sharp", "silver", "sincere", "smooth", "snug", "sober", "sound", "spry", "steady",
    "sturdy", "sunny", "swift", "tidy", "trim", "trusty", "upbeat", "vivid", "warm", "wise",
    "witty",
];

const SURNAMES: &[&str] = &[
    "amundsen",
    "ayrton",
    "baffin",
    "barents",
    "baret",
    "beaufort",
    "bering",
    "bessel",
    "bligh",
    "bonny",
    "bougainville",
    "brunel",
    "cabot",
    "chichester",
    "coleman",
    "cook",
    "cousteau",
    "dampier",
    "davis",
    "diaz",
    "drake",
    "earhart",
    "ericson",
    "fitzroy",
    "flinders",
    "franklin",
    "frobisher",
    "froude",
    "gama",
    "halley",
    "harrison",
    "heyerdahl",
    "hudson",
    "humboldt",
    "kelvin",
    "kupe",
    "magellan",
    "maury",
    "mercator",
    "nansen",
    "nobile",
    "noonan",
    "ortelius",
    "parry",
    "plimsoll",
    "polo",
    "pytheas",
    "ross",
    "scoresby",
    "selkirk",
    "severin",
    "shackleton",
    "slocum",
    "sobral",
    "stevenson",
    "sverdrup",
    "tasman",
    "tharp",
    "torres",
    "vancouver",
    "vespucci",
    "weddell",
    "wegener",
    "zheng",
];

/// A random name; `attempt` is how often the name before was taken already, and adds a number.
pub fn random(attempt: u32) -> Result<String> {
    let mut bytes = [0; 4];
    id::random(&mut bytes)?;
    let pick = |list: &[&'static str], a: u8, b: u8| {
        list[usize::from(u16::from_le_bytes([a, b])) % list.len()]
    };
    let mut name = String::from(pick(ADJECTIVES, bytes[0], bytes[1]));
    name.push('_');
    name.push_str(pick(SURNAMES, bytes[2], bytes[3]));
    if attempt > 0 {
        name.push_str(&attempt.to_string());
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_valid_and_lists_have_no_twins() {
        for list in [ADJECTIVES, SURNAMES] {
            assert!(list.windows(2).all(|w| w[0] < w[1]), "sorted, no twins");
            assert!(list.iter().all(|w| w.bytes().all(|c| c.is_ascii_lowercase())));
        }
        let name = random(3).unwrap();
        assert!(name.contains('_') && name.ends_with('3'), "{name}");
    }
}
