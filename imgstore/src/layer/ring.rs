//! Three blocks of 128 KiB that go round between the thread that reads and the thread that writes: a file's
//! content is written a block at a time, so that smaller ones cost calls, and more of them memory.
//!
//! Nothing else is buffered between them: a fast reader waits for a free block, a fast writer for a
//! full one. Either side may give up; the other one then hears of it at its next turn.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

const BLOCKS: usize = 3;
/// The size of a block.
pub(crate) const BLOCK: usize = 128 << 10;

/// A block with its length.
pub(crate) type Block = (Box<[u8]>, usize);

#[derive(Default)]
struct State {
    free: Vec<Box<[u8]>>,
    full: Vec<Block>,
    /// How many blocks there are.
    made: usize,
    /// No more will come.
    ended: bool,
    /// Nobody takes any more.
    closed: bool,
    /// One side sleeps and must be woken.
    asleep: bool,
}

/// The blocks.
#[derive(Default)]
pub(crate) struct Ring {
    state: Mutex<State>,
    turn: Condvar,
}

impl Ring {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        // The two sides never sleep at the same time: one of them has something to do.
        state.asleep = true;
        self.turn.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the other side if it sleeps and has enough to do to be worth it.
    fn wake(&self, mut state: MutexGuard<'_, State>, now: bool) {
        if state.asleep && now {
            state.asleep = false;
            drop(state);
            self.turn.notify_one();
        }
    }

    /// A free block; none when the writer has given up.
    pub(crate) fn free(&self) -> Option<Box<[u8]>> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(block) = state.free.pop() {
                return Some(block);
            }
            if state.made < BLOCKS {
                state.made += 1;
                return Some(vec![0; BLOCK].into_boxed_slice());
            }
            state = self.wait(state);
        }
    }

    /// Hands a full block over.
    pub(crate) fn send(&self, block: Block) {
        let mut state = self.lock();
        state.full.push(block);
        self.wake(state, true);
    }

    /// The reader is done.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        self.wake(state, true);
    }

    /// The next full block, after giving the last one back; none at the end.
    pub(crate) fn next(&self, back: Option<Box<[u8]>>) -> Option<Block> {
        let mut state = self.lock();
        if let Some(block) = back {
            state.free.push(block);
            // A reader woken for one block would soon sleep again.
            let enough = state.free.len() >= BLOCKS.div_ceil(2);
            self.wake(state, enough);
            state = self.lock();
        }
        loop {
            if !state.full.is_empty() {
                return Some(state.full.remove(0));
            }
            if state.ended {
                return None;
            }
            state = self.wait(state);
        }
    }

    /// The writer gives up.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        self.wake(state, true);
    }
}
