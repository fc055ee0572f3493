//! What the fuzz targets do with their bytes.

use std::path::Path;
use std::sync::LazyLock;

use expression_engine::detector::Detector;
use expression_engine::expression::{FloatEngine, EngineOptions};
use expression_engine::{Engine, Manifest, selftest};

pub mod edits;
pub mod http;
pub mod journal;
pub mod seeds;
pub mod texts;
pub mod video;

#[path = "../../edge-runtime/engine/tests/graphs/mod.rs"]
pub mod graphs;

static MANIFEST: LazyLock<Manifest> = LazyLock::new(graphs::manifest);

/// Loads a graph as each of the three engines of an expression net, and runs what loads.
pub fn nets(onnx: &[u8]) {
    let face = [77; graphs::SIDE * graphs::SIDE];
    let best = Engine::from_bytes(onnx, &MANIFEST, EngineOptions::default());
    let best = best.and_then(|engine| engine.classify(&face));
    let stock = Engine::from_bytes(onnx, &MANIFEST, EngineOptions { kernel: None, threads: 1 });
    let stock = stock.and_then(|engine| engine.classify(&face));
    // What our kernels run, stock tract runs too.
    assert!(best.is_err() || stock.is_ok(), "{:?}", stock.err());
    if let Ok(engine) = FloatEngine::from_bytes(onnx, MANIFEST.face_input()) {
        let _ = engine.logits(&face);
    }
}

/// Loads a detector.
pub fn detector(onnx: &[u8]) {
    let _ = Detector::from_onnx(onnx);
}

/// What stands between manifest and vectors.
pub const BETWEEN: &[u8] = b"\n-----\n";

/// Reads a manifest and vectors.
pub fn bundle(bytes: &[u8]) {
    let at = bytes.windows(BETWEEN.len()).position(|window| window == BETWEEN).unwrap_or(bytes.len());
    let (manifest, vectors) = (&bytes[..at], bytes.get(at + BETWEEN.len()..).unwrap_or_default());
    let Ok(text) = std::str::from_utf8(manifest) else { return };
    if let Ok(manifest) = Manifest::from_toml(text, Path::new("fuzz")) {
        let _ = selftest::vectors_from(vectors, &manifest);
    }
}
