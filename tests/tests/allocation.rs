//! An inference allocates nothing once the net is loaded.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use expression_engine::EngineOptions;
use expression_engine::{Bundle, Engine, selftest};

/// The system's allocator, which counts.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn an_inference_allocates_nothing() {
    let bundle = Bundle::open(&system_tests::root().join("models/ferplus-edge")).unwrap();
    let engine = Engine::open(&bundle, EngineOptions::default()).unwrap();
    let vectors = selftest::vectors(&bundle).unwrap();
    let mut scores = vec![0; engine.labels().len()];
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    for vector in &vectors {
        engine.integer_scores(&vector.face, &mut scores).unwrap();
        assert_eq!(scores, vector.scores);
    }
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0);
    // The counter counts: `classify` gives vectors.
    engine.classify(&vectors[0].face).unwrap();
    assert!(ALLOCATIONS.load(Ordering::Relaxed) > before);
}
