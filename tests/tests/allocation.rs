//! An inference allocates nothing once the net is loaded.

use expression_engine::EngineOptions;
use expression_engine::{Bundle, Engine, selftest};
use test_support::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

#[test]
fn an_inference_allocates_nothing() {
    let bundle = Bundle::open(&system_tests::root().join("models/ferplus-edge")).unwrap();
    let engine = Engine::open(&bundle, EngineOptions::default()).unwrap();
    let vectors = selftest::vectors(&bundle).unwrap();
    let mut scores = vec![0; engine.labels().len()];
    let before = ALLOCATOR.allocations();
    for vector in &vectors {
        engine.integer_scores(&vector.face, &mut scores).unwrap();
        assert_eq!(scores, vector.scores);
    }
    assert_eq!(ALLOCATOR.allocations() - before, 0);
    // The counter counts: `classify` gives vectors.
    engine.classify(&vectors[0].face).unwrap();
    assert!(ALLOCATOR.allocations() > before);
}
