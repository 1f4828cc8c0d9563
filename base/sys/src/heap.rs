//! The heap: blocks in sizes of powers of two, cut from pages and kept for reuse.
//!
//! musl's own is made to find misuse, and maps and unmaps pages again and again while a short
//! command runs: a tenth of a start. Here a block that is given back is the next one of its size;
//! large blocks come from the kernel and go back to it, so that a layer's buffers do not stay.
//!
//! C's functions for memory are replaced as well, for the little that the standard library takes
//! there: otherwise musl's heap would be linked beside this one.
//!
//! In a build for tests alone (with debug assertions) CORACLE_FAIL_ALLOCATION=N makes the Nth allocation fail, and
//! `N+` all from there on.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};

/// The smallest block.
const SMALLEST: usize = 16;
/// The largest block that is cut from a piece; 16 << 11.
const LARGEST: usize = 32 << 10;
const CLASSES: usize = 12;
/// What is asked of the kernel at once for small blocks; untouched pages of it cost nothing.
const PIECE: usize = 64 << 10;
/// The alignment of large blocks, and the most that anybody may ask for.
const PAGE: usize = 4096;

/// Free blocks by class, each with the address of the next in its first word, and the rest of the
/// piece that is being cut.
struct Stock {
    free: [usize; CLASSES],
    next: usize,
    end: usize,
}

/// See the module's text.
struct Heap {
    held: AtomicBool,
    stock: UnsafeCell<Stock>,
}

// SAFETY: the stock is only touched while `held` is set, by the one who has set it.
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP: Heap = Heap {
    held: AtomicBool::new(false),
    stock: UnsafeCell::new(Stock { free: [0; CLASSES], next: 0, end: 0 }),
};

/// The class of a block, None for a large one.
fn class(size: usize, align: usize) -> Option<usize> {
    let size = size.max(align).max(SMALLEST);
    (size <= LARGEST).then(|| (size.next_power_of_two() / SMALLEST).trailing_zeros() as usize)
}

fn whole_pages(size: usize) -> usize {
    size.saturating_add(PAGE - 1) & !(PAGE - 1)
}

fn map(size: usize) -> *mut u8 {
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: an anonymous private mapping touches nothing that exists.
    let address = unsafe { libc::mmap(null_mut(), size, access, kind, -1, 0) };
    if address == libc::MAP_FAILED { null_mut() } else { address.cast() }
}

impl Heap {
    /// Does something with the stock, alone. It takes a few instructions, or one mmap.
    fn with<T>(&self, act: impl FnOnce(&mut Stock) -> T) -> T {
        while self.held.swap(true, Ordering::Acquire) {
            std::thread::yield_now();
        }
        // SAFETY: `held` was not set, and is now by us: nobody else has a reference.
        let result = act(unsafe { &mut *self.stock.get() });
        self.held.store(false, Ordering::Release);
        result
    }

    fn take(&self, class: usize) -> *mut u8 {
        self.with(|stock| {
            let block = stock.free[class];
            if block != 0 {
                // SAFETY: a free block of ours holds the next one's address, or 0.
                stock.free[class] = unsafe { *(block as *const usize) };
                return block as *mut u8;
            }
            let size = SMALLEST << class;
            // Aligned to its size, or to a page.
            let align = size.min(PAGE) - 1;
            let mut block = (stock.next + align) & !align;
            if stock.next == 0 || block + size > stock.end {
                block = map(PIECE) as usize;
                if block == 0 {
                    return null_mut();
                }
                stock.end = block + PIECE;
            }
            stock.next = block + size;
            block as *mut u8
        })
    }
}

