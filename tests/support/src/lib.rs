//! What tests of several crates share.
//!
//! ```
//! use test_support::CountingAllocator;
//!
//! #[global_allocator]
//! static ALLOCATOR: CountingAllocator = CountingAllocator::new();
//!
//! let before = ALLOCATOR.allocations();
//! let vector = std::hint::black_box(vec![1u8; 4096]);
//! assert!(ALLOCATOR.allocations() > before && ALLOCATOR.peak_bytes() >= vector.len());
//! ```

pub mod axe;
pub mod browser;
pub mod http;
pub mod promise;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator, which counts allocations and bytes.
#[derive(Debug, Default)]
pub struct CountingAllocator {
    allocations: AtomicUsize,
    bytes: AtomicUsize,
    peak_bytes: AtomicUsize,
}

impl CountingAllocator {
    /// An allocator that has counted nothing.
    pub const fn new() -> CountingAllocator {
        CountingAllocator {
            allocations: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            peak_bytes: AtomicUsize::new(0),
        }
    }

    /// Returns the number of allocations and reallocations so far.
    pub fn allocations(&self) -> usize {
        self.allocations.load(Ordering::Relaxed)
    }

    /// Returns the most bytes that were allocated at once so far.
    pub fn peak_bytes(&self) -> usize {
        self.peak_bytes.load(Ordering::Relaxed)
    }

    /// Forgets the peak so far, and returns the bytes that are allocated now: what [`CountingAllocator::peak_bytes`] says from here
    /// on, less these, is what came on top.
    pub fn start_peak(&self) -> usize {
        let now = self.bytes.load(Ordering::Relaxed);
        self.peak_bytes.store(now, Ordering::Relaxed);
        now
    }

    fn grow(&self, bytes: usize) {
        self.allocations.fetch_add(1, Ordering::Relaxed);
        let now = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.peak_bytes.fetch_max(now, Ordering::Relaxed);
    }
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.grow(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        self.bytes.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.grow(size);
        self.bytes.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
