//! The face detector: BlazeFace, translated from the tfjs file that `cargo xtask setup` fetches.

use expression_engine::{Bundle, bundle, files};

use crate::error::Error;
use crate::onnx::{builder, detector, tfjs};

/// Origin and licence of the detector.
pub const SOURCE: &str = "BlazeFace 256x256 of MediaPipe (Apache-2.0), from the npm package @vladmandic/human 3.3.6";

/// Returns the face detector as an ONNX file.
///
/// # Errors
/// Returns [`Error::BadInput`] if the fetched file is missing or damaged.
pub fn file() -> crate::Result<Vec<u8>> {
    let path = crate::assets::folder().join("human/blazeface.json");
    let graph = tfjs::Graph::open(&path).map_err(|error| Error::BadInput(error.to_string()))?;
    let model = detector::detector_onnx(&graph).map_err(|error| Error::BadInput(error.to_string()))?;
    Ok(builder::bytes(&model))
}

/// Returns the detector that a bundle's manifest names.
///
/// # Errors
/// Returns [`Error::BadInput`] if the manifest names another detector, or the fetched file is missing.
pub fn for_bundle(bundle: &Bundle) -> crate::Result<Vec<u8>> {
    let detector = file()?;
    match bundle.manifest().files.get(bundle::DETECTOR) {
        Some(named) if *named == files::sha256(&detector) => Ok(detector),
        _ => {
            let name = &bundle.manifest().name;
            Err(Error::BadInput(format!("{name} was made with another detector; export the bundle again")))
        }
    }
}
