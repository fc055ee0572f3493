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
    // Nor do several faces at once, whose scores are the same, once there is working memory for them.
    let many: Vec<u8> = vectors.iter().cycle().take(7).flat_map(|vector| vector.face.clone()).collect();
    let expected: Vec<u8> = vectors.iter().cycle().take(7).flat_map(|vector| vector.scores.clone()).collect();
    let face = engine.input().len();
    let mut all = vec![0; expected.len()];
    engine.classify_many(&many, &mut all).unwrap();
    let before = ALLOCATOR.allocations();
    for count in 0..=7 {
        all.fill(0);
        let scores = &mut all[..count * engine.labels().len()];
        engine.classify_many(&many[..count * face], scores).unwrap();
        assert_eq!(*scores, expected[..scores.len()], "{count} faces");
    }
    assert_eq!(ALLOCATOR.allocations() - before, 0);
    assert!(engine.classify_many(&many[..face + 1], &mut scores).is_err());
    assert!(engine.classify_many(&many[..face], &mut all).is_err());
    // The counter counts: `classify` gives vectors.
    engine.classify(&vectors[0].face).unwrap();
    assert!(ALLOCATOR.allocations() > before);
}
