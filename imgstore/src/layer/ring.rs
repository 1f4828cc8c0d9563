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

/// The side that fills blocks. When it is dropped, also by a panic, no more will come.
pub(crate) struct Reader<'a>(&'a Ring);

/// The side that empties blocks. When it is dropped, also by a panic, nobody takes any more.
pub(crate) struct Writer<'a>(&'a Ring);

impl Ring {
    /// One of the two sides.
    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader(self)
    }

    /// The other one.
    pub(crate) fn writer(&self) -> Writer<'_> {
        Writer(self)
    }

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
}

impl Reader<'_> {
    /// A free block; none when the writer has given up.
    pub(crate) fn free(&mut self) -> Option<Box<[u8]>> {
        let mut state = self.0.lock();
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
            state = self.0.wait(state);
        }
    }

    /// Hands a full block over.
    pub(crate) fn send(&mut self, block: Block) {
        let mut state = self.0.lock();
        state.full.push(block);
        self.0.wake(state, true);
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.ended = true;
        self.0.wake(state, true);
    }
}

impl Writer<'_> {
    /// The next full block, after giving the last one back; none at the end.
    pub(crate) fn next(&mut self, back: Option<Box<[u8]>>) -> Option<Block> {
        let mut state = self.0.lock();
        if let Some(block) = back {
            state.free.push(block);
            // A reader woken for one block would soon sleep again.
            let enough = state.free.len() >= BLOCKS.div_ceil(2);
            self.0.wake(state, enough);
            state = self.0.lock();
        }
        loop {
            if !state.full.is_empty() {
                return Some(state.full.remove(0));
            }
            if state.ended {
                return None;
            }
            state = self.0.wait(state);
        }
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closed = true;
        self.0.wake(state, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn blocks_come_in_order_and_go_round() {
        let ring = Ring::default();
        let (mut reader, mut writer) = (ring.reader(), ring.writer());
        thread::scope(|scope| {
            scope.spawn(move || {
                for number in 0..50 {
                    let Some(mut block) = reader.free() else { return };
                    block[0] = number;
                    reader.send((block, 1));
                }
            });
            let (mut back, mut seen) = (None, Vec::new());
            while let Some((block, length)) = writer.next(back.take()) {
                seen.extend_from_slice(&block[..length]);
                back = Some(block);
            }
            assert_eq!(seen, (0..50).collect::<Vec<u8>>());
        });
    }

    #[test]
    fn each_side_hears_that_the_other_panicked() {
        let ring = Ring::default();
        let mut writer = ring.writer();
        let reader = ring.reader();
        let panicked = thread::scope(|scope| {
            let panics = scope.spawn(move || {
                let _reader = reader;
                panic!("on purpose");
            });
            assert!(writer.next(None).is_none());
            panics.join().is_err()
        });
        assert!(panicked);
        let ring = Ring::default();
        let (mut reader, writer) = (ring.reader(), ring.writer());
        thread::scope(|scope| {
            let panics = scope.spawn(move || {
                let _writer = writer;
                panic!("on purpose");
            });
            while let Some(block) = reader.free() {
                reader.send((block, 1));
            }
            assert!(panics.join().is_err());
        });
    }
}