// SAFETY: blocks are at least as large and aligned as asked for (a larger alignment than a page's
// is refused), and belong to nobody else until they are given back.
unsafe impl GlobalAlloc for Heap {
    // SAFETY: declared so by the trait; nothing is asked of the caller but a layout that is not empty.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        #[cfg(debug_assertions)]
        if failing::now() {
            return null_mut();
        }
        match class(layout.size(), layout.align()) {
            Some(class) => self.take(class),
            None if layout.align() > PAGE => null_mut(),
            None => map(whole_pages(layout.size())),
        }
    }

    // SAFETY: declared so by the trait: the caller gives what `alloc` gave, once, with its layout.
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match class(layout.size(), layout.align()) {
            Some(class) => self.with(|stock| {
                // SAFETY: the block is the caller's to give back, and has room for an address.
                unsafe { *block.cast::<usize>() = stock.free[class] };
                stock.free[class] = block as usize;
            }),
            // SAFETY: it was mapped with this length, and the caller gives it back.
            None => unsafe {
                libc::munmap(block.cast(), whole_pages(layout.size()));
            },
        }
    }

    // SAFETY: declared so by the trait, as `dealloc`.
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let (old, new) = (class(layout.size(), layout.align()), class(size, layout.align()));
        if old.is_some() && old == new {
            return block;
        }
        // SAFETY: as in `alloc` and `dealloc`; the copy is not longer than either block, and a
        // fresh block does not overlap an old one. mremap gets the length that was mapped.
        unsafe {
            if old.is_none() && new.is_none() {
                let (from, to) = (whole_pages(layout.size()), whole_pages(size));
                let moved = libc::mremap(block.cast(), from, to, libc::MREMAP_MAYMOVE);
                return if moved == libc::MAP_FAILED { null_mut() } else { moved.cast() };
            }
            let fresh = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !fresh.is_null() {
                std::ptr::copy_nonoverlapping(block, fresh, layout.size().min(size));
                self.dealloc(block, layout);
            }
            fresh
        }
    }
}

/// Which allocation fails, for tests.
#[cfg(debug_assertions)]
mod failing {
    use std::ffi::CStr;
    use std::sync::atomic::{AtomicU64, Ordering};

    static COUNT: AtomicU64 = AtomicU64::new(0);
    /// The number of it; 0 as long as nobody has looked.
    static WHICH: AtomicU64 = AtomicU64::new(0);
    const NEVER: u64 = u64::MAX;
    /// All from there on.
    const ALL: u64 = 1 << 63;

    pub(super) fn now() -> bool {
        let which = match WHICH.load(Ordering::Relaxed) {
            0 => {
                let which = asked();
                WHICH.store(which, Ordering::Relaxed);
                which
            }
            which => which,
        };
        if which == NEVER {
            return false;
        }
        let (count, number) = (COUNT.fetch_add(1, Ordering::Relaxed) + 1, which & !ALL);
        count == number || count > number && which & ALL != 0
    }

    fn asked() -> u64 {
        // SAFETY: a name that ends in 0; the text is looked at before anybody could change the environment,
        // since nobody can do that without having allocated.
        let text = unsafe {
            let text = libc::getenv(c"CORACLE_FAIL_ALLOCATION".as_ptr());
            if text.is_null() {
                return NEVER;
            }
            CStr::from_ptr(text).to_bytes()
        };
        let (digits, all) = match text {
            [digits @ .., b'+'] => (digits, ALL),
            digits => (digits, 0),
        };
        let number = digits.iter().fold(0_u64, |number, digit| {
            number.wrapping_mul(10).wrapping_add(u64::from(digit.wrapping_sub(b'0')))
        });
        if number == 0 { NEVER } else { number | all }
    }
}

/// What C's functions hand out has its size in front, in as much room as keeps it aligned.
#[cfg(target_env = "musl")]
mod c {
    use super::{GlobalAlloc, HEAP, Layout, SMALLEST, null_mut};

    fn layout(size: usize) -> Option<Layout> {
        Layout::from_size_align(size.checked_add(SMALLEST)?, SMALLEST).ok()
    }

    /// malloc(3)
    // SAFETY: declared as in the C library.
    #[unsafe(no_mangle)]
    extern "C" fn malloc(size: usize) -> *mut u8 {
        let Some(layout) = layout(size) else { return null_mut() };
        // SAFETY: the layout is not empty; the block has room for the size and what follows.
        unsafe {
            let block = HEAP.alloc(layout);
            if block.is_null() {
                return block;
            }
            block.cast::<usize>().write(size);
            block.add(SMALLEST)
        }
    }

