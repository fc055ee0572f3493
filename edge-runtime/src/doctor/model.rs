//! Kernels, bundle, self-test, detector.

use std::path::Path;

use expression_engine::bundle::DETECTOR;
use expression_engine::detector::Detector;
use expression_engine::error::Result;
use expression_engine::trust::Verdict;
use expression_engine::{Bundle, selftest};
use expression_engine::{Engine, EngineOptions};
use expression_kernels::kernel;

use super::Finding;
use crate::trust::Policy;

/// The kernels that were chosen for this processor.
pub fn kernels() -> Finding {
    match kernel::best().name() {
        "portable" => {
            Finding::warn("kernels", "portable", "this processor has none of the fast instruction sets; it is slow")
        }
        name => Finding::ok("kernels", name),
    }
}

/// Whether the bundle is whole, by somebody who is trusted, answers as it should, and finds faces.
pub fn bundle(folder: &Path, policy: &Policy) -> Vec<Finding> {
    let tested = || -> Result<(Bundle, usize)> {
        let bundle = Bundle::open_trusted(folder, policy.trust())?;
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
        signature(&bundle, policy),
        match detector() {
            Ok(_) => Finding::ok("detector", "loads"),
            Err(error) => Finding::refused("detector", error.to_string()),
        },
    ]
}

/// Who signed the bundle, as far as this board can tell.
fn signature(bundle: &Bundle, policy: &Policy) -> Finding {
    match (bundle.verdict(), policy.warning(bundle)) {
        (Verdict::Valid { key, sequence, newer: Some(newest) }, _) => Finding::warn(
            "signature",
            format!("valid, by key {key}, but its sequence number {sequence} is older than {newest}"),
            "it is allowed here; go forward to a newer bundle when there is one",
        ),
        (Verdict::Valid { key, sequence, .. }, _) => {
            Finding::ok("signature", format!("valid, by key {key}, sequence number {sequence}"))
        }
        (_, warning) => {
            let warning = warning.unwrap_or_default();
            let (found, advice) = warning.split_once("; ").unwrap_or((&warning, ""));
            Finding::warn("signature", found, advice)
        }
    }
}
