//! Which states a disk may be in after a power cut.
//!
//! Whatever was written before a flush is there. Of what was written after it, each request may be
//! there or not, in any combination: a disk's cache has no order. (A request is taken as a whole.)

use super::log::Entry;
use crate::random::Random;

/// One possible state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The power went before the request with this number.
    pub cut: usize,
    /// All requests before this one are there.
    pub flushed: usize,
    /// And these of those between.
    pub more: Vec<usize>,
    /// The highest mark before the cut: what had been promised.
    pub promised: Option<u64>,
}

/// A state at every flush and at the end, and `samples` sets of unflushed writes, in the order of
/// their flushes.
#[must_use]
pub fn states(entries: &[Entry], samples: usize, seed: u64) -> Vec<State> {
    let mut random = Random::new(seed);
    let mut states = Vec::new();
    for cut in 0..=entries.len() {
        if cut == entries.len() || entries[cut].flush {
            // Just before the flush is answered nothing of the last writes need be there …
            states.push(state(entries, cut, |_| false));
            // … and just after it all of them are.
            states.push(state(entries, (cut + 1).min(entries.len()), |_| true));
        }
    }
    for _ in 0..samples {
        let cut = random.below(entries.len() + 1);
        // Few kept, half, or nearly all: each finds other bugs.
        let kept = [10, 50, 90][random.below(3)];
        states.push(state(entries, cut, |_| random.below(100) < kept));
    }
    states.sort_by(|one, other| {
        (one.flushed, one.cut, &one.more).cmp(&(other.flushed, other.cut, &other.more))
    });
    states.dedup();
    states
}

fn state(entries: &[Entry], cut: usize, mut keep: impl FnMut(usize) -> bool) -> State {
    let before = &entries[..cut];
    let flushed = before.iter().rposition(|entry| entry.flush).unwrap_or(0);
    // A flush with data of its own: the data is not part of what it makes safe.
    let more = (flushed..cut)
        .filter(|number| entries[*number].length > 0 && entries[*number].mark.is_none())
        .filter(|number| entries[*number].forced || keep(*number))
        .collect();
    let promised = before.iter().filter_map(|entry| entry.mark).max();
    State { cut, flushed, more, promised }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::power_cut::log::Entry;

    #[test]
    fn what_was_flushed_is_always_there_and_the_rest_in_any_choice() {
        let write = Entry::for_test(8, false, None);
        let flush = Entry::for_test(0, true, None);
        let entries =
            [write, write, flush, Entry::for_test(8, false, Some(7)), write, write, flush, write];
        let all = states(&entries, 2000, 1);
        assert_eq!(all, states(&entries, 2000, 1), "a seed gives the same states");
        assert!(
            all.iter().any(|state| state.cut == 2 && state.flushed == 0 && state.more.is_empty())
        );
        assert!(all.iter().all(|state| state.cut <= 2 || state.flushed >= 2));
        assert!(all.iter().all(|state| (state.promised == Some(7)) == (state.cut > 3)));
        let between: Vec<&Vec<usize>> =
            all.iter().filter(|state| state.cut == 6).map(|state| &state.more).collect();
        for want in [vec![], vec![4], vec![5], vec![4, 5]] {
            assert!(between.contains(&&want), "{want:?} of {between:?}");
        }
    }
}