    /// free(3)
    // SAFETY: declared as in the C library, and the caller gives what malloc gave, or nothing.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn free(block: *mut u8) {
        if block.is_null() {
            return;
        }
        // SAFETY: the size stands in front, where malloc has put it.
        unsafe {
            let block = block.sub(SMALLEST);
            if let Some(layout) = layout(block.cast::<usize>().read()) {
                HEAP.dealloc(block, layout);
            }
        }
    }

    /// realloc(3)
    // SAFETY: as with free.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn realloc(block: *mut u8, size: usize) -> *mut u8 {
        let fresh = malloc(size);
        // SAFETY: the size stands in front, where malloc has put it; blocks do not overlap.
        unsafe {
            if !block.is_null() && !fresh.is_null() {
                let old = block.sub(SMALLEST).cast::<usize>().read();
                std::ptr::copy_nonoverlapping(block, fresh, old.min(size));
                free(block);
            }
        }
        fresh
    }

    /// calloc(3)
    // SAFETY: declared as in the C library.
    #[unsafe(no_mangle)]
    extern "C" fn calloc(count: usize, size: usize) -> *mut u8 {
        let Some(size) = count.checked_mul(size) else { return null_mut() };
        let block = malloc(size);
        if !block.is_null() {
            // SAFETY: the block has this size.
            unsafe { std::ptr::write_bytes(block, 0, size) };
        }
        block
    }

    /// posix_memalign(3). The standard library asks here for what is aligned to more than 16;
    /// nobody does so through C.
    // SAFETY: declared as in the C library; it looks at nothing.
    #[unsafe(no_mangle)]
    extern "C" fn posix_memalign(_: *mut *mut u8, _: usize, _: usize) -> i32 {
        libc::ENOMEM
    }

    /// aligned_alloc(3), likewise.
    // SAFETY: declared as in the C library; it looks at nothing.
    #[unsafe(no_mangle)]
    extern "C" fn aligned_alloc(_: usize, _: usize) -> *mut u8 {
        null_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_apart_aligned_and_used_again() {
        let heap = Heap {
            held: AtomicBool::new(false),
            stock: UnsafeCell::new(Stock { free: [0; CLASSES], next: 0, end: 0 }),
        };
        let sizes = [1, 16, 17, 100, 4096, 5000, LARGEST, LARGEST + 1, 1 << 20];
        let mut blocks: Vec<(usize, Layout)> = Vec::new();
        for size in sizes.into_iter().cycle().take(900) {
            for align in [1, 64, 4096] {
                let layout = Layout::from_size_align(size, align).expect("layout");
                // SAFETY: the layout is not empty, and the bytes written are the block's.
                let at = unsafe {
                    let block = heap.alloc(layout);
                    block.write_bytes(0x55, size);
                    block as usize
                };
                assert!(at != 0 && at % align == 0, "{size} {align}");
                blocks.push((at, layout));
            }
        }
        blocks.sort_unstable_by_key(|(at, _)| *at);
        assert!(blocks.windows(2).all(|two| two[0].0 + two[0].1.size() <= two[1].0));
        let first = blocks.iter().find(|(_, layout)| layout.size() == 100).copied().expect("one");
        for (at, layout) in blocks {
            // SAFETY: each was given with this layout and goes back once.
            unsafe { heap.dealloc(at as *mut u8, layout) };
        }
        let again: Vec<usize> = (0..900).map(|_| heap.take(3) as usize).collect();
        assert!(again.contains(&first.0) || first.1.align() > 128);
    }

    #[test]
    fn what_grows_and_shrinks_keeps_its_bytes() {
        let mut bytes: Vec<u8> = Vec::new();
        for size in [10, 100, 40_000, 1 << 20, 3 << 20, 33_000, 500, 5] {
            let old = bytes.len().min(size);
            bytes.resize(size, 7);
            bytes.shrink_to_fit();
            assert!(bytes[..old].iter().all(|byte| *byte == 7) && bytes.len() == size);
        }
    }

    #[test]
    fn threads_do_not_meet_in_a_block() {
        std::thread::scope(|scope| {
            for mark in 0..4_u8 {
                scope.spawn(move || {
                    let mut kept: Vec<Vec<u8>> = Vec::new();
                    for turn in 0..20_000_usize {
                        kept.push(vec![mark; turn % 300 + 1]);
                        if kept.len() > 50 {
                            let old = kept.swap_remove(turn % 50);
                            assert!(old.iter().all(|byte| *byte == mark));
                        }
                    }
                });
            }
        });
    }
}
