//! What the fuzz targets do with their bytes.

use std::path::Path;
use std::sync::LazyLock;

use expression_engine::detector::Detector;
use expression_engine::expression::{EngineOptions, FloatEngine};
use expression_engine::{Engine, Manifest, selftest};

pub mod edits;
pub mod host;
pub mod http;
pub mod journal;
pub mod mqtt;
pub mod seeds;
pub mod texts;
pub mod video;

#[path = "../../edge-runtime/engine/tests/graphs/mod.rs"]
pub mod graphs;

/// What one kind of bytes from outside is tried on.
pub struct Target {
    /// Its name: that of its folder in `seeds/`, and of its row in README.md.
    pub name: &'static str,
    /// Decodes the bytes. Whatever they are, it must return.
    pub run: fn(&[u8]),
    /// The longest input that the fuzzer makes, bytes.
    pub max_len: usize,
}

const fn target(name: &'static str, run: fn(&[u8]), max_len: usize) -> Target {
    Target { name, run, max_len }
}

/// Every target. A new decoder of bytes from outside gets a line here and a seed in `seeds.rs`.
pub const TARGETS: &[Target] = &[
    target("onnx", nets, 8192),
    target("onnx_edits", edits::graphs, 512),
    target("detector", detector, 65_536),
    target("bundle", bundle, 8192),
    target("y4m", video::y4m, 8192),
    target("mjpeg", video::mjpeg, 8192),
    target("raw", video::raw, 8192),
    target("picture", video::picture, 8192),
    target("board", texts::board, 8192),
    target("flag", texts::flag, 1024),
    target("preset", host::preset, 8192),
    target("classes", host::classes, 2048),
    target("http", http::http, 8192),
    target("mqtt", mqtt::packets, 4096),
    target("journal", journal::file, 16_384),
    target("journal_rows", journal::edited, 512),
    target("mat", host::mat, 8192),
    target("fer2013", host::fer2013, 4096),
    target("ferplus", host::ferplus, 4096),
    target("checkpoint", host::checkpoint, 8192),
    target("tfjs", host::tfjs, 8192),
];

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
