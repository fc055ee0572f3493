//! Kernels, bundle, self-test, detector.

use std::path::Path;

use expression_engine::bundle::DETECTOR;
use expression_engine::detector::Detector;
use expression_engine::error::Result;
use expression_engine::{Bundle, selftest};
use expression_engine::{Engine, EngineOptions};
use expression_kernels::kernel;

use super::Finding;

/// The kernels that were chosen for this processor.
pub fn kernels() -> Finding {
    match kernel::best().name() {
        "portable" => {
            Finding::warn("kernels", "portable", "this processor has none of the fast instruction sets; it is slow")
        }
        name => Finding::ok("kernels", name),
    }
}

/// Whether the bundle is whole, answers as it should, and finds faces.
pub fn bundle(folder: &Path) -> Vec<Finding> {
    let tested = || -> Result<(Bundle, usize)> {
        let bundle = Bundle::open(folder)?;
        bundle.verify()?;
        let engine = Engine::open(&bundle, EngineOptions::default())?;
        let vectors = selftest::replay(&bundle, &engine)?;
        Ok((bundle, vectors))
    };
    let (bundle, vectors) = match tested() {
        Ok(tested) => tested,
        Err(error) => return vec![Finding::refused("bundle", error.to_string())],
    };
    let detector = || -> Result<Detector> { Ok(Detector::from_onnx(&bundle.read(DETECTOR)?)?) };
    vec![
        Finding::ok("bundle", format!("{}: hashes hold, {vectors} vectors replayed", bundle.manifest().name)),
        match detector() {
            Ok(_) => Finding::ok("detector", "loads"),
            Err(error) => Finding::refused("detector", error.to_string()),
        },
    ]
}
