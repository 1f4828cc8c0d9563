//! Four blocks of 64 KiB that go round between the thread that reads and the thread that writes.
//!
//! Nothing else is buffered between them: a fast reader waits for a free block, a fast writer for a
//! full one. Either side may give up; the other one then hears of it at its next turn.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

const BLOCKS: usize = 4;
/// The size of a block.
pub(crate) const BLOCK: usize = 64 << 10;

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

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.turn.wait(state).unwrap_or_else(PoisonError::into_inner)
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
        self.lock().full.push(block);
        self.turn.notify_all();
    }

    /// The reader is done.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.turn.notify_all();
    }

    /// The next full block, after giving the last one back; none at the end.
    pub(crate) fn next(&self, back: Option<Box<[u8]>>) -> Option<Block> {
        let mut state = self.lock();
        if let Some(block) = back {
            state.free.push(block);
            self.turn.notify_all();
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
        self.lock().closed = true;
        self.turn.notify_all();
    }
}
